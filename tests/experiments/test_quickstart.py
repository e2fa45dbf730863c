import pandas as pd
import pytest
from made_up import FIXED_DATA, LABELS, PAIR, accuracy, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.quickstart import Quickstart

EXPERIMENT = Quickstart(pair=PAIR, seeds=(0, 1, 2))
MLL, UNTREATED, FIXED, TRACKED, _ = LABELS
TEACHER = {MLL: 70, UNTREATED: 69.5, FIXED: 69, TRACKED: 68}
"""Percent; MCMI loses another tenth with every seed."""
STUDENT = {MLL: 50, UNTREATED: 51, FIXED: 53, TRACKED: 55}
"""Percent; MCMI's gain another point with every seed. One without a teacher has 40."""


def answer(run):
    mcmi = "MCMI" in run.label
    if run.stage == "student":
        return accuracy(STUDENT[run.label] + mcmi * run.seed)
    if run.model == PAIR.student_from_scratch(0).model:
        return accuracy(40)
    return accuracy(TEACHER[run.label] - mcmi * run.seed / 10)


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    student = "5% of the data: the student of"
    assert means == pytest.approx(
        {
            f"the teacher {FIXED} itself is less accurate than {UNTREATED}": 0.6,
            f"the teacher {TRACKED} itself is less accurate than {UNTREATED}": 1.6,
            f"the teacher {UNTREATED} itself is less accurate than {MLL}": 0.5,
            f"{student} {FIXED} beats that of {UNTREATED}": 3,
            f"{student} {TRACKED} beats that of {UNTREATED}": 5,
            f"{student} {UNTREATED} beats that of {MLL}": 1,
            f"{student} {MLL} beats that of no teacher": 10,
        }
    )
    assert [finding.decides for finding in findings] == ["teacher_accuracy"] * 2 + [None] * 5
    elsewhere = [finding.decided_in for finding in findings]
    assert elsewhere == [None] * 3 + ["08_few_shot"] * 2 + [None] * 2
    own, student = findings[1], findings[4]
    assert (own.verdict, own.control, own.difference.n) == ("holds", UNTREATED, 3)
    assert own.against_mll.mean == pytest.approx(2.1)
    assert (own.networks, student.networks) == ("mlp:width=64", "mlp:width=64 → mlp:width=8")
    assert (student.policy, student.lam) == ("tracked", 0.7)
    assert student.recipe == "teacher 20 epochs, fine-tuning 5, student 20"
    assert student.profile == "made up"


@pytest.mark.parametrize(
    ("pair", "teachers", "students"),
    [
        (PAIR, "data and weights", "data and weights"),
        (FIXED_DATA, "weights", "weights and the few samples"),
    ],
)
def test_what_a_replicate_varies(pair, teachers, students):
    findings = Quickstart(pair=pair, seeds=(0, 1)).findings(made_up_lab(answer))
    assert [finding.replicate for finding in findings] == [teachers] * 3 + [students] * 4


def test_a_student_stands_beside_its_own_teacher():
    def cmi_is_the_teachers_seed(run):
        if run.stage == "student":
            return accuracy(50)
        place = LABELS.index(run.label)
        return {"metrics": {"train": {"cmi_nats": run.seed + place / 4}, "test": {}}}

    table = EXPERIMENT.student_table(made_up_lab(cmi_is_the_teachers_seed))
    assert list(table.label[:5]) == [MLL, UNTREATED, FIXED, TRACKED, "from scratch"]
    taught = table[table.label != "from scratch"]
    assert list(taught.train_cmi_nats) == [quarters / 4 for quarters in range(12)]
    assert list(taught.seed) == [0] * 4 + [1] * 4 + [2] * 4
    assert table.train_cmi_nats[table.label == "from scratch"].isna().all()


def test_a_student_is_compared_with_the_controls_of_its_seed():
    lab = made_up_lab(answer)
    numbers = EXPERIMENT.numbers(lab).set_index(["label", "seed"]).gain_over_fine_tuned_points
    assert list(numbers[TRACKED]) == [4, 5, 6]
    assert list(numbers[MLL]) == [-1] * 3
    assert numbers[UNTREATED].isna().all()
    summary = EXPERIMENT.student_summary(lab)
    assert summary.test_accuracy_percent[TRACKED].mean == 56
    assert summary.gain_over_fine_tuned_points["from scratch"].mean == -11
    assert pd.isna(summary.gain_over_fine_tuned_points[UNTREATED])


def test_all_runs_are_asked_for_once():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 3 * (4 + 5)
    assert {run.part.fraction for run in EXPERIMENT.students()} == {0.05}
    assert not any(run.stage == "bayes" for run in runs)


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured, match="12 of 12 runs have no record in the 'made up' records"):
        EXPERIMENT.findings(made_up_lab(lambda run: None))


def test_a_teacher_that_collapsed_leaves_its_seed_out():
    def collapse(run, seeds):
        if run.label == TRACKED and run.seed in seeds:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(lambda run: collapse(run, {0}))
    n = [f.difference.n for f in EXPERIMENT.findings(lab) if f.treatment == TRACKED]
    assert n == [2, 2]
    outcomes = EXPERIMENT.outcomes(lab)
    assert outcomes.to_dict() == dict.fromkeys((*LABELS[:4], "from scratch"), "done") | {
        TRACKED: "1 of 3 not run"
    }
    for table in (EXPERIMENT.teacher_table(lab), EXPERIMENT.student_table(lab)):
        assert list(table.seed[table.label == TRACKED]) == [1, 2]
        assert list(table.seed[table.label == FIXED]) == [0, 1, 2]
    lab = made_up_lab(lambda run: collapse(run, {0, 1}))
    assert {f.treatment for f in EXPERIMENT.findings(lab)} == {MLL, UNTREATED, FIXED}
