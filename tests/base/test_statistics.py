"""Intervals against scipy's own tests and their coverage."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mcmi_core.base.statistics import (
    Interval,
    gains,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    partial_correlation,
    selection_effects,
    slopes,
    summarise,
    within_seed_intervals,
)


def test_interval_equals_scipys():
    values = [1.0, 2.5, 0.3, 4.1]
    interval = mean_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.mean, interval.n) == (pytest.approx(np.mean(values)), 4)


def test_paired_interval_equals_scipys_paired_test():
    treatment, control = [3.0, 5.0, 4.5], [2.0, 4.8, 4.0]
    interval = paired_difference(treatment, control, confidence=0.9)
    low, high = stats.ttest_rel(treatment, control).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_coverage_is_the_stated_confidence():
    random = np.random.default_rng(0)
    covered = [
        interval.low <= 0 <= interval.high
        for interval in (mean_interval(random.normal(size=5)) for _ in range(2000))
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_interval_formats_as_mean_and_bounds():
    assert f"{mean_interval([1, 2, 3]):.1f}" == "2.0 [-0.5, 4.5]"


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        mean_interval([1])
    with pytest.raises(ValueError, match="must be finite"):
        mean_interval([1, math.nan])
    with pytest.raises(ValueError, match="2 treatment values cannot pair with 3"):
        paired_difference([1, 2], [1, 2, 3])


def runs_of(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label", "seed", "accuracy"])


def test_summarise_gives_an_interval_per_setting_in_order_of_appearance():
    table = runs_of(("b", 0, 1.0), ("a", 0, 5.0), ("b", 1, 2.0), ("a", 1, 5.5))
    summary = summarise(table, ["label"], ["accuracy"])
    assert list(summary.index) == ["b", "a"]
    assert summary.accuracy["b"] == mean_interval([1.0, 2.0])
    assert f"{summary.accuracy['b']:.1f}" == "1.5 [-4.9, 7.9]"


def test_gains_pair_by_seed_whatever_the_order_of_rows():
    table = runs_of(("b", 0, 1.0), ("b", 1, 9.0), ("a", 1, 8.0), ("a", 0, 0.5), ("a", 2, 1.0))
    gain = gains(table, "accuracy", control="b")  # seed 2 has no partner
    assert gain["a"] == paired_difference([0.5, 8.0], [1.0, 9.0])
    assert list(gain.index) == ["a"]


def test_gains_are_taken_within_each_group():
    rows = [(label, s, v + s) for label, v in (("a", 1), ("b", 3)) for s in (0, 1)]
    parts = [runs_of(*rows).assign(part=part) for part in (0.1, 1.0)]
    parts[1].loc[parts[1].label == "b", "accuracy"] += 10
    gain = gains(pd.concat(parts), "accuracy", control="a", by=["part"])
    assert gain[0.1, "b"].mean == pytest.approx(2)
    assert gain[1.0, "b"].mean == pytest.approx(12)


DONE = runs_of(
    *(("MLL", 0, 1.0), ("MLL", 1, 2.0), ("MLL", 2, 9.0)),
    *(("MCMI", 0, 2.0), ("MCMI", 2, 12.0), ("other", 0, 5.0)),
)
"""Where some runs have collapsed."""


def test_what_has_too_few_seeds_is_left_out():
    summary = summarise(DONE, ["label"], ["accuracy"])
    assert list(summary.index) == ["MLL", "MCMI"]
    assert {label: (x.mean, x.n) for label, x in summary.accuracy.items()} == {
        "MLL": (4, 3),
        "MCMI": (7, 2),
    }
    assert summarise(DONE[:1], ["label"], ["accuracy"]).empty


def test_differences_are_over_seeds_that_both_have():
    gain = gains(DONE, "accuracy", control="MLL")
    assert list(gain.index) == ["MCMI"]
    assert (gain["MCMI"].mean, gain["MCMI"].n) == (2, 2)  # seeds 0 and 2; not 7 − 4
    assert gains(DONE, "accuracy", control="none").empty
    assert gains(DONE[:0], "accuracy", control="MLL").empty


def test_p_value_equals_scipys_paired_test():
    treatment, control = [3.0, 5.0, 4.5, 2.0], [2.0, 4.8, 4.0, 2.5]
    expected = stats.ttest_rel(treatment, control).pvalue
    for confidence in (0.95, 0.9):
        difference = paired_difference(treatment, control, confidence)
        assert p_value(difference, confidence) == pytest.approx(expected)
    negative = paired_difference(control, treatment)
    assert p_value(negative) == pytest.approx(expected)


def test_p_value_is_below_five_percent_where_the_interval_excludes_zero():
    random = np.random.default_rng(5)
    decided = set()
    for _ in range(200):
        difference = mean_interval(random.normal(1, 1, size=5))
        excludes = difference.low > 0 or difference.high < 0
        assert (p_value(difference) < 0.05) == excludes
        decided.add(excludes)
    assert decided == {True, False}


def test_p_value_of_equal_replicates():
    assert p_value(mean_interval([0, 0, 0])) == 1
    assert p_value(mean_interval([2, 2])) == 0


@pytest.mark.parametrize("numbers", [(math.nan, 0, 1), (1, 0, math.inf), (1, math.nan, 2)])
def test_no_p_value_of_what_is_not_finite(numbers):
    with pytest.raises(ValueError, match="a p-value needs a finite interval, got .*(nan|inf)"):
        p_value(Interval(*numbers, 5))


@pytest.mark.parametrize("wrong", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_p_value(wrong):
    with pytest.raises(ValueError, match=rf"p-values must be from 0 to 1, got \[{wrong}\]"):
        holm([0.5, wrong, 0.1])


def stepwise_rejections(p_values, level):
    """Holm's procedure as it is told: compare the smallest with level / m, and so on, and stop."""
    left, rejected = sorted(range(len(p_values)), key=lambda i: p_values[i]), set()
    while left and p_values[left[0]] <= level / len(left):
        rejected.add(left.pop(0))
    return rejected


