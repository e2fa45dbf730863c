"""The MLP against its definition, and its options and errors."""

import pytest
import torch
from torch.nn import functional as F

from mcmi_core.models import create_model


def test_features_equal_the_definition():
    torch.manual_seed(0)
    model = create_model("mlp:width=6,depth=3", num_classes=5, in_channels=8, image_size=1).double()
    vectors = torch.randn(9, 8, dtype=torch.float64)
    features, logits = model.features(vectors)

    hidden, expected = vectors, []
    for layer in range(3):
        hidden = hidden @ model.state_dict()[f"layers.{layer}.0.weight"].T
        # Train mode: the batch's own mean and (biased) variance; scale 1 and shift 0 at the start.
        variance, mean = torch.var_mean(hidden, dim=0, correction=0)
        hidden = ((hidden - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
        expected.append(hidden)
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, model.head(hidden), rtol=1e-9, atol=1e-9)


def test_default_size():
    model = create_model("mlp", num_classes=10, in_channels=256, image_size=1)
    # Weights of two hidden layers, scale and shift of their batch norms, then the head.
    expected = (256 * 512 + 2 * 512) + (512 * 512 + 2 * 512) + (512 * 10 + 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gradient_reaches_every_parameter(depth):
    torch.manual_seed(0)
    model = create_model(f"mlp:width=16,depth={depth}", num_classes=3, in_channels=4, image_size=1)
    features, logits = model.features(torch.randn(8, 4))
    assert [feature.shape for feature in features] == [(8, 16)] * depth
    F.cross_entropy(logits, torch.arange(8) % 3).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_takes_images_or_the_same_values_as_vectors():
    model = create_model("mlp:width=8", num_classes=3, in_channels=2, image_size=5).eval()
    images = torch.randn(4, 2, 5, 5)
    torch.testing.assert_close(model(images), model(images.reshape(4, 50)), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(4, 2, 6, 6), (4, 5, 5, 2), (4, 49), (50,)])
def test_refuses_samples_of_another_shape(shape):
    model = create_model("mlp:width=8", num_classes=3, in_channels=2, image_size=5)
    with pytest.raises(ValueError) as error:
        model(torch.zeros(shape))
    expected = f"mlp expects samples of shape (2, 5, 5) or (50,), got a batch of {shape}"
    assert str(error.value) == expected


@pytest.mark.parametrize("options", ["width=0,depth=2", "width=8,depth=0"])
def test_refuses_a_size_below_one(options):
    got = options.replace(",", ", ")
    with pytest.raises(ValueError, match=f"needs width ≥ 1 and depth in 1..1000, got {got}$"):
        create_model(f"mlp:{options}", num_classes=3)
