"""Many students at once: in turn, in processes, or stacked into one network with a model axis.

    python benchmarks/packing.py --help

A small network leaves a processor or a card mostly idle: its time goes into Python and into
launching operations. The students differ in weights and order, learn by KD from logits that a
teacher gave beforehand, and share the images. Three ways to train them:

- *in turn*, one after the other;
- *processes*, which divide the threads, or the card, among them;
- *stacked*: parameters get an axis more, `torch.vmap` runs all networks as one, and one SGD steps
  them all.
"""

import copy
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from _measure import RESULTS, best_seconds, seconds, write_table
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from mcmi_core.base.device import place
from mcmi_core.losses import kd_loss
from mcmi_core.models import create_model


class Setting(NamedTuple):
    """What a student is and sees: vectors for a perceptron, images for all others."""

    model: str
    device: torch.device
    samples: int
    batch_size: int

    @property
    def size(self) -> dict[str, int]:
        """Of the data: the oracle's, or CIFAR-100's."""
        if self.model.startswith("mlp"):
            return {"num_classes": 10, "in_channels": 256, "image_size": 1}
        return {"num_classes": 100, "in_channels": 3, "image_size": 32}

    def network(self, seed: int) -> nn.Module:
        """A student with fresh weights, ready to be trained."""
        torch.manual_seed(seed)
        return place(create_model(self.model, **self.size), self.device).train()


class Table:
    """All samples on the device: inputs, labels, and the teacher's logits (random, as they are)."""

    def __init__(self, setting: Setting) -> None:
        classes, channels, pixels = setting.size.values()
        generator = torch.Generator().manual_seed(0)
        shape = (channels,) if pixels == 1 else (channels, pixels, pixels)
        inputs = torch.randn(setting.samples, *shape, generator=generator)
        logits = torch.randn(setting.samples, classes, generator=generator)
        labels = torch.arange(setting.samples) % classes
        self.inputs, self.labels, self.logits = (
            tensor.to(setting.device) for tensor in (inputs, labels, logits)
        )
        self.batch_size = setting.batch_size

    def order(self, seed: int, steps: int) -> Tensor:
        """Which samples a student sees in each step, (steps, N)."""
        generator = torch.Generator().manual_seed(seed)
        shape = steps, self.batch_size
        order = torch.randint(len(self.labels), shape, generator=generator)
        return order.to(self.inputs.device)

    def loss(self, logits: Tensor, index: Tensor) -> Tensor:
        """Plain KD, for the logits (N, C) of the samples at ``index`` (N,)."""
        cross_entropy = F.cross_entropy(logits, self.labels[index])
        return 0.1 * cross_entropy + 0.9 * kd_loss(logits, self.logits[index], temperature=4.0)


def _optimizer(parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=5e-4, fused=True)


class InTurn:
    """Students one after the other."""

    def __init__(self, setting: Setting, seeds: range) -> None:
        self.table, self.seeds = Table(setting), seeds
        self.networks = [setting.network(seed) for seed in seeds]
        self.optimizers = [_optimizer(network.parameters()) for network in self.networks]

    def run(self, steps: int) -> None:
        """Train each for some steps."""
        for seed, network, optimizer in zip(
            self.seeds, self.networks, self.optimizers, strict=True
        ):
            for index in self.table.order(seed, steps):
                loss = self.table.loss(network(self.table.inputs[index]), index)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

    def close(self) -> None:
        """Nothing is left behind."""


