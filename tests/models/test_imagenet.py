"""The ImageNet networks: torchvision's own numbers, and maps whose sizes agree."""

import pytest
import torch
from torch import nn

from mcmi_core.models import create_model


@pytest.mark.parametrize("depth", [18, 34, 50])
@torch.no_grad()
def test_resnets_are_torchvisions(depth):
    from torchvision.models import get_model

    torch.manual_seed(0)
    reference = get_model(f"resnet{depth}", num_classes=5).eval()
    model = create_model(f"imagenet_resnet{depth}", num_classes=5, image_size=40).eval()
    weights = zip(model.state_dict(), reference.state_dict().values(), strict=True)
    model.load_state_dict(dict(weights))  # names differ, the order does not
    images = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(model(images), reference(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("imagenet_resnet18", [56, 56, 28, 14, 7]),
        ("imagenet_resnet34", [56, 56, 28, 14, 7]),
        ("imagenet_resnet50", [56, 56, 28, 14, 7]),
        ("imagenet_mobilenetv1", [112, 56, 28, 14, 7]),
    ],
)
def test_sizes_of_maps(name, sizes):
    with torch.device("meta"):
        model = create_model(name, num_classes=1000, image_size=224)
        features, _ = model.features(torch.empty(1, 3, 224, 224))
    assert [feature.shape[2] for feature in features[:-1]] == sizes


@torch.no_grad()
def test_other_channels_start_from_the_same_distribution():
    torch.manual_seed(0)
    for in_channels in (1, 3):
        weight = (
            create_model("imagenet_resnet18", num_classes=5, in_channels=in_channels).stem[0].weight
        )
        assert weight.shape == (64, in_channels, 7, 7)
        # 3,136 or 9,408 normal draws of variance 2 / (64 · 49).
        assert weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.06)


def test_mobilenetv1_activates_every_convolution():
    model = create_model("imagenet_mobilenetv1", num_classes=5)
    layers = [type(module) for module in model.modules() if not list(module.children())]
    convolutions = layers[: layers.index(nn.Identity)]  # the neck, which is empty
    assert convolutions == 27 * [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
