import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.finding import finding, findings_table

LAB = made_up_lab(lambda run: None)
HOLDS, OPEN, FAILS = Interval(2, 1, 3, 5), Interval(1, -1, 3, 5), Interval(-2, -3, -1, 5)


def made(pair=PAIR, difference=HOLDS, **changes):
    settings = {"quantity": "student's test accuracy"} | changes
    return finding(LAB, pair, "MCMI's student beats MLL's", difference, **settings)


def test_what_the_pair_says():
    result = made()
    assert (result.data, result.networks) == ("oracle", "mlp:width=64 → mlp:width=8")
    assert result.recipe == "teacher 20 epochs, fine-tuning 5, student 20"
    assert (result.policy, result.lam, result.control) == ("tracked", 0.7, "MLL")
    assert (result.unit, result.primary, result.profile) == ("points", False, "made up")


@pytest.mark.parametrize(
    ("teacher", "policy", "lam", "treatment"),
    [
        (PAIR.mcmi(3, lam=0.25, centroids="fixed"), "fixed", 0.25, "MCMI fixed λ=0.25"),
        (PAIR.mcmi(0, lam=1.0), "tracked", 1.0, "MCMI tracked λ=1"),
        (PAIR.mcmi(0, lam=1e-5), "tracked", 1e-5, "MCMI tracked λ=1e-05"),
        (PAIR.mcmi(0, lam=1.23456789), "tracked", 1.23456789, "MCMI tracked λ=1.23457"),
        (PAIR.mll(0), "–", None, "MLL"),
        (PAIR.bayes(0), "–", None, "true BCPD"),
        (PAIR.fine_tuned(0, "label_smoothing:share=0.1"), "–", None, "label_smoothing:share=0.1"),
        (None, "tracked", 0.7, "MCMI tracked λ=0.7"),
    ],
)
def test_policy_and_lambda_are_the_teachers(teacher, policy, lam, treatment):
    result = made(teacher=teacher)
    assert (result.policy, result.lam, result.treatment) == (policy, lam, treatment)


def test_a_treatment_that_is_no_teacher_has_no_policy():
    result = made(treatment="T = 4", control="T = 1")
    assert (result.treatment, result.policy, result.lam) == ("T = 4", "–", None)


def test_a_treatment_of_a_teachers_students():
    result = made(treatment="all labels", teacher=PAIR.mcmi(0))
    assert (result.treatment, result.policy, result.lam) == ("all labels", "tracked", 0.7)


def test_what_a_replicate_varies():
    assert made(PAIR).replicate == "data and weights"
    assert made(FIXED_DATA).replicate == "weights"
    assert made(FIXED_DATA, few_samples=True).replicate == "weights and the few samples"
    assert made(PAIR, few_samples=True).replicate == "data and weights"


def test_what_is_said_instead():
    result = made(control="T = 1", unit="nats", networks="mlp:width=64", primary=True)
    assert (result.control, result.unit, result.networks) == ("T = 1", "nats", "mlp:width=64")
    assert result.primary


def test_verdict():
    verdicts = [made(difference=difference).verdict for difference in (HOLDS, OPEN, FAILS)]
    assert verdicts == ["holds", "open", "does not hold"]


def test_table_of_findings():
    table = findings_table([made(), made(difference=FAILS, teacher=PAIR.mll(0), primary=True)])
    columns = "claim quantity mean low high n unit replicate treatment control policy lam data"
    rest = ["networks", "recipe", "verdict", "kind", "profile"]
    assert list(table.columns) == [*columns.split(), *rest]
    assert list(table.treatment) == ["MCMI tracked λ=0.7", "MLL"]
    assert list(table["mean"]) == [2, -2]
    assert list(table.kind) == ["exploratory", "primary"]
    assert list(table.verdict) == ["holds", "does not hold"]
    assert list(table.lam.isna()) == [False, True]
