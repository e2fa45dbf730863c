"""Profiles: the paper's recipe is the paper's, and what is missing is said before training."""

import importlib
import itertools
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from small_runs import DATA, PAIR, QUICKSTART, profile_of

from mcmi_core.base.errors import CompanionError, DataError, RunsFailed
from mcmi_core.base.paths import PROJECT
from mcmi_core.data import load_dataset
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import TIERS
from mcmi_core.experiments.quickstart import Quickstart
from mcmi_core.experiments.small_pairs import ORACLE
from mcmi_core.experiments.what_is_cmi import WhatIsCmi
from mcmi_core.profiles import (
    PROFILES,
    get_profile,
    open_beside,
    open_evidence,
    open_experiments,
)
from mcmi_core.profiles.four_seeds import open_four_seeds
from mcmi_core.profiles.paper import CIFAR100
from mcmi_core.runs.records import Records
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe

WITHOUT_RUNS = {"14_bring_your_own_teacher", "15_authors_trials", "99_claims"}
"""Notebooks that train in front of the reader, read others' trials, or gather what others found."""

NOTEBOOKS = sorted(path.stem for path in (PROJECT / "notebooks").glob("[0-9]*.ipynb"))
EXPERIMENTS = [name for name in NOTEBOOKS if name not in WITHOUT_RUNS]


def only(profile: str, name: str) -> Experiment:
    """The experiment of that name, which the profile has on one data set."""
    [experiment] = get_profile(profile).named(name)
    return experiment


def deciding(profile: str) -> list[Experiment]:
    """The experiments of a profile that make comparisons: all but the one that explains CMI."""
    return [e for e in get_profile(profile).experiments if not isinstance(e, WhatIsCmi)]


@pytest.mark.parametrize("profile", ["smoke", "gpu", "paper"])
def test_every_notebook_has_its_experiment(profile):
    names = [experiment.name for experiment in get_profile(profile).experiments]
    assert list(dict.fromkeys(names)) == EXPERIMENTS  # in reading order


def test_the_profile_for_a_cpu_has_no_experiment_of_its_own():
    assert {experiment.name for experiment in get_profile("cpu").experiments} <= set(EXPERIMENTS)


@pytest.mark.parametrize("profile", PROFILES)
def test_figures_of_the_same_experiment_on_other_data_have_other_names(profile):
    names = [experiment.figure_name() for experiment in get_profile(profile).experiments]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiments_file_is_named_as_its_notebook(name):
    module = importlib.import_module(f"mcmi_core.experiments.{name.partition('_')[2]}")
    for experiment in get_profile("smoke").named(name):
        assert type(experiment).__module__ == module.__name__
        assert type(experiment).findings is not Experiment.findings
    assert (PROJECT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8").count(
        f'open_experiments(\\"{name}\\", profile, train)'
    ) == 1


@pytest.mark.parametrize("name", PROFILES)
def test_every_run_of_every_profile_is_valid(name):
    profile = get_profile(name)
    assert profile.name == name
    for experiment in profile.experiments:
        assert list(experiment.all_pairs())
        assert experiment.runs()


@pytest.mark.parametrize("name", PROFILES)
def test_seeds_are_as_many_as_a_verdict_needs(name):
    """Two show that it runs; where a run takes seconds there are ten, on ImageNet three."""
    for experiment in deciding(name):
        synthetic = all(pair.posterior_is_known for pair in experiment.all_pairs())
        least = 10 if synthetic else 3 if "imagenet" in experiment.name else 5
        assert len(set(experiment.seeds)) == len(experiment.seeds)
        assert len(experiment.seeds) >= (least if name in TIERS else 2)


def test_evidence_of_the_cpu_is_on_seeds_that_nothing_was_chosen_with():
    for experiment in deciding("cpu"):
        assert min(experiment.seeds) >= 100


@pytest.mark.parametrize("name", PROFILES)
def test_both_kinds_of_mcmi_have_a_control(name):
    """The paper's method, our variant, and the same fine-tuning without CMI."""
    for experiment in get_profile(name).experiments:
        runs = {link for run in experiment.runs() for link in run.chain()}
        tuned = [run.objective.options for run in runs if run.stage == "teacher" and run.start]
        settings = {(each.get("centroids"), each.get("lam")) for each in tuned}
        mcmi = {policy for policy, lam in settings if lam}
        if experiment.name not in ("01_temperature_and_cmi", "02_mll_training_dynamics"):
            variant = any(pair.tracked_lam for pair in experiment.all_pairs())
            assert mcmi == ({"fixed", "tracked"} if variant else {"fixed"}), experiment
            assert ("fixed", 0.0) in settings, experiment


