"""Profiles: the paper's recipe is the paper's, and what is missing is said before training."""

import itertools
from dataclasses import replace

import pandas as pd
import pytest
import torch
from small_runs import DATA

from mcmi_core.base.errors import CompanionError, DataError
from mcmi_core.data import load_dataset
from mcmi_core.profiles import CIFAR100, ORACLE, PROFILES, _profile, get_profile
from mcmi_core.runs import Recipe
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure


def pairs(profile):
    return [
        profile.quickstart,
        *profile.temperature_pairs,
        *profile.dynamics_pairs,
        profile.lambda_pair,
        profile.oracle_pair,
        profile.cam_pair,
        profile.zero_shot_pair,
        *profile.size_pairs,
        profile.few_shot_pair,
        profile.alternatives_pair,
        profile.semi_supervised_pair,
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


@pytest.mark.parametrize("name", PROFILES)
def test_zero_shot_compares_the_pairs_own_teacher_and_omits_more_and_more(name):
    profile = get_profile(name)
    pair = profile.zero_shot_pair
    assert (pair.centroids, pair.lam) in profile.zero_shot_teachers
    for fewer, more in itertools.pairwise(profile.omitted_sets):
        assert set(fewer) < set(more)


def test_the_paper_profile_omits_and_shrinks_what_the_paper_does():
    paper = get_profile("paper")
    assert str(paper.zero_shot_pair) == "resnet56 → resnet20 on cifar10"
    assert paper.zero_shot_teachers == tuple(("fixed", lam) for lam in (0.1, 0.15, 0.2, 0.25))
    assert paper.zero_shot_pair.lam == 0.25
    assert [len(omitted) for omitted in paper.omitted_sets] == [1, 2, 3, 5, 6]
    assert [pair.teacher for pair in paper.size_pairs] == [
        f"resnet{depth}" for depth in (14, 20, 32, 44, 56, 110)
    ]
    assert {pair.student for pair in paper.size_pairs} == {"resnet8"}
    assert paper.few_shot_pair == CIFAR100
    fractions = (0.05, 0.1, 0.25, 0.35, 0.5, 0.75)
    assert paper.few_shot_fractions == {"kd": fractions, "crd": fractions}


def test_first_samples_can_be_taken_as_the_authors_do():
    student = CIFAR100.distill(CIFAR100.mll(0), 0, fraction=0.05, sampling="first")
    assert student.part.sampling == "first"
    assert CIFAR100.distill(CIFAR100.mll(0), 0, fraction=0.05).part.sampling == "stratified"


def test_only_synthetic_data_knows_its_posterior():
    assert ORACLE.posterior_is_known
    assert not CIFAR100.posterior_is_known


@pytest.mark.parametrize("name", PROFILES)
def test_alternatives_are_teachers_of_the_pair_and_its_own_mcmi_is_among_them(name):
    experiment = get_profile(name).experiment("10_alternatives")
    pair = experiment.pair
    tuned = [pair.fine_tuned(0, objective) for objective in experiment.objectives]
    assert pair.mcmi(0).key in {teacher.key for teacher in tuned}
    families = [teacher.objective.name for teacher in tuned]
    assert set(families) == {"mcmi", "label_smoothing", "entropy"}
    assert len({families.count(family) for family in families}) == 1  # an equal choice for each
    assert 4 not in experiment.temperatures  # that is the control
    assert max(experiment.stops) <= pair.recipe.milestones[0]
    student = pair.distill(pair.from_scratch(0, "mse"), 0, fraction=experiment.few)
    assert student.teacher.start is None
    what = pair.on_unseen_training_data(student).what
    assert what.options == {"fraction": experiment.few, "seed": student.part.seed}


def test_an_early_stopped_teacher_is_the_mll_teacher_at_that_epoch(tmp_path):
    pair = replace(ORACLE, data=DATA, teacher="mlp:width=8", recipe=Recipe(epochs=5))
    store = Store(tmp_path)
    stopped = ensure(pair.early_stopped(1, 3), store)
    history = pd.DataFrame(ensure(pair.mll(1), store).history)
    at_epoch_3 = history[history.epoch == 3].iloc[0]
    for split in ("train", "test"):
        for metric, value in stopped.metrics[split].items():
            assert at_epoch_3[f"{split}_{metric}"] == value, metric


@pytest.mark.parametrize("name", PROFILES)
def test_binary_data_have_two_classes(name):
    experiment = get_profile(name).experiment("11_semi_supervised_and_binary")
    for pair in (experiment.binary_pair, experiment.pair):
        assert pair.mcmi(0).start == pair.mll(0)
    assert experiment.binary_pair.mll(0).data.options["classes"] == 2
    assert experiment.binary_lambdas[0] == experiment.binary_pair.lam  # that of the ten classes
    posterior = load_dataset(experiment.binary_pair.data).test.posterior
    assert 0.7 < posterior.max(dim=1).values.mean() < 0.9  # room for a teacher to be wrong


def test_unknown_profile():
    with pytest.raises(CompanionError, match="unknown profile 'big'; choose from smoke, gpu, pap"):
        get_profile("big")


def test_smoke_needs_nothing():
    get_profile("smoke").check()


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_a_missing_gpu_is_said_at_once(name, monkeypatch):
    monkeypatch.setattr(_profile, "default_device", lambda: torch.device("cpu"))
    with pytest.raises(CompanionError, match=f"profile '{name}' needs a CUDA GPU"):
        get_profile(name).check()


def test_missing_data_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(_profile, "default_device", lambda: torch.device("cuda"))
    with pytest.raises(DataError, match="cifar10-jpeg"):
        get_profile("gpu").check()


def test_a_pair_reads_like_one():
    assert str(CIFAR100) == "resnet56 → resnet20 on cifar100"