class Stacked:
    """Students as one network, whose parameters and buffers have an axis for the student."""

    def __init__(self, setting: Setting, seeds: range) -> None:
        self.table, self.seeds = Table(setting), seeds
        networks = [setting.network(seed) for seed in seeds]
        self.parameters, self.buffers = stack_module_state(networks)
        skeleton = copy.deepcopy(networks[0]).to("meta")
        self.forward = torch.vmap(
            lambda parameters, buffers, inputs: functional_call(
                skeleton, (parameters, buffers), inputs
            )
        )
        self.optimizer = _optimizer(self.parameters.values())

    def run(self, steps: int) -> None:
        """Train all for some steps."""
        orders = torch.stack([self.table.order(seed, steps) for seed in self.seeds], dim=1)
        for index in orders:  # (students, N)
            logits = self.forward(self.parameters, self.buffers, self.table.inputs[index])
            # The mean over all, times their number, is the sum of each student's mean.
            loss = self.table.loss(logits.flatten(0, 1), index.flatten()) * len(index)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def close(self) -> None:
        """Nothing is left behind."""


class InProcesses:
    """A process per student, which waits for its orders at a pipe."""

    def __init__(self, setting: Setting, seeds: range) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["mcmi_core.runs.trainer"])
        threads = max(1, torch.get_num_threads() // len(seeds))
        self.pipes, self.processes = [], []
        for seed in seeds:
            here, there = context.Pipe()
            process = context.Process(
                target=_serve, args=(there, setting, range(seed, seed + 1), threads), daemon=True
            )
            process.start()
            self.pipes.append(here)
            self.processes.append(process)
            there.close()

    def run(self, steps: int) -> None:
        """Train all for some steps; done when the last one is."""
        for pipe in self.pipes:
            pipe.send(steps)
        for pipe in self.pipes:
            pipe.recv()

    def close(self) -> None:
        """End the processes."""
        for pipe in self.pipes:
            pipe.send(0)
        for process in self.processes:
            process.join()


def _serve(pipe, setting: Setting, seeds: range, threads: int) -> None:
    torch.set_num_threads(threads)
    student = InTurn(setting, seeds)
    while steps := pipe.recv():
        pipe.send(seconds(lambda steps=steps: student.run(steps), setting.device))


WAYS: dict[str, Callable] = {"in turn": InTurn, "processes": InProcesses, "stacked": Stacked}


def packing(
    device: str = "cpu",
    model: Annotated[str, typer.Option(help="mlp:... sees vectors, others images.")] = (
        "mlp:width=32"
    ),
    students: Annotated[str, typer.Option(help="How many, separated by commas.")] = "1,2,4,8,16",
    most_processes: Annotated[int, typer.Option(help="Each has a CUDA context of its own.")] = 4,
    samples: int = 4096,
    batch_size: int = 64,
    steps: int = 50,
    rounds: int = 3,
    threads: int = 2,
    output: Path = RESULTS,
) -> None:
    """Measure and write packing_DEVICE_MODEL.md: steps per second of all students together."""
    torch.set_num_threads(threads)
    setting = Setting(model, torch.device(device), samples, batch_size)
    rows = []
    for number in map(int, students.split(",")):
        contestants = {"alone": InTurn(setting, range(1))} if number > 1 else {}
        for name, way in WAYS.items():
            if name != "processes" or number <= most_processes:
                contestants[name] = way(setting, range(number))
        for contestant in contestants.values():
            contestant.run(2)  # the first steps allocate
        best = best_seconds(
            {
                name: lambda way=way: seconds(lambda: way.run(steps), setting.device)
                for name, way in contestants.items()
            },
            rounds,
        )
        for contestant in contestants.values():
            contestant.close()
        alone = best.pop("alone", best["in turn"])
        for name, value in best.items():
            each = steps / value
            ratio = f"{number * alone / value:.2f}"
            rows.append((number, name, f"{each:.1f}", f"{number * each:.1f}", ratio))
    write_table(
        f"packing_{device}_{model.partition(':')[0]}",
        f"Many students at once: {model}, batch {batch_size}, KD with remembered logits",
        ("students", "way", "steps/s each", "steps/s in total", "of one alone"),
        rows,
        output,
        device=setting.device,
        note=f"Best of {rounds} rounds of {steps} steps, in turn. Of one alone: in total, beside "
        "one student that was measured in the same rounds.",
    )


if __name__ == "__main__":
    typer.run(packing)
