"""MLL against MCMI: pairing by seed, rows for what has no result, and the mean over rows."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from made_up import PAIR, accuracy, made_up_lab

from mcmi_core.experiments.comparison import Comparison, compare_teachers, mean_gain

METRIC = "test_accuracy_percent"


def students(framework, mll, mcmi, statuses=("done",) * 6, pair="a → b"):
    rows = [
        {"label": label, "seed": seed, METRIC: value}
        for label, values in (("MLL", mll), ("MCMI fixed λ=0.2", mcmi))
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows).assign(pair=pair, framework=framework)
    return table.assign(status=list(statuses)[: len(table)])


def test_means_deviations_and_the_paired_gain():
    table = compare_teachers(students("kd", [60.0, 70.0, 80.0], [61.0, 72.0, 83.0]), METRIC)
    row = table.iloc[0]
    assert (row.mll_mean, row.mll_sd, row.mcmi_mean, row.mcmi_sd) == (70, 10, 72, 11)
    half = 4.302652729749464 / math.sqrt(3)  # t(2) at 97.5 %, sd of (1, 2, 3) is 1
    assert row.gain_mean == pytest.approx(2)
    assert (row.gain_low, row.gain_high) == pytest.approx((2 - half, 2 + half))
    assert (row.n, row.status) == (3, "done")


def test_the_order_of_rows_does_not_matter():
    table = students("kd", [60.0, 70.0, 80.0], [61.0, 72.0, 83.0])
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        compare_teachers(table, METRIC), compare_teachers(shuffled, METRIC)
    )
    pd.testing.assert_series_equal(mean_gain(table, METRIC), mean_gain(shuffled, METRIC))


def test_what_collapsed_or_cannot_be_is_a_row():
    nan = float("nan")
    lost = ["done", "done", "done", "done", "collapsed", "not run"]
    impossible = ["incompatible"] * 4
    table = compare_teachers(
        pd.concat(
            [
                students("at", [60.0, 70.0, 80.0], [61.0, nan, nan], lost),
                students("fsp", [nan, nan], [nan, nan], impossible),
            ]
        ),
        METRIC,
    )
    assert list(table.framework) == ["at", "fsp"]
    assert list(table.status) == ["1 of 6 collapsed; 1 of 6 not run", "4 of 4 incompatible"]
    assert list(table.n) == [1, 0]
    assert table.gain_mean.isna().all()


def test_no_run_has_the_metric():
    table = students("kd", [1.0, 2.0], [1.0, 2.0], ["incompatible"] * 4).drop(columns=METRIC)
    assert compare_teachers(table, METRIC).n.item() == 0
    assert mean_gain(table, METRIC).empty


@pytest.mark.parametrize("function", [compare_teachers, mean_gain])
def test_other_teachers_are_refused(function):
    table = students("kd", [1.0], [2.0]).replace({"label": {"MLL": "true BCPD"}})
    with pytest.raises(ValueError, match="must be MLL or MCMI, got true"):
        function(table, METRIC)


def test_the_mean_gain_is_over_rows_seed_by_seed():
    table = pd.concat(
        [
            students("kd", [60.0, 70.0], [61.0, 72.0]),
            students("at", [50.0, 50.0], [54.0, 56.0]),
        ],
        ignore_index=True,
    )
    assert dict(mean_gain(table, METRIC)) == {0: 2.5, 1: 4}


def test_a_collapsed_run_drops_its_own_pair_and_no_other_with_the_same_student():
    """vgg13 → mobilenetv2 and resnet50 → mobilenetv2 are two rows, though of one student."""
    nan, lost = float("nan"), ("done", "done", "done", "collapsed")
    table = pd.concat(
        [
            students("kd", [60.0, 60.0], [61.0, 63.0], pair="vgg13 → mobilenetv2"),
            students("kd", [50.0, 50.0], [90.0, nan], lost, pair="resnet50 → mobilenetv2"),
            students("at", [70.0, 70.0], [70.0, 70.0], pair="resnet50 → mobilenetv2"),
        ],
        ignore_index=True,
    )
    assert dict(mean_gain(table, METRIC)) == {0: 0.5, 1: 1.5}


PAIRS = (replace(PAIR, lam=0.2), replace(PAIR, teacher="mlp:width=128", lam=0.4))
"""Two teachers of one student."""


class Example(Comparison):
    name = "an example"
    mean_is_primary = True


EXPERIMENT = Example(pairs=PAIRS, frameworks=("kd", "dkd"), seeds=(0, 1, 2))
NAMES = ["mlp:width=64 → mlp:width=8", "mlp:width=128 → mlp:width=8"]


def wide(run):
    return (run if run.stage == "teacher" else run.teacher).model.options["width"] == 128


def answer(run):
    """Gains: 4 and 2 by kd and dkd of the first teacher, −1 and −3 of the second; ± seed."""
    if run.stage == "teacher":
        return accuracy(70 - 5 * ("MCMI" in run.label))
    gain = {"kd": 4, "dkd": 2}[run.distiller.name] - 5 * wide(run) + run.seed - 1
    return accuracy(50 + gain * ("MCMI" in run.label))


def collapsed(framework, seeds):
    """The second pair's MCMI students collapse in one framework and some seeds."""

    def answer_without(run):
        lost = run.stage == "student" and run.distiller.name == framework and run.seed in seeds
        if lost and wide(run) and "MCMI" in run.label:
            return {"status": "collapsed"}
        return answer(run)

    return answer_without


