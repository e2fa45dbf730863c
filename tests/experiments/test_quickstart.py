import pytest
from made_up import FIXED_DATA, PAIR, accuracy, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.quickstart import Quickstart

EXPERIMENT = Quickstart(pair=PAIR, seeds=(0, 1, 2))


def answer(run):
    """MLL's teacher is better by 1 + seed/10 points, MCMI's student by 5 + seed."""
    mcmi = "MCMI" in run.label
    if run.stage == "teacher":
        return accuracy(70 - mcmi * (1 + run.seed / 10))
    return accuracy(50 + mcmi * (5 + run.seed))


def test_findings():
    own, student = EXPERIMENT.findings(made_up_lab(answer))
    assert own.difference.mean == pytest.approx(1.1)
    assert (own.verdict, own.primary, own.control, own.difference.n) == ("holds", True, "MLL", 3)
    assert student.difference.mean == pytest.approx(6)
    assert (student.policy, student.lam, student.primary) == ("tracked", 0.7, False)
    assert student.networks == "mlp:width=64 → mlp:width=8"
    assert student.recipe == "teacher 20 epochs, fine-tuning 5, student 20"
    assert student.profile == "made up"


@pytest.mark.parametrize(
    ("pair", "replicates"),
    [(PAIR, ["data and weights"] * 2), (FIXED_DATA, ["weights", "weights and the few samples"])],
)
def test_what_a_replicate_varies(pair, replicates):
    """The teachers' accuracy, then that of their few-shot students."""
    findings = Quickstart(pair=pair, seeds=(0, 1)).findings(made_up_lab(answer))
    assert [finding.replicate for finding in findings] == replicates


def test_a_student_stands_beside_its_own_teacher():
    def cmi_is_the_teachers_seed(run):
        if run.stage == "student":
            return accuracy(50)
        mcmi = "MCMI" in run.label
        return {"metrics": {"train": {"cmi_nats": run.seed + mcmi / 2}, "test": {}}}

    table = EXPERIMENT.student_table(made_up_lab(cmi_is_the_teachers_seed))
    assert list(table.train_cmi_nats) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert list(table.seed) == [0, 0, 1, 1, 2, 2]


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured, match="6 of 6 runs have no record in the 'made up' records"):
        EXPERIMENT.findings(made_up_lab(lambda run: None))


def test_a_teacher_that_collapsed_leaves_its_seed_out():
    def collapse(run, seeds):
        if "MCMI" in run.label and run.seed in seeds:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(lambda run: collapse(run, {0}))
    assert [finding.difference.n for finding in EXPERIMENT.findings(lab)] == [2, 2]
    for table in (EXPERIMENT.teacher_table(lab), EXPERIMENT.student_table(lab)):
        assert list(table.seed) == [0, 1, 1, 2, 2]
        assert table.train_cmi_nats.notna().all()
    assert EXPERIMENT.findings(made_up_lab(lambda run: collapse(run, {0, 1}))) == []
