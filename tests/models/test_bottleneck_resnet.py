"""ResNet-50 for small images against torchvision's, which has another stem."""

import torch
from reference_layers import randomise_norms, transplant
from torch import nn

from mcmi_core.models import create_model


@torch.no_grad()
def test_logits_equal_torchvision():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model = create_model("resnet50", num_classes=5, image_size=8).double().eval()
    randomise_norms(model)
    reference = resnet50(num_classes=5)
    reference.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    reference.maxpool = nn.Identity()
    transplant(model, reference.double().eval())
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(model(images), reference(images), rtol=1e-9, atol=1e-9)
