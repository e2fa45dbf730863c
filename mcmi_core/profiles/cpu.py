"""Evidence that any CPU can make: data whose truth is known, and small photographs.

What decides, and how each setting was chosen before a student was trained: docs/protocol.md.
"""

from dataclasses import replace

from mcmi_core import experiments
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.experiments.small_pairs import (
    BINARY_ORACLE,
    ORACLE,
    ORACLE_SEEDS,
    PHOTOGRAPH_SEEDS,
    PHOTOGRAPHS,
)
from mcmi_core.profiles.profile import Profile

OMITTED_SETS = ((9,), (9, 7, 5))
SOFTER = (
    "label_smoothing:share=0.1",
    "label_smoothing:share=0.4",
    "entropy:weight=0.4",
    "entropy:weight=0.6",
)
"""Other objectives that soften a teacher, in the strengths that had shown an effect."""


def _on_both(experiment: type[Experiment], **settings) -> tuple[Experiment, ...]:
    """An experiment on data whose truth is known, and on photographs."""
    return (
        experiment(pair=ORACLE, seeds=ORACLE_SEEDS, **settings),
        experiment(pair=PHOTOGRAPHS, seeds=PHOTOGRAPH_SEEDS, **settings),
    )


CPU = Profile(
    name="cpu",
    needs_gpu=False,
    workers=None,
    experiments=(
        *_on_both(experiments.Quickstart),
        *(
            experiments.TemperatureAndCmi(
                pairs=(pair,), temperatures=(1.0, 2.0, 4.0, 8.0), seeds=seeds
            )
            for pair, seeds in ((ORACLE, ORACLE_SEEDS), (PHOTOGRAPHS, PHOTOGRAPH_SEEDS))
        ),
        experiments.MllTrainingDynamics(pairs=(ORACLE,), seeds=ORACLE_SEEDS),
        experiments.MllTrainingDynamics(pairs=(PHOTOGRAPHS,), seeds=PHOTOGRAPH_SEEDS),
        experiments.EigenCam(pair=PHOTOGRAPHS, stage=2, seeds=PHOTOGRAPH_SEEDS),
        *_on_both(experiments.ZeroShot, omitted_sets=OMITTED_SETS),
        experiments.TeacherSize(
            pairs=tuple(replace(ORACLE, teacher=f"mlp:width={w}") for w in (32, 128, 512)),
            seeds=ORACLE_SEEDS,
        ),
        experiments.FewShot(
            pair=ORACLE,
            fractions={"kd": (0.05, 0.1, 0.25, 1.0), "crd:num_negatives=256": (0.05,)},
            seeds=ORACLE_SEEDS,
        ),
        experiments.FewShot(
            pair=PHOTOGRAPHS,
            fractions={"kd": (0.05, 0.1, 0.25, 1.0), "crd:num_negatives=256": (0.05,)},
            seeds=PHOTOGRAPH_SEEDS,
        ),
        *_on_both(experiments.LambdaAndCentroids, lambdas=(0.15, 0.25, 0.4, 0.7, 1.0)),
        *(
            experiments.Alternatives(
                pair=pair,
                objectives=SOFTER,
                temperatures=(8.0, 16.0),
                stops=stops,
                seeds=seeds,
            )
            for pair, stops, seeds in (
                (ORACLE, (10, 25), ORACLE_SEEDS),
                (PHOTOGRAPHS, (10, 18), PHOTOGRAPH_SEEDS),
            )
        ),
        experiments.SemiSupervisedAndBinary(
            pair=ORACLE,
            seeds=ORACLE_SEEDS,
            binary_pair=BINARY_ORACLE,
            binary_seeds=ORACLE_SEEDS,
        ),
        experiments.BayesOracle(pair=ORACLE, seeds=ORACLE_SEEDS),
        experiments.Proposition1(pair=ORACLE, seeds=ORACLE_SEEDS),
        experiments.Cifar100Distillation(
            pairs=(PHOTOGRAPHS,), frameworks=FRAMEWORKS, seeds=PHOTOGRAPH_SEEDS
        ),
    ),
)
