"""The scoreboard: one definition of a verdict, fed from records alone."""

from dataclasses import replace

import pandas as pd
import pytest

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments import claims
from mcmi_core.experiments.claims import CLAIMS, Claim, Finding, judge, scoreboard
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles import ORACLE, PROFILES
from mcmi_core.report.notebooks import list_notebooks

ABOVE, BELOW, ACROSS = Interval(2, 1, 3, 5), Interval(-2, -3, -1, 5), Interval(0.5, -1, 2, 5)


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([ABOVE], "holds"),
        ([ABOVE, ABOVE], "holds"),
        ([ABOVE, ACROSS], "partly"),
        ([BELOW, ABOVE], "partly"),
        ([ACROSS], "open"),
        ([BELOW], "does not hold"),
        ([ACROSS, BELOW], "does not hold"),
    ],
)
def test_verdicts(differences, word):
    assert judge(differences) == word


def test_every_claim_names_a_notebook_that_exists():
    assert {claim.notebook for claim in CLAIMS} <= set(list_notebooks())


def test_without_records_nothing_is_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path))
    board = scoreboard(Lab("smoke"))
    assert list(board.claim) == [claim.statement for claim in CLAIMS]
    assert set(board.verdict) == {"not measured"}
    assert board["mean"].isna().all()


def test_one_row_per_way_of_asking(monkeypatch):
    def twice(lab):
        return [Finding("a", ABOVE, "points", ORACLE), Finding("b", ACROSS, "nats", ORACLE)]

    def never(lab):
        raise NotMeasured("no record")

    asked = (Claim("first", "+1", "12_b", twice), Claim("second", "+2", "12_b", never))
    monkeypatch.setattr(claims, "CLAIMS", asked)
    board = scoreboard(Lab("smoke"))
    assert list(board.claim) == ["first", "first", "second"]
    assert list(board.verdict) == ["partly", "partly", "not measured"]
    assert list(board.n)[:2] == [5, 5] and pd.isna(board.n[2])
    assert board.on[0] == f"{ORACLE}, 60 epochs"


@pytest.mark.parametrize(("smallest", "word"), [(0.0, "holds"), (-1e-6, "does not hold")])
def test_one_broken_inequality_decides_against_the_proposition(monkeypatch, smallest, word):
    def collect_results(self, looks):
        seeds = [look.of.seed for look in looks]
        table = pd.DataFrame({"of_seed": seeds, "feature_nats": 2.0, "output_nats": 1.0})
        return table.assign(smallest_gap_nats=smallest)

    monkeypatch.setattr(Lab, "collect_results", collect_results)
    (finding,) = claims.proposition(Lab("smoke"))
    assert judge([finding.difference]) == word


def test_a_claim_is_decided_by_what_its_runs_say(monkeypatch):
    """The MCMI teacher's own accuracy, from numbers that are made up: 70 − 69, 72 − 70."""
    monkeypatch.setitem(PROFILES, "tiny", replace(PROFILES["smoke"], name="tiny", seeds=(0, 1)))
    accuracy = {("MLL", 0): 70.0, ("MLL", 1): 72.0, ("MCMI", 0): 69.0, ("MCMI", 1): 70.0}

    def collect(self, runs):
        rows = [{"label": run.label, "seed": run.seed} for run in runs]
        for row in rows:
            row["test_accuracy_percent"] = accuracy[row["label"].partition(" ")[0], row["seed"]]
        return pd.DataFrame(rows)

    monkeypatch.setattr(Lab, "collect", collect)
    (finding,) = claims.own_accuracy(Lab("tiny"))
    assert finding.difference.mean == pytest.approx(1.5)
    assert finding.difference.n == 2
    assert finding.difference.low < finding.difference.mean < finding.difference.high
