"""What a sprint trains, in the order of what decides a claim first.

On the profile ``gpu``'s photographs of CIFAR-10, then on those of Tiny-ImageNet where they are.
"""

from dataclasses import replace

from mcmi_core.base.paths import data_root
from mcmi_core.experiments import Alternatives, Cifar100Distillation, EigenCam, FewShot, ZeroShot
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.profiles.gpu import CIFAR10_JPEG, GPU, SEEDS, TINY_IMAGENET
from mcmi_core.runs.config import Run

PAIR = CIFAR10_JPEG
FEW = 0.05


def decisive(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """Zero-shot, few-shot, all the data: both kinds of MCMI, with their controls."""
    return [
        ZeroShot(pair=pair, omitted_sets=((9,),), seeds=seeds),
        FewShot(pair=pair, fractions={"kd": (FEW,)}, seeds=seeds),
        FewShot(pair=pair, fractions={"kd": (1.0,)}, seeds=seeds),
    ]


def further(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """What comes if time is left.

    Other ways to soften these teachers, few-shot and zero-shot, and what the teachers look at, as
    the profile has it; then, where Tiny-ImageNet is in ``MCMI_DATA``, few-shot and a row of the
    table on it. Nothing for another pair: that is a rehearsal.
    """
    if pair != PAIR:
        return []
    on_same_teachers = [
        replace(experiment, seeds=seeds)
        for experiment in GPU.experiments
        if isinstance(experiment, (Alternatives, EigenCam, ZeroShot)) and experiment.pair == pair
    ]
    if not (data_root() / TINY_IMAGENET.data_title).is_dir():
        return on_same_teachers
    return [
        *on_same_teachers,
        FewShot(pair=TINY_IMAGENET, fractions={"kd": (FEW,)}, seeds=seeds),
        Cifar100Distillation(pairs=(TINY_IMAGENET,), frameworks=FRAMEWORKS, seeds=seeds),
    ]


def wanted(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Run]:
    """All runs, in the order in which they are wanted."""
    chosen = [*decisive(pair, seeds), *further(pair, seeds)]
    return [run for experiment in chosen for run in experiment.runs()]