def test_holm_rejects_what_its_steps_reject():
    random = np.random.default_rng(6)
    for number in (1, 2, 5, 12):
        p_values = list(random.uniform(0, 0.1, size=number))
        adjusted = holm(p_values)
        for level in random.uniform(0, 0.3, size=20):
            rejected = {i for i, p in enumerate(adjusted) if p <= level}
            assert rejected == stepwise_rejections(p_values, level)


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([]) == []


def test_holm_keeps_false_alarms_rare():
    """Of ten true null hypotheses, any is rejected in 5 % of all cases: 1 − (1 − 0.05 / 10)¹⁰."""
    random = np.random.default_rng(7)
    alarms = [min(holm(list(random.uniform(size=10)))) < 0.05 for _ in range(4000)]
    assert np.mean(alarms) == pytest.approx(1 - (1 - 0.005) ** 10, abs=0.012)


def test_within_seed_intervals_ignore_what_a_seed_adds_to_all_settings():
    random = np.random.default_rng(1)
    effects, noise = np.array([0.0, 1.0, 3.0]), random.normal(size=(4, 3))

    def table(seed_offsets):
        values = effects + noise + np.array(seed_offsets)[:, None]
        return pd.DataFrame(
            [(s, k, values[s, k]) for s in range(4) for k in range(3)], columns=["seed", "T", "a"]
        )

    calm = within_seed_intervals(table([0, 0, 0, 0]), "T", "a")
    wild = within_seed_intervals(table([-9, -3, 5, 7]), "T", "a")
    for low_noise, high_noise in zip(calm, wild, strict=True):
        assert high_noise == pytest.approx(low_noise)
    assert [i.mean for i in calm] == pytest.approx(list(effects + noise.mean(axis=0)))


def test_two_settings_within_seed_equal_the_paired_interval():
    """With K = 2, the interval's half-width is that of the paired difference over √2."""
    a, b = np.array([1.0, 2.5, 3.0]), np.array([2.0, 2.9, 4.5])
    table = pd.concat(
        [pd.DataFrame({"seed": range(3), "T": t, "a": v}) for t, v in ((1, a), (2, b))]
    )
    interval, paired = within_seed_intervals(table, "T", "a")[1], paired_difference(b, a)
    half, paired_half = interval.high - interval.mean, paired.high - paired.mean
    assert half == pytest.approx(paired_half / 2 * math.sqrt(2))


def test_within_seed_intervals_need_settings_and_all_seeds():
    one = pd.DataFrame({"seed": [0, 1], "T": [1, 1], "a": [1.0, 2.0]})
    with pytest.raises(ValueError, match="compare at least two settings, got 1"):
        within_seed_intervals(one, "T", "a")
    gap = pd.DataFrame({"seed": [0, 0, 1], "T": [1, 2, 1], "a": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="must be finite"):
        within_seed_intervals(gap, "T", "a")


def test_partial_correlation_equals_the_formula_of_plain_correlations():
    random = np.random.default_rng(1)
    x, y, z = random.normal(size=(3, 12))
    y += x + 2 * z
    xy, xz, yz = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_correlation(x, y, z) == pytest.approx(expected, rel=1e-9)
    assert partial_correlation(x, y, z) == pytest.approx(partial_correlation(y, x, z), rel=1e-9)


def test_partial_correlation_sees_through_a_common_cause():
    random = np.random.default_rng(2)
    cause = random.normal(size=4000)
    x, y = cause + 0.3 * random.normal(size=(2, 4000))
    assert np.corrcoef(x, y)[0, 1] > 0.8
    assert abs(partial_correlation(x, y, cause)) < 0.05


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([1, 2, 4], [1, 2, 5], [3, 1, 2]), r"three columns of at least 4, got \[3, 3, 3\]"),
        (([1, 2, 4, 3], [1, 2, 5], [3, 1, 2, 2]), r"at least 4, got \[4, 3, 4\]"),
        (([1, 2, 4, math.nan], [1, 2, 5, 4], [3, 1, 2, 2]), "needs finite values"),
        (([3, 5, 7, 9], [1, 2, 5, 4], [1, 2, 3, 4]), "the first variable is a linear function"),
        (([1, 2, 5, 4], [3, 5, 7, 9], [1, 2, 3, 4]), "the second variable is a linear function"),
    ],
)
def test_partial_correlation_refuses_what_it_cannot_tell_apart(columns, message):
    with pytest.raises(ValueError, match=message):
        partial_correlation(*columns)


