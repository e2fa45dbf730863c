"""What a sprint trains, in the order of what decides a claim first.

On the profile ``gpu``'s photographs of CIFAR-10, then on those of Tiny-ImageNet where they are.
"""

from mcmi_core.base.paths import data_root
from mcmi_core.experiments import Alternatives, Cifar100Distillation, EigenCam, FewShot, ZeroShot
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.profiles.gpu import CIFAR10_JPEG, SEEDS, STOP, TINY_IMAGENET
from mcmi_core.runs.config import Run

PAIR = CIFAR10_JPEG
FEW = 0.05
EARLIER = 96
"""Epochs of MLL, of 240, to stop it after: 40 % of the training, as 10 of 25 is on the CPU."""


def decisive(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """Zero-shot, few-shot and all the data: both kinds of MCMI, with their controls."""
    stops = (STOP,) if pair == PAIR else ()  # a rehearsal is shorter than that
    return [
        ZeroShot(pair=pair, omitted_sets=((9,),), stops=stops, seeds=seeds),
        FewShot(pair=pair, fractions={"kd": (FEW, 1.0)}, seeds=seeds),
    ]


def further(pair: Pair = PAIR, seeds: tuple[int, ...] = SEEDS) -> list[Experiment]:
    """What comes if time is left.

    What the same teachers look at, and other ways to soften them; then, where Tiny-ImageNet is in
    ``MCMI_DATA``, few-shot and a row of the table on it. Nothing for another pair: that is a
    rehearsal.
    """
    if pair != PAIR:
        return []
    on_same_teachers = [
        EigenCam(pair=pair, stage=3, seeds=seeds),
        Alternatives(
            pair=pair,
            objectives=("label_smoothing:share=0.1", "entropy:weight=0.4"),
            temperatures=(8.0,),
            stops=(STOP, EARLIER),
            mse=False,
            seeds=seeds,
        ),
        ZeroShot(pair=pair, omitted_sets=((9,),), stops=(EARLIER,), seeds=seeds),
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
