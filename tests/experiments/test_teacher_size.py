from dataclasses import replace

import numpy as np
import pytest
from made_up import LABELS, PAIR, accuracy, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.teacher_size import TeacherSize, sizes_in_words
from mcmi_core.report.tables import interval_columns

WIDTHS = (8, 64, 512)
PAIRS = tuple(replace(PAIR, teacher=f"mlp:width={width}") for width in WIDTHS)
EXPERIMENT = TeacherSize(pairs=PAIRS, seeds=(0, 2))
MLL, UNTREATED, FIXED, TRACKED = ARMS = LABELS[:4]
TRUTH, SCRATCH = LABELS[4], "from scratch"
PARAMETERS = {8: 100, 64: 1000, 512: 10_000}
SLOPES = {MLL: (-1, 0.3), UNTREATED: (-0.5, 0.35), FIXED: (1, 0.2), TRACKED: (2, 0.1)}
"""Per tenfold size: the points that students gain, and the nats by which CMI falls."""


def decades(run):
    return np.log10(PARAMETERS[run.model.options["width"]])


def answer(run):
    """By `SLOPES`; students of MCMI gain a tenth more by seed. Every LL rises by 0.2.

    The truth's students are at 80, those from scratch at 40; both lose a point by seed.
    """
    if run.stage == "measurement":
        return {"result": {"parameters": [PARAMETERS[run.of.model.options["width"]]]}}
    if run.stage == "bayes":
        return {
            "metrics": {
                "test": {"accuracy_percent": 90},
                "train": {"cmi_nats": 0.6, "ll_nats": -0.7},
            }
        }
    if run.label == TRUTH:
        return accuracy(80 - run.seed)
    from_scratch = run.label == MLL and run.stage == "teacher" and not run.recipe.evaluate_train
    return accuracy(40 - run.seed) if from_scratch else trained(run)


def trained(run):
    gain, fall = SLOPES[run.label]
    if run.stage == "student":
        gain += run.seed / 10 * ("MCMI" in run.label)
        return accuracy(60 + gain * decades(run.teacher))
    train = {"cmi_nats": 2 - fall * decades(run), "ll_nats": -2 + 0.2 * decades(run)}
    return {"metrics": {"test": {"accuracy_percent": 70}, "train": train}}


def test_trends_and_last_steps():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    for label, slope in ((FIXED, 1.1), (TRACKED, 2.1)):
        expected[f"students of {label} gain with the teacher's size"] = slope
        expected[f"size helps students of {label} more than those of {UNTREATED}"] = slope + 0.5
        fall = f"CMI of {label} falls less with size than that of {UNTREATED}"
        expected[fall] = 0.35 - SLOPES[label][1]
    for label in (MLL, UNTREATED):
        expected[f"students of {label} gain with the teacher's size"] = SLOPES[label][0]
        expected[f"CMI of {label} falls with size"] = SLOPES[label][1]
        expected[f"LL of {label} rises with size"] = 0.2
    for label, step in ((MLL, -1), (UNTREATED, -0.5), (FIXED, 1.1), (TRACKED, 2.1)):
        expected[f"{label}: a teacher of 10k parameters teaches better than one of 1k"] = step
    assert means == pytest.approx(expected)


def test_each_kind_of_mcmi_has_two_primary_comparisons():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    primary = [f for f in findings if f.primary]
    assert [(f.decides, f.policy, f.lam, f.control) for f in primary] == [
        ("size_mcmi", "fixed", 0.4, "smaller teachers"),
        ("size_more", "fixed", 0.4, UNTREATED),
        ("size_mcmi", "tracked", 0.7, "smaller teachers"),
        ("size_more", "tracked", 0.7, UNTREATED),
    ]
    own, more = primary[:2]
    assert own.against_mll is None
    assert more.against_mll.mean == pytest.approx(2.1)
    assert own.unit == "points per tenfold size"
    assert own.networks == "mlp:width=8 / mlp:width=64 / mlp:width=512 → mlp:width=8"


