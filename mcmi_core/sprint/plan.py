"""What a sprint trains, in the order of what decides a claim first.

CIFAR-10's first 1,000 images of each class, as a folder of JPEG files: with as many looks at each
image as this recipe has, a teacher fits them closely, as the paper's teachers fit theirs.
"""

from dataclasses import replace

from mcmi_core.experiments import FewShot, ZeroShot
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Part, Run, Teacher
from mcmi_core.training.recipe import Recipe

SEEDS = (0, 1, 2, 3, 4)
FEW = 0.05
LAM = 0.25

PAIR = Pair(
    data="imagefolder:folder=cifar10-jpeg,images_per_class=1000",
    teacher="resnet56",
    student="resnet20",
    lam=LAM,
    recipe=Recipe(precision="bf16", evaluate_every=10).shortened(60),
    fine_tuning=Recipe(precision="bf16", evaluate_every=10, epochs=20, schedule="cosine"),
)
"""The paper's networks and λ; a quarter of its epochs."""

TEACHERS = (("fixed", 0.0), ("fixed", LAM), ("tracked", LAM))
"""Centroid policies and λ of fine-tuned teachers; with λ = 0, the control."""


def experiments(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """Zero-shot, then few-shot for each way of fine-tuning."""
    zero_shot = ZeroShot(pair=pair, teachers=TEACHERS, omitted_sets=((9,),), seeds=seeds)
    few_shot = [
        FewShot(
            pair=replace(pair, centroids=policy, lam=lam), fractions={"kd": (FEW,)}, seeds=seeds
        )
        for policy, lam in TEACHERS
    ]
    return [zero_shot, *few_shot]


def from_scratch(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Run]:
    """The few-shot student without a teacher."""
    return [
        Teacher(
            data=pair.data,
            model=pair.student,
            objective="mll",
            part=Part(fraction=FEW, seed=seed),
            recipe=pair.recipe,
            seed=seed,
        )
        for seed in seeds
    ]
