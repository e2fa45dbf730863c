"""The scoreboard: one definition of a verdict, fed by primary findings alone."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from made_up import PAIR, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments import claims
from mcmi_core.experiments.claims import CLAIMS, Claim, judge, scoreboard
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding, findings_table
from mcmi_core.profiles import PROFILES

ABOVE, BELOW, ACROSS = Interval(2, 1, 3, 5), Interval(-2, -3, -1, 5), Interval(0.5, -1, 2, 5)
LAB = made_up_lab(lambda run: None)


def found(claim: str, difference: Interval, *, primary: bool = True, **about) -> Finding:
    about = {"quantity": "accuracy", **about}
    return finding(LAB, PAIR, claim, difference, primary=primary, **about)


@dataclass(frozen=True, kw_only=True)
class MadeUp(Experiment):
    """Findings that are given; none: no run has a record."""

    name: ClassVar[str] = "12_b"
    given: tuple[Finding, ...] | None

    def findings(self, lab):
        if self.given is None:
            raise NotMeasured("no record")
        return list(self.given)


class Other(MadeUp):
    name: ClassVar[str] = "13_c"


@pytest.fixture
def two_claims(monkeypatch):
    asked = (Claim("first", "+1", "12_b"), Claim("second", "Figure 2", "13_c"))
    monkeypatch.setattr(claims, "CLAIMS", asked)


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
    assert judge(found("a", difference) for difference in differences) == word


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_claim_names_an_experiment_of_every_profile(profile):
    names = {experiment.name for experiment in profile.experiments}
    assert {claim.experiment for claim in CLAIMS} <= names


def test_without_records_nothing_is_measured():
    board = scoreboard(PROFILES["smoke"].experiments, LAB)
    assert list(board.statement) == [claim.statement for claim in CLAIMS]
    assert set(board.decision) == {"not measured"}
    assert board[["mean", "low", "high", "n", "lam", "claim", "verdict"]].isna().all(axis=None)


def test_one_row_per_primary_finding(two_claims):
    first = (
        found("a", ABOVE),
        found("b", BELOW, primary=False),
        found("c", ACROSS, unit="nats", treatment="T = 4", control="T = 1"),
    )
    board = scoreboard([MadeUp(given=first), Other(given=None)], LAB)
    assert list(board.statement) == ["first", "first", "second"]
    assert list(board.paper) == ["+1", "+1", "Figure 2"]
    assert list(board.notebook) == ["12_b", "12_b", "13_c"]
    assert list(board.decision) == ["partly", "partly", "not measured"]
    assert list(board.claim[:2]) == ["a", "c"]
    assert board.loc[0, ["mean", "low", "high", "n"]].tolist() == [2, 1, 3, 5]
    assert board.loc[0, ["policy", "lam", "control", "kind"]].tolist() == [
        "tracked",
        0.7,
        "MLL",
        "primary",
    ]
    assert board.loc[1, ["unit", "policy", "treatment"]].tolist() == ["nats", "–", "T = 4"]
    assert board.loc[2, ["mean", "claim", "policy", "n"]].isna().all()


def test_what_a_claim_decides_is_what_its_experiment_finds(two_claims):
    """The board has the findings' columns as they are, and adds four."""
    given = (found("a", ABOVE), found("b", ACROSS))
    board = scoreboard([MadeUp(given=given), Other(given=(found("c", BELOW),))], LAB)
    table = findings_table([*given, found("c", BELOW)])
    added = ["statement", "paper", "notebook", "decision"]
    assert list(board.columns) == [*added, *table.columns]
    assert board[table.columns].to_dict("list") == table.to_dict("list")
    assert list(board.decision) == ["partly", "partly", "does not hold"]


def test_a_claim_whose_runs_collapsed_stays_on_the_board(two_claims):
    exploratory = (found("a", ABOVE, primary=False),)
    board = scoreboard([MadeUp(given=exploratory), Other(given=())], LAB)
    assert list(board.statement) == ["first", "second"]
    assert list(board.decision) == ["not measured", "not measured"]


def test_a_claim_that_nobody_asks(two_claims):
    with pytest.raises(KeyError, match="13_c"):
        scoreboard([MadeUp(given=None)], LAB)


def test_other_errors_are_not_taken_for_missing_records(two_claims):
    class Broken(MadeUp):
        def findings(self, lab):
            return [replace(found("a", ABOVE), no_such_field=1)]

    with pytest.raises(TypeError):
        scoreboard([Broken(given=None), Other(given=None)], LAB)