def test_every_run_of_smoke_is_asked_for_once_by_an_experiment():
    for experiment in get_profile("smoke").experiments:
        keys = [run.key for run in experiment.runs()]
        assert keys
        assert len(set(keys)) == len(keys), experiment.name


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
def test_zero_shot_omits_more_and_more(name):
    for experiment in get_profile(name).named("04_zero_shot"):
        assert experiment.omitted_sets[0] == (9,)
        for fewer, more in itertools.pairwise(experiment.omitted_sets):
            assert set(fewer) < set(more)


def test_the_paper_profile_omits_and_shrinks_what_the_paper_does():
    zero_shot = only("paper", "04_zero_shot")
    assert str(zero_shot.pair) == "resnet56 → resnet20 on cifar10"
    assert zero_shot.further == tuple(("fixed", lam) for lam in (0.1, 0.15, 0.2))
    assert zero_shot.pair.lam == 0.25
    assert [len(omitted) for omitted in zero_shot.omitted_sets] == [1, 2, 3, 5, 6]
    sizes = only("paper", "05_teacher_size").pairs
    assert [pair.teacher for pair in sizes] == [
        f"resnet{depth}" for depth in (14, 20, 32, 44, 56, 110)
    ]
    assert {pair.student for pair in sizes} == {"resnet8"}
    few_shot = only("paper", "08_few_shot")
    assert few_shot.pair == CIFAR100
    fractions = (0.05, 0.1, 0.25, 0.35, 0.5, 0.75)
    assert few_shot.fractions == {"kd": (*fractions, 1.0), "crd": fractions}


@pytest.mark.parametrize("name", PROFILES)
def test_oracle_experiments_share_their_teachers(name):
    oracle, proposition = (only(name, each) for each in ("12_bayes_oracle", "13_proposition_1"))
    assert oracle.pair == proposition.pair
    assert oracle.pair == ORACLE or name == "smoke"
    assert oracle.seeds == proposition.seeds
    assert proposition.bits == (1, 2, 3, 4, 6, 8)


def test_the_papers_method_has_its_lambda_and_our_variant_another():
    assert (ORACLE.lam, ORACLE.tracked_lam) == (0.25, 0.7)
    assert (CIFAR100.lam, CIFAR100.tracked_lam) == (0.15, 0.7)


def test_first_samples_can_be_taken_as_the_authors_do():
    student = CIFAR100.distill(CIFAR100.mll(0), 0, fraction=0.05, sampling="first")
    assert student.part.sampling == "first"
    assert CIFAR100.distill(CIFAR100.mll(0), 0, fraction=0.05).part.sampling == "stratified"


def test_only_synthetic_data_knows_its_posterior():
    assert ORACLE.posterior_is_known
    assert not CIFAR100.posterior_is_known


@pytest.mark.parametrize("name", PROFILES)
def test_alternatives_are_other_ways_to_soften_the_pairs_teacher(name):
    for experiment in get_profile(name).named("10_alternatives"):
        pair = experiment.pair
        tuned = [pair.fine_tuned(0, objective) for objective in experiment.objectives]
        families = [teacher.objective.name for teacher in tuned]
        assert {"label_smoothing", "entropy"} <= set(families) or not families
        assert families.count("label_smoothing") == families.count("entropy")
        assert 4 not in experiment.temperatures  # that is the control
        assert max(experiment.stops) < pair.recipe.epochs
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
    experiment = only(name, "11_semi_supervised_and_binary")
    for pair in (experiment.binary_pair, experiment.pair):
        assert pair.mcmi(0).start == pair.mll(0)
    assert experiment.binary_pair.mll(0).data.options["classes"] == 2
    assert experiment.binary_pair.tracked_lam == experiment.pair.tracked_lam
    posterior = load_dataset(experiment.binary_pair.data).test.posterior
    assert 0.7 < posterior.max(dim=1).values.mean() < 0.9  # room for a teacher to be wrong


def test_unknown_names():
    with pytest.raises(CompanionError, match="unknown profile 'big'; choose from smoke, cpu, gpu"):
        get_profile("big")
    with pytest.raises(
        CompanionError, match="unknown experiment '04'; choose from 00_what_is_cmi,"
    ):
        get_profile("smoke").named("04")
    for opened in (lambda: open_experiments("00b_quickstart", "big"), lambda: open_evidence("big")):
        with pytest.raises(CompanionError, match="unknown profile 'big'"):
            opened()


def test_experiments_are_opened_with_the_records_of_their_profile():
    experiments, lab = open_experiments("00b_quickstart", "paper")
    assert experiments == get_profile("paper").named("00b_quickstart")
    assert str(lab) == "profile paper: replaying records"


