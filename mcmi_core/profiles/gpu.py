"""One GPU, hours: image folders that can be had without CIFAR's download, shorter recipes."""

from dataclasses import replace

from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import CIFAR100_PAIRS, FRAMEWORKS, IMAGENET_PAIRS
from mcmi_core.profiles._profile import Profile
from mcmi_core.profiles._tables import IMAGENET_FRAMEWORKS, imagenet_pair, table_pair
from mcmi_core.profiles.paper import (
    ALTERNATIVE_OBJECTIVES,
    FRACTIONS,
    OMITTED_SETS,
    RESNETS,
    ZERO_SHOT_TEACHERS,
)
from mcmi_core.profiles.smoke import BINARY_ORACLE, ORACLE
from mcmi_core.runs import Recipe

TINY_IMAGENET = Pair(
    data="imagefolder:folder=tinyimagenet100-32",
    teacher="resnet56",
    student="resnet20",
    lam=0.15,
    recipe=Recipe().shortened(60),
)
"""A stand-in for CIFAR-100 of the same size and shape, for machines without its download."""

CIFAR10_JPEG = Pair(
    data="imagefolder:folder=cifar10-jpeg",
    teacher="resnet56",
    student="resnet20",
    lam=0.25,
    recipe=Recipe().shortened(60),
)
"""CIFAR-10 as a folder of JPEG files."""

GPU_PAIRS = (
    ("resnet56", "resnet20"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "mobilenetv2"),
    ("resnet32x4", "shufflenetv2"),
)
"""Two pairs of one family and two of different ones."""

GPU = Profile(
    name="gpu",
    needs_gpu=True,
    workers=8,
    seeds=(0, 1, 2),
    quickstart=TINY_IMAGENET,
    temperature_pairs=(
        TINY_IMAGENET,
        replace(TINY_IMAGENET, teacher="resnet110", student="resnet32"),
        replace(TINY_IMAGENET, teacher="resnet32x4", student="resnet8x4"),
    ),
    temperatures=(1.0, 2.0, 4.0, 8.0, 16.0),
    dynamics_pairs=(TINY_IMAGENET, replace(TINY_IMAGENET, teacher="resnet20")),
    lambda_pair=TINY_IMAGENET,
    lambdas=(0.0, 0.05, 0.1, 0.15, 0.25, 0.4, 0.8),
    oracle_pair=ORACLE,
    oracle_seeds=tuple(range(10)),
    oracle_lambdas=(0.4, 0.7),
    zero_shot_pair=CIFAR10_JPEG,
    zero_shot_teachers=ZERO_SHOT_TEACHERS,
    zero_shot_seeds=(0, 1, 2),
    omitted_sets=OMITTED_SETS,
    size_pairs=tuple(replace(TINY_IMAGENET, teacher=t, student="resnet8") for t in RESNETS),
    few_shot_pair=TINY_IMAGENET,
    few_shot_fractions={"kd": FRACTIONS, "crd": FRACTIONS},
    cam_pair=TINY_IMAGENET,
    distillation_pairs=tuple(
        table_pair(row, TINY_IMAGENET.data, TINY_IMAGENET.recipe, TINY_IMAGENET.fine_tuning)
        for row in CIFAR100_PAIRS
        if (row.teacher, row.student) in GPU_PAIRS
    ),
    distillation_frameworks=FRAMEWORKS,
    distillation_seeds=(0, 1, 2),
    imagenet_pairs=tuple(
        imagenet_pair(row, f"{TINY_IMAGENET.data},image_size=64", epochs=30)
        for row in IMAGENET_PAIRS
    ),
    imagenet_frameworks=IMAGENET_FRAMEWORKS,
    imagenet_seeds=(0, 1, 2),
    imagenet_workers=None,
    alternatives_pair=TINY_IMAGENET,
    alternatives_seeds=(0, 1, 2),
    alternative_objectives=ALTERNATIVE_OBJECTIVES,
    alternative_temperatures=(2.0, 8.0, 16.0),
    alternative_stops=(10, 20, 37),
    semi_supervised_pair=TINY_IMAGENET,
    semi_supervised_seeds=(0, 1, 2),
    binary_pair=BINARY_ORACLE,
    binary_seeds=tuple(range(10)),
    binary_lambdas=(0.7, 1.0, 1.5),
)