def test_slopes_by_method_and_seed():
    """Lines of known slope; and three points off a line, whose slope is Σ dx·dy / Σ dx²."""
    table = pd.DataFrame(
        {
            "label": ["MLL"] * 3 + ["MCMI"] * 3 + ["MLL"] * 3 + ["MCMI"] * 2,
            "seed": [0] * 6 + [1] * 5,
            "size": [1.0, 2, 4] * 3 + [1, 4],
            "accuracy": [5.0, 3, -1, 1, 2, 4, 0, 3, 0, 10, 16],
        }
    )
    steep = slopes(table, "size", "accuracy")
    assert steep.loc[0].to_dict() == pytest.approx({"MLL": -2, "MCMI": 1})
    deviations = [(-4 / 3, -1), (-1 / 3, 2), (5 / 3, -1)]
    expected = sum(dx * dy for dx, dy in deviations) / sum(dx**2 for dx, _ in deviations)
    assert steep.loc[1].to_dict() == pytest.approx({"MLL": expected, "MCMI": 2})


def test_one_point_has_no_slope():
    table = pd.DataFrame({"label": ["MLL"] * 2, "seed": [3, 3], "size": [1, 1], "a": [1.0, 2]})
    with pytest.raises(ValueError, match="no slope from a single size for 'MLL', seed 3"):
        slopes(table, "size", "a")


SETTINGS = ["λ=1", "λ=2", "λ=3", "λ=4"]


def noise(seeds: int, random: np.random.Generator) -> pd.DataFrame:
    """Runs whose settings and control are all equal, but for noise with standard deviation 1."""
    runs = pd.MultiIndex.from_product([range(seeds), ["MLL", *SETTINGS]], names=["seed", "label"])
    table = pd.DataFrame(random.normal(size=(len(runs), 2)), runs, ["last", "best"])
    return table.reset_index()


def test_selection_effects_equal_a_search_over_all_choices():
    table = noise(4, np.random.default_rng(3))
    value = {(r.seed, r.label, m): r[m] for _, r in table.iterrows() for m in ("last", "best")}
    found = selection_effects(table.sample(frac=1, random_state=0), ["last", "best"], "MLL", "λ=2")

    def best(seeds, metric):
        return max(SETTINGS, key=lambda label: sum(value[s, label, metric] for s in seeds))

    expected = []
    for metric in ("last", "best"):
        for chosen in (
            ["λ=2"] * 4,
            [best(range(4), metric)] * 4,
            [best([s], metric) for s in range(4)],
            [best({0, 1, 2, 3} - {s}, metric) for s in range(4)],
        ):
            gains = [value[s, c, metric] - value[s, "MLL", metric] for s, c in enumerate(chosen)]
            expected.append((metric, ", ".join(dict.fromkeys(chosen)), np.mean(gains)))
    assert list(zip(found.metric, found.chosen, strict=True)) == [row[:2] for row in expected]
    means = np.array([row[2] for row in expected])
    assert [gain.mean for gain in found.gain] == pytest.approx(means)
    assert list(found.added) == pytest.approx(means - means[0])


def test_selection_alone_makes_an_effect_where_there_is_none():
    """The expected maximum of four standard normal values is 1.0294, of their mean over n /√n."""
    random = np.random.default_rng(4)
    tables = []
    for _ in range(100):
        table = noise(4, random)
        table.loc[table.label == "MLL", "last"] = 0
        tables.append(selection_effects(table, ["last"], "MLL", "λ=1"))
    gain = pd.concat(tables).set_index("choice").gain.map(lambda interval: interval.mean)
    mean = gain.groupby(level=0).mean()
    assert mean["set beforehand"] == pytest.approx(0, abs=0.15)
    assert mean["best mean on test"] == pytest.approx(1.0294 / 2, abs=0.15)
    assert mean["best on test, per seed"] == pytest.approx(1.0294, abs=0.15)
    assert mean["best on other seeds"] == pytest.approx(0, abs=0.15)


def test_selection_names_what_it_lacks():
    table = noise(2, np.random.default_rng(5))
    with pytest.raises(ValueError, match="no method 'λ=9'; there are λ=1, λ=2, λ=3, λ=4"):
        selection_effects(table, ["last"], "MLL", "λ=9")
    with pytest.raises(ValueError, match="no method 'MCMI'; there are MLL, λ=1, λ=2, λ=3, λ=4"):
        selection_effects(table, ["last"], "MCMI", "λ=1")
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        selection_effects(table[table.seed == 0], ["last"], "MLL", "λ=1")
    with pytest.raises(ValueError, match="every seed needs last of λ=4"):
        selection_effects(table[:-1], ["last"], "MLL", "λ=1")
