"""The real thing: the paper's data, networks and recipe."""

from dataclasses import replace

from mcmi_core.experiments.pair import PAPER_FINE_TUNING, PAPER_RECIPE, Pair
from mcmi_core.experiments.paper_pairs import (
    CIFAR100_PAIRS,
    FRAMEWORKS,
    FURTHER_FRAMEWORKS,
    IMAGENET_PAIRS,
)
from mcmi_core.profiles._profile import Profile
from mcmi_core.profiles._tables import IMAGENET_FRAMEWORKS, imagenet_pair, table_pair
from mcmi_core.profiles.smoke import BINARY_ORACLE, ORACLE

CIFAR10 = Pair(data="cifar10", teacher="resnet56", student="resnet20", lam=0.25)
"""The paper's zero-shot experiment."""

CIFAR100 = Pair(data="cifar100", teacher="resnet56", student="resnet20", lam=0.15)
"""The paper's data, pair and recipe."""

IMAGENET = "imagefolder:folder=imagenet,image_size=224"

RESNETS = tuple(f"resnet{depth}" for depth in (14, 20, 32, 44, 56, 110))
FRACTIONS = (0.05, 0.1, 0.25, 0.35, 0.5, 0.75)
OMITTED_SETS = ((9,), (9, 7), (9, 7, 5), (9, 7, 5, 3, 1), (9, 7, 5, 3, 1, 0))
ZERO_SHOT_TEACHERS = tuple(("fixed", lam) for lam in (0.1, 0.15, 0.2, 0.25))
"""Settings of the paper."""

ALTERNATIVE_OBJECTIVES = (
    "mcmi:lam=0.1,centroids=fixed",
    "mcmi:lam=0.15,centroids=fixed",
    "mcmi:lam=0.25,centroids=fixed",
    "label_smoothing:share=0.1",
    "label_smoothing:share=0.2",
    "label_smoothing:share=0.4",
    "entropy:weight=0.1",
    "entropy:weight=0.2",
    "entropy:weight=0.4",
)

PAPER = Profile(
    name="paper",
    needs_gpu=True,
    workers=8,
    seeds=(0, 1, 2, 3, 4),
    quickstart=CIFAR100,
    temperature_pairs=(
        CIFAR100,
        replace(CIFAR100, teacher="resnet110", student="resnet32"),
        replace(CIFAR100, teacher="resnet32x4", student="resnet8x4"),
    ),
    temperatures=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0),
    dynamics_pairs=(CIFAR100, replace(CIFAR100, teacher="resnet20")),
    lambda_pair=CIFAR100,
    lambdas=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.8),
    oracle_pair=ORACLE,
    oracle_seeds=tuple(range(20)),
    oracle_lambdas=(0.4, 0.7),
    zero_shot_pair=CIFAR10,
    zero_shot_teachers=ZERO_SHOT_TEACHERS,
    zero_shot_seeds=(0, 1, 2, 3, 4),
    omitted_sets=OMITTED_SETS,
    size_pairs=tuple(replace(CIFAR100, teacher=t, student="resnet8") for t in RESNETS),
    few_shot_pair=CIFAR100,
    few_shot_fractions={"kd": FRACTIONS, "crd": FRACTIONS},
    cam_pair=CIFAR100,
    distillation_pairs=tuple(
        table_pair(row, CIFAR100.data, PAPER_RECIPE, PAPER_FINE_TUNING) for row in CIFAR100_PAIRS
    ),
    distillation_frameworks=FRAMEWORKS + FURTHER_FRAMEWORKS,
    distillation_seeds=(0, 1, 2, 3, 4),
    imagenet_pairs=tuple(imagenet_pair(row, IMAGENET) for row in IMAGENET_PAIRS),
    imagenet_frameworks=IMAGENET_FRAMEWORKS,
    imagenet_seeds=(0, 1, 2),
    imagenet_workers=1,
    alternatives_pair=CIFAR100,
    alternatives_seeds=(0, 1, 2, 3, 4),
    alternative_objectives=ALTERNATIVE_OBJECTIVES,
    alternative_temperatures=(2.0, 8.0, 16.0),
    alternative_stops=(40, 80, 149),
    semi_supervised_pair=CIFAR100,
    semi_supervised_seeds=(0, 1, 2, 3, 4),
    binary_pair=BINARY_ORACLE,
    binary_seeds=tuple(range(20)),
    binary_lambdas=(0.7, 1.0, 1.5),
)
