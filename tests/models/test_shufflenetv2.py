"""ShuffleNetV2 against torchvision's, which has another stem."""

import torch
from reference_layers import randomise_norms, transplant
from torch import nn

from mcmi_core.models import create_model
from mcmi_core.models.shufflenetv2 import ShuffleUnit


@torch.no_grad()
def test_logits_equal_torchvision():
    from torchvision.models import shufflenet_v2_x1_0

    torch.manual_seed(0)
    model = create_model("shufflenetv2", num_classes=5, image_size=16).double().eval()
    randomise_norms(model)
    reference = shufflenet_v2_x1_0(num_classes=5)
    reference.conv1[0] = nn.Conv2d(3, 24, 1, bias=False)
    reference.maxpool = nn.Identity()
    transplant(model, reference.double().eval())
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(images), reference(images), rtol=1e-9, atol=1e-9)


def test_half_of_the_channels_pass_untouched():
    inputs = torch.randn(2, 8, 5, 5)
    outputs = ShuffleUnit(8, 8, stride=1)(inputs)
    assert torch.equal(outputs[:, ::2], inputs[:, :4])
