"""The CIFAR ResNets against a second implementation, and what only they have."""

import pytest
import torch
from reference_layers import activate, convolve, normalise, randomise_norms

from mcmi_core.models import create_model
from mcmi_core.models.resnet import NARROW, ResNet


def reference_features(weights, images, num_blocks):
    """Features and logits written from the definition, for a state dict, in eval mode."""
    x = activate(weights, convolve(weights, images, "stem.0"), "stem.1")
    features = [x]
    for stage in range(3):
        for block in range(num_blocks):
            prefix = f"stages.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            y = convolve(weights, x, f"{prefix}.conv1", stride)
            y = activate(weights, y, f"{prefix}.norm1")
            y = normalise(weights, convolve(weights, y, f"{prefix}.conv2"), f"{prefix}.norm2")
            if f"{prefix}.shortcut.0.weight" in weights:
                x = convolve(weights, x, f"{prefix}.shortcut.0", stride)
                x = normalise(weights, x, f"{prefix}.shortcut.1")
            x = (x + y).clamp(min=0)
        features.append(x)
    features.append(x.flatten(2).sum(dim=2) / x[0, 0].numel())
    return features, features[-1] @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize(("name", "num_blocks"), [("resnet14", 2), ("resnet8x4", 1)])
@torch.no_grad()
def test_features_equal_a_second_implementation(name, num_blocks):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, in_channels=2, image_size=9).double().eval()
    randomise_norms(model)
    images = torch.randn(2, 2, 9, 9, dtype=torch.float64)
    features, logits = model.features(images)
    expected_features, expected_logits = reference_features(model.state_dict(), images, num_blocks)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 9, -4])
def test_refuses_a_depth_that_is_not_6n_plus_2(depth):
    with pytest.raises(ValueError, match=rf"depth 6n \+ 2: 8, 14, 20, \.\.\.; got {depth}$"):
        ResNet(depth, NARROW, num_classes=2, in_channels=3)
