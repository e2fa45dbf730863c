"""Evidence that any CPU can make: data whose truth is known, and small photographs.

What decides, and how each setting was chosen before a student was trained: docs/protocol.md. Not
trained yet, and added when they are: on photographs the table row and teacher size (ResNet-14, 20,
32), and 100 classes with more data.
"""

from dataclasses import replace

from mcmi_core import experiments
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.experiments.small_pairs import (
    BINARY_ORACLE,
    HUNDRED_CLASSES,
    IMAGE_ORACLE,
    ON_A_TRIANGLE,
    ORACLE,
    ORACLE_SEEDS,
    PHOTOGRAPH_SEEDS,
    PHOTOGRAPHS,
    TWENTY_CLASSES,
)
from mcmi_core.profiles.profile import Profile

TRUTH_KNOWN = {"pair": ORACLE, "seeds": ORACLE_SEEDS}
ON_PHOTOGRAPHS = {"pair": PHOTOGRAPHS, "seeds": PHOTOGRAPH_SEEDS}

TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
OMITTED_SETS = ((9,), (9, 7, 5))
FEW_AND_ALL = {"kd": (0.05, 0.1, 0.25, 1.0), "crd:num_negatives=256": (0.05,)}
ORACLE_STOPS = (10, 25)
PHOTOGRAPH_STOPS = (10, 18)
"""Epochs of MLL, of 60 and of 25."""
LAMBDAS = (0.15, 0.25, 0.3, 0.4, 0.7, 1.0)
SOFTER = {
    "objectives": (
        "label_smoothing:share=0.1",
        "label_smoothing:share=0.4",
        "entropy:weight=0.4",
        "entropy:weight=0.6",
    ),
    "temperatures": (8.0, 16.0),
}
"""Other ways to soften a teacher, in the strengths that had shown an effect."""

CPU = Profile(
    name="cpu",
    needs_gpu=False,
    workers=None,
    experiments=(
        experiments.WhatIsCmi(
            **ON_A_TRIANGLE, photographs=PHOTOGRAPHS, images=1, seed=PHOTOGRAPH_SEEDS[0]
        ),
        experiments.Quickstart(**TRUTH_KNOWN),
        experiments.Quickstart(**ON_PHOTOGRAPHS),
        experiments.TemperatureAndCmi(
            pairs=(ORACLE,), temperatures=TEMPERATURES, seeds=ORACLE_SEEDS
        ),
        experiments.TemperatureAndCmi(
            pairs=(PHOTOGRAPHS,), temperatures=TEMPERATURES, seeds=PHOTOGRAPH_SEEDS
        ),
        experiments.MllTrainingDynamics(pairs=(ORACLE,), seeds=ORACLE_SEEDS),
        experiments.MllTrainingDynamics(pairs=(PHOTOGRAPHS,), seeds=PHOTOGRAPH_SEEDS),
        experiments.EigenCam(stage=2, **ON_PHOTOGRAPHS),
        experiments.ZeroShot(omitted_sets=OMITTED_SETS, stops=ORACLE_STOPS, **TRUTH_KNOWN),
        experiments.ZeroShot(omitted_sets=OMITTED_SETS, stops=PHOTOGRAPH_STOPS, **ON_PHOTOGRAPHS),
        experiments.TeacherSize(
            pairs=tuple(replace(ORACLE, teacher=f"mlp:width={w}") for w in (32, 128, 512)),
            seeds=ORACLE_SEEDS,
        ),
        experiments.Cifar100Distillation(
            pairs=(IMAGE_ORACLE,), frameworks=FRAMEWORKS, seeds=ORACLE_SEEDS
        ),
        experiments.ImagenetDistillation(
            pairs=(TWENTY_CLASSES,), frameworks=("kd", "dkd"), seeds=ORACLE_SEEDS
        ),
        experiments.FewShot(fractions=FEW_AND_ALL, **TRUTH_KNOWN),
        experiments.FewShot(fractions=FEW_AND_ALL, **ON_PHOTOGRAPHS),
        experiments.FewShot(pair=HUNDRED_CLASSES, fractions={"kd": (0.1,)}, seeds=PHOTOGRAPH_SEEDS),
        experiments.LambdaAndCentroids(lambdas=LAMBDAS, **TRUTH_KNOWN),
        experiments.LambdaAndCentroids(lambdas=LAMBDAS, **ON_PHOTOGRAPHS),
        experiments.Alternatives(stops=ORACLE_STOPS, **SOFTER, **TRUTH_KNOWN),
        experiments.Alternatives(stops=PHOTOGRAPH_STOPS, **SOFTER, **ON_PHOTOGRAPHS),
        experiments.SemiSupervisedAndBinary(
            binary_pair=BINARY_ORACLE, binary_seeds=ORACLE_SEEDS, **TRUTH_KNOWN
        ),
        experiments.BayesOracle(**TRUTH_KNOWN),
        experiments.Proposition1(**TRUTH_KNOWN),
    ),
)
