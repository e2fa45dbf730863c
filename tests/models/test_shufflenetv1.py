"""ShuffleNetV1's unit against a second implementation."""

import pytest
import torch
from reference_layers import activate, normalise, randomise_norms
from torch.nn import functional as F

from mcmi_core.models.shufflenetv1 import ShuffleUnit


def grouped(x, weight, groups):
    """A 1x1 convolution within each group of channels, group by group."""
    parts = zip(x.chunk(groups, dim=1), weight[:, :, 0, 0].chunk(groups), strict=True)
    return torch.cat([torch.einsum("nchw,dc->ndhw", part, rows) for part, rows in parts], dim=1)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "groups"),
    [(24, 240, 2, 1), (240, 240, 1, 3), (240, 480, 2, 3)],
)
@torch.no_grad()
def test_unit_equals_a_second_implementation(in_channels, out_channels, stride, groups):
    torch.manual_seed(0)
    unit = ShuffleUnit(in_channels, out_channels, stride).double().eval()
    randomise_norms(unit)
    weights = unit.state_dict()
    inputs = torch.randn(2, in_channels, 5, 5, dtype=torch.float64)

    x = grouped(inputs, weights["residual.0.0.weight"], groups)
    x = activate(weights, x, "residual.0.1")
    # After the shuffle, one channel of each group comes first, then the next of each, ...
    per_group = x.shape[1] // groups
    x = x[:, [group * per_group + i for i in range(per_group) for group in range(groups)]]
    x = F.conv2d(x, weights["residual.2.0.weight"], stride=stride, padding=1, groups=x.shape[1])
    x = activate(weights, x, "residual.2.1")
    x = normalise(weights, grouped(x, weights["residual.3.0.weight"], 3), "residual.3.1")
    if stride == 1:
        expected = x + inputs
    else:
        # Sums of 3x3 windows; positions outside the image count as zeros.
        windows = F.unfold(inputs, 3, padding=1, stride=2).view(2, in_channels, 9, 3, 3)
        expected = torch.cat([x, windows.sum(dim=2) / 9], dim=1)
    torch.testing.assert_close(unit(inputs), expected.clamp(min=0), rtol=1e-9, atol=1e-9)
