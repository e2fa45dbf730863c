"""Profiles: the paper's recipe is the paper's, and what is missing is said before training."""

import pytest
import torch

from mcmi_core import profiles
from mcmi_core.errors import CompanionError, DataError
from mcmi_core.profiles import CIFAR100, ORACLE, PROFILES, get_profile


def pairs(profile):
    return [
        profile.quickstart,
        *profile.temperature_pairs,
        *profile.dynamics_pairs,
        profile.lambda_pair,
        profile.oracle_pair,
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_every_run_of_every_profile_is_valid(name):
    profile = get_profile(name)
    assert profile.name == name
    assert len(profile.oracle_seeds) >= 5
    assert len(profile.seeds) >= 3
    for pair in pairs(profile):
        for teacher in (pair.mll(0), pair.mcmi(0), pair.bayes(0)):
            student = pair.distill(teacher, 0, fraction=profile.few, omit=(9,))
            assert (student.teacher, student.data) == (teacher, teacher.data)


def test_the_paper_profile_is_the_papers_protocol():
    teacher, fine_tuned = CIFAR100.mll(0), CIFAR100.mcmi(0)
    student = CIFAR100.distill(fine_tuned, 0)
    for recipe in (teacher.recipe, student.recipe):
        assert (recipe.epochs, recipe.milestones, recipe.decay) == (240, (150, 180, 210), 0.1)
        assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.05, 0.9, 5e-4)
        assert recipe.batch_size == 64
    recipe = fine_tuned.recipe
    assert (recipe.epochs, recipe.schedule, recipe.learning_rate) == (20, "cosine", 0.05)
    assert fine_tuned.objective.options == {"lam": 0.15, "centroids": "fixed", "momentum": 0.9}
    assert student.distiller.options == {
        "temperature": 4.0,
        "weight": 0.9,
        "cross_entropy_weight": 0.1,
    }


def test_synthetic_data_is_new_for_every_seed_and_real_data_is_not():
    assert ORACLE.mll(0).data != ORACLE.mll(1).data
    assert CIFAR100.mll(0).data == CIFAR100.mll(1).data
    assert CIFAR100.mll(0).key != CIFAR100.mll(1).key


def test_a_lambda_or_a_policy_can_be_varied():
    run = CIFAR100.mcmi(1, lam=0.4, centroids="tracked")
    assert run.objective.options == {"lam": 0.4, "centroids": "tracked", "momentum": 0.9}
    assert run.start == CIFAR100.mll(1)


def test_unknown_profile():
    with pytest.raises(CompanionError, match="unknown profile 'big'; choose from smoke, gpu, pap"):
        get_profile("big")


def test_smoke_needs_nothing():
    get_profile("smoke").check()


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_a_missing_gpu_is_said_at_once(name, monkeypatch):
    monkeypatch.setattr(profiles, "default_device", lambda: torch.device("cpu"))
    with pytest.raises(CompanionError, match=f"profile '{name}' needs a CUDA GPU"):
        get_profile(name).check()


def test_missing_data_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(profiles, "default_device", lambda: torch.device("cuda"))
    with pytest.raises(DataError, match="tinyimagenet100-32"):
        get_profile("gpu").check()


def test_a_pair_reads_like_one():
    assert str(CIFAR100) == "resnet56 → resnet20 on cifar100"
