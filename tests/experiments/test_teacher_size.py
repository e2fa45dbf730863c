from dataclasses import replace

import numpy as np
import pytest
from made_up import PAIR, accuracy, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.teacher_size import TeacherSize
from mcmi_core.report.tables import interval_columns

WIDTHS = (8, 64, 512)
PAIRS = tuple(replace(PAIR, teacher=f"mlp:width={width}") for width in WIDTHS)
EXPERIMENT = TeacherSize(pairs=PAIRS, seeds=(0, 2))
MLL, MCMI = "MLL", "MCMI tracked λ=0.7"
PARAMETERS = {8: 100, 64: 1000, 512: 10_000}


def decades(run):
    return np.log10(PARAMETERS[run.model.options["width"]])


def answer(run):
    """Per tenfold size, MLL's students lose a point and MCMI's gain two (and a tenth by seed).

    MLL's CMI falls by 0.3 nats, MCMI's by 0.1; both LL rise by 0.2.
    """
    if run.stage == "measurement":
        return {"result": {"parameters": [PARAMETERS[run.of.model.options["width"]]]}}
    if run.stage == "student":
        mcmi = run.label == MCMI
        slope = 2 + run.seed / 10 if mcmi else -1
        return accuracy(60 + slope * decades(run.teacher))
    fall = 0.1 if run.label == MCMI else 0.3
    train = {"cmi_nats": 2 - fall * decades(run), "ll_nats": -2 + 0.2 * decades(run)}
    return {"metrics": {"test": {"accuracy_percent": 70}, "train": train}}


def test_trends_and_last_steps():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            "students of MLL gain with its size": -1,
            f"students of {MCMI} gain with its size": 2.1,
            "size helps MCMI's students more than MLL's": 3.1,
            "CMI of MLL falls with size": 0.3,
            f"CMI of {MCMI} falls less than that of MLL": 0.2,
            "LL of MLL rises with size": 0.2,
            "MLL: mlp:width=512 teaches better than mlp:width=64": -1,
            f"{MCMI}: mlp:width=512 teaches better than mlp:width=64": 2.1,
        }
    )
    assert [finding.claim for finding in findings if finding.primary] == [
        f"students of {MCMI} gain with its size",
        "size helps MCMI's students more than MLL's",
    ]


def test_what_a_trend_compares():
    about = {f.claim: f for f in EXPERIMENT.findings(made_up_lab(answer))}
    own, more = (f for f in about.values() if f.primary)
    assert (own.control, more.control) == ("smaller teachers", "MLL")
    assert {(f.policy, f.lam) for f in (own, more)} == {("tracked", 0.7)}
    assert own.unit == "points per tenfold size"
    assert own.networks == "mlp:width=8 / mlp:width=64 / mlp:width=512 → mlp:width=8"
    mll = about["CMI of MLL falls with size"]
    assert (mll.policy, mll.lam, mll.unit) == ("–", None, "nats per tenfold size")
    step = about["MLL: mlp:width=512 teaches better than mlp:width=64"]
    assert (step.control, step.unit) == ("mlp:width=64", "points")


def test_the_largest_is_told_by_its_parameters_not_by_its_place():
    shuffled = replace(EXPERIMENT, pairs=(PAIRS[2], PAIRS[0], PAIRS[1]))
    claims = [finding.claim for finding in shuffled.findings(made_up_lab(answer))]
    assert "MLL: mlp:width=512 teaches better than mlp:width=64" in claims


def test_one_row_per_teacher():
    table = EXPERIMENT.table(made_up_lab(answer))
    assert len(table) == 3 * 2 * 2
    assert list(table.parameters.unique()) == [100, 1000, 10_000]
    assert list(table.decades.unique()) == [2, 3, 4]
    row = table[(table.label == MCMI) & (table.seed == 2) & (table.parameters == 1000)].iloc[0]
    assert row.student_accuracy_percent == pytest.approx(60 + 2.2 * 3)
    assert row.train_cmi_nats == pytest.approx(1.7)


