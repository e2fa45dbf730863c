"""Does a GPU train as the CPU does, captured or not, and twice to the same bits?

Each method trains a ResNet-8 for some steps on the same random images, from the same weights. Two
trainings are compared by the distance that they end up apart, as a share of the way they went:

    ‖w_a − w_b‖ / ‖w_b − w_start‖,   w: all weights of the network in one vector.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from mcmi_core.base.device import make_reproducible, place
from mcmi_core.base.seeding import WEIGHTS, seed_torch
from mcmi_core.components import DISTILLERS, NEED_HEADS, OBJECTIVES
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import EpochPlan, training_batches
from mcmi_core.data.split import Dataset, Split
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.training.lanes import Engine, run_in_lanes
from mcmi_core.training.loop import CHECK_EVERY, Checkpoint, Training, training
from mcmi_core.training.recipe import Recipe

METHODS = ("mll", "mcmi:lam=0.2,centroids=fixed", "mcmi:lam=0.2,centroids=tracked", "kd", "crd")
"""What is checked against the CPU."""

STEPS = 20
CLASSES, BATCH_SIZE, IMAGE_SIZE = 10, 64, 32
LONG_METHOD = "crd"
"""It draws random numbers in every step, and has memory banks."""

CPU = torch.device("cpu")

TOLERANCES = {"eager − CPU": 0.02, "graph − eager": 1e-6, "graph again": 0.0, "graph, bf16": 1e-6}
"""The largest distance at which two trainings agree. A CPU adds in another order, and every step
amplifies that."""

LONG = CHECK_EVERY + 10
"""Steps in an epoch where it matters that a window ends within it; on a CPU, three will do."""

AMPLIFIED = {"crd": 0.25}
"""Instead, against the CPU: CRD's exp(⟨·,·⟩ / 0.07) amplifies most."""


@dataclass(frozen=True)
class Trained:
    """How a short training ended."""

    weights: Tensor
    """All of the network's, in one vector, on the CPU."""
    start: Tensor
    """What they were before."""


def check(device: torch.device, methods: Iterable[str] = METHODS) -> pd.DataFrame:
    """Train by each method on the CPU and on a device, eagerly and captured, and compare.

    Args:
        device: to be checked.
        methods: objectives and distillers.

    Returns:
        ``method``, ``compared``, ``distance``, ``tolerance`` and whether it ``agrees``.
    """
    make_reproducible(device)
    rows = []
    for method in methods:
        on_cpu = trained(method, CPU)
        eager, graph, again = (trained(method, device, e) for e in ("eager", "graph", "graph"))
        in_bf16 = [trained(method, device, e, precision="bf16") for e in ("graph", "eager")]
        pairs = {
            "eager − CPU": (eager, on_cpu),
            "graph − eager": (graph, eager),
            "graph again": (again, graph),
            "graph, bf16": tuple(in_bf16),
        }
        for compared, pair in pairs.items():
            tolerance = TOLERANCES[compared]
            if compared == "eager − CPU":
                tolerance = AMPLIFIED.get(method, tolerance)
            apart = distance(*pair)
            rows.append((method, compared, apart, tolerance, apart <= tolerance))
    for compared, apart in _go_on_alike(device).items():
        rows.append((LONG_METHOD, compared, apart, 0.0, apart == 0))
    return pd.DataFrame(rows, columns=["method", "compared", "distance", "tolerance", "agrees"])


def _go_on_alike(device: torch.device) -> dict[str, float]:
    """Distances of a training of two epochs from the same beside another, and resumed."""
    steps = LONG if device.type == "cuda" else 3
    settings = {"steps": steps, "epochs": 2, "same_on_all_devices": False}
    alone, beside, resumed = (_Short(LONG_METHOD, device, **settings) for _ in range(3))
    other = _Short("mll", device, **settings)
    for lanes in ([alone], [beside, other]):
        run_in_lanes([short.training() for short in lanes], device)
    run_in_lanes([resumed.training(alone.checkpoints[0])], device)
    expected = alone.trained()
    return {
        "graph beside another": distance(beside.trained(), expected),
        "graph resumed": distance(resumed.trained(), expected),
    }


def distance(one: Trained, other: Trained) -> float:
    """How far two trainings ended up apart, as a share of the way that the other went."""
    way = torch.linalg.vector_norm(other.weights - other.start)
    return (torch.linalg.vector_norm(one.weights - other.weights) / way).item()


