"""A step never waits for a GPU, whatever is trained.

No GPU is needed to see it. Batches and terms are computed on fake CUDA tensors, which have shapes
but no values: what needs a value on the host (``.item()``, ``if tensor``, a mask as an index)
fails on them, and copies to the host are noted. Backward passes need a true device, so the loop
itself is watched on the CPU, reading its sums.
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

from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.criterion import Criterion
from mcmi_core.data import Dataset, Split
from mcmi_core.data.augmentation import KINDS
from mcmi_core.data.loader import Batch, training_batches
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet
from mcmi_core.training.loop import Steps, autocast_of, train_steps
from mcmi_core.training.recipe import Recipe

GPU = torch.device("cuda")
CLASSES, WIDTHS = 4, (4, 4, 8, 16)
VARIANTS = 50
"""Of images of 16 pixels, cropped and flipped."""


@pytest.fixture(autouse=True)
def what_the_fake_gpu_has(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: math.inf)
    # Without a card, autocast would switch itself off.
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)


class CopiesToHost(TorchDispatchMode):
    """Notes what is copied from the GPU to the host."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        if (
            isinstance(result, torch.Tensor)
            and result.device.type == "cpu"
            and any(tensor.is_cuda for tensor in tensors)
        ):
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


def compute_terms(criterion, model, data, precision="float32", *, remembered=None):
    """The terms of an epoch's batches on the fake GPU; what was copied to the host meanwhile.

    A distiller takes its teacher's logits from the device ``remembered``, if it is given.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        faked(model, mode).train()
        faked(criterion, mode).train()
        if hasattr(criterion, "teacher"):
            faked(criterion.teacher, mode)
        if remembered:
            logits = torch.zeros(VARIANTS, len(data.train), CLASSES)
            criterion.remember(mode.from_tensor(logits).to(remembered))
        tensors = mode.from_tensor(data.train.inputs), mode.from_tensor(data.train.labels)
        split = Split(*tensors).to(GPU)
        autocast = autocast_of(Recipe(precision=precision), GPU)
        copies = CopiesToHost()
        with copies:
            for batch in training_batches(
                data, split, batch_size=6, epoch_length=12, seed=0, epoch=0, device=GPU
            ):
                with autocast:
                    terms = criterion.terms(model, batch)
                assert all(term.is_cuda for term in terms.values())
                assert all(term.dtype == torch.float32 for term in terms.values())
    return copies.seen


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


@pytest.mark.parametrize(("place", "copies"), [(GPU, 0), (torch.device("cpu"), 2)])
def test_logits_are_remembered_without_waiting_if_they_are_on_the_gpu(place, copies):
    data, student = dataset(), network()
    criterion = DISTILLERS.build("kd", student=student, teacher=network())
    seen = compute_terms(criterion, student, data, remembered=place)
    assert seen == ["aten._to_copy.default"] * 2 * copies  # variants and indices of two batches


@pytest.mark.parametrize("augmentation", KINDS)
def test_no_augmentation_waits(augmentation):
    data = replace(dataset(), augmentation=augmentation)
    assert compute_terms(OBJECTIVES.build("mll", num_classes=CLASSES), network(), data) == []


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("objective", OBJECTIVES_WITH_OPTIONS)
def test_no_objective_waits(objective, precision):
    criterion = OBJECTIVES.build(objective, num_classes=CLASSES)
    assert compute_terms(criterion, network(), dataset(), precision) == []


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


def test_copies_are_noticed():
    seen = compute_terms(Waits(lambda t: t.cpu()), network(), dataset())
    assert seen == ["aten._to_copy.default"] * 2  # one for each batch


class Readings(TorchDispatchMode):
    """Counts the values that Python reads."""

    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("steps", [1, 7])
def test_the_loop_reads_each_term_once_however_many_steps(steps):
    data = dataset()
    student, teacher = network().train(), network()
    criterion = DISTILLERS.build("kd", student=student, teacher=teacher)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, fused=True)
    indices = torch.arange(12)
    batch = Batch(data.normalise(data.train.inputs), data.train.labels, indices)
    with Readings() as readings:
        window = train_steps(Steps(0, student, criterion, optimizer, [batch] * steps))
    assert window.steps == steps
    assert readings.number == len(window.sums) == 2