def findings(answer):
    found = EXPERIMENT.findings(made_up_lab(answer))
    return {finding.claim: finding for finding in found}


def test_runs_are_teachers_and_students():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 2 * 3 * 2 + 2 * 2 * 3 * 2
    lambdas = {run.teacher.objective.options.get("lam") for run in runs[12:] if wide(run)}
    assert lambdas == {None, 0.4}


def test_every_student_stands_in_its_own_row():
    table = EXPERIMENT.student_table(made_up_lab(answer))
    assert list(table.pair.unique()) == NAMES
    for row in table.itertuples():
        assert row.framework == row.distiller_name
        assert row.pair == f"mlp:width={row.teacher_model_width} → mlp:width=8"


def test_last_epoch():
    last = EXPERIMENT.last(made_up_lab(answer))
    assert list(last.gain_mean) == [4, 2, -1, -3]
    assert list(last.pair) == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert list(last.framework) == ["kd", "dkd"] * 2


def test_the_mean_over_pairs_is_primary_and_rows_are_exploratory():
    found = findings(answer)
    mean = found.pop("MCMI's students beat MLL's, mean over pairs and frameworks")
    assert mean.difference.mean == pytest.approx(0.5)
    assert (mean.difference.n, mean.primary) == (3, True)
    assert (mean.policy, mean.lam, mean.networks) == ("tracked", None, "2 pairs; λ = 0.2, 0.4")
    assert mean.treatment == "MCMI tracked, λ per pair"
    assert {claim: finding.difference.mean for claim, finding in found.items()} == pytest.approx(
        {
            f"{NAMES[0]}, kd: MCMI's student beats MLL's": 4,
            f"{NAMES[0]}, dkd: MCMI's student beats MLL's": 2,
            f"{NAMES[1]}, kd: MCMI's student beats MLL's": -1,
            f"{NAMES[1]}, dkd: MCMI's student beats MLL's": -3,
        }
    )
    last = found[f"{NAMES[1]}, dkd: MCMI's student beats MLL's"]
    assert (last.primary, last.lam, last.networks) == (False, 0.4, NAMES[1])


