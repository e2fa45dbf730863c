"""The authors' trials: intervals with known values, choices by hand, and what picking adds."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mcmi_core.base.statistics import Interval, mean_interval
from mcmi_core.experiments import authors_trials
from mcmi_core.experiments.authors_trials import (
    BEST,
    FAVOURED,
    MEAN,
    MEDIAN,
    ONE_LAMBDA,
    UNPICKED,
    WAYS,
    WORST,
    _p_text,
    count_by_lambda,
    expected_maximum,
    few_shot_gains,
    gain_at_few_less_at_many,
    gain_by_lambda,
    noise_between_trials,
    noise_between_weights,
    one_lambda_for_all,
    pairing,
    picking,
    readable_by_lambda,
    readable_by_pair,
    readable_difference,
    readable_few_shot,
    readable_remaining,
    remaining,
    sweep_gains,
    ways_to_choose,
    welch_contrast,
)
from mcmi_core.experiments.claims import CLAIMS
from mcmi_core.experiments.reference import (
    authors_best,
    authors_few_shot,
    authors_sweep,
    favoured_lambdas,
)

PAIR_LAMBDA, _, TEACHERS_LAMBDA = FAVOURED


def trials(**settings: tuple[list[float], list[float]]) -> pd.DataFrame:
    """Made-up few-shot trials: MLL's and MCMI's accuracies by ``distiller_percent``."""
    rows = []
    for setting, by_label in settings.items():
        distiller, percent = setting.split("_")
        for label, accuracies in zip(("MLL", "MCMI fixed λ=0.15"), by_label, strict=True):
            for number, accuracy in enumerate(accuracies, start=1):
                rows.append((distiller, int(percent) / 100, label, number, accuracy))
    columns = ["distiller", "fraction", "label", "trial", "accuracy_percent"]
    return pd.DataFrame(rows, columns=columns)


# --- intervals ----------------------------------------------------------------------------------


def test_with_two_samples_it_is_welchs_interval():
    first, second = [1.0, 2.0, 4.5, 3.0], [0.0, 0.5, 0.4]
    known = stats.ttest_ind(first, second, equal_var=False)
    found = welch_contrast([first, second], [1, -1])
    assert found.mean == pytest.approx(2.625 - 0.3)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    wide = welch_contrast([first, second], [1, -1], confidence=0.99)
    assert (wide.low, wide.high) == pytest.approx(tuple(known.confidence_interval(0.99)))


def test_weights_scale_a_contrast():
    """Half of each of two equal samples has the mean of both, and twice the freedom."""
    values = [1.0, 2.0, 3.0]
    found = welch_contrast([values, values], [0.5, 0.5])
    half = stats.t.ppf(0.975, 4) * (2 * 0.25 * 1 / 3) ** 0.5
    assert (found.mean, found.high - found.mean) == pytest.approx((2, half))


def test_samples_without_variance_leave_no_doubt():
    assert welch_contrast([[3, 3], [1, 1]], [1, -1]) == (2, 2, 2, 0)
    assert welch_contrast([[1, 1], [1, 1]], [1, -1]) == (0, 0, 0, 1)


def test_what_has_no_interval_is_refused():
    with pytest.raises(ValueError, match="1 weights do not fit 2 samples"):
        welch_contrast([[1, 2], [1, 2]], [1])
    with pytest.raises(ValueError, match=r"at least two finite values a sample, got \[1.0\]"):
        welch_contrast([[1, 2], [1]], [1, -1])
    with pytest.raises(ValueError, match=r"at least two finite values a sample, got \[1.0, nan\]"):
        welch_contrast([[1, 2], [1, math.nan]], [1, -1])


# --- few-shot -----------------------------------------------------------------------------------


def test_few_shot_gains_are_differences_of_means_and_single_trials_have_no_interval():
    made_up = trials(crd_5=([50], [51]), kd_50=([60, 61], [63, 64, 65]), kd_5=([40, 42], [50, 52]))
    table = few_shot_gains(made_up).set_index(["distiller", "fraction"])
    assert list(table.index) == [("kd", 0.05), ("kd", 0.5), ("crd", 0.05)]
    assert list(table.gain) == [10, 3.5, 1]
    assert list(table.n_mll) == [2, 2, 1]
    assert list(table.n_mcmi) == [2, 3, 1]
    known = stats.ttest_ind([50, 52], [40, 42], equal_var=False)
    assert table.p["kd", 0.05] == pytest.approx(known.pvalue)
    assert table.low["kd", 0.05] == pytest.approx(known.confidence_interval().low)
    assert table.loc[("crd", 0.05), ["low", "high", "p", "p_holm", "paired_gain"]].isna().all()
    smaller, larger = sorted(table.p.dropna())
    assert sorted(table.p_holm.dropna()) == pytest.approx([2 * smaller, max(2 * smaller, larger)])


def test_paired_by_number_only_trials_that_both_have_count():
    table = few_shot_gains(trials(kd_5=([40, 42], [50, 53, 99]))).iloc[0]
    half = stats.t.ppf(0.975, 1) * 0.5
    assert (table.paired_gain, table.paired_n) == (10.5, 2)
    assert (table.paired_low, table.paired_high) == pytest.approx((10.5 - half, 10.5 + half))


def test_is_the_gain_larger_where_there_is_less():
    made_up = trials(kd_5=([40, 42], [50, 52]), kd_75=([70, 71, 72], [70, 71, 75]))
    row = gain_at_few_less_at_many(trials=made_up).iloc[0]
    assert row.difference == pytest.approx(10 - 1)
    errors = [2 / 2, 2 / 2, 1 / 3, 7 / 3]  # variances of the four means
    freedom = sum(errors) ** 2 / sum(e**2 / n for e, n in zip(errors, (1, 1, 2, 2), strict=True))
    half = stats.t.ppf(0.975, freedom) * sum(errors) ** 0.5
    assert (row.low, row.high) == pytest.approx((9 - half, 9 + half))
    assert row.n == "2, 2, 3, 3"
    with pytest.raises(KeyError):
        gain_at_few_less_at_many(many=0.5, trials=made_up)


def test_numbers_that_pair_are_noticed_and_others_are_not():
    noise = np.random.default_rng(1).normal(size=(12, 5))
    paired = {f"kd_{n}": (list(60 + row), list(65 + 3 * row)) for n, row in enumerate(noise, 1)}
    found = pairing(trials(**paired, crd_5=([1, 2], [2, 1])), shuffles=199)
    assert found.correlation == pytest.approx(1)
    assert (found.p, found.pairs, found.settings) == (1 / 200, 60, 12)
    alone = np.random.default_rng(2).normal(size=(12, 5))
    unpaired = {f"kd_{n}": (list(noise[n]), list(alone[n])) for n in range(12)}
    found = pairing(trials(**unpaired), shuffles=199)
    assert abs(found.correlation) < 0.3
    assert found.p > 0.05


def test_the_authors_own_trials_are_looked_at():
    table = few_shot_gains().set_index(["distiller", "fraction"])
    assert table.gain["kd", 0.05] == pytest.approx(5.72, abs=0.005)  # the abstract's
    assert table.n_mll.sum() + table.n_mcmi.sum() == len(authors_few_shot())
    assert list(gain_at_few_less_at_many().distiller) == ["kd", "crd"]
    assert pairing(shuffles=9).pairs == 46


# --- λ sweep ------------------------------------------------------------------------------------


def sweep(**rows: dict) -> pd.DataFrame:
    """Made-up cells: accuracies by λ, one per loss weight, by ``teacher_student_distiller``."""
    cells = []
    for row, by_lam in rows.items():
        for lam, accuracies in by_lam.items():
            for weight, accuracy in enumerate(accuracies):
                cells.append((*row.split("_"), lam, weight, accuracy))
    columns = ["teacher", "student", "distiller", "lam", "beta", "accuracy_percent"]
    return pd.DataFrame(cells, columns=columns)


SWEEP = sweep(
    big_small_kd={0.2: [71, 72], 0.4: [75, 70]},
    big_small_at={0.2: [70], 0.4: [74]},
    big_small_sp={0.2: [73], 0.4: [70]},
    big_small_ab={0.2: [69]},
    other_tiny_kd={0.2: [60], 0.4: [50]},
    other_tiny_at={0.2: [60], 0.4: [51]},
)
KNOWN = SWEEP[["teacher", "student", "distiller"]].drop_duplicates()
KNOWN = KNOWN.assign(published_percent=[70, 70, 70, 70, 50, 50])


def test_a_gain_is_over_the_published_student():
    cells = sweep_gains(SWEEP, KNOWN)
    assert list(cells.gain) == [1, 2, 5, 0, 0, 4, 3, 0, -1, 10, 0, 10, 1]
    with pytest.raises(ValueError, match="nothing is published about big small kd, big small at"):
        sweep_gains(SWEEP, KNOWN[2:])


def test_each_way_to_choose_by_hand():
    ways = ways_to_choose(sweep_gains(SWEEP, KNOWN), noise_sd=0.5)
    kd = ways.loc["big", "small", "kd"]
    assert (kd.cells, kd[BEST], kd[MEAN], kd[MEDIAN], kd[WORST]) == (4, 5, 2, 1.5, 0)
    assert kd[UNPICKED] == pytest.approx(5 - 0.5 * expected_maximum(4))
    # the pair's three complete frameworks, their gains at λ 0.2 and 0.4: 1.5 2.5, 0 4, 3 0
    lams = ways.loc["big", "small"][list(FAVOURED.values())]
    assert list(lams.pair_lam) == [0.4, 0.4, 0.4, 0.2]  # AB was tried at 0.2 only
    assert list(lams.frameworks_lam) == [0.4, 0.2, 0.4, 0.2]  # AT and SP: 1.5 and 2; KD and SP …
    assert list(lams.teachers_lam) == [0.2] * 4
    assert (kd[ONE_LAMBDA], kd[TEACHERS_LAMBDA]) == (2.5, 1.5)  # mean over loss weights
    assert list(ways.loc["other", "tiny"].teachers_lam) == [0.4, 0.4]
    assert list(ways.loc["other", "tiny"].frameworks_lam) == [0.2, 0.2]


def test_the_mean_over_rows_over_pairs_and_over_teachers():
    index = pd.MultiIndex.from_tuples(
        [("a", "x", "kd"), ("a", "x", "at"), ("a", "y", "kd"), ("b", "x", "kd")],
        names=["teacher", "student", "distiller"],
    )
    left = remaining(pd.DataFrame({way: [1.0, 3.0, 6.0, -2.0] for way in WAYS}, index))
    best = left.loc[BEST]
    assert (best.largest, best["median"], best.positive) == (6, 2, 3)
    assert (best["rows"].mean, best["rows"].n) == (2, 4)
    assert (best.pairs.mean, best.pairs.n) == (2, 3)  # of 2, 6 and -2
    assert (best.teachers.mean, best.teachers.n) == (pytest.approx(2 / 3), 2)  # of 10 / 3 and -2
    assert best.p == pytest.approx(stats.ttest_1samp([2, 6, -2], 0).pvalue)


def test_one_lambda_for_all_pairs_by_hand():
    same = one_lambda_for_all(sweep_gains(SWEEP, KNOWN))
    low, high = same.columns
    assert (low, high) == ("λ = 0.2 for all pairs", "λ = 0.4 for all pairs")
    kd = same.loc["big", "small", "kd"]
    assert list(kd) == [1.5, 2.5]  # mean over loss weights
    assert same.loc["big", "small", "ab"].isna().tolist() == [False, True]
    left = remaining(same)
    assert list(left.index) == [low, high]
    assert [interval.n for interval in left["rows"]] == [6, 5]
    assert list(left.positive) == [(same[low] > 0).sum(), (same[high] > 0).sum()]
    text = readable_remaining(left)
    assert list(text.columns)[:2] == ["rows, n = 6 or 5", "pairs, n = 2"]
    assert text.loc[high, "rows above 0"].endswith(" of 5")
    by_pair = readable_by_pair(same)
    assert list(by_pair.columns) == ["big → small", "other → tiny"]
    assert by_pair.loc[low, "other → tiny"] == "+10.00"


def test_intervals_by_lambda_are_counted():
    clearly, barely, across = (
        mean_interval([1, 1.1, 0.9]),
        mean_interval([1, 2]),
        Interval(0, -1, 1, 5),
    )
    index = pd.MultiIndex.from_product([["kd"], [0.2, 0.4, 0.6]], names=["distiller", "lam"])
    text = count_by_lambda(pd.Series([clearly, barely, across], index))
    assert text == "3 intervals: 1 exclude 0, 1 after Holm's adjustment (KD at λ = 0.2)"
    nothing = count_by_lambda(pd.Series([across] * 3, index))
    assert nothing == "3 intervals: 0 exclude 0, 0 after Holm's adjustment"


def test_a_small_p_is_not_shown_with_an_exponent():
    assert [_p_text(p) for p in (9.9e-8, 0.0039, 0.27, math.nan)] == [
        "< 0.001",
        "0.0039",
        "0.27",
        "–",
    ]


def test_the_authors_sweep_is_looked_at():
    ways = ways_to_choose(sweep_gains(), noise_sd=0.3)
    assert ways.cells.sum() == len(authors_sweep())
    keys = ["teacher", "student", "distiller"]
    best = authors_best().set_index(keys)
    published = sweep_gains().groupby(keys).published_percent.first()
    for row in ways.index:
        assert ways[BEST][row] + published[row] == pytest.approx(best.authors_percent[row])
    favoured = ways.pair_lam.groupby(level=["teacher", "student"]).unique()
    assert {pair: list(lams) for pair, lams in favoured.items()} == {
        pair: [lam] for pair, lam in favoured_lambdas().items()
    }
    assert ((ways[WORST] <= ways[MEAN]) & (ways[MEAN] <= ways[BEST])).all()


def test_what_lambda_does_is_over_pairs_that_were_tried_at_every_one():
    gains = gain_by_lambda(sweep_gains(SWEEP, KNOWN))
    assert set(gains.index.unique("distiller")) == {"at", "kd"}  # of SP and AB there is one pair
    assert (gains["kd", 0.2].mean, gains["kd", 0.2].n) == (5.75, 2)  # 1.5 and 10
    text = readable_by_lambda(gains)
    assert list(text.columns) == ["n, pairs", "λ = 0.2", "λ = 0.4"]
    assert text.loc["KD", "n, pairs"] == 2
    assert text.loc["KD", "λ = 0.2"].startswith("+5.75 [")


# --- what picking adds --------------------------------------------------------------------------


def test_the_expected_maximum_is_the_closed_form():
    known = [0, 1 / math.sqrt(math.pi), 1.5 / math.sqrt(math.pi)]
    assert [expected_maximum(number) for number in (1, 2, 3)] == pytest.approx(known, abs=1e-9)
    assert expected_maximum(8) == pytest.approx(1.42360, abs=1e-5)
    drawn = np.random.default_rng(0).normal(size=(200_000, 5)).max(axis=1).mean()
    assert expected_maximum(5) == pytest.approx(drawn, abs=0.01)
    with pytest.raises(ValueError, match="the largest of at least one value, got 0"):
        expected_maximum(0)


def test_noise_is_pooled_over_settings_near_the_whole_of_the_data():
    made_up = trials(kd_50=([1, 3], [1, 2, 3]), kd_75=([5], [6]), kd_5=([0, 99], [0, 99]))
    noise = noise_between_trials(trials=made_up)
    assert (noise.mean, noise.n) == (pytest.approx((4 / 3) ** 0.5), 3)  # (2 + 2) over 1 + 2
    assert noise.low == pytest.approx((4 / stats.chi2.ppf(0.975, 3)) ** 0.5)
    assert noise.high == pytest.approx((4 / stats.chi2.ppf(0.025, 3)) ** 0.5)
    with pytest.raises(ValueError, match="no setting with 60% of the data or more has two trials"):
        noise_between_trials(0.6, made_up)


def test_noise_between_weights_minds_no_failure():
    generator, rows = np.random.default_rng(3), {}
    for number in range(300):
        rows[f"big{number}_small_kd"] = {0.2: list(70 + 0.4 * generator.normal(size=2))}
    rows["big0_small_kd"] = {0.2: [70, 1]}  # one that failed
    made_up = sweep(**rows, bigger_small_kd={0.2: [71]})
    known = made_up[["teacher", "student", "distiller"]].drop_duplicates()
    sd, pairs = noise_between_weights(sweep_gains(made_up, known.assign(published_percent=70)))
    assert (sd, pairs) == (pytest.approx(0.4, rel=0.15), 300)


def test_what_picking_adds_beside_what_noise_would():
    ways = ways_to_choose(sweep_gains(SWEEP, KNOWN), noise_sd=0.5)
    found = picking(ways, Interval(0.5, 0.4, 0.8, 10))
    assert found[f"{BEST} − {MEAN}"] == pytest.approx((ways[BEST] - ways[MEAN]).mean())
    maximum = ways.cells.map(expected_maximum).mean()
    ends = [f"noise alone{end}" for end in ("", ", low", ", high")]
    assert list(found[ends]) == pytest.approx([0.5 * maximum, 0.4 * maximum, 0.8 * maximum])


def test_equal_cells_differ_by_no_more_than_noise_would():
    """Where λ does nothing, the correction takes off what picking adds."""
    generator = np.random.default_rng(4)
    rows = {
        f"big{n}_small_kd": {lam: list(70 + generator.normal(size=2)) for lam in (0.2, 0.4)}
        for n in range(400)
    }
    made_up = sweep(**rows, bigger_small_kd={0.2: [70, 70], 0.4: [70, 70]})
    made_up = pd.concat([made_up, made_up.assign(distiller="at")])
    known = made_up[["teacher", "student", "distiller"]].drop_duplicates()
    ways = ways_to_choose(sweep_gains(made_up, known.assign(published_percent=70)), noise_sd=1)
    assert ways[BEST].mean() == pytest.approx(expected_maximum(4), abs=0.1)
    assert ways[UNPICKED].mean() == pytest.approx(0, abs=0.1)


# --- as text ------------------------------------------------------------------------------------


def test_tables_read_like_tables():
    made_up = trials(kd_5=([40, 42], [50, 52]), kd_75=([70, 72], [70, 72]), crd_5=([1], [2]))
    text = readable_few_shot(few_shot_gains(made_up))
    assert list(text.index) == [("KD", "5 %"), ("KD", "75 %"), ("CRD", "5 %")]
    assert text.loc[("KD", "5 %"), "gain, points [95 %]"].startswith("+10.00 [+3.9")
    single = text.loc[("CRD", "5 %")]
    assert list(single) == ["+1.00", "1 + 1", "–", "–", "–", 1]
    difference = readable_difference(gain_at_few_less_at_many(trials=made_up[:8]))
    assert difference.loc["KD"].iloc[0].startswith("+10.00 [")
    ways = ways_to_choose(sweep_gains(SWEEP, KNOWN), noise_sd=0.5)
    left = readable_remaining(remaining(ways))
    assert list(left.index) == list(WAYS)
    assert list(left.columns)[:3] == ["rows, n = 6", "pairs, n = 2", "teachers, n = 2"]
    assert left.loc[BEST, "rows above 0"] == "5 of 6"


def test_the_ways_are_named_once():
    assert len(set(WAYS)) == len(WAYS) == 8
    assert ONE_LAMBDA in authors_trials.FAVOURED
    assert PAIR_LAMBDA in WAYS


def test_the_scoreboard_quotes_what_the_trials_give():
    quoted = {claim.key: claim.paper for claim in CLAIMS}
    few_shot = few_shot_gains().set_index(["distiller", "fraction"]).gain
    ways = ways_to_choose(sweep_gains(), noise_between_trials().mean)
    best = ways[BEST].xs("kd", level="distiller")
    _, frameworks_lambda, _ = FAVOURED
    unpicked = Interval(*remaining(ways).pairs[frameworks_lambda])
    assert f"{best.min():+.2f} to {best.max():+.2f} points" in quoted["all_data"]
    assert (
        f"{unpicked:+.2f} at the λ that each pair's other frameworks favour" in quoted["frameworks"]
    )
    assert f"{few_shot['kd', 0.05]:+.2f} points" in quoted["few_shot"]
    assert f"{few_shot['crd', 0.05]:+.2f} points" in quoted["few_shot_crd"]
    first, last = few_shot["kd", 0.05], few_shot["kd", 0.75]
    assert f"from {first:+.2f} at 5 % to {last:+.2f} at 75 %" in quoted["fewer_more"]
