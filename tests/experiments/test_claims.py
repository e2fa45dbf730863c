"""The scoreboard: one definition of a verdict, fed by primary findings alone."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd
import pytest
from made_up import FIXED_DATA, PAIR, MadeUpRecords
from plausible import plausible

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments import claims
from mcmi_core.experiments.claims import (
    CLAIMS,
    Claim,
    counted,
    exploratory,
    exploratory_counted,
    not_measured,
    scoreboard,
    verdicts_by_tier,
)
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import TIERS, TRUTH_KNOWN, Finding, finding, findings_table
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles import PROFILES

ABOVE, BELOW, ACROSS = Interval(2, 1, 3, 5), Interval(-2, -3, -1, 5), Interval(0.5, -1, 2, 5)
ALL_TIERS = [TRUTH_KNOWN, *TIERS.values()]


def lab_of(profile: str) -> Lab:
    return Lab(profile, MadeUpRecords(lambda run: None))


def found(
    difference: Interval,
    *,
    decides: str | None = "first",
    profile: str = "cpu",
    pair=PAIR,
    centroids: str = "fixed",
    **about,
) -> Finding:
    about = {
        "quantity": "accuracy",
        "asked": 5,
        "teacher": pair.mcmi(0, centroids=centroids),
        **about,
    }
    return finding(lab_of(profile), pair, "it is better", difference, decides=decides, **about)


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
    asked = (Claim("first", "It is.", "+1", "12_b"), Claim("second", "So?", "Figure 2", "13_c"))
    monkeypatch.setattr(claims, "CLAIMS", asked)


def board_of(*given: Finding, profile: str = "cpu", others=()):
    return scoreboard([([MadeUp(given=given), Other(given=None)], lab_of(profile)), *others])


def test_claims_have_different_keys_and_statements():
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    assert len({claim.statement for claim in CLAIMS}) == len(CLAIMS)


def test_every_claim_names_an_experiment():
    assert {claim.experiment for claim in CLAIMS} <= {e.name for e in PROFILES["smoke"].experiments}


@pytest.mark.parametrize("name", PROFILES)
def test_every_claim_that_a_profile_measures_has_one_primary_finding_of_each_kind(name):
    """Every experiment says what it decides; together they decide every claim."""
    profile, decided = PROFILES[name], set()
    lab = Lab(name, MadeUpRecords(plausible))
    for experiment in profile.experiments:
        primary = [each for each in experiment.findings(lab) if each.primary]
        kinds = [(each.decides, each.policy) for each in primary]
        assert len(set(kinds)) == len(kinds), experiment
        for key in {each.decides for each in primary}:
            policies = {policy for decides, policy in kinds if decides == key}
            assert policies in ({"fixed"}, {"fixed", "tracked"}, {"–"}), (key, experiment)
        decided |= {(experiment.name, each.decides) for each in primary}
    names = {experiment.name for experiment in profile.experiments}
    expected = {(c.experiment, c.key) for c in CLAIMS if c.experiment in names}
    alternatives = [pair for e in profile.named("10_alternatives") for pair in e.all_pairs()]
    if not any(pair.posterior_is_known for pair in alternatives):
        expected -= {("10_alternatives", "bcpd_predicts")}
    if not any(e.objectives or e.mse for e in profile.named("10_alternatives")):
        expected -= {("10_alternatives", "alternatives")}  # there is but one: early stopping
    fractions = [part for e in profile.named("08_few_shot") for part in e.fractions["kd"]]
    if len({part for part in fractions if part < 1}) < 2:
        expected -= {("08_few_shot", "fewer_more")}
    frameworks = [name for e in profile.named("08_few_shot") for name in e.fractions]
    if not any(name.startswith("crd") for name in frameworks):
        expected -= {("08_few_shot", "few_shot_crd")}
    assert decided == expected


@pytest.mark.parametrize(("profile", "tiers"), [("smoke", ["smoke"]), ("cpu", ALL_TIERS)])
def test_without_records_nothing_is_measured(profile, tiers):
    board = scoreboard([(PROFILES[profile].experiments, lab_of(profile))])
    assert list(board.key) == [claim.key for claim in CLAIMS for _ in tiers]
    assert list(board.tier) == tiers * len(CLAIMS)
    assert set(board.verdict) == {"not measured"}
    numbers = ["mean", "low", "high", "n", "lam", "mll_mean", "mll_low", "mll_high", "mll_n"]
    assert board[[*numbers, "claim", "treatment"]].isna().all(axis=None)
    assert all(board[column].dtype == float for column in numbers)
    assert counted(board) == "0 primary comparisons"
    assert verdicts_by_tier(board).empty


def test_one_row_for_each_claim_tier_and_kind(two_claims):
    known = (found(ABOVE, against_mll=ACROSS), found(BELOW, centroids="tracked"))
    photographs = found(ACROSS, pair=FIXED_DATA, unit="nats", control="T = 1")
    board = board_of(*known, photographs, found(ABOVE, decides=None))
    assert list(board.key) == ["first"] * 5 + ["second"] * 4
    assert list(board.tier[:5]) == [TRUTH_KNOWN, *ALL_TIERS]
    assert list(board.tier[5:]) == ALL_TIERS
    assert list(board.statement[4:6]) == ["It is.", "So?"]
    assert list(board.paper[4:6]) == ["+1", "Figure 2"]
    assert list(board.notebook[4:6]) == ["12_b", "13_c"]
    assert (
        list(board.verdict)
        == ["holds; against MLL open", "opposite", "open"] + ["not measured"] * 6
    )
    assert list(board.policy[:3]) == ["fixed", "tracked", "fixed"]
    assert list(board.lam[:3]) == [0.4, 0.7, 0.4]
    assert board.loc[0, ["mean", "low", "high", "n"]].tolist() == [2, 1, 3, 5]
    beside = ["mll_mean", "mll_low", "mll_high", "mll_n"]
    assert board.loc[0, beside].tolist() == [0.5, -1, 2, 5]
    assert board.loc[2, ["unit", "control", "data"]].tolist() == ["nats", "T = 1", "digits"]
    assert board.loc[3:, ["mean", "claim", "policy", "n"]].isna().all(axis=None)


def test_the_board_has_what_the_findings_say(two_claims):
    """Their columns as they are, and four more."""
    given = [found(ABOVE, against_mll=BELOW), found(ACROSS, centroids="tracked", against_mll=ABOVE)]
    board, table = board_of(*given), findings_table(given)
    added = ["key", "statement", "paper", "notebook"]
    assert list(board.columns) == [*added, *table.columns]
    pd.testing.assert_frame_equal(board.loc[:1, table.columns], table, check_dtype=False)


def test_several_data_sets_of_a_tier_have_rows_of_their_own(two_claims):
    other = replace(FIXED_DATA, data="cifar10")
    board = board_of(found(ABOVE, pair=FIXED_DATA), found(BELOW, pair=other))
    photographs = board[(board.tier == TIERS["cpu"]) & (board.key == "first")]
    assert list(photographs.data) == ["digits", "cifar10"]


def test_a_profile_that_is_no_evidence_is_one_tier(two_claims):
    given = (found(ABOVE, profile="smoke"), found(BELOW, profile="smoke", pair=FIXED_DATA))
    board = board_of(*given, profile="smoke")
    assert list(board.tier) == ["smoke"] * 3
    assert list(board.verdict) == ["holds", "opposite", "not measured"]


def test_tiers_come_from_several_profiles_and_the_same_question_counts_once(two_claims):
    """Where the truth is known, a profile for a GPU asks what that for a CPU asks."""
    again = MadeUp(
        given=(found(BELOW, profile="gpu"), found(BELOW, profile="gpu", pair=FIXED_DATA))
    )
    cpu = found(ABOVE), found(ACROSS, pair=FIXED_DATA)
    board = board_of(*cpu, others=[([again], lab_of("gpu"))])
    first = board[board.key == "first"]
    assert list(first.tier) == ALL_TIERS
    assert list(first.verdict) == ["holds", "open", "opposite", "not measured"]
    assert first.profile.tolist()[:3] == ["cpu", "cpu", "gpu"]


def test_a_claim_whose_runs_collapsed_stays_on_the_board(two_claims):
    board = board_of(found(ABOVE, decides=None))
    assert list(board.key) == ["first"] * 4 + ["second"] * 4
    assert set(board.verdict) == {"not measured"}


def test_the_same_numbers_for_two_claims_count_once(two_claims):
    """The best other way to soften a teacher may be to stop it early: then both ask the same."""
    control = "early-stopped, at epoch 10"
    one = found(ABOVE, control=control)
    again = found(ABOVE, decides="second", control=control)
    other = found(ABOVE, decides="second", centroids="tracked")  # another method
    sources = [([MadeUp(given=[one]), Other(given=[again, other])], lab_of("cpu"))]
    board = scoreboard(sources)
    assert list(board.key[board.verdict == "holds"]) == ["first", "second", "second"]
    assert (
        counted(board)
        == "2 primary comparisons (1 of them for two claims, counted once): 2 “holds”"
    )
    assert verdicts_by_tier(board)["holds"].tolist() == [1, 1]
    assert counted(board_of(one)) == "1 primary comparison: 1 “holds”"


def test_exploratory_comparisons_of_all_experiments_are_counted(two_claims):
    given = (found(ABOVE), *[found(each, decides=None) for each in (ABOVE, BELOW, ACROSS)])
    elsewhere = found(ABOVE, decides=None, decided_in="13_c")
    more = (found(ABOVE, decides=None, profile="gpu"), elsewhere)
    sources = [
        ([MadeUp(given=given), Other(given=None)], lab_of("cpu")),
        ([Other(given=more)], lab_of("gpu")),
    ]
    made = exploratory(sources)
    assert made.to_dict("list") == {
        "notebook": ["12_b", "13_c"],
        "profile": ["cpu", "gpu"],
        "data": ["oracle", "oracle"],
        "exploratory": [3, 1],
        "exclude_zero": [2, 1],
        "after_holm": [2, 1],
    }
    assert exploratory_counted(made) == (
        "4 exploratory comparisons by the same experiments: 3 exclude zero, 3 after Holm's "
        "adjustment for the number in each"
    )
    nothing = exploratory([([Other(given=None)], lab_of("cpu"))])
    assert nothing.empty and list(nothing) == list(made)
    assert exploratory_counted(nothing).startswith("0 exploratory comparisons by the same")


def test_verdicts_are_counted(two_claims):
    known = [found(each, centroids=c) for each in (ABOVE, BELOW) for c in ("fixed", "tracked")]
    board = board_of(*known, found(ACROSS, pair=FIXED_DATA), found(ABOVE, pair=FIXED_DATA))
    assert counted(board) == "6 primary comparisons: 3 “holds”, 2 “opposite”, 1 “open”"
    table = verdicts_by_tier(board)
    assert list(table.columns) == ["holds", "open", "opposite"]
    assert table.to_dict("index") == {
        (TRUTH_KNOWN, "fixed"): {"holds": 1, "opposite": 1, "open": 0},
        (TRUTH_KNOWN, "tracked"): {"holds": 1, "opposite": 1, "open": 0},
        (TIERS["cpu"], "fixed"): {"holds": 1, "opposite": 0, "open": 1},
    }
    assert next(iter(table.index)) == (TRUTH_KNOWN, "fixed")
    missing = not_measured(board)
    assert list(missing.index) == ALL_TIERS
    assert list(missing) == ["So?", "So?", "all claims", "all claims"]


@pytest.mark.parametrize("key", ["second", "third"])
def test_an_experiment_decides_its_own_claims(two_claims, key):
    with pytest.raises(ValueError, match=f"12_b cannot decide '{key}'; it decides first"):
        board_of(found(ABOVE, decides=key))


def test_an_experiment_without_a_claim(two_claims):
    class Third(MadeUp):
        name = "14_d"

    with pytest.raises(ValueError, match="14_d cannot decide 'first'; it decides no claim"):
        scoreboard([([Third(given=(found(ABOVE),))], lab_of("cpu"))])


def test_other_errors_are_not_taken_for_missing_records(two_claims):
    class Broken(MadeUp):
        def findings(self, lab):
            return [replace(found(ABOVE), no_such_field=1)]

    with pytest.raises(TypeError):
        scoreboard([([Broken(given=None)], lab_of("cpu"))])
