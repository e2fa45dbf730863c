"""Training speed and memory on the CPU: this project's loop beside a plain PyTorch loop.

    python benchmarks/cpu_step.py --help

Both train the same network by the same criterion on the same images, in one process and in turn.
The plain loop is the usual one: a DataLoader with worker processes, PIL transforms image by image,
eager float32 in PyTorch's default memory order, SGD, and ``.item()`` in every step.
"""

from collections.abc import Iterator
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Annotated

import torch
import typer
from _measure import (
    RESULTS,
    best_seconds,
    peak_megabytes,
    random_images,
    seconds,
    write_table,
)
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from mcmi_core.data import Dataset
from mcmi_core.data.loader import Batch, training_batches
from mcmi_core.device import place
from mcmi_core.distillers import DISTILLERS
from mcmi_core.models import create_model
from mcmi_core.objectives import OBJECTIVES
from mcmi_core.train import _train_steps

CPU = torch.device("cpu")
CLASSES = 100
OBJECTIVE = {"mll": "mll", "mcmi": "mcmi:lam=0.2,centroids=tracked"}
CRITERIA = (*OBJECTIVE, "kd", "crd", "reviewkd")


class PILImages(TorchDataset):
    """The training images as PIL images, transformed one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = [
            Image.fromarray(image.permute(1, 2, 0).numpy()) for image in dataset.train.inputs
        ]
        self.labels = dataset.train.labels.tolist()
        size = dataset.image_size
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=size // 8),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(dataset.mean, dataset.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        """The image, its label and its place."""
        return self.transform(self.images[index]), self.labels[index], index


class Training:
    """A student and what trains it, as this project places it in memory or as PyTorch does."""

    def __init__(
        self, criterion: str, dataset: Dataset, student: str, teacher: str, *, placed: bool
    ) -> None:
        torch.manual_seed(0)
        size = {"num_classes": CLASSES, "in_channels": 3, "image_size": dataset.image_size}
        self.model = create_model(student, **size)
        if criterion in OBJECTIVE:
            self.criterion = OBJECTIVES.build(OBJECTIVE[criterion], num_classes=CLASSES)
        else:
            network = create_model(teacher, **size)
            self.criterion = DISTILLERS.build(
                criterion,
                student=self.model,
                teacher=place(network, CPU) if placed else network,
                sample=dataset.normalise(dataset.train.inputs[:2]),
                labels=dataset.train.labels,
            )
        if placed:
            place(self.model, CPU)
            place(self.criterion, CPU)
        self.optimizer = torch.optim.SGD(
            [*self.model.parameters(), *self.criterion.parameters()],
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            fused=placed,
        )
        self.model.train()
        self.criterion.train()


class Ours(Training):
    """This project's loop."""

    def __init__(self, criterion: str, dataset: Dataset, batch_size: int, **networks: str) -> None:
        super().__init__(criterion, dataset, **networks, placed=True)
        self.batches = _endless(dataset, batch_size)

    def run(self, steps: int) -> float:
        """Seconds for some steps."""
        batches = islice(self.batches, steps)
        return seconds(lambda: _train_steps(self.model, self.criterion, self.optimizer, batches))


def _endless(dataset: Dataset, batch_size: int) -> Iterator[Batch]:
    length = len(dataset.train)
    for epoch, _ in enumerate(repeat(None)):
        yield from training_batches(
            dataset,
            dataset.train,
            batch_size=batch_size,
            epoch_length=length - length % batch_size,
            seed=0,
            epoch=epoch,
            device=CPU,
        )


class Plain(Training):
    """The usual loop."""

    def __init__(self, criterion: str, dataset: Dataset, batch_size: int, **networks: str) -> None:
        super().__init__(criterion, dataset, **networks, placed=False)
        self.loader = DataLoader(
            PILImages(dataset),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=2,
            prefetch_factor=1,
            persistent_workers=True,
        )
        self.batches = (Batch(*batch) for loader in cycle([self.loader]) for batch in loader)

    def run(self, steps: int) -> float:
        """Seconds for some steps, after those whose batches the workers had ready."""
        self._steps(self.loader.num_workers)
        return seconds(lambda: self._steps(steps))

    def _steps(self, steps: int) -> None:
        total = 0.0
        for batch in islice(self.batches, steps):
            loss = sum(self.criterion.terms(self.model, batch).values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()


LOOPS = {"ours": Ours, "plain": Plain}


def cpu_step(
    student: str = "resnet20",
    teacher: str = "resnet56",
    batch_size: int = 64,
    images: int = 4096,
    image_size: int = 32,
    steps: int = 3,
    rounds: int = 3,
    threads: int = 2,
    criteria: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(CRITERIA),
    compiled: Annotated[
        bool, typer.Option(help="Also torch.compile; compiling takes minutes.")
    ] = False,
    memory: Annotated[bool, typer.Option(help="Also peak memory.")] = True,
    output: Path = RESULTS,
) -> None:
    """Measure and write cpu_step.md: the best of some rounds of some steps."""
    torch.set_num_threads(threads)
    setting = (images, image_size, batch_size, student, teacher)
    rows = []
    for criterion in criteria.split(","):
        loops = {name: _make(name, criterion, *setting) for name in LOOPS}
        if compiled and criterion == "mll":
            loops["ours, compiled"] = _make("ours", criterion, *setting)
            loops["ours, compiled"].model.compile()
        # The first step allocates, and compiles.
        first = {name: loop.run(1) for name, loop in loops.items()}
        best = best_seconds(
            {name: lambda loop=loop: loop.run(steps) for name, loop in loops.items()}, rounds
        )
        speed = {name: steps * batch_size / value for name, value in best.items()}
        for name in loops:
            peak = compiling = ""
            if name not in LOOPS:
                compiling = f"{first[name]:.0f}"
            elif memory:
                peak = f"{peak_megabytes(_steps_alone, threads, name, criterion, *setting):.0f}"
            ratio = f"{speed[name] / speed['plain']:.2f}"
            rows.append((criterion, name, f"{speed[name]:.0f}", ratio, peak, compiling))
    write_table(
        "cpu_step",
        f"{student} at {image_size}x{image_size}, batch {batch_size}, teacher {teacher}, "
        f"{images} images",
        ("criterion", "loop", "images/s", "of plain", "peak MB", "compiling, s"),
        rows,
        output,
        note=f"Best of {rounds} rounds of {steps} steps, in turn. Peak: growth of the training "
        "process over its imports in two steps, data workers not counted.",
    )


def _make(
    loop: str,
    criterion: str,
    images: int,
    image_size: int,
    batch_size: int,
    student: str,
    teacher: str,
) -> Ours | Plain:
    dataset = random_images(images, CLASSES, image_size)
    return LOOPS[loop](criterion, dataset, batch_size, student=student, teacher=teacher)


def _steps_alone(threads: int, *setting) -> None:
    torch.set_num_threads(threads)
    _make(*setting).run(2)


if __name__ == "__main__":
    typer.run(cpu_step)