def test_what_a_trend_compares():
    about = {f.claim: f for f in EXPERIMENT.findings(made_up_lab(answer))}
    for label in (MLL, UNTREATED):
        trend = about[f"CMI of {label} falls with size"]
        assert (trend.policy, trend.lam, trend.treatment) == ("–", None, label)
        assert (trend.unit, trend.control) == ("nats per tenfold size", "smaller teachers")
    step = about[f"{TRACKED}: a teacher of 10k parameters teaches better than one of 1k"]
    assert (step.treatment, step.control) == ("10k parameters", "1k parameters")
    assert (step.unit, step.policy) == ("points", "tracked")
    assert step.networks == "mlp:width=64 / mlp:width=512 → mlp:width=8"


def test_the_largest_is_told_by_its_parameters_not_by_its_place():
    shuffled = replace(EXPERIMENT, pairs=(PAIRS[2], PAIRS[0], PAIRS[1]))
    claims = [finding.claim for finding in shuffled.findings(made_up_lab(answer))]
    assert "MLL: a teacher of 10k parameters teaches better than one of 1k" in claims


def test_one_row_per_teacher():
    table = EXPERIMENT.table(made_up_lab(answer))
    assert len(table) == 3 * 2 * 4
    assert list(table.parameters.unique()) == [100, 1000, 10_000]
    assert list(table.decades.unique()) == [2, 3, 4]
    row = table[(table.label == TRACKED) & (table.seed == 2) & (table.parameters == 1000)].iloc[0]
    assert row.student_accuracy_percent == pytest.approx(60 + 2.2 * 3)
    assert row.train_cmi_nats == pytest.approx(1.7)


def test_intervals_by_size_and_method():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    sizes = PARAMETERS.values()
    by_size = [(size, label) for size in sizes for label in ARMS]
    assert list(summary.index) == [*by_size, ("any", SCRATCH), ("any", TRUTH)]
    assert summary.loc[(1000, TRACKED), "student_accuracy_percent"].mean == pytest.approx(66.3)
    assert summary.loc[(10_000, MLL), "train_cmi_nats"].mean == pytest.approx(0.8)
    numbers = interval_columns(EXPERIMENT.numbers(lab))
    columns = ["parameters", "label", "metric", "mean", "low", "high", "n"]
    assert list(numbers.columns) == columns
    assert list(numbers.metric.unique()) == list(summary.columns)
    assert list(numbers.label[:5]) == [*ARMS, MLL]


def test_the_truth_and_the_student_from_scratch_stand_beside():
    lab = made_up_lab(answer)
    beside = EXPERIMENT.summary(lab).loc["any"]
    assert [interval.mean for interval in beside.student_accuracy_percent] == [39, 79]
    truth = beside.loc[TRUTH]
    assert truth.train_cmi_nats.mean == pytest.approx(0.6)
    assert (truth.train_ll_nats.n, truth.test_accuracy_percent.mean) == (2, 90)
    assert beside.loc[SCRATCH].iloc[1:].isna().all()
    numbers = EXPERIMENT.numbers(lab)
    assert len(numbers) == 4 * (3 * 4 + 1) + 1 and numbers.notna().all()
    assert list(EXPERIMENT.outcomes(lab).index[3:]) == [SCRATCH, TRUTH]


def test_without_a_known_truth_there_is_the_student_from_scratch():
    pairs = tuple(replace(pair, data="digits", resample=False) for pair in PAIRS)
    summary = replace(EXPERIMENT, pairs=pairs).summary(made_up_lab(answer))
    assert list(summary.loc["any"].index) == [SCRATCH]
    assert list(summary) == list(EXPERIMENT.summary(made_up_lab(answer)))


def test_a_student_beside_that_lacks_a_seed_is_left_out():
    lost = EXPERIMENT.beside()[0]

    def without(run):
        return {"status": "collapsed"} if run.key == lost.key else answer(run)

    lab = made_up_lab(without)
    assert list(EXPERIMENT.summary(lab).loc["any"].index) == [TRUTH]
    assert EXPERIMENT.outcomes(lab)[SCRATCH] == "1 of 2 collapsed"
    assert len(EXPERIMENT.findings(lab)) == len(EXPERIMENT.findings(made_up_lab(answer)))


def test_one_seed_has_no_interval():
    lab, one_seed = made_up_lab(answer), replace(EXPERIMENT, seeds=(0,))
    assert one_seed.summary(lab).empty and one_seed.numbers(lab).empty
    assert one_seed.findings(lab) == []