def trained(method: str, device: torch.device, engine: Engine = "eager", **settings) -> Trained:
    """Train a ResNet-8 by a method on random images.

    Args:
        method: an objective or a distiller, with its options.
        device: where.
        engine: how a GPU does steps.
        settings: ``precision``, ``epochs``, and ``steps`` in an epoch, after which comes a smaller
            batch.
    """
    short = _Short(method, device, **settings)
    run_in_lanes([short.training()], device, engine)
    return short.trained()


class _Short:
    """A short training of a ResNet-8 on random images."""

    def __init__(
        self,
        method: str,
        device: torch.device,
        *,
        precision: str = "float32",
        steps: int = STEPS,
        epochs: int = 1,
        same_on_all_devices: bool = True,
    ) -> None:
        self.device = device
        self.dataset = random_images(steps * BATCH_SIZE + BATCH_SIZE // 2)
        self.samples = self.dataset.train.to(device)
        self.recipe = Recipe(epochs=epochs, learning_rate=0.01, milestones=(), precision=precision)
        seed_torch(0, 0, WEIGHTS)
        model = _network(self.dataset)
        teacher = _network(self.dataset, "resnet14")
        criterion = criterion_of(method, model, teacher, self.dataset)
        if method == "crd" and same_on_all_devices:
            criterion.negatives = _SameNegatives(len(self.samples))
        self.start = _all_weights(model)
        self.model, self.criterion = (place(p, device, precision) for p in (model, criterion))
        if hasattr(criterion, "teacher"):
            place(criterion.teacher, device, precision)
        self.checkpoints: list[Checkpoint] = []

    def training(self, resume_from: Checkpoint | None = None) -> Training:
        """That asks for its steps."""
        return training(
            self.model,
            self.criterion,
            self._plan,
            self.recipe,
            seed=0,
            evaluate=lambda last: {},
            resume_from=resume_from,
            on_epoch_end=self._keep,
        )

    def trained(self) -> Trained:
        """How it ended."""
        return Trained(_all_weights(self.model), self.start)

    def _plan(self, epoch: int) -> EpochPlan:
        return training_batches(
            self.dataset,
            self.samples,
            batch_size=BATCH_SIZE,
            epoch_length=len(self.samples),
            seed=0,
            epoch=epoch,
            device=self.device,
        )

    def _keep(self, checkpoint: Checkpoint) -> None:
        copies = {name: tensor.clone() for name, tensor in checkpoint.tensors.items()}
        self.checkpoints.append(Checkpoint(checkpoint.epoch, checkpoint.history, copies))


def random_images(number: int) -> Dataset:
    """Images of classes that differ in brightness, so that there is something to learn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(number) % CLASSES
    images = torch.randint(156, (number, 3, IMAGE_SIZE, IMAGE_SIZE), generator=generator)
    images = (images + 10 * labels[:, None, None, None]).to(torch.uint8)
    split, half = Split(images, labels), (0.5, 0.5, 0.5)
    names = tuple(map(str, range(CLASSES)))
    return Dataset("random", split, split, names, half, half, augmentation="crop_flip")


class _SameNegatives(nn.Module):
    """CRD's draw of samples of other classes, the same on all devices.

    Random numbers of a CPU and of a GPU differ.

    Args:
        samples: in the training split, whose labels take turns.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples // CLASSES * CLASSES

    def forward(self, indices: Tensor, number: int) -> Tensor:
        """Indices (N, number): the samples after each, those of its own class left out."""
        after = torch.arange(number, device=indices.device)
        offsets = after // (CLASSES - 1) * CLASSES + after % (CLASSES - 1) + 1
        return (indices[:, None] + offsets) % self.samples


def _network(dataset: Dataset, name: str = "resnet8") -> nn.Module:
    return create_model(
        name,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
    )


def criterion_of(
    method: str, student: nn.Module, teacher: nn.Module, dataset: Dataset
) -> Criterion:
    """An objective or a distiller, with its options; the teacher gets heads where it needs some."""
    name = method.partition(":")[0]
    if name in OBJECTIVES:
        return OBJECTIVES.build(method, num_classes=dataset.num_classes)
    return DISTILLERS.build(
        method,
        student=student,
        teacher=HeadedNetwork(teacher) if name in NEED_HEADS else teacher,
        sample=dataset.normalise(dataset.train.inputs[:2]),
        labels=dataset.train.labels,
    )


def _all_weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().cpu().reshape(-1) for p in model.parameters()])
