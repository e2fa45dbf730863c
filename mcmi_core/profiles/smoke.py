"""Whether everything runs, on any CPU in minutes: short trainings of tiny networks, two seeds.

No verdict rests on it: trainings are too short and seeds too few. Evidence is `cpu`'s to give.
"""

from dataclasses import replace

from mcmi_core import experiments
from mcmi_core.experiments import small_pairs
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.profiles.profile import Profile
from mcmi_core.training.recipe import Recipe

ORACLE = replace(
    small_pairs.ORACLE,
    recipe=Recipe(evaluate_every=10).shortened(20),
    fine_tuning=Recipe(epochs=8, schedule="cosine", evaluate_every=8),
)
BINARY_ORACLE = replace(ORACLE, data=small_pairs.BINARY_ORACLE.data)

IMAGE_ORACLE = replace(
    small_pairs.IMAGE_ORACLE,
    recipe=Recipe(evaluate_every=10).shortened(10),
    fine_tuning=Recipe(epochs=4, schedule="cosine", evaluate_every=4),
)
TWENTY_CLASSES = replace(IMAGE_ORACLE, data=small_pairs.TWENTY_CLASSES.data)

DIGITS = Pair(
    data="digits",
    teacher="resnet20",
    student="resnet8",
    lam=0.25,
    tracked_lam=0.7,
    recipe=Recipe(evaluate_every=4).shortened(8),
    fine_tuning=Recipe(epochs=4, schedule="cosine", evaluate_every=4),
)
"""Real 8x8 images that come with scikit-learn."""

STOPS = (4, 8)
"""Epochs of the oracle's MLL, after which it is stopped early."""

SEEDS = (0, 1)

SMOKE = Profile(
    name="smoke",
    needs_gpu=False,
    workers=None,
    experiments=(
        experiments.WhatIsCmi(
            pair=replace(ORACLE, data=small_pairs.THREE_GAUSSIANS.data),
            stops=(2, 6),
            lambdas=(0.0, 0.7),
            temperatures=(1.0, 4.0),
            photographs=DIGITS,
            images=1,
            seed=SEEDS[0],
        ),
        experiments.Quickstart(pair=ORACLE, seeds=SEEDS),
        experiments.TemperatureAndCmi(
            pairs=(ORACLE,), temperatures=(1.0, 2.0, 4.0, 8.0), seeds=SEEDS
        ),
        experiments.MllTrainingDynamics(pairs=(ORACLE,), seeds=SEEDS),
        experiments.MllTrainingDynamics(pairs=(DIGITS,), seeds=SEEDS),
        experiments.EigenCam(pair=DIGITS, stage=2, seeds=SEEDS),
        experiments.ZeroShot(
            pair=ORACLE,
            further=(("fixed", 0.4),),
            omitted_sets=((9,), (9, 7, 5)),
            stops=STOPS,
            seeds=SEEDS,
        ),
        experiments.TeacherSize(
            pairs=tuple(replace(ORACLE, teacher=f"mlp:width={w}") for w in (32, 128, 512)),
            seeds=SEEDS,
        ),
        experiments.Cifar100Distillation(pairs=(IMAGE_ORACLE,), frameworks=FRAMEWORKS, seeds=SEEDS),
        experiments.ImagenetDistillation(
            pairs=(TWENTY_CLASSES,), frameworks=("kd", "dkd"), seeds=SEEDS
        ),
        experiments.FewShot(
            pair=ORACLE,
            fractions={"kd": (0.05, 0.25, 1.0), "crd:num_negatives=64": (0.05,)},
            seeds=SEEDS,
        ),
        experiments.LambdaAndCentroids(pair=ORACLE, lambdas=(0.25, 0.7), seeds=SEEDS),
        experiments.Alternatives(
            pair=ORACLE,
            objectives=("label_smoothing:share=0.1", "entropy:weight=0.4"),
            temperatures=(8.0,),
            stops=STOPS,
            seeds=SEEDS,
        ),
        experiments.SemiSupervisedAndBinary(
            pair=ORACLE, seeds=SEEDS, binary_pair=BINARY_ORACLE, binary_seeds=SEEDS
        ),
        experiments.BayesOracle(pair=ORACLE, seeds=SEEDS),
        experiments.Proposition1(pair=ORACLE, seeds=SEEDS),
    ),
)
