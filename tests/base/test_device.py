"""Weights in the order that convolutions are fastest with train to the same result."""

import copy

import pytest
import torch

from mcmi_core.base.device import place
from mcmi_core.data.loader import Batch
from mcmi_core.models import create_model
from mcmi_core.objectives import MLLLoss
from mcmi_core.training.loop import train
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=3, learning_rate=0.1, milestones=(), weight_decay=0.01)


def network(name="resnet8", channels=3):
    torch.manual_seed(0)
    return create_model(name, num_classes=4, in_channels=channels, image_size=8).double()


def epoch_batches(epoch):
    generator = torch.Generator().manual_seed(epoch)
    images = torch.randn(2, 6, 3, 8, 8, generator=generator, dtype=torch.float64)
    return [Batch(each, torch.arange(6) % 4, torch.arange(6)) for each in images]


def trained(model, **options):
    train(model, MLLLoss(), epoch_batches, RECIPE, seed=0, evaluate=lambda last: {}, **options)
    return model.state_dict()


def test_convolutions_go_channels_last_on_the_cpu_and_their_maps_follow():
    model = place(network(), CPU)
    weights = [p for p in model.parameters() if p.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    maps = model.features(torch.randn(2, 3, 8, 8, dtype=torch.float64))[0][:-1]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)


def test_elsewhere_the_order_stays():
    model = place(network().to("meta"), torch.device("meta"))
    assert all(parameter.is_contiguous() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("device", "precision", "order"),
    [
        ("cpu", "bf16", torch.channels_last),
        ("cuda", "float32", torch.preserve_format),
        ("cuda", "bf16", torch.channels_last),
    ],
)
def test_the_order_follows_device_and_precision(device, precision, order, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *a, **options: asked.append(options))
    place(network(), torch.device(device), precision)
    assert asked == [{"memory_format": order}]


def test_the_module_itself_is_placed():
    model = network("mlp:width=4", 3)
    before = copy.deepcopy(model.state_dict())
    assert place(model, CPU) is model
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_training_is_the_same_in_both_orders():
    torch.testing.assert_close(
        trained(place(network(), CPU)), trained(network()), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("epochs_done", [1, 2])
def test_training_resumes_exactly_from_contiguous_tensors(epochs_done):
    """A file holds tensors in the plain order, the momentum among them."""
    checkpoints = []

    def keep(checkpoint):
        checkpoints.append(copy.deepcopy(checkpoint))

    whole = trained(place(network(), CPU), on_epoch_end=keep)
    checkpoint = checkpoints[epochs_done - 1]
    checkpoint.tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
    resumed = trained(place(network(), CPU), resume_from=checkpoint)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