def test_intervals_by_size_and_method():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    sizes = PARAMETERS.values()
    assert list(summary.index) == [(size, label) for size in sizes for label in (MLL, MCMI)]
    assert summary.loc[(1000, MCMI), "student_accuracy_percent"].mean == pytest.approx(66.3)
    assert summary.loc[(10_000, MLL), "train_cmi_nats"].mean == pytest.approx(0.8)
    numbers = interval_columns(EXPERIMENT.numbers(lab))
    columns = ["parameters", "label", "metric", "mean", "low", "high", "n"]
    assert list(numbers.columns) == columns
    assert list(numbers.metric.unique()) == list(summary.columns)
    assert list(numbers.label[:3]) == [MLL, MCMI, MLL]


def test_what_a_seed_adds_to_all_settings_is_left_out_of_the_students_interval():
    def only_seeds_differ(run):
        return accuracy(60 + 10 * run.seed) if run.stage == "student" else answer(run)

    summary = EXPERIMENT.summary(made_up_lab(only_seeds_differ))
    for interval in summary.student_accuracy_percent:
        assert interval.mean == pytest.approx(70)
        assert interval.high - interval.low == pytest.approx(0, abs=1e-9)


def test_all_runs_are_asked_for_once():
    keys = [run.key for run in EXPERIMENT.runs()]
    assert len(keys) == len(set(keys)) == 2 * 3 * 2 * 2


def collapse(width, stage):
    def answer_or_collapse(run):
        if run.stage == "measurement":
            teacher = run.of
        else:
            teacher = run.teacher if run.stage == "student" else run
        if teacher.label == MCMI and teacher.seed == 2 and teacher.model.options["width"] == width:
            if run.stage == stage:
                return {"status": "collapsed"}
            if stage == "teacher":
                return None
        return answer(run)

    return answer_or_collapse


@pytest.mark.parametrize(
    ("stage", "outcome"), [("teacher", "1 of 4 not run"), ("student", "1 of 4 collapsed")]
)
def test_a_size_of_which_a_run_collapsed_is_left_out_for_both_methods(stage, outcome):
    lab = made_up_lab(collapse(512, stage))
    table = EXPERIMENT.table(lab)
    assert table.groupby("label").parameters.unique().map(list).to_dict() == {
        MLL: [100, 1000],
        MCMI: [100, 1000],
    }
    assert list(EXPERIMENT.outcomes(lab)) == ["done", "done", outcome]
    findings = {f.claim: f.difference for f in EXPERIMENT.findings(lab)}
    assert findings["size helps MCMI's students more than MLL's"].mean == pytest.approx(3.1)
    assert "MLL: mlp:width=64 teaches better than mlp:width=8" in findings
    assert {difference.n for difference in findings.values()} == {2}


def test_one_size_left_has_no_trend():
    two_sizes = replace(EXPERIMENT, pairs=PAIRS[1:])
    lab = made_up_lab(collapse(512, "student"))
    assert two_sizes.findings(lab) == []
    assert list(two_sizes.summary(lab).index.unique("parameters")) == [1000]


def test_no_size_left():
    one_size = replace(EXPERIMENT, pairs=PAIRS[2:])
    lab = made_up_lab(collapse(512, "teacher"))
    assert one_size.findings(lab) == []
    assert one_size.summary(lab).empty


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"student": "mlp:width=4"}, "there must be one student, got mlp:width=4, mlp:width=8"),
        ({"lam": 0.2}, "MCMI must be the same at every size, got MCMI tracked λ=0.2, MCMI trac"),
    ],
)
def test_more_than_size_varies(changed, message):
    with pytest.raises(ValueError, match=message):
        TeacherSize(pairs=(PAIRS[0], replace(PAIRS[1], **changed)), seeds=(0, 1))


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))
