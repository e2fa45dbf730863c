"""VGG against a second implementation."""

import pytest
import torch
from reference_layers import activate, randomise_norms
from torch.nn import functional as F

from mcmi_core.models import create_model


@pytest.mark.parametrize(
    ("name", "layers"), [("vgg8", (1, 1, 1, 1, 1)), ("vgg11", (1, 1, 2, 2, 2))]
)
@torch.no_grad()
def test_features_equal_a_second_implementation(name, layers):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, in_channels=2, image_size=17).double().eval()
    randomise_norms(model)
    weights = model.state_dict()
    x = images = torch.randn(2, 2, 17, 17, dtype=torch.float64)
    expected = []
    for stage, number in enumerate(layers):
        if 1 <= stage <= 3:
            x = F.max_pool2d(x, 2)
        for layer in range(number):
            # The list of layers begins with pooling where there is some.
            prefix = f"stages.{stage - 1}.{layer + (stage < 4)}" if stage else f"stem.{layer}"
            weight, bias = weights[f"{prefix}.0.weight"], weights[f"{prefix}.0.bias"]
            x = F.conv2d(x, weight, bias, padding=1)
            x = activate(weights, x, f"{prefix}.1")
        expected.append(x)
    expected.append(x.mean(dim=(2, 3)))
    features, logits = model.features(images)
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, model.head(expected[-1]), rtol=1e-9, atol=1e-9)
