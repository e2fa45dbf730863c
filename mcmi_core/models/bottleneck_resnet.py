"""ResNet-50 for small images: bottleneck blocks behind a stem that keeps the full image size.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1. As usual in
the distillation literature, the stem is one 3x3 convolution without pooling, and the 3x3
convolution of a block is the one that halves the map.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm, conv_norm_relu, he_initialise, projection, stack

WIDTHS = (64, 256, 512, 1024, 2048)
"""Channels of the stem and of the four stages."""

NUM_BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 2)


class Bottleneck(nn.Module):
    """ReLU(1x1 → 3x3 → 1x1 convolutions of x + shortcut(x)), the inner two a quarter as wide.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map, a multiple of 4.
        stride: of the 3x3 convolution; 2 halves the map.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        inner = out_channels // 4
        self.residual = nn.Sequential(
            conv_norm_relu(in_channels, inner, 1),
            conv_norm_relu(inner, inner, 3, stride),
            conv_norm(inner, out_channels, 1),
        )
        self.shortcut = projection(in_channels, out_channels, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), after its ReLU."""
        return F.relu(self.residual(inputs) + self.shortcut(inputs))


class ResNet50(StagedClassifier):
    """ResNet-50 for images of any size from 8x8 up.

    Its maps are taken after their ReLU: at full size from the stem and stage 1, then halved by
    every stage.

    Args:
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 3

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__(
            stem=conv_norm_relu(in_channels, WIDTHS[0], 3),
            stages=[
                stack(Bottleneck, before, width, num_blocks, stride)
                for (before, width), num_blocks, stride in zip(
                    pairwise(WIDTHS), NUM_BLOCKS, STRIDES, strict=True
                )
            ],
            head=nn.Linear(WIDTHS[-1], num_classes),
        )
        he_initialise(self)


resnet50 = ResNet50
