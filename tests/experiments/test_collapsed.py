"""Runs that collapse, in every experiment: findings of what is left, and no crash."""

import pytest
from made_up import PROVENANCE, MadeUpRecords
from plausible import plausible

from mcmi_core.experiments.claims import scoreboard
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles import PROFILES
from mcmi_core.runs.records import Record

SMOKE = PROFILES["smoke"]
each_experiment = pytest.mark.parametrize(
    "experiment", SMOKE.experiments, ids=lambda experiment: experiment.figure_name()
)


class SomeCollapsed:
    """Plausible records, but for runs that collapsed and what would build on them."""

    def __init__(self, collapses, **measured):
        self._collapses, self._measured = collapses, measured
        self._records = MadeUpRecords(plausible)

    def record(self, run):
        lost = [link for link in run.chain() if self._collapses(link)]
        if not lost:
            return self._records.record(run)
        if lost[0] != run:
            return None
        config = run.model_dump(mode="json")
        fields = {"status": "collapsed", "provenance": PROVENANCE, "run": config}
        return Record(key=run.key, **fields, **self._measured)


def lab(collapses, **measured):
    return Lab("smoke", SomeCollapsed(collapses, **measured))


def is_teacher(run):
    return run.stage == "teacher"


def is_mcmi(run):
    return is_teacher(run) and run.objective.name == "mcmi"


@each_experiment
@pytest.mark.parametrize("but", ["nothing", "the truth", "one seed"])
def test_too_little_is_left(experiment, but):
    """What is left compares no teacher; the truth's students alone may be compared."""
    collapses = {
        "nothing": lambda run: run.parent is None,
        "the truth": is_teacher,
        "one seed": lambda run: is_teacher(run) and run.seed > 0,
    }
    found = experiment.findings(lab(collapses[but]))
    assert [each.claim for each in found if "student of true BCPD" not in each.claim] == []
    assert found == [] or but != "nothing"


def test_a_scoreboard_without_runs():
    board = scoreboard([(SMOKE.experiments, lab(lambda run: run.parent is None))])
    assert set(board.verdict) == {"not measured"}


@each_experiment
def test_every_mcmi_teacher_collapsed(experiment):
    """What is left compares no MCMI teacher."""
    found = experiment.findings(lab(is_mcmi))
    assert [finding.claim for finding in found if finding.lam is not None] == []


@each_experiment
def test_every_student_collapsed(experiment):
    found = experiment.findings(lab(lambda run: run.stage == "student"))
    assert [f.claim for f in found if f.quantity == "student's test accuracy"] == []


@each_experiment
def test_what_a_run_measured_before_it_collapsed_counts_nowhere(experiment):
    names = ["accuracy_percent", "top5_accuracy_percent", "cmi_nats", "ll_nats", "entropy_nats"]
    numbers = dict.fromkeys([*names, "bcpd_kl_nats"], 1e9)
    measured = {
        "metrics": {"train": numbers, "test": numbers},
        "history": {"epoch": [1], "train_cmi_nats": [1e9], "test_accuracy_percent": [1e9]},
    }

    def collapses(run):
        return (is_mcmi(run) or run.stage == "student") and run.seed == 1

    assert experiment.findings(lab(collapses, **measured)) == experiment.findings(lab(collapses))


@each_experiment
def test_a_collapse_leaves_the_columns_that_were_asked_for(experiment):
    """Of runs, histories and results alike; NaN where there is a row, and none where not."""
    nothing, runs = lab(lambda run: run.parent is None), experiment.runs()
    table = nothing.collect(runs, ["test_accuracy_percent"])
    assert len(table) == len(runs)
    assert table.test_accuracy_percent.isna().all()
    histories = nothing.collect_histories(runs, ["train_cmi_nats"])
    results = nothing.collect_results(runs, ["temperature"])
    assert (len(histories), len(results)) == (0, 0)
    assert {"id", "label", "epoch", "train_cmi_nats"} <= set(histories)
    assert {"id", "label", "temperature"} <= set(results)
