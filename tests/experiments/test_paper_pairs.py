"""The paper's pairs: complete, at the paper's rates, and comparable by every framework."""

import pytest
import torch
from small_runs import DATA

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.components import DISTILLERS
from mcmi_core.experiments.cifar100_distillation import Cifar100Distillation
from mcmi_core.experiments.comparison import Comparison
from mcmi_core.experiments.pair import PAPER_FINE_TUNING, PAPER_RECIPE
from mcmi_core.experiments.paper_pairs import (
    CIFAR100_PAIRS,
    DEFAULT_LAMBDA,
    FRAMEWORKS,
    FURTHER_FRAMEWORKS,
    IMAGENET_PAIRS,
    imagenet_pair,
    learning_rate,
    table_pair,
)
from mcmi_core.experiments.reference import favoured_lambdas, published
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.profiles import PROFILES, get_profile
from mcmi_core.profiles.paper import CIFAR100

(TABLE_1,), (TABLE_2,) = map(
    get_profile("paper").named, ("06_cifar100_distillation", "07_imagenet_distillation")
)


def test_the_pairs_are_those_of_the_benchmarks():
    cifar100, imagenet = published("cifar100"), published("imagenet")
    names = {(row.teacher, row.student) for row in CIFAR100_PAIRS}
    assert names == set(zip(cifar100.teacher, cifar100.student, strict=True))
    assert len(CIFAR100_PAIRS) == len(names) == 13
    names = {(row.teacher, row.student) for row in IMAGENET_PAIRS}
    prefixed = (imagenet[part].map("imagenet_{}".format) for part in ("teacher", "student"))
    assert names == set(zip(*prefixed, strict=True))


def test_lambda_follows_the_stated_rule():
    favoured = favoured_lambdas()
    for row in CIFAR100_PAIRS:
        assert row.lam == favoured.get((row.teacher, row.student), DEFAULT_LAMBDA), row
    assert favoured.mode().tolist() == [DEFAULT_LAMBDA]


def test_learning_rates_are_the_papers():
    slow = {"mobilenetv2", "shufflenetv1", "shufflenetv2"}
    for pair in TABLE_1.pairs:
        student = pair.distill(pair.mll(0), 0)
        assert student.recipe.learning_rate == (0.01 if pair.student in slow else 0.05)
        assert pair.mll(0).recipe.learning_rate == 0.05
        assert (pair.mcmi(0).recipe.learning_rate, pair.mcmi(0).recipe.epochs) == (0.05, 20)
        assert student.recipe.epochs == 240
    row = CIFAR100_PAIRS[0]._replace(teacher="mobilenetv2")
    pair = table_pair(row, "cifar100", PAPER_RECIPE, PAPER_FINE_TUNING)
    assert (pair.mll(0).recipe.learning_rate, pair.mcmi(0).recipe.learning_rate) == (0.01, 0.005)
    assert learning_rate("resnet50") == 0.05


def test_imagenet_has_its_customary_recipe():
    for pair in TABLE_2.pairs:
        recipe = pair.distill(pair.mll(0), 0).recipe
        assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (100, 256, 0.1)
        assert (recipe.weight_decay, recipe.milestones) == (1e-4, (30, 60, 90))


@pytest.mark.parametrize(
    ("teacher", "student", "framework", "options"),
    [
        ("resnet56", "resnet20", "dkd", {"beta": 2, "warmup_epochs": 20}),
        ("vgg13", "mobilenetv2", "dkd", {"beta": 6}),
        ("resnet50", "vgg8", "dkd", {"beta": 8}),
        ("resnet32x4", "resnet8x4", "reviewkd", {"weight": 5}),
        ("resnet110", "resnet32", "reviewkd", {"weight": 1}),
    ],
)
def test_frameworks_have_the_options_of_the_pair(teacher, student, framework, options):
    (pair,) = [p for p in TABLE_1.pairs if (p.teacher, p.student) == (teacher, student)]
    run = pair.distill(pair.mll(0), 0, distiller=framework)
    assert options.items() <= run.distiller.options.items()
    # What is asked for in full is not overridden.
    asked = pair.distill(pair.mll(0), 0, distiller="dkd:beta=3")
    assert asked.distiller.options["beta"] == 3


