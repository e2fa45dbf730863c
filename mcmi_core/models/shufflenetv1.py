"""ShuffleNetV1 with three groups: grouped 1x1 convolutions and a channel shuffle between them.

Source: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile
Devices", CVPR 2018, table 1. As usual in the distillation literature: the stem is a 1x1 convolution
at full image size, without pooling, and a ReLU follows the depthwise convolution too. Convolutions
keep torch's initialisation, as there.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm, conv_norm_relu, stack

WIDTHS = (24, 240, 480, 960)
"""Channels of the stem and of the three stages."""

NUM_UNITS = (4, 8, 4)
GROUPS = 3


class ShuffleUnit(nn.Module):
    """Grouped 1x1 convolution → channel shuffle → depthwise 3x3 → grouped 1x1, and the shortcut.

    The input is added; where the map is halved, its average pooling is concatenated instead.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map, those of the shortcut included.
        stride: of the depthwise convolution; 2 halves the map.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.halves = stride == 2
        width = out_channels - in_channels if self.halves else out_channels
        inner = width // 4
        # The stem's map is too narrow for groups (section 3.2 of the paper).
        groups = 1 if in_channels == WIDTHS[0] else GROUPS
        self.residual = nn.Sequential(
            conv_norm_relu(in_channels, inner, 1, groups=groups),
            nn.ChannelShuffle(groups),
            conv_norm_relu(inner, inner, 3, stride, groups=inner),
            conv_norm(inner, width, 1, groups=GROUPS),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), after its ReLU."""
        residual = self.residual(inputs)
        if self.halves:
            pooled = F.avg_pool2d(inputs, 3, stride=2, padding=1)
            return F.relu(torch.cat([residual, pooled], dim=1))
        return F.relu(residual + inputs)


class ShuffleNetV1(StagedClassifier):
    """ShuffleNetV1 for images of any size from 8x8 up.

    Its maps are taken after their ReLU: at full size from the stem, then halved by every stage.

    Args:
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 3

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__(
            stem=conv_norm_relu(in_channels, WIDTHS[0], 1),
            stages=[
                stack(ShuffleUnit, before, width, num_units, stride=2)
                for (before, width), num_units in zip(pairwise(WIDTHS), NUM_UNITS, strict=True)
            ],
            head=nn.Linear(WIDTHS[-1], num_classes),
        )


shufflenetv1 = ShuffleNetV1