def test_everything_collapsed():
    def nothing(run):
        return {"status": "collapsed"} if run.stage in ("teacher", "bayes") else None

    lab = made_up_lab(nothing)
    assert EXPERIMENT.findings(lab) == []
    assert EXPERIMENT.summary(lab).empty and EXPERIMENT.numbers(lab).empty
    assert list(EXPERIMENT.outcomes(lab)) == ["8 of 8 not run"] * 3 + [
        *("2 of 2 collapsed", "2 of 2 not run")
    ]


def test_what_a_seed_adds_to_all_settings_is_left_out_of_the_students_interval():
    def only_seeds_differ(run):
        if run.stage == "student" or run.key in {each.key for each in EXPERIMENT.beside()}:
            return accuracy(60 + 10 * run.seed)
        return answer(run)

    summary = EXPERIMENT.summary(made_up_lab(only_seeds_differ))
    for interval in summary.student_accuracy_percent:
        assert interval.mean == pytest.approx(70)
        assert interval.high - interval.low == pytest.approx(0, abs=1e-9)


def test_all_runs_are_asked_for_once():
    keys = [run.key for run in EXPERIMENT.runs()]
    assert len(keys) == len(set(keys)) == 2 * 3 * 2 * 4 + 2 * 2


def collapse(width, stage):
    def answer_or_collapse(run):
        if run.stage == "measurement":
            teacher = run.of
        else:
            teacher = run.teacher if run.stage == "student" else run
        if (
            teacher.label == TRACKED
            and teacher.seed == 2
            and teacher.model.options["width"] == width
        ):
            if run.stage == stage:
                return {"status": "collapsed"}
            if stage == "teacher":
                return None
        return answer(run)

    return answer_or_collapse


@pytest.mark.parametrize(
    ("stage", "outcome"), [("teacher", "1 of 8 not run"), ("student", "1 of 8 collapsed")]
)
def test_a_size_of_which_a_run_collapsed_is_left_out_for_all_methods(stage, outcome):
    lab = made_up_lab(collapse(512, stage))
    table = EXPERIMENT.table(lab)
    sizes = table.groupby("label").parameters.unique()
    assert {label: list(left) for label, left in sizes.items()} == {
        arm: [100, 1000] for arm in ARMS
    }
    assert list(EXPERIMENT.outcomes(lab)) == ["done", "done", outcome, "done", "done"]
    findings = {f.claim: f.difference for f in EXPERIMENT.findings(lab)}
    assert findings[f"students of {TRACKED} gain with the teacher's size"].mean == pytest.approx(
        2.1
    )
    assert "MLL: a teacher of 1k parameters teaches better than one of 100" in findings
    assert {difference.n for difference in findings.values()} == {2}


def test_one_size_left_has_no_trend():
    two_sizes = replace(EXPERIMENT, pairs=PAIRS[1:])
    lab = made_up_lab(collapse(512, "student"))
    assert two_sizes.findings(lab) == []
    assert list(two_sizes.summary(lab).index.unique("parameters")) == [1000, "any"]


def test_no_size_left():
    one_size = replace(EXPERIMENT, pairs=PAIRS[2:])
    lab = made_up_lab(collapse(512, "teacher"))
    assert one_size.findings(lab) == []
    assert one_size.summary(lab).empty


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"student": "mlp:width=4"}, "there must be one student, got mlp:width=4, mlp:width=8"),
        ({"lam": 0.2}, "MCMI must be the same at every size, got MCMI fixed λ=0.2 and MCMI trac"),
        ({"tracked_lam": None}, "same at every size, got MCMI fixed λ=0.4; MCMI fixed λ=0.4 and"),
    ],
)
def test_more_than_size_varies(changed, message):
    with pytest.raises(ValueError, match=message):
        TeacherSize(pairs=(PAIRS[0], replace(PAIRS[1], **changed)), seeds=(0, 1))


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))


def test_sizes_in_words():
    summary = sizes_in_words(EXPERIMENT.summary(made_up_lab(answer)))
    sizes = ["100 parameters", "1k parameters", "10k parameters", "any size"]
    assert list(summary.index.unique("teacher's size")) == sizes
    assert "teacher's test accuracy, %" in summary
    cmi = summary.train_cmi_nats["1k parameters", MLL].mean
    assert cmi == pytest.approx(2 - 3 * SLOPES[MLL][1])
