"""bf16 and compiled steps against eager float32 ones: same training, same files."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mcmi_core.data.loader import Batch
from mcmi_core.device import place
from mcmi_core.distillers import DISTILLERS
from mcmi_core.engine import Engine
from mcmi_core.errors import CompanionError
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet
from mcmi_core.objectives import OBJECTIVES
from mcmi_core.runs import Recipe
from mcmi_core.train import train

CPU = torch.device("cpu")
CLASSES = 4
OPTIONS = {"masked_kd": "masked_kd:classes=2", "semi_kd": "semi_kd:labelled_fraction=0.5"}
OBJECTIVES_WITH_OPTIONS = (
    "mll",
    "mcmi:lam=0.2,centroids=fixed",
    "mcmi:lam=0.2,centroids=tracked",
    "label_smoothing:share=0.1",
    "entropy:weight=0.1",
    "mse",
)
CRITERIA = (*OBJECTIVES_WITH_OPTIONS, *DISTILLERS)


def network(seed=0):
    torch.manual_seed(seed)
    return ResNet(8, (4, 4, 8, 16), num_classes=CLASSES, in_channels=3)


def epoch_batches(epoch):
    """40 images of classes that differ in brightness, in batches of 16, 16 and 8."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % CLASSES
    images = torch.randn(40, 3, 16, 16, generator=generator) + labels[:, None, None, None]
    order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
    for indices in order.split(16):
        yield Batch(images[indices], labels[indices], indices)


def make_criterion(name, student):
    if name in OBJECTIVES_WITH_OPTIONS:
        return OBJECTIVES.build(name, num_classes=CLASSES)
    teacher = network(seed=1)
    return DISTILLERS.build(
        OPTIONS.get(name, name),
        student=student,
        teacher=HeadedNetwork(teacher) if name == "hsakd" else teacher,
        sample=next(epoch_batches(0)).inputs[:2],
        labels=torch.arange(40) % CLASSES,
    )


def make(name):
    student = place(network(), CPU)
    return student, place(make_criterion(name, student), CPU)


def trained(name, *, epochs=4, **options):
    """The history, the model, the criterion and a checkpoint of every epoch of a training."""
    resume_from = options.pop("resume_from", None)
    model, criterion = make(name)
    checkpoints = []
    history = train(
        model,
        criterion,
        epoch_batches,
        Recipe(epochs=epochs, learning_rate=0.02, milestones=(), **options),
        seed=0,
        evaluate=lambda last: {"test_mean": evaluated(model).mean().item()},
        resume_from=resume_from,
        on_epoch_end=lambda checkpoint: checkpoints.append(copy.deepcopy(checkpoint)),
    )
    return history, model, criterion, checkpoints


@torch.no_grad()
def evaluated(model):
    return model.eval()(next(epoch_batches(0)).inputs)


def losses(history):
    return torch.tensor([[v for k, v in row.items() if k.startswith("loss_")] for row in history])


@pytest.mark.parametrize(
    "name", ["mll", "mcmi:lam=0.2,centroids=fixed", "mcmi:lam=0.2,centroids=tracked", "kd", "rkd", "at", "crd"]
)
def test_bf16_trains_as_float32_does(name):
    expected, *_ = trained(name)
    history, model, criterion, _ = trained(name, precision="bf16")
    print(name, losses(history), losses(expected))
