"""A step never waits for a GPU, whatever is trained.

No GPU is needed to see it. Batches and terms are computed on fake CUDA tensors, which have shapes
but no values: what needs a value on the host (``.item()``, ``if tensor``, a mask as an index)
fails on them, and copies between host and GPU are noted, in both directions: those to the GPU wait
too, and a captured step would repeat what was copied first. Backward passes need a true device, so
the loop itself is watched on the CPU, reading its sums.
"""

import math
from dataclasses import replace

import pytest
import torch
from small_runs import OBJECTIVES_WITH_OPTIONS, OPTIONS
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.criterion import Criterion
from mcmi_core.data import Dataset, Split
from mcmi_core.data.augmentation import KINDS
from mcmi_core.data.loader import Batch, training_batches
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet
from mcmi_core.training.loop import Steps, train_steps
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import Trainee, autocast_of

GPU = torch.device("cuda")
CLASSES, WIDTHS = 4, (4, 4, 8, 16)
STEPS = 2
VARIANTS = 50
"""Of images of 16 pixels, cropped and flipped."""


@pytest.fixture(autouse=True)
def what_the_fake_gpu_has(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: math.inf)
    # Without a card, autocast would switch itself off.
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    monkeypatch.setattr("torch.Tensor.pin_memory", lambda tensor: tensor)


class Crossings(TorchDispatchMode):
    """Notes the operations that tensors of both, host and GPU, take part in."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [v for v in tree_leaves((args, kwargs, result)) if isinstance(v, torch.Tensor)]
        if len({tensor.device.type for tensor in tensors}) > 1:
            self.seen.append(str(function))
        return result


def faked(module, mode):
    """The module on the fake GPU."""
    for part in module.modules():
        for values, wrap in ((part._parameters, True), (part._buffers, False)):
            for name, value in values.items():
                if value is not None:
                    fake = mode.from_tensor(value.detach()).to(GPU)
                    values[name] = nn.Parameter(fake, value.requires_grad) if wrap else fake
    return module


def dataset():
    images = torch.randint(256, (12, 3, 16, 16), dtype=torch.uint8)
    split = Split(images, torch.arange(12) % CLASSES)
    half = (0.5, 0.5, 0.5)
    return Dataset("noise", split, split, tuple("abcd"), half, half, augmentation="crop_flip")


def network():
    return ResNet(8, WIDTHS, num_classes=CLASSES, in_channels=3)


def compute_terms(
    criterion, model, data, precision="float32", *, remembered=None, stays=False, captured=False
):
    """The terms of an epoch's batches on the fake GPU; what crossed between host and GPU meanwhile.

    Args:
        remembered: the device that a distiller takes its teacher's logits from.
        stays: whether the images stay on the host.
        captured: whether batches are gathered as captured steps do it, by a number on the GPU.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        faked(model, mode).train()
        faked(criterion, mode).train()
        if hasattr(criterion, "teacher"):
            faked(criterion.teacher, mode)
        if remembered:
            logits = torch.zeros(VARIANTS, len(data.train), CLASSES)
            criterion.remember(mode.from_tensor(logits).to(remembered))
        images, labels = (mode.from_tensor(t) for t in (data.train.inputs, data.train.labels))
        split = Split(images if stays else images.to(GPU), labels.to(GPU))
        autocast = autocast_of(Recipe(precision=precision), GPU)
        plan = training_batches(
            data, split, batch_size=6, epoch_length=STEPS * 6, seed=0, epoch=0, device=GPU
        )
        assert plan.is_on_device != stays
        numbers = [torch.full((1,), step, device=GPU) for step in range(STEPS)]
        plan[0]  # makes what all later batches share
        with Crossings() as crossings:
            for step in numbers if captured else range(STEPS):
                with autocast:
                    terms = criterion.terms(model, plan[step])
                assert all(term.is_cuda for term in terms.values())
                assert all(term.dtype == torch.float32 for term in terms.values())
    return crossings.seen


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", DISTILLERS)
def test_no_distiller_waits(name, precision):
    data = dataset()
    student, teacher = network(), network()
    criterion = DISTILLERS.build(
        OPTIONS.get(name, name),
        student=student,
        teacher=HeadedNetwork(teacher) if name == "hsakd" else teacher,
        sample=data.normalise(data.train.inputs[:2]),
        labels=data.train.labels,
    )
    assert compute_terms(criterion, student, data, precision) == []