def test_table_runs_are_shared_with_the_other_notebooks():
    (pair,) = [p for p in TABLE_1.pairs if p.teacher == "resnet56"]
    assert pair.mll(0) == CIFAR100.mll(0)
    assert pair.distill(pair.mll(0), 0) == CIFAR100.distill(CIFAR100.mll(0), 0)


@pytest.mark.parametrize(
    "row", [*CIFAR100_PAIRS, *IMAGENET_PAIRS], ids=lambda row: f"{row.teacher}-{row.student}"
)
def test_every_framework_can_compare_every_pair(row):
    """Networks without memory: only shapes are computed."""
    with torch.device("meta"):
        teacher, student = (create_model(name, num_classes=9) for name in row[:2])
        headed, sample = HeadedNetwork(teacher), torch.empty(2, 3, 32, 32)
    for name in FRAMEWORKS + FURTHER_FRAMEWORKS:
        DISTILLERS.build(
            name,
            student=student,
            teacher=headed if name == "hsakd" else teacher,
            sample=sample,
            labels=torch.arange(8) % 2,
        )


def test_a_framework_that_cannot_compare_says_so():
    networks = {"image_size": 32, "num_classes": 3}
    student, teacher = (create_model(name, **networks) for name in ("resnet8", "vgg8"))
    with pytest.raises(IncompatibleNetworks, match="as many stage maps"):
        DISTILLERS.build(
            "at",
            student=student,
            teacher=teacher,
            sample=torch.zeros(2, 3, 32, 32),
            labels=torch.arange(2),
        )


@pytest.mark.parametrize("name", PROFILES)
def test_every_run_of_the_tables_is_valid(name):
    tables = [each for each in get_profile(name).experiments if isinstance(each, Comparison)]
    assert tables
    for table in tables:
        assert len(set(table.seeds)) == len(table.seeds) >= 2  # or there is no interval
        for pair in table.pairs:
            for framework in table.frameworks:
                student = pair.distill(pair.mcmi(0), 0, distiller=framework)
                assert student.distiller.name == framework.partition(":")[0]
        if isinstance(table, Cifar100Distillation):
            assert set(FRAMEWORKS) <= set(table.frameworks)


def test_the_fine_tuning_of_imagenet_is_a_tenth_of_its_training():
    for epochs, tenth in ((100, 10), (30, 3), (5, 1)):
        pair = imagenet_pair(IMAGENET_PAIRS[0], "imagefolder:folder=imagenet", epochs)
        assert (pair.mll(0).recipe.epochs, pair.mcmi(0).recipe.epochs) == (epochs, tenth)
        assert pair.mcmi(0).recipe.learning_rate == 0.01


def test_our_variant_has_a_lambda_only_where_it_is_given():
    arguments = (CIFAR100_PAIRS[0], DATA, PAPER_RECIPE, PAPER_FINE_TUNING)
    assert len(table_pair(*arguments).mcmi_teachers(0)) == 1
    assert table_pair(*arguments, tracked_lam=0.7).tracked_lam == 0.7
    folder = "imagefolder:folder=imagenet"
    assert imagenet_pair(IMAGENET_PAIRS[0], folder).tracked_lam is None
    assert imagenet_pair(IMAGENET_PAIRS[0], folder, tracked_lam=0.6).tracked_lam == 0.6


def test_a_run_can_override_lambda():
    pair = table_pair(CIFAR100_PAIRS[0], DATA, PAPER_RECIPE, PAPER_FINE_TUNING)
    assert pair.mcmi(0, lam=0.8).objective.options["lam"] == 0.8