def test_an_experiment_that_a_profile_leaves_out_is_not_measured(monkeypatch, capsys):
    smaller = replace(get_profile("smoke"), experiments=())
    monkeypatch.setitem(PROFILES, "smoke", smaller)
    experiments, _ = open_experiments("00b_quickstart", "smoke")
    assert experiments == []
    said = "00b_quickstart: not measured, profile 'smoke' leaves it out\n"
    assert capsys.readouterr().out == said


def test_an_experiment_may_be_asked_on_several_data_sets():
    experiments, _ = open_experiments("02_mll_training_dynamics", "cpu")
    titles = [experiment.pairs[0].data_title for experiment in experiments]
    assert titles == ["oracle", "cifar10-jpeg"]


@pytest.mark.parametrize(
    ("profile", "recorded", "opened"),
    [
        ("cpu", [], ["cpu"]),
        ("cpu", ["gpu", "smoke", "sprint"], ["cpu", "gpu"]),
        ("gpu", ["cpu", "gpu", "paper"], ["gpu", "cpu", "paper"]),
        ("smoke", ["cpu", "gpu"], ["smoke"]),
    ],
)
def test_evidence_is_that_of_all_tiers_with_records(
    tmp_path, monkeypatch, profile, recorded, opened
):
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path))
    for name in recorded:
        (tmp_path / name).mkdir()
    sources = open_evidence(profile)
    assert [lab.profile for _, lab in sources] == opened
    for experiments, lab in sources:
        assert experiments == get_profile(lab.profile).experiments
        assert str(lab).endswith(": replaying records")


@pytest.fixture
def asked(monkeypatch):
    """Numbers of runs and of workers that were asked of `execute`, which does nothing."""
    calls = []

    def execute(runs, store, workers, device, deadline=math.inf):
        calls.append((len(runs), workers))

    monkeypatch.setattr("mcmi_core.runs.execute.execute", execute)
    return calls


def test_training_asks_for_all_runs_at_once(asked):
    [experiment], lab = open_experiments("00b_quickstart", "paper", train=True)
    assert str(lab) == "profile paper: training what is missing"
    assert asked == [(len(experiment.runs()), None)]  # as many as keep a card busy
    open_experiments("07_imagenet_distillation", "paper", train=True)
    assert asked[1][1] == 1  # at 224 pixels, one fills a card


def test_evidence_of_the_asked_profile_is_trained_and_of_no_other(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path))
    (tmp_path / "cpu").mkdir()
    sources = open_evidence("paper", train=True)
    assert [str(lab).partition(": ")[2] for _, lab in sources] == [
        "training what is missing",
        "replaying records",
    ]
    once = {run.key for e in get_profile("paper").experiments for run in e.runs()}
    assert sum(number for number, _ in asked) >= len(once)


def test_those_that_share_a_number_of_workers_are_trained_at_once(asked, monkeypatch):
    paper, said = get_profile("paper"), []
    names = ["00b_quickstart", "07_imagenet_distillation", "04_zero_shot"]
    first, imagenet, last = chosen = [only("paper", name) for name in names]
    on(monkeypatch, "cuda")
    monkeypatch.setattr("mcmi_core.data.load_dataset", lambda data: None)
    paper.train(chosen, say=said.append)
    assert asked == [(len(first.runs()) + len(last.runs()), None), (len(imagenet.runs()), 1)]
    assert [line.partition(":")[0] for line in said] == names
    assert said[0].endswith(" not run")


def test_records_of_all_runs_are_kept_beside_what_is_drawn(store, tmp_path):
    profile, said = profile_of(QUICKSTART), []
    profile.train(profile.experiments, records=tmp_path / "kept", say=said.append)
    assert said == ["00b_quickstart: 7 done"]
    kept = Records(tmp_path / "kept" / "tiny")
    [experiment] = profile.experiments
    for run in experiment.runs():
        assert kept.record(run) == store.record(run)
    assert len(list(kept.root.iterdir())) == 7


def test_an_experiment_that_fails_stops_neither_the_others_nor_their_records(store, tmp_path):
    class Alone(Quickstart):
        """With workers of its own, so that it is trained before or after the others."""

        name = "07_alone"
        data_is_checked = False

    absent = replace(PAIR, data="imagefolder:folder=nowhere", teacher="resnet8", student="resnet8")
    fails = Alone(pair=absent, seeds=(0,), few=0.5, workers=2)
    profile, said = profile_of(fails, QUICKSTART), []
    with pytest.raises(RunsFailed, match="2 of 7 runs failed: teacher-imagefolder"):
        profile.train(profile.experiments, records=tmp_path / "kept", say=said.append)
    assert said == ["07_alone: 7 not run", "00b_quickstart: 7 done"]
    assert len(list((tmp_path / "kept" / "tiny").iterdir())) == 7


