"""Networks for ImageNet: torchvision's ResNets and MobileNetV1, for images of any size from 32x32.

Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; Howard et
al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
table 1.
"""

from functools import partial
from itertools import pairwise

from torch import nn

from mcmi_core.models._base import StagedClassifier, family
from mcmi_core.models._blocks import conv_norm_relu, he_initialise, stack


def torchvision_resnet(name: str, *, num_classes: int, in_channels: int) -> StagedClassifier:
    """A ResNet of torchvision, with the weights that it starts from there.

    Its maps are taken after pooling from the stem and after ReLU from the stages: a quarter of the
    image's size from the stem and stage 1, then halved by every stage.

    Args:
        name: torchvision's: ``"resnet18"``.
        num_classes: C.
        in_channels: channels of the images; other than 3, the first convolution is replaced.
    """
    # Importing torchvision takes seconds, which only those who ask for it should wait.
    from torchvision.models import resnet

    network = getattr(resnet, name)(num_classes=num_classes)
    if in_channels != 3:
        network.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        he_initialise(network.conv1)
    return StagedClassifier(
        stem=nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool),
        stages=[network.layer1, network.layer2, network.layer3, network.layer4],
        head=network.fc,
    )


class MobileNetV1(StagedClassifier):
    """MobileNetV1: depthwise 3x3 convolutions, each followed by a 1x1 convolution.

    Its maps are taken after their ReLU: half of the image's size from the stem, which is the first
    convolution and the first block, then halved by every stage; so the stages' maps have the sizes
    of a ResNet's.

    Args:
        num_classes: C.
        in_channels: channels of the images.
    """

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        widths, num_blocks = (64, 128, 256, 512, 1024), (2, 2, 6, 2)
        super().__init__(
            stem=nn.Sequential(
                conv_norm_relu(in_channels, 32, 3, stride=2),
                _separable_convolution(32, widths[0], stride=1),
            ),
            stages=[
                stack(_separable_convolution, before, width, number, stride=2)
                for (before, width), number in zip(pairwise(widths), num_blocks, strict=True)
            ],
            head=nn.Linear(widths[-1], num_classes),
        )
        he_initialise(self)


def _separable_convolution(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm_relu(in_channels, in_channels, 3, stride, groups=in_channels),
        conv_norm_relu(in_channels, out_channels, 1),
    )


IMAGENET_MODELS = family(
    5,
    {
        "imagenet_resnet18": partial(torchvision_resnet, "resnet18"),
        "imagenet_resnet34": partial(torchvision_resnet, "resnet34"),
        "imagenet_resnet50": partial(torchvision_resnet, "resnet50"),
        "imagenet_mobilenetv1": MobileNetV1,
    },
)
"""Factory by name."""
