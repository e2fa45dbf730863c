"""What holds for every model, and how models are named and created."""

import subprocess
import sys

import pytest
import torch

from mcmi_core.base.registry import Component
from mcmi_core.models import MODELS, create_model, list_models

SIZE = 32
"""Pixels per side that every model takes."""

FAMILIES = [
    "resnet8",
    "resnet8x4",
    "wrn_16_1",
    "vgg8",
    "mobilenetv2",
    "shufflenetv1",
    "shufflenetv2",
    "resnet50",
    "imagenet_resnet18",
    "imagenet_mobilenetv1",
    "mlp:width=32",
]
"""A small member of each."""


def test_list_models():
    assert list_models() == list(MODELS)
    assert len(set(list_models())) == 28


def test_only_the_mlp_has_options():
    assert all(MODELS.option_types(name) == {} for name in MODELS if name != "mlp")
    assert MODELS.option_types("mlp") == {"width": (int, 512), "depth": (int, 2)}


def test_no_network_waits_for_torchvision():
    code = (
        "import sys; from mcmi_core.models import describe_models;"
        "describe_models(); print('torchvision' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "False\n"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("num_classes", [2, 13])
@torch.no_grad()
def test_a_call_gives_the_logits_of_features(name, in_channels, num_classes):
    model = create_model(
        name, num_classes=num_classes, in_channels=in_channels, image_size=SIZE
    ).eval()
    images = torch.randn(3, in_channels, SIZE, SIZE)
    features, logits = model.features(images)
    assert logits.shape == (3, num_classes)
    torch.testing.assert_close(model(images), logits, rtol=0, atol=0)
    torch.testing.assert_close(model.head(features[-1]), logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_a_state_dict_carries_the_whole_model(name):
    torch.manual_seed(0)
    images = torch.randn(4, 3, SIZE, SIZE)
    first, second = (create_model(name, num_classes=5, image_size=SIZE) for _ in range(2))
    first(images)  # moves the running statistics
    first.eval()
    second.eval()
    assert not torch.allclose(first(images), second(images))
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second(images), first(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_only_train_mode_looks_at_the_batch(name):
    torch.manual_seed(0)
    images = torch.randn(4, 3, SIZE, SIZE)
    model = create_model(name, num_classes=5, image_size=SIZE)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.eval()
    torch.testing.assert_close(model(images)[:2], model(images[:2]), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.train()
    assert not torch.allclose(model(images)[:2], model(images[:2]), rtol=1e-2, atol=1e-3)
    means = [key for key in before if key.endswith("running_mean")]
    assert means and not any(torch.equal(model.state_dict()[key], before[key]) for key in means)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_seed_decides_the_weights(name):
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model = create_model(name, num_classes=5, image_size=SIZE)
        weights.append(torch.nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_component_is_as_good_as_its_text():
    component = Component(name="mlp", width=24, depth=1)
    model = create_model(component, num_classes=5, in_channels=6, image_size=1)
    assert model.head.in_features == 24


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        (
            "resnet57",
            {},
            r"unknown model 'resnet57'; choose from resnet8, .*, mlp; did you mean resnet",
        ),
        ("resnet56:width=3", {}, "unknown option 'width' of model 'resnet56'; it takes no options"),
        ("mlp:layers=3", {}, "unknown option 'layers' of model 'mlp'; it takes width, depth"),
        ("mlp:width=wide", {}, "option 'width' of model 'mlp': .*, got 'wide'"),
        ("mlp", {"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ("mlp", {"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ("mlp", {"image_size": 0}, "image_size must be at least 1, got 0"),
    ],
)
def test_refuses_bad_arguments(name, sizes, message):
    with pytest.raises(ValueError, match=message):
        create_model(name, **{"num_classes": 10, **sizes})
