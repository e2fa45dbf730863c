"""The authors' few-shot trials: their means are those that the paper reports."""

import pytest

from mcmi_core.experiments.reference import authors_few_shot


def test_the_gain_at_five_percent_is_the_papers():
    """Abstract: up to +5.72 points; KD 52.30 → 58.02."""
    trials = authors_few_shot()
    means = trials.groupby(["distiller", "fraction", "label"]).accuracy_percent.mean()
    mll, mcmi = means["kd", 0.05, "MLL"], means["kd", 0.05, "MCMI fixed λ=0.15"]
    assert (mll, mcmi) == (pytest.approx(52.30, abs=0.005), pytest.approx(58.02, abs=0.005))
    assert mcmi - mll == pytest.approx(5.72, abs=0.005)


def test_every_trial_is_of_a_known_setting():
    trials = authors_few_shot()
    assert set(trials.label) == {"MLL", "MCMI fixed λ=0.15"}
    assert set(trials.distiller) == {"kd", "crd"}
    assert trials.accuracy_percent.between(0, 100).all()
    assert not trials.duplicated(["distiller", "fraction", "label", "trial"]).any()
