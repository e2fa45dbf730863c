"""How long runs take, for schedule.py: as recorded, or from measured images/s."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from _measure import RESULTS
from floor import TERABYTES_PER_SECOND, cost

from mcmi_core.models import create_model
from mcmi_core.runs.config import Run, Student
from mcmi_core.runs.records import Record
from mcmi_core.runs.trainer import GLANCED_SAMPLES

UNRECORDED = 1.0
"""Seconds, assumed, of what trains nothing: measurements and true posteriors record no time."""


class Images(NamedTuple):
    """What an epoch and an evaluation of a data set look at."""

    train: int
    test: int
    pixels: int
    classes: int
    batch_size: int


DATA = {
    "cifar100": Images(50_000, 10_000, 32, 100, 64),
    "imagefolder": Images(1_281_167, 50_000, 224, 1000, 256),  # ImageNet, in the profile `paper`
}


class Speed(NamedTuple):
    """Bytes/s of fused traffic (floor.py) that one training gets through."""

    teacher: float
    student: float


FLOOR = Speed(TERABYTES_PER_SECOND * 1e12, TERABYTES_PER_SECOND * 1e12)
"""All that an H200's memory can: no measurement, but a bound that nothing beats in bf16."""


def measured(name: str) -> dict[tuple[str, str], int]:
    """Images/s by criterion and loop, of a table of training_step.py."""
    lines = (RESULTS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| resnet")]
    return {(row[1], row[2]): int(row[3]) for row in rows}


def on_h200(loop: str) -> Speed:
    """What one training gets on an H200 that it has to itself, by training_step_cuda.md.

    Measured are MLL of ResNet-56 and KD from it to ResNet-20. Other networks are assumed to move as
    many bytes a second.

    Args:
        loop: of the table.
    """
    rates, images = measured("training_step_cuda"), DATA["cifar100"]
    teacher = traffic("resnet56", images, backward=True)
    student = traffic("resnet56", images) + traffic("resnet20", images, backward=True)
    return Speed(rates["mll", loop] * teacher, rates["kd", loop] * student)


def gain_on_h200(streams: int) -> float:
    """Images/s of so many KD students at once over those of one, in bf16; between, a line."""
    rates = measured("training_step_cuda")
    found = {1: rates["kd", "graph bf16"]} | {n: rates["kd", f"{n} streams"] for n in (4, 8, 16)}
    below = max(number for number in found if number <= streams)
    above = min(number for number in found if number >= min(streams, max(found)))
    share = (streams - below) / (above - below) if above > below else 0.0
    return (found[below] + share * (found[above] - found[below])) / found[1]


@cache
def traffic(model: str, images: Images, *, backward: bool = False) -> float:
    """Bytes that one image moves at least, in bf16: forward, or forward and backward."""
    network = create_model(
        model, num_classes=images.classes, in_channels=3, image_size=images.pixels
    )
    return cost(network, images.pixels, images.batch_size, backward=backward).fused_bytes


@cache
def times_kd(framework: str) -> float:
    """Time of a framework's step as a share of KD's, on the CPU; 1 where it was not measured."""
    rates = measured("training_step_cpu")
    return rates["kd", "ours"] / rates.get((framework, "ours"), rates["kd", "ours"])


def computed(runs: Iterable[Run], speed: Speed) -> dict[str, float]:
    """Seconds by key: bytes moved by training and evaluations, over bytes/s.

    A teacher's forward pass is counted in every step, though logits of KD are remembered.
    """
    return {run.key: _seconds(run, speed) for run in runs}


def _seconds(run: Run, speed: Speed) -> float:
    if not run.epochs:
        return UNRECORDED
    images, model = DATA[run.data.name], str(run.model)
    step = traffic(model, images, backward=True)
    if isinstance(run, Student):
        step = (step + traffic(str(run.teacher.model), images)) * times_kd(run.distiller.name)
    looks = sum(map(run.recipe.evaluates_after, range(1, run.epochs + 1)))
    looked_at = looks * images.test + images.train
    if run.recipe.evaluate_train:
        looked_at += (looks - 1) * GLANCED_SAMPLES
    moved = run.epochs * images.train * step + looked_at * traffic(model, images)
    return moved / (speed.student if isinstance(run, Student) else speed.teacher)


def recorded(records: Iterable[Record]) -> dict[str, float]:
    """Seconds by key, as records state them; of runs stacked into one, the share of each."""
    return {r.key: float(r.provenance.get("seconds", UNRECORDED)) for r in records}
