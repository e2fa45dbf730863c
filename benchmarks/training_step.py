"""Training speed and memory, on the CPU or a GPU: this project's loop beside a plain PyTorch loop.

    python benchmarks/training_step.py --help

Both train the same network by the same criterion on the same images, in one process and in turn.
The plain loop is the usual one: a DataLoader with worker processes, PIL transforms image by image,
eager float32 in PyTorch's default memory order, SGD, and ``.item()`` in every step.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from _loops import CLASSES, OBJECTIVE, Ours, Plain
from _measure import RESULTS, best_seconds, peak_megabytes, random_images, seconds, write_table
from floor import cost

from mcmi_core.models import create_model

CRITERIA = (*OBJECTIVE, "kd", "crd", "reviewkd")
ON_CPU = {
    "ours": {},
    "ours bf16": {"precision": "bf16"},
    "plain": {},
}
ON_CARD = {
    "plain": {},
    "eager float32": {},
    "eager bf16": {"precision": "bf16"},
    "graph float32": {"engine": "graph"},
    "graph bf16": {"engine": "graph", "precision": "bf16"},
    **{
        f"{streams} streams": {"engine": "graph", "precision": "bf16", "streams": streams}
        for streams in (4, 8, 16)
    },
}
"""Loops by name. Several streams are as many trainings on one card, by graphs in bf16."""


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
        """A loop that trains this."""
        plain = loop == "plain"
        options = {"workers": self.workers} if plain else (ON_CPU | ON_CARD)[loop]
        return (Plain if plain else Ours)(
            self.criterion,
            random_images(self.images, CLASSES, self.image_size),
            self.batch_size,
            torch.device(self.device),
            student=self.student,
            teacher=self.teacher,
            **options,
        )

    def floor(self, terabytes_per_second: float) -> float:
        """Seconds per image that a card's memory needs at least, for the networks alone in bf16."""
        size = {"num_classes": CLASSES, "in_channels": 3, "image_size": self.image_size}
        parts = [(self.student, True)]
        if self.criterion not in OBJECTIVE:
            parts.append((self.teacher, False))
        costs = [
            cost(create_model(name, **size), self.image_size, self.batch_size, backward=backward)
            for name, backward in parts
        ]
        return sum(part.fused_bytes for part in costs) / (terabytes_per_second * 1e12)


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
    criteria: Annotated[
        str, typer.Option(help="Separated by commas; the default is all, on a GPU mll and kd.")
    ] = "",
    loops: Annotated[
        str, typer.Option(help=f"Of {', '.join(ON_CPU)}; on a GPU {', '.join(ON_CARD)}.")
    ] = "",
    memory: Annotated[bool, typer.Option(help="Also peak memory, on the CPU.")] = True,
    minutes: Annotated[float, typer.Option(help="No new measurement after that.")] = math.inf,
    output: Path = RESULTS,
    rows_to: Annotated[Path | None, typer.Option(help="Also as JSON, for programs.")] = None,
) -> None:
    """Measure and write training_step_DEVICE.md: the best of some rounds of some steps.

    On a GPU, MLL trains the teacher's network.
    """
    deadline = time.monotonic() + 60 * minutes
    torch.set_num_threads(threads)
    place = torch.device(device)
    on_cpu = place.type == "cpu"
    steps = steps or (3 if on_cpu else 100)
    known = ON_CPU if on_cpu else ON_CARD
    chosen = loops.split(",") if loops else list(known)
    for name in chosen:
        if name not in known:
            raise typer.BadParameter(f"unknown loop {name!r}; choose from {', '.join(known)}")
    bandwidth = 0.0 if on_cpu else terabytes_per_second(place)
    rows = []
    for criterion in (criteria or ",".join(CRITERIA if on_cpu else ("kd", "mll"))).split(","):
        network = student if on_cpu or criterion not in OBJECTIVE else teacher
        sizes = images, image_size, batch_size
        setting = Setting(criterion, network, teacher, *sizes, device, workers)
        speed = {}
        if on_cpu:  # in turn, as other programs may disturb one and not the other
            runs = {name: setting.make(name).run for name in chosen}
            best = _best(runs, steps, rounds)
            speed = {name: steps * batch_size / value for name, value in best.items()}
        for name in chosen:
            if not on_cpu:
                if time.monotonic() > deadline:
                    break
                loop = setting.make(name)
                [best] = _best({name: loop.run}, steps, rounds).values()
                loop.close()
                images_done = ON_CARD[name].get("streams", 1) * steps * batch_size
                speed[name] = images_done / best
            row = {"network": network, "criterion": criterion, "loop": name}
            row["images/s"] = round(speed[name])
            row["of plain"] = f"{speed[name] / speed['plain']:.2f}" if "plain" in speed else ""
            if not on_cpu:
                row["% of floor"] = f"{100 * speed[name] * setting.floor(bandwidth):.1f}"
            elif memory:
                peak = peak_megabytes(_steps_alone, threads, name, setting, device=place)
                row["peak MB"] = f"{peak:.0f}"
            rows.append(row)
    note = f"Best of {rounds} rounds of {steps} steps; {workers} workers load for plain. "
    if on_cpu:
        note += "Loops take turns. Peak: growth of the process over its imports in two steps."
    else:
        note += (
            "Plain is PyTorch's default: TF32, nothing deterministic; ours is float32 or bf16, "
            "and deterministic. Streams: trainings at once, all by graphs in bf16, images/s "
            f"together. Floor: the fused traffic of floor.py at {bandwidth:.2f} TB/s, which this "
            "card reached when it copied a gigabyte, read and written bytes counted."
        )
    write_table(
        f"training_step_{place.type}",
        f"{student} at {image_size}x{image_size}, batch {batch_size}, teacher {teacher}, "
        f"{images} images",
        tuple(rows[0]),
        [tuple(row.values()) for row in rows],
        output,
        note=note,
        device=place,
    )
    if rows_to:
        rows_to.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _best(runs: dict[str, Callable[[int], float]], steps: int, rounds: int) -> dict[str, float]:
    """The fewest seconds of each loop, after as many steps that allocate and capture."""
    for run in runs.values():
        run(steps)
    return best_seconds({n: lambda run=run: run(steps) for n, run in runs.items()}, rounds)


def terabytes_per_second(device: torch.device) -> float:
    """What a card moves when it copies a gigabyte, read and written bytes counted."""
    source = torch.zeros(2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copies = 10
    best = best_seconds(
        {"": lambda: seconds(lambda: [target.copy_(source) for _ in range(copies)], device)}, 3
    )
    return 2 * copies * source.nbytes / best[""] / 1e12


def _steps_alone(threads: int, loop: str, setting: Setting) -> None:
    torch.set_num_threads(threads)
    setting.make(loop).run(2)


if __name__ == "__main__":
    typer.run(training_step)
