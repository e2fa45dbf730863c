"""The wide ResNets against a second implementation, and what only they have."""

import pytest
import torch
from reference_layers import activate, convolve, randomise_norms

from mcmi_core.models import create_model
from mcmi_core.models.wide_resnet import WideResNet


def reference_features(weights, images, num_blocks):
    """Features and logits written from the definition, for a state dict, in eval mode."""
    x = convolve(weights, images, "stem")
    features = [x]
    for stage in range(3):
        for block in range(num_blocks):
            prefix = f"stages.{stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            y = activate(weights, x, f"{prefix}.norm1")
            if f"{prefix}.shortcut.weight" in weights:
                x = convolve(weights, y, f"{prefix}.shortcut", stride)
            y = convolve(weights, y, f"{prefix}.conv1", stride)
            y = activate(weights, y, f"{prefix}.norm2")
            x = x + convolve(weights, y, f"{prefix}.conv2")
        features.append(x)
    features.append(activate(weights, x, "neck.0").mean(dim=(2, 3)))
    return features, features[-1] @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_16_2"])
@torch.no_grad()
def test_features_equal_a_second_implementation(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, in_channels=2, image_size=9).double().eval()
    randomise_norms(model)
    images = torch.randn(2, 2, 9, 9, dtype=torch.float64)
    features, logits = model.features(images)
    expected_features, expected_logits = reference_features(model.state_dict(), images, 2)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [4, 15, -2])
def test_refuses_a_depth_that_is_not_6n_plus_4(depth):
    with pytest.raises(ValueError, match=rf"depth 6n \+ 4: 10, 16, 22, \.\.\.; got {depth}$"):
        WideResNet(depth, 1, num_classes=2, in_channels=3)


def test_refuses_a_factor_below_one():
    with pytest.raises(ValueError, match="a factor ≥ 1, got 0$"):
        WideResNet(16, 0, num_classes=2, in_channels=3)