def test_a_notebook_shows_the_runs_of_its_experiment_or_of_all_or_none():
    smoke = get_profile("smoke")
    first, later = (only("smoke", name) for name in ("00b_quickstart", "04_zero_shot"))
    assert smoke.experiments_of(["04_zero_shot", "00b_quickstart"]) == [first, later]
    assert smoke.experiments_of(["14_bring_your_own_teacher", "15_my_own"]) == []
    assert smoke.experiments_of(["99_claims"]) == list(smoke.experiments)
    assert smoke.experiments_of(NOTEBOOKS) == list(smoke.experiments)
    both = smoke.named("02_mll_training_dynamics")
    assert len(both) == 2
    assert smoke.experiments_of(["02_mll_training_dynamics"]) == both


def test_smoke_needs_nothing():
    smoke = get_profile("smoke")
    smoke.check(smoke.experiments)


def on(monkeypatch, device):
    monkeypatch.setattr("mcmi_core.base.device.default_device", lambda: torch.device(device))


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_a_missing_gpu_is_said_at_once(name, monkeypatch):
    on(monkeypatch, "cpu")
    profile = get_profile(name)
    with pytest.raises(CompanionError, match=f"profile '{name}' needs a CUDA GPU"):
        profile.train(profile.experiments)


def test_what_was_trained_elsewhere_needs_no_gpu(store, monkeypatch, tmp_path):
    on(monkeypatch, "cpu")
    here, elsewhere = (replace(profile_of(QUICKSTART), needs_gpu=gpu) for gpu in (True, False))
    with pytest.raises(CompanionError, match="needs a CUDA GPU"):
        here.train(here.experiments)
    elsewhere.train(elsewhere.experiments)
    here.train(here.experiments, records=tmp_path / "kept")
    assert len(list((tmp_path / "kept" / "tiny").iterdir())) == 7


def test_missing_data_is_said_at_once(monkeypatch, asked):
    on(monkeypatch, "cuda")
    profile = get_profile("gpu")
    with pytest.raises(DataError, match="cifar10-jpeg"):
        profile.train(profile.experiments)
    assert asked == []


def test_imagenet_is_left_to_its_runs(monkeypatch):
    checked = []
    on(monkeypatch, "cuda")
    monkeypatch.setattr("mcmi_core.data.load_dataset", checked.append)
    profile = get_profile("paper")
    profile.check(profile.experiments)
    assert {"cifar10", "cifar100", "oracle"} <= set(checked)
    assert not [data for data in checked if "imagenet" in data]


def test_a_profile_that_needs_no_gpu_is_trained_on_the_cpu_even_where_there_is_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    devices = []

    def execute(runs, store, workers, device, deadline=math.inf):
        devices.append(device.type)

    monkeypatch.setattr("mcmi_core.runs.execute.execute", execute)
    profile = profile_of(QUICKSTART)
    profile.lab(train=True)
    profile.train(profile.experiments, say=lambda text: None)
    open_experiments("00b_quickstart", "smoke", train=True)
    open_experiments("00b_quickstart", "paper", train=True)
    assert devices == ["cpu", "cpu", "cuda"]
    assert (profile.device().type, get_profile("gpu").device().type) == ("cpu", "cuda")


def test_a_pair_reads_like_one():
    assert str(CIFAR100) == "resnet56 → resnet20 on cifar100"


@pytest.mark.parametrize(
    ("profile", "recorded", "number"),
    [("cpu", "gpu", 1), ("cpu", "cpu", 0), ("gpu", "gpu", 0), ("smoke", "gpu", 0)],
)
def test_another_tier_stands_beside_evidence_only(tmp_path, monkeypatch, profile, recorded, number):
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path))
    (tmp_path / recorded).mkdir()
    beside, lab = open_beside("03_eigen_cam", profile)
    assert beside == get_profile("gpu").named("03_eigen_cam")[:number]
    assert str(lab) == "profile gpu: replaying records"


def test_four_seeds_on_a_gpu_are_those_that_the_protocol_reports():
    [(experiment, lab)] = open_four_seeds("cpu")
    accuracy = experiment.on_test(lab).accuracy_percent.map(lambda interval: interval.mean)
    reported = {"MLL": 40.7, "MCMI tracked λ=0.7": 47.5, "temperature T=8": 44.4}
    assert accuracy[list(reported)].to_dict() == pytest.approx(reported, abs=0.051)


def test_without_their_records_four_seeds_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path))
    assert open_four_seeds("cpu") == []


def test_four_seeds_stand_beside_evidence_only():
    assert open_four_seeds("smoke") == []