def test_one_pair_states_its_lambda():
    one = replace(EXPERIMENT, pairs=PAIRS[:1])
    mean = one.findings(made_up_lab(answer))[0]
    assert mean.claim == "MCMI's students beat MLL's, mean over frameworks"
    assert (mean.lam, mean.networks, mean.difference.mean) == (0.2, NAMES[0], 3)
    assert (mean.policy, mean.treatment) == ("tracked", "MCMI tracked λ=0.2")


def test_a_collapsed_run_drops_one_row_of_the_mean():
    found = findings(collapsed("kd", seeds=(2,)))
    mean = found["MCMI's students beat MLL's, mean over pairs and frameworks"]
    assert mean.difference.mean == pytest.approx(1)  # of 4, 2 and −3
    assert f"{NAMES[1]}, kd: MCMI's student beats MLL's" not in found  # two seeds are too few
    assert f"{NAMES[0]}, kd: MCMI's student beats MLL's" in found


def test_a_collapsed_run_has_no_best_epoch():
    """It has metrics, and a history that ends before its collapse."""

    def half_way(run):
        fields = answer(run) | {"history": {"test_accuracy_percent": [40.0, None]}}
        if run.stage == "student" and "MCMI" in run.label and run.seed == 2:
            fields |= {"status": "collapsed"}
            fields["history"] = {"test_accuracy_percent": [99.0, None]}
        return fields

    students = EXPERIMENT.student_table(made_up_lab(half_way))
    assert students.best_test_accuracy_percent.max() == 99
    best = compare_teachers(students, "best_test_accuracy_percent")
    assert list(best.mcmi_mean) == [40] * 4
    assert list(best.n) == [2] * 4
    last = compare_teachers(students, METRIC)
    assert list(last.n) == [2] * 4
    assert list(last.mcmi_mean) == [53.5, 51.5, 48.5, 46.5]  # seeds 0 and 1, not the mean of three


def test_no_row_is_done():
    def nothing(run):
        return {"status": "incompatible"} if run.stage == "student" else answer(run)

    assert findings(nothing) == {}
    lab = made_up_lab(nothing)
    assert set(EXPERIMENT.last(lab).status) == {"6 of 6 incompatible"}


def test_teachers():
    table = EXPERIMENT.teacher_table(made_up_lab(answer))
    assert list(table) == ["test_accuracy_percent", "train_cmi_nats"]
    assert list(table.index) == [
        (NAMES[0], "MLL", "done"),
        (NAMES[0], "MCMI tracked λ=0.2", "done"),
        (NAMES[1], "MLL", "done"),
        (NAMES[1], "MCMI tracked λ=0.4", "done"),
    ]
    assert [interval.mean for interval in table[METRIC]] == [70, 65, 70, 65]


def test_teachers_that_collapsed_are_counted():
    def half_collapsed(run):
        if run.label == "MCMI tracked λ=0.4" and run.seed > 0:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(half_collapsed)
    table = EXPERIMENT.teacher_table(lab)
    assert table.loc[(NAMES[1], "MCMI tracked λ=0.4", "2 of 3 collapsed")].isna().all()
    assert list(EXPERIMENT.last(lab).status) == ["done"] * 2 + ["2 of 6 not run"] * 2


def test_the_note_counts_seeds():
    note = EXPERIMENT.note(made_up_lab(answer))
    assert note == (
        "oracle data, 20 epochs, last epoch on test; mean and 95 % t-interval, paired, n = 3 seeds"
    )
    assert EXPERIMENT.note(made_up_lab(collapsed("kd", (2,)))).endswith("paired, n ≤ 3 seeds")


def test_settings_state_lambda_and_epochs_of_every_pair():
    lines = str(EXPERIMENT).splitlines()
    epochs = "teacher 20 epochs, fine-tuning 5, student 20"
    assert lines[-2:] == [
        f"{NAMES[0]}: MCMI tracked λ=0.2; {epochs}",
        f"{NAMES[1]}: MCMI tracked λ=0.4; {epochs}",
    ]
