"""Training speed and memory, on the CPU or a GPU: this project's loop beside a plain PyTorch loop.

    python benchmarks/training_step.py --help

Both train the same network by the same criterion on the same images, in one process and in turn.
The plain loop is the usual one: a DataLoader with worker processes, PIL transforms image by image,
eager float32 in PyTorch's default memory order, SGD, and ``.item()`` in every step.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from _loops import CLASSES, OBJECTIVE, Ours, Plain
from _measure import RESULTS, best_seconds, peak_megabytes, random_images, write_table
from floor import TERABYTES_PER_SECOND, TFLOPS, cost

from mcmi_core.models import create_model

CRITERIA = (*OBJECTIVE, "kd", "crd", "reviewkd")
LOOPS = {
    "ours": {},
    "ours bf16": {"precision": "bf16"},
    "ours compiled": {"compiled": True},
    "ours bf16 compiled": {"precision": "bf16", "compiled": True},
    "plain": {},
}


class Setting(NamedTuple):
    """What is trained, on what."""

    criterion: str
    student: str
    teacher: str
    images: int
    image_size: int
    batch_size: int
    device: str
    workers: int

    def make(self, loop: str) -> Ours | Plain:
        """A loop of :data:`LOOPS` that trains this."""
        plain = loop == "plain"
        options = {"workers": self.workers} if plain else LOOPS[loop]
        return (Plain if plain else Ours)(
            self.criterion,
            random_images(self.images, CLASSES, self.image_size),
            self.batch_size,
            torch.device(self.device),
            student=self.student,
            teacher=self.teacher,
            **options,
        )

    def floor(self) -> float:
        """Seconds per image that an H200 needs at least, for the networks alone."""
        size = {"num_classes": CLASSES, "in_channels": 3, "image_size": self.image_size}
        parts = [(self.student, True)]
        if self.criterion not in OBJECTIVE:
            parts.append((self.teacher, False))
        costs = [
            cost(create_model(name, **size), self.image_size, self.batch_size, backward=backward)
            for name, backward in parts
        ]
        return max(
            sum(part.operations for part in costs) / (TFLOPS * 1e12),
            sum(part.fused_bytes for part in costs) / (TERABYTES_PER_SECOND * 1e12),
        )


def training_step(
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    student: str = "resnet20",
    teacher: str = "resnet56",
    batch_size: int = 64,
    images: int = 4096,
    image_size: int = 32,
    steps: Annotated[int, typer.Option(help="0: 3 on the CPU, 100 on a GPU.")] = 0,
    rounds: int = 3,
    threads: int = 2,
    workers: Annotated[int, typer.Option(help="Processes that load for the plain loop.")] = 2,
    criteria: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(CRITERIA),
    loops: Annotated[
        str,
        typer.Option(
            help=f"Of {', '.join(LOOPS)}; the default is all on a GPU, ours and plain on the CPU. "
            "Compiling takes minutes."
        ),
    ] = "",
    memory: Annotated[bool, typer.Option(help="Also peak memory, except where compiled.")] = True,
    output: Path = RESULTS,
) -> None:
    """Measure and write training_step_DEVICE.md: the best of some rounds of some steps.

    On a GPU the teacher's own training is measured too.
    """
    torch.set_num_threads(threads)
    on_cpu = torch.device(device).type == "cpu"
    steps = steps or (3 if on_cpu else 100)
    chosen = (loops or ("ours,plain" if on_cpu else ",".join(LOOPS))).split(",")
    for name in chosen:
        if name not in LOOPS:
            raise typer.BadParameter(f"unknown loop {name!r}; choose from {', '.join(LOOPS)}")
    trained = [(criterion, student) for criterion in criteria.split(",")]
    trained += [] if on_cpu else [("mll", teacher)]
    rows = []
    for criterion, network in trained:
        sizes = images, image_size, batch_size
        setting = Setting(criterion, network, teacher, *sizes, device, workers)
        # Compiled are calls, not the features that other distillers read.
        names = [n for n in chosen if "compiled" not in n or criterion in (*OBJECTIVE, "kd")]
        runs = {name: setting.make(name).run for name in names}
        first = {name: run(1) for name, run in runs.items()}  # allocates, and compiles
        best = best_seconds(
            {name: lambda run=run: run(steps) for name, run in runs.items()}, rounds
        )
        speed = {name: steps * batch_size / value for name, value in best.items()}
        for name in names:
            compiled = "compiled" in name
            peak = ""
            if memory and not compiled:
                steps_alone = (_steps_alone, threads, name, setting)
                peak = f"{peak_megabytes(*steps_alone, device=torch.device(device)):.0f}"
            ratio = f"{speed[name] / speed['plain']:.2f}" if "plain" in speed else ""
            compiling = f"{first[name]:.0f}" if compiled else ""
            row = (network, criterion, name, f"{speed[name]:.0f}", ratio, peak, compiling)
            floor = () if on_cpu else (f"{100 * speed[name] * setting.floor():.1f}",)
            rows.append(row + floor)
    columns = ("network", "criterion", "loop", "images/s", "of plain", "peak MB", "compiling, s")
    note = f"Best of {rounds} rounds of {steps} steps, in turn; {workers} workers load for plain. "
    if on_cpu:
        note += "Peak: growth of the process over its imports in two steps, workers not counted."
    else:
        columns += ("% of floor",)
        note += (
            "Peak: what torch allocated on the card in two steps. The floor is that of floor.py "
            "for an H200 in bf16, networks alone: on another card the last column says little."
        )
    write_table(
        f"training_step_{torch.device(device).type}",
        f"{student} at {image_size}x{image_size}, batch {batch_size}, teacher {teacher}, "
        f"{images} images",
        columns,
        rows,
        output,
        note=note,
        device=torch.device(device),
    )


def _steps_alone(threads: int, loop: str, setting: Setting) -> None:
    torch.set_num_threads(threads)
    setting.make(loop).run(2)


if __name__ == "__main__":
    typer.run(training_step)