COPIES = ["aten._to_copy.default"]


@pytest.mark.parametrize(
    ("place", "crossings"),
    # Variants and indices to the host, and the logits back.
    [(GPU, []), (torch.device("cpu"), STEPS * 3 * COPIES)],
    ids=["on the GPU", "on the host"],
)
def test_logits_are_remembered_without_waiting_if_they_are_on_the_gpu(place, crossings):
    data, student = dataset(), network()
    criterion = DISTILLERS.build("kd", student=student, teacher=network())
    assert compute_terms(criterion, student, data, remembered=place) == crossings


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("augmentation", KINDS)
def test_no_augmentation_waits(augmentation, captured):
    data = replace(dataset(), augmentation=augmentation)
    criterion = OBJECTIVES.build("mll", num_classes=CLASSES)
    assert compute_terms(criterion, network(), data, captured=captured) == []


def test_images_that_stay_on_the_host_are_copied_batch_by_batch():
    criterion = OBJECTIVES.build("mll", num_classes=CLASSES)
    assert compute_terms(criterion, network(), dataset(), stays=True) == STEPS * COPIES


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("objective", OBJECTIVES_WITH_OPTIONS)
def test_no_objective_waits(objective, precision):
    criterion = OBJECTIVES.build(objective, num_classes=CLASSES)
    assert compute_terms(criterion, network(), dataset(), precision) == []


def test_training_a_teachers_heads_does_not_wait():
    assert compute_terms(HeadsLoss(), HeadedNetwork(network()), dataset()) == []


class Waits(Criterion):
    """Looks at a value in every step, in one of several ways."""

    def __init__(self, look):
        super().__init__()
        self.look = look

    def terms(self, model, batch):
        logits = model(batch.inputs)
        self.look(logits)
        return {"mean": logits.mean()}


@pytest.mark.parametrize(
    "look",
    [lambda t: t.sum().item(), lambda t: bool(t.sum() > 0), lambda t: t[t > 0]],
    ids=["item", "if", "mask"],
)
def test_waiting_is_noticed(look):
    with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        compute_terms(Waits(look), network(), dataset())


@pytest.mark.parametrize(
    ("look", "crossings"),
    [
        (lambda t: t.cpu(), COPIES),
        (lambda t: t * torch.tensor([1.0, 2, 3, 4]).to(t.device), COPIES),
        (lambda t: t * torch.tensor([1.0, 2, 3, 4], device=t.device), COPIES),
        (lambda t: t * torch.tensor(0.5), ["aten.mul.Tensor"]),
        (lambda t: t[[0, 2]], COPIES),
        (lambda t: t[:, torch.tensor([0, 2])], ["aten.index.Tensor"]),
        (lambda t: t.clone().copy_(torch.ones(t.shape)), ["aten.copy_.default"]),
    ],
    ids=["to host", "to GPU", "made there", "scalar", "list", "index", "in place"],
)
def test_crossings_are_noticed(look, crossings):
    assert compute_terms(Waits(look), network(), dataset()) == STEPS * crossings


class Readings(TorchDispatchMode):
    """Counts the single values that are read."""

    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("steps", [1, 7])
def test_the_loop_reads_all_sums_at_once_however_many_steps(steps, monkeypatch):
    lists, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: lists.append(tolist(t)) or lists[-1])
    data = dataset()
    student, teacher = network().train(), network()
    criterion = DISTILLERS.build("kd", student=student, teacher=teacher)
    trainee = Trainee(student, criterion, Recipe(learning_rate=0.05))
    batch = Batch(data.normalise(data.train.inputs), data.train.labels, torch.arange(12))
    with Readings() as readings:
        window = train_steps(Steps(0, trainee, [batch] * steps, range(steps)))
    assert readings.number == 0
    assert lists == [list(window.sums.values())]
    assert len(window.sums) == 2
