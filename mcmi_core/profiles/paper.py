"""The real thing: the paper's data, networks and recipe."""

from dataclasses import replace

from mcmi_core import experiments
from mcmi_core.experiments.pair import PAPER_FINE_TUNING, PAPER_RECIPE, Pair
from mcmi_core.experiments.paper_pairs import (
    CIFAR100_PAIRS,
    FRAMEWORKS,
    FURTHER_FRAMEWORKS,
    IMAGENET_FRAMEWORKS,
    IMAGENET_PAIRS,
    imagenet_pair,
    table_pair,
)
from mcmi_core.experiments.small_pairs import BINARY_ORACLE, ON_A_TRIANGLE, ORACLE, ORACLE_SEEDS
from mcmi_core.profiles.profile import Profile

CIFAR10 = Pair(data="cifar10", teacher="resnet56", student="resnet20", lam=0.25, tracked_lam=0.7)
"""The paper's zero-shot experiment."""

CIFAR100 = Pair(data="cifar100", teacher="resnet56", student="resnet20", lam=0.15, tracked_lam=0.7)
"""The paper's data, pair and recipe."""

IMAGENET = "imagefolder:folder=imagenet,image_size=224"

RESNETS = tuple(f"resnet{depth}" for depth in (14, 20, 32, 44, 56, 110))
FRACTIONS = (0.05, 0.1, 0.25, 0.35, 0.5, 0.75)
OMITTED_SETS = ((9,), (9, 7), (9, 7, 5), (9, 7, 5, 3, 1), (9, 7, 5, 3, 1, 0))
FURTHER_ZERO_SHOT_TEACHERS = tuple(("fixed", lam) for lam in (0.1, 0.15, 0.2))
"""Settings of the paper."""

ALTERNATIVE_OBJECTIVES = (
    "mcmi:lam=0.1,centroids=fixed",
    "mcmi:lam=0.25,centroids=fixed",
    "label_smoothing:share=0.1",
    "label_smoothing:share=0.2",
    "label_smoothing:share=0.4",
    "entropy:weight=0.1",
    "entropy:weight=0.2",
    "entropy:weight=0.4",
)

STOPS = (40, 80, 149)
"""Epochs of MLL, of 240, after which it is stopped early."""

SEEDS = tuple(range(100, 105))
"""As docs/protocol.md has it."""

PAPER = Profile(
    name="paper",
    needs_gpu=True,
    workers=None,
    experiments=(
        experiments.WhatIsCmi(**ON_A_TRIANGLE, photographs=CIFAR10, images=1, seed=SEEDS[0]),
        experiments.Quickstart(pair=CIFAR100, seeds=SEEDS),
        experiments.TemperatureAndCmi(
            pairs=(
                CIFAR100,
                replace(CIFAR100, teacher="resnet110", student="resnet32"),
                replace(CIFAR100, teacher="resnet32x4", student="resnet8x4"),
            ),
            temperatures=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0),
            seeds=SEEDS,
        ),
        experiments.MllTrainingDynamics(
            pairs=(CIFAR100, replace(CIFAR100, teacher="resnet20")), seeds=SEEDS
        ),
        experiments.EigenCam(pair=CIFAR100, stage=3, seeds=SEEDS),
        experiments.ZeroShot(
            pair=CIFAR10,
            further=FURTHER_ZERO_SHOT_TEACHERS,
            omitted_sets=OMITTED_SETS,
            stops=STOPS,
            seeds=SEEDS,
        ),
        experiments.TeacherSize(
            pairs=tuple(replace(CIFAR100, teacher=name, student="resnet8") for name in RESNETS),
            seeds=SEEDS,
        ),
        experiments.Cifar100Distillation(
            pairs=tuple(
                table_pair(row, CIFAR100.data, PAPER_RECIPE, PAPER_FINE_TUNING)
                for row in CIFAR100_PAIRS
            ),
            frameworks=FRAMEWORKS + FURTHER_FRAMEWORKS,
            seeds=SEEDS,
        ),
        experiments.ImagenetDistillation(
            pairs=tuple(imagenet_pair(row, IMAGENET) for row in IMAGENET_PAIRS),
            frameworks=IMAGENET_FRAMEWORKS,
            seeds=SEEDS[:3],
            workers=1,  # at 224 pixels, one fills a card
        ),
        experiments.FewShot(
            pair=CIFAR100,
            fractions={"kd": (*FRACTIONS, 1.0), "crd": FRACTIONS},
            seeds=SEEDS,
        ),
        experiments.LambdaAndCentroids(
            pair=CIFAR100, lambdas=(0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.8), seeds=SEEDS
        ),
        experiments.Alternatives(
            pair=CIFAR100,
            objectives=ALTERNATIVE_OBJECTIVES,
            temperatures=(2.0, 8.0, 16.0),
            stops=STOPS,
            seeds=SEEDS,
        ),
        experiments.SemiSupervisedAndBinary(
            pair=CIFAR100,
            seeds=SEEDS,
            binary_pair=BINARY_ORACLE,
            binary_seeds=ORACLE_SEEDS,
        ),
        experiments.BayesOracle(pair=ORACLE, seeds=ORACLE_SEEDS),
        experiments.Proposition1(pair=ORACLE, seeds=ORACLE_SEEDS),
    ),
)
