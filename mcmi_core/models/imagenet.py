"""Networks for ImageNet: ResNets and MobileNetV1, for images of any size from 32x32.

Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; Howard et
al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
table 1.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm_relu, he_initialise, stack
from mcmi_core.models.bottleneck_resnet import Bottleneck
from mcmi_core.models.resnet import BasicBlock

STEM_WIDTH = 64
"""Channels of a ResNet's first map."""

BASIC = (BasicBlock, (64, 128, 256, 512))
BOTTLENECK = (Bottleneck, (256, 512, 1024, 2048))
"""A block, and the widths of the stages that are made of it."""


class ImageNetResNet(StagedClassifier):
    """A ResNet with the stem for large images, and the stride of a bottleneck in its 3x3.

    Its maps are taken after pooling from the stem and after ReLU from the stages: a quarter of the
    image's size from the stem and stage 1, then halved by every stage.

    Args:
        block: makes a block from its input channels, output channels and stride.
        widths: channels of the four stages.
        num_blocks: of each stage.
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 5

    def __init__(
        self,
        block: type[nn.Module],
        widths: Sequence[int],
        num_blocks: Sequence[int],
        *,
        num_classes: int,
        in_channels: int,
    ) -> None:
        super().__init__(
            stem=conv_norm_relu(in_channels, STEM_WIDTH, 7, stride=2).append(
                nn.MaxPool2d(3, stride=2, padding=1)
            ),
            stages=[
                stack(block, before, width, number, stride)
                for (before, width), number, stride in zip(
                    pairwise((STEM_WIDTH, *widths)), num_blocks, (1, 2, 2, 2), strict=True
                )
            ],
            head=nn.Linear(widths[-1], num_classes),
        )
        he_initialise(self)


class MobileNetV1(StagedClassifier):
    """MobileNetV1: depthwise 3x3 convolutions, each followed by a 1x1 convolution.

    Its maps are taken after their ReLU: half of the image's size from the stem, which is the first
    convolution and the first block, then halved by every stage; so the stages' maps have the sizes
    of a ResNet's.

    Args:
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 5

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


imagenet_resnet18 = partial(ImageNetResNet, *BASIC, (2, 2, 2, 2))
imagenet_resnet34 = partial(ImageNetResNet, *BASIC, (3, 4, 6, 3))
imagenet_resnet50 = partial(ImageNetResNet, *BOTTLENECK, (3, 4, 6, 3))
imagenet_mobilenetv1 = MobileNetV1
