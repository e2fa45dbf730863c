from dataclasses import replace

import pandas as pd
import pytest
from made_up import FIXED_DATA, PAIR, accuracy, made_up_lab

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.few_shot import FewShot, authors_accuracy, beside_authors
from mcmi_core.experiments.reference import authors_few_shot

EXPERIMENT = FewShot(
    pair=PAIR, seeds=(0, 1, 2), fractions={"kd": (0.05, 0.5), "crd:num_negatives=8": (0.05,)}
)


def answer(run):
    """MCMI's students gain 4 points at 5 % and 1 at 50 %, give or take a tenth by seed."""
    if run.stage == "teacher":
        return accuracy(70)
    gain = {0.05: 4, 0.5: 1, 1.0: 0}[run.part.fraction] + run.seed / 10
    return accuracy(50 + gain * ("MCMI" in run.label))


def test_gain_at_every_fraction_and_between_fractions():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            "crd, 5% of the data: MCMI's student beats MLL's": 4.1,
            "kd, 5% of the data: MCMI's student beats MLL's": 4.1,
            "kd, 50% of the data: MCMI's student beats MLL's": 1.1,
            "kd: the gain is larger at 5% than at 50%": 3.0,
        }
    )
    assert [finding.claim for finding in findings if finding.primary] == [
        "kd, 5% of the data: MCMI's student beats MLL's"
    ]


@pytest.mark.parametrize(
    ("sampling", "replicate"),
    [("stratified", "weights and the few samples"), ("first", "weights")],
)
def test_samples_that_every_seed_draws_are_part_of_a_replicate(sampling, replicate):
    fractions = {"kd": (0.05, 1.0)}
    experiment = replace(EXPERIMENT, pair=FIXED_DATA, sampling=sampling, fractions=fractions)
    few, everything, larger = experiment.findings(made_up_lab(answer))
    assert (few.replicate, larger.replicate) == (replicate, replicate)
    assert everything.replicate == "weights"


@pytest.mark.parametrize(("lost", "left"), [({2}, 2), ({1, 2}, 0)])
def test_seeds_whose_teacher_collapsed_do_not_count(lost, left):
    def some_collapse(run):
        if "MCMI" in run.label and run.seed in lost:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(some_collapse)
    findings = EXPERIMENT.findings(lab)
    assert {finding.difference.n for finding in findings} == ({left} if left else set())
    assert len(findings) == (4 if left else 0)
    collapsed = EXPERIMENT.outcomes(lab)["MCMI tracked λ=0.7"]
    assert collapsed == f"{3 * len(lost)} of 9 not run"


def test_all_students_of_a_seed_are_asked_for():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 3 * 2 * 3
    assert {run.part.seed for run in runs} == {0, 1, 2}
    assert {run.part.sampling for run in runs} == {"stratified"}


def test_authors_trials_become_intervals_where_they_were_repeated():
    trials = authors_few_shot()
    mine = trials[(trials.distiller == "kd") & (trials.fraction == 0.05) & (trials.label == "MLL")]
    interval = authors_accuracy()["kd", 0.05, "MLL"]
    assert interval.mean == pytest.approx(mine.accuracy_percent.mean())
    assert interval.n == len(mine) > 1


def test_ours_stand_beside_the_authors_at_equal_fractions():
    def index(*rows):
        return pd.MultiIndex.from_tuples(rows, names=["distiller", "fraction", "label"])

    ours = pd.Series(
        [Interval(60, 59, 61, 3), Interval(64, 63, 65, 3)],
        index(("kd", 0.05, "MLL"), ("kd", 0.05, "MCMI tracked λ=0.7")),
    )
    intervals = [(52, 51, 53, 5), (58, 57, 59, 5), (1, 0, 2, 5), (3, 2, 4, 5)]
    authors = pd.Series(
        [Interval(*interval) for interval in intervals],
        index(
            ("kd", 0.05, "MLL"),
            ("kd", 0.05, "MCMI fixed λ=0.15"),
            ("kd", 0.5, "MLL"),
            ("kd", 0.5, "MCMI fixed λ=0.15"),
        ),
    )
    gain = pd.Series([Interval(4, 3, 5, 3)], ours.index.droplevel("label").unique())
    table = beside_authors(ours, gain, authors)
    assert list(table.loc[("kd", 0.05)]) == [
        "64.0 [63.0, 65.0]",
        "60.0 [59.0, 61.0]",
        "+4.0 [+3.0, +5.0]",
        "+6.0",
    ]
    assert list(table.loc[("kd", 0.5)]) == ["", "", "", "+2.0"]
