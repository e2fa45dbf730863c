"""The CIFAR ResNets against the literature's tables, and against a second implementation."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core.models import create_model
from mcmi_core.models.resnet import NARROW, RESNETS, ResNet

ZOO = json.loads((Path(__file__).parents[1] / "reference" / "model_zoo.json").read_text())


def count_multiply_adds(model, image):
    """Multiply-adds of the convolutions and linear layers for one image (1, C, H, W)."""
    counts = []

    def count(module, inputs, output):
        # Each output value is one inner product with a filter or row of the weight.
        counts.append(output.numel() * module.weight[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(image)
    return sum(counts)


def test_the_family_is_complete():
    expected = [f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110, 152)]
    assert sorted(RESNETS) == sorted([*expected, "resnet8x4", "resnet32x4"])


@pytest.mark.parametrize("name", RESNETS)
@torch.no_grad()
def test_size_shapes_and_cost_equal_the_literature(name):
    model = create_model(name, num_classes=100).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == ZOO[name]["parameters"]
    features, logits = model.features(torch.randn(2, 3, 32, 32))
    assert [list(feature.shape) for feature in features] == ZOO[name]["feature_shapes"]
    assert list(logits.shape) == ZOO[name]["logits_shape"]
    assert count_multiply_adds(model, torch.randn(1, 3, 32, 32)) == ZOO[name]["multiply_adds"]


@pytest.mark.parametrize("name", RESNETS)
def test_gradient_reaches_every_parameter(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=7, in_channels=1, image_size=8)
    features, logits = model.features(torch.randn(4, 1, 8, 8))
    assert [feature.shape[2:] for feature in features] == [(8, 8), (8, 8), (4, 4), (2, 2), ()]
    assert logits.shape == (4, 7)
    F.cross_entropy(logits, torch.arange(4)).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def reference_features(weights, images, num_blocks):
    """Features and logits written from the definition, for a state dict, in eval mode."""

    def normalise(x, norm):
        mean, variance, scale, shift = (
            weights[f"{norm}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def convolve(x, conv, stride=1):
        weight = weights[f"{conv}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    x = normalise(convolve(images, "stem.0"), "stem.1").clamp(min=0)
    features = [x]
    for stage in range(3):
        for block in range(num_blocks):
            prefix = f"stages.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            y = normalise(convolve(x, f"{prefix}.conv1", stride), f"{prefix}.norm1").clamp(min=0)
            y = normalise(convolve(y, f"{prefix}.conv2"), f"{prefix}.norm2")
            if f"{prefix}.shortcut.0.weight" in weights:
                x = convolve(x, f"{prefix}.shortcut.0", stride)
                x = normalise(x, f"{prefix}.shortcut.1")
            x = (x + y).clamp(min=0)
        features.append(x)
    features.append(x.flatten(2).sum(dim=2) / x[0, 0].numel())
    return features, features[-1] @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize(("name", "num_blocks"), [("resnet14", 2), ("resnet8x4", 1)])
@torch.no_grad()
def test_features_equal_a_second_implementation(name, num_blocks):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, in_channels=2, image_size=9).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                values.normal_()
            for values in (module.running_var, module.weight):
                values.uniform_(0.5, 2)
    images = torch.randn(2, 2, 9, 9, dtype=torch.float64)
    features, logits = model.features(images)
    expected_features, expected_logits = reference_features(model.state_dict(), images, num_blocks)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-9, atol=1e-9)


def test_initial_weights():
    torch.manual_seed(0)
    for name, module in create_model("resnet20", num_classes=10).named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            # The standard deviation of n normal draws is off by 1/sqrt(2n), relatively.
            tolerance = 5 / math.sqrt(2 * module.weight.numel())
            expected = math.sqrt(2 / fan_out)
            assert module.weight.std().item() == pytest.approx(expected, rel=tolerance), name
            assert module.bias is None, name
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all(), name


@torch.no_grad()
def test_the_smallest_image_ends_in_one_pixel():
    model = create_model("resnet8", num_classes=2, image_size=4).eval()
    features, _ = model.features(torch.randn(1, 3, 4, 4))
    assert features[-2].shape == (1, 64, 1, 1)
    with pytest.raises(ValueError, match=r"^resnet8x4 .* needs image_size ≥ 4, got 3$"):
        create_model("resnet8x4", num_classes=2, image_size=3)


@pytest.mark.parametrize("depth", [2, 9, -4])
def test_refuses_a_depth_that_is_not_6n_plus_2(depth):
    with pytest.raises(ValueError, match=rf"depth 6n \+ 2: 8, 14, 20, \.\.\.; got {depth}$"):
        ResNet(depth, NARROW, num_classes=2, in_channels=3)
