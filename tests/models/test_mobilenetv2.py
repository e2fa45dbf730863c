"""MobileNetV2's block against torchvision's."""

import pytest
import torch
from reference_layers import randomise_norms, transplant

from mcmi_core.models.mobilenetv2 import InvertedResidual


@pytest.mark.parametrize(
    ("out_channels", "stride", "adds_input"), [(8, 1, True), (8, 2, False), (12, 1, False)]
)
@torch.no_grad()
def test_block_equals_torchvision(out_channels, stride, adds_input):
    from torchvision.models import mobilenetv2

    torch.manual_seed(0)
    block = InvertedResidual(8, out_channels, stride, expansion=6).double().eval()
    # torchvision's block has ReLU6: small values make both activations the same.
    images = 0.1 * torch.randn(2, 8, 7, 7, dtype=torch.float64)
    reference = (
        mobilenetv2.InvertedResidual(8, out_channels, stride, expand_ratio=6).double().eval()
    )
    transplant(block, reference)
    assert reference.use_res_connect == block.adds_input == adds_input
    torch.testing.assert_close(block(images), reference(images), rtol=1e-9, atol=1e-9)

    randomise_norms(block)  # and large ones tell them apart
    transplant(block, reference)
    assert block.residual[:2](100 * images).max() > 6
    assert not torch.allclose(block(100 * images), reference(100 * images))
