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
    ("teacher", "policy", "lam"),
    [
        ("MCMI fixed λ=0.4", "fixed", 0.4),
        ("MCMI tracked λ=1", "tracked", 1.0),
        ("MCMI fixed λ=1e-05", "fixed", 1e-5),
        (PAIR.mcmi(3, lam=0.25, centroids="fixed").label, "fixed", 0.25),
        ("MLL", "–", None),
        ("true BCPD", "–", None),
        ("label_smoothing:share=0.1", "–", None),
    ],
)
def test_policy_and_lambda_are_the_teachers(teacher, policy, lam):
    result = made(teacher=teacher)
    assert (result.policy, result.lam) == (policy, lam)


def test_what_a_replicate_varies():
    assert made(PAIR).replicate == "data and weights"
    assert made(FIXED_DATA).replicate == "weights"


def test_what_is_said_instead():
    result = made(control="T = 1", unit="nats", networks="mlp:width=64", primary=True)
    assert (result.control, result.unit, result.networks) == ("T = 1", "nats", "mlp:width=64")
    assert result.primary


def test_verdict():
    verdicts = [made(difference=difference).verdict for difference in (HOLDS, OPEN, FAILS)]
    assert verdicts == ["holds", "open", "does not hold"]


def test_table_of_findings():
    table = findings_table([made(), made(difference=FAILS, teacher="MLL", primary=True)])
    columns = "claim quantity mean low high n unit replicate control policy lam data networks"
    assert list(table.columns) == [*columns.split(), "recipe", "verdict", "kind", "profile"]
    assert list(table["mean"]) == [2, -2]
    assert list(table.kind) == ["exploratory", "primary"]
    assert list(table.verdict) == ["holds", "does not hold"]
    assert list(table.lam.isna()) == [False, True]
