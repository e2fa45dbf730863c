"""What a sprint trains, in the order of what decides a claim first.

CIFAR-10's first 500 images of each class, as a folder of JPEG files. So each class has as many as
in CIFAR-100, and a teacher that looks at each 80 times fits them closely, as the paper's do theirs.
"""

from dataclasses import replace

from mcmi_core.base.paths import data_root
from mcmi_core.experiments import Cifar100Distillation, FewShot, ZeroShot
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.runs.config import Run
from mcmi_core.training.recipe import Recipe

SEEDS = (0, 1, 2, 3, 4)
FEW = 0.05
LAM = 0.25

PAIR = Pair(
    data="imagefolder:folder=cifar10-jpeg,images_per_class=500",
    teacher="resnet56",
    student="resnet20",
    lam=LAM,
    tracked_lam=LAM,
    recipe=Recipe(precision="bf16", evaluate_every=0).shortened(80),
    fine_tuning=Recipe(precision="bf16", evaluate_every=0, epochs=20, schedule="cosine"),
)
"""The paper's networks and λ; a third of its epochs."""

TINY_IMAGENET = "tinyimagenet100-32"

TABLE_PAIR = Pair(
    data=f"imagefolder:folder={TINY_IMAGENET}",
    teacher="resnet56",
    student="resnet20",
    lam=0.15,
    recipe=Recipe(precision="bf16", evaluate_every=0).shortened(30),
    fine_tuning=Recipe(precision="bf16", evaluate_every=0, epochs=10, schedule="cosine"),
    distillers=("dkd:beta=2",),
)
"""As many classes and images as CIFAR-100; an eighth of the paper's epochs."""

MORE_OMITTED = ((9, 7), (9, 7, 5), (9, 7, 5, 3, 1), (9, 7, 5, 3, 1, 0))


def decisive(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """Zero-shot and few-shot: both kinds of MCMI, with their controls."""
    return [
        ZeroShot(pair=pair, omitted_sets=((9,),), seeds=seeds),
        FewShot(pair=pair, fractions={"kd": (FEW,)}, seeds=seeds),
    ]


def further(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """What comes if time is left.

    Where Tiny-ImageNet is in ``MCMI_DATA``, few-shot and a row of the table on it; then zero-shot
    with more classes omitted. Nothing for another pair: that is a rehearsal.
    """
    if pair != PAIR:
        return []
    on_tiny_imagenet = []
    if (data_root() / TINY_IMAGENET).is_dir():
        on_tiny_imagenet = [
            FewShot(pair=TABLE_PAIR, fractions={"kd": (FEW,)}, seeds=seeds),
            Cifar100Distillation(pairs=(TABLE_PAIR,), frameworks=FRAMEWORKS, seeds=seeds[:3]),
        ]
    return [*on_tiny_imagenet, ZeroShot(pair=pair, omitted_sets=MORE_OMITTED, seeds=seeds)]


def controls(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> dict[str, list[Run]]:
    """Students without a teacher on all samples; in float32 too, to see what bf16 costs."""
    float32 = replace(pair, recipe=pair.recipe.model_copy(update={"precision": "float32"}))
    return {
        f"from scratch, all samples, {each.recipe.precision}": [
            each.student_from_scratch(seed) for seed in seeds
        ]
        for each in (pair, float32)
    }


def wanted(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Run]:
    """All runs, in the order in which they are wanted."""
    runs = [run for experiment in decisive(pair, seeds) for run in experiment.runs()]
    runs += [run for each in controls(pair, seeds).values() for run in each]
    return runs + [run for experiment in further(pair, seeds) for run in experiment.runs()]
