"""Trainings of a narrow ResNet-8 on a few images, by any method, of a few steps an epoch."""

import copy
from dataclasses import dataclass, field

import torch
from small_runs import OBJECTIVES_WITH_OPTIONS, OPTIONS
from torch import nn

from mcmi_core.base.device import place
from mcmi_core.components import DISTILLERS
from mcmi_core.criterion import Criterion
from mcmi_core.data import Dataset, Split
from mcmi_core.data.loader import EpochPlan, training_batches
from mcmi_core.models.resnet import ResNet
from mcmi_core.sprint.check import criterion_of
from mcmi_core.training.loop import Checkpoint, Row, Training, training
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
METHODS = (*OBJECTIVES_WITH_OPTIONS, *(OPTIONS.get(name, name) for name in DISTILLERS))
"""Every objective and every distiller."""

CLASSES, SAMPLES, BATCH_SIZE = 4, 44, 8
STEPS = 6
"""In an epoch: five whole batches, and one of the four samples that are left."""


def images() -> Dataset:
    """Noise, in classes that differ in brightness."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % CLASSES
    pixels = torch.randint(100, (SAMPLES, 3, 16, 16), generator=generator)
    pixels = (pixels + 50 * labels[:, None, None, None]).to(torch.uint8)
    split, half = Split(pixels, labels), (0.5, 0.5, 0.5)
    return Dataset("noise", split, split, tuple("abcd"), half, half, augmentation="crop_flip")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return ResNet(8, (4, 4, 8, 16), num_classes=CLASSES, in_channels=3)


def a_plan(dataset: Dataset, epoch: int, seed: int = 0, device: torch.device = CPU) -> EpochPlan:
    train = dataset.train.to(device)
    sizes = {"batch_size": BATCH_SIZE, "epoch_length": SAMPLES}
    return training_batches(dataset, train, seed=seed, epoch=epoch, device=device, **sizes)


def a_criterion(method: str, student: nn.Module, dataset: Dataset) -> Criterion:
    teacher = network(seed=1)
    torch.manual_seed(2)
    return criterion_of(method, student, teacher, dataset)


@dataclass
class Small:
    """A training that keeps its checkpoints; ``dropout`` is a method of its own here."""

    method: str
    seed: int = 0
    epochs: int = 3
    device: torch.device = CPU
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def training(self, resume_from: Checkpoint | None = None) -> Training[list[Row]]:
        """It draws random numbers after every epoch too."""
        dataset, model = images(), network(self.seed)
        criterion = a_criterion("mll" if self.method == "dropout" else self.method, model, dataset)
        criterion.check = lambda means: None  # MCMI starts no better than guessing
        if self.method == "dropout":
            model = nn.Sequential(nn.Dropout(0.3), model)
        for module in (model, criterion, getattr(criterion, "teacher", None)):
            if module is not None:
                place(module, self.device)
        return training(
            model,
            criterion,
            lambda epoch: a_plan(dataset, epoch, self.seed, self.device),
            Recipe(epochs=self.epochs, learning_rate=0.01, milestones=(1,)),
            seed=self.seed,
            evaluate=lambda last: {"test": {"draw": torch.rand(()).item()}},
            resume_from=resume_from,
            on_epoch_end=lambda checkpoint: self.checkpoints.append(copy.deepcopy(checkpoint)),
        )

    def assert_equals(self, other: "Small") -> None:
        """Both ended with the same history and the same state, bit for bit."""
        mine, theirs = self.checkpoints[-1], other.checkpoints[-1]
        assert mine.history == theirs.history
        assert mine.tensors.keys() == theirs.tensors.keys()
        for name, tensor in mine.tensors.items():
            assert torch.equal(tensor, theirs.tensors[name]), name
