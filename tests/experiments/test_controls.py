"""Which comparisons are made, against what, and which of them decides."""

from dataclasses import replace

import pandas as pd
import pytest
from made_up import FIXED_DATA, LABELS, PAIR, made_up_lab

from mcmi_core.experiments.controls import compared_with_controls

MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS
ACCURACY = {MLL: 60, UNTREATED: 61, FIXED: 63, TRACKED: 66, TRUTH: 70, "from scratch": 50}
"""Percent; every seed adds a point to all."""
LAB = made_up_lab(lambda run: None)


def students(*without, seeds=(0, 1, 2)):
    rows = [
        {"label": label, "seed": seed, "accuracy": percent + seed}
        for label, percent in ACCURACY.items()
        for seed in seeds
        if (label, seed) not in without and label not in without
    ]
    return pd.DataFrame(rows)


def compared(runs, pair=PAIR, **about):
    claim = "{treatment} beats {control}"
    settings = {"quantity": "student's test accuracy", "asked": 3} | about
    return compared_with_controls(LAB, pair, runs, "accuracy", claim, **settings)


def test_mcmi_against_fine_tuning_alone_and_the_controls_against_each_other():
    findings = compared(students(), decides="few_shot")
    assert {finding.claim: finding.difference.mean for finding in findings} == {
        f"{FIXED} beats {UNTREATED}": 2,
        f"{TRACKED} beats {UNTREATED}": 5,
        f"{UNTREATED} beats {MLL}": 1,
        f"{TRUTH} beats {MLL}": 10,
        f"{MLL} beats no teacher": 10,
    }
    assert [finding.decides for finding in findings] == ["few_shot"] * 2 + [None] * 3


def test_mcmi_has_the_papers_comparison_beside_it():
    fixed, tracked, *controls = compared(students())
    assert (fixed.against_mll.mean, tracked.against_mll.mean) == (3, 6)
    assert [finding.against_mll for finding in controls] == [None] * 3
    assert (fixed.policy, fixed.lam, fixed.control) == ("fixed", 0.4, UNTREATED)
    assert (tracked.policy, tracked.lam, tracked.treatment) == ("tracked", 0.7, TRACKED)
    assert {(finding.policy, finding.lam) for finding in controls} == {("–", None)}


def test_seeds_that_lack_a_run_were_asked_for():
    fixed, tracked, *_ = compared(students((TRACKED, 1), seeds=range(4)), asked=5)
    assert (fixed.difference.n, fixed.asked) == (4, 5)  # of the fifth seed there is no run at all
    assert (tracked.difference.n, tracked.asked) == (3, 5)


def test_without_a_key_all_are_exploratory():
    assert not any(finding.primary for finding in compared(students()))


def test_the_pairs_own_mcmi_may_be_decided_in_another_notebook():
    further = [PAIR.mcmi(0, lam=1.0)]
    runs = students()
    more = runs[runs.label == FIXED].assign(label=further[0].label)
    findings = compared(pd.concat([runs, more]), decided_in="08_few_shot", further=further)
    assert [finding.decided_in for finding in findings] == ["08_few_shot"] * 2 + [None] * 4
    assert [finding.exploratory for finding in findings] == [False] * 2 + [True] * 4


def test_where_the_truth_is_unknown_it_is_no_control():
    claims = [finding.claim for finding in compared(students(), pair=FIXED_DATA)]
    assert len(claims) == 4
    assert not any(TRUTH in claim for claim in claims)


def test_a_pair_without_a_tracked_teacher():
    claims = [finding.claim for finding in compared(students(), replace(PAIR, tracked_lam=None))]
    assert len(claims) == 4
    assert not any(TRACKED in claim for claim in claims)


def test_further_teachers_decide_nothing():
    stronger = PAIR.mcmi(0, lam=1.0, centroids="fixed")
    runs = students()
    more = runs[runs.label == FIXED].assign(label=stronger.label, accuracy=lambda t: t.accuracy + 1)
    further = [stronger, PAIR.mcmi(0)]  # the latter is the pair's own: compared once
    findings = compared(pd.concat([runs, more]), decides="zero_shot", further=further)
    own, _, other, *_ = findings
    assert (own.treatment, own.decides) == (FIXED, "zero_shot")
    assert (other.treatment, other.difference.mean, other.against_mll.mean) == (
        "MCMI fixed λ=1",
        3,
        4,
    )
    assert (other.policy, other.lam, other.decides) == ("fixed", 1.0, None)
    assert len(findings) == 6


def test_what_a_finding_says_is_passed_on():
    findings = compared(students(), unit="nats", networks="mlp:width=64")
    assert {(finding.unit, finding.networks) for finding in findings} == {("nats", "mlp:width=64")}
    assert {finding.negligible for finding in compared(students())} == {1}
    assert {finding.negligible for finding in compared(students(), negligible=None)} == {None}


@pytest.mark.parametrize(
    ("without", "left"),
    [
        ([UNTREATED], [f"{TRUTH} beats {MLL}", f"{MLL} beats no teacher"]),
        ([MLL, "from scratch", TRACKED], [f"{FIXED} beats {UNTREATED}"]),
        (list(ACCURACY)[1:], []),
    ],
)
def test_what_has_no_runs_is_not_compared(without, left):
    findings = compared(students(*without))
    assert [finding.claim for finding in findings] == left
    assert not any(finding.against_mll for finding in findings)


def test_seeds_that_have_both_count():
    by_claim = {f.claim: f for f in compared(students((UNTREATED, 0), (MLL, 0), (MLL, 1)))}
    assert by_claim[f"{FIXED} beats {UNTREATED}"].difference.n == 2
    assert by_claim[f"{FIXED} beats {UNTREATED}"].against_mll is None  # one seed is left
    assert f"{UNTREATED} beats {MLL}" not in by_claim


def test_a_claim_holds_where_there_is_more():
    """An error rate that falls is no gain."""
    runs = students()
    errors = runs.assign(accuracy=100 - runs.accuracy)
    assert compared(errors)[0].difference.mean == -2
