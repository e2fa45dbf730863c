"""ShuffleNetV2 at width 1: half of the channels pass through a unit untouched.

Source: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
ECCV 2018, table 5. As usual in the distillation literature, the stem is a 1x1 convolution at full
image size, without pooling. Convolutions keep torch's initialisation, as there.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm, conv_norm_relu, stack

WIDTHS = (24, 116, 232, 464)
"""Channels of the stem and of the three stages."""

NUM_UNITS = (4, 8, 4)
LAST_WIDTH = 1024


class ShuffleUnit(nn.Module):
    """Two branches of half the channels each, concatenated and shuffled.

    One branch is 1x1 convolution → depthwise 3x3 → 1x1. The other is the identity, and the input's
    channels are split between both; where the map is halved, both read the whole input, and the
    other is depthwise 3x3 → 1x1.

    Args:
        in_channels: channels of the input map; with stride 1 as many as ``out_channels``.
        out_channels: channels of the output map, an even number.
        stride: of the depthwise convolutions; 2 halves the map.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.halves = stride == 2
        half = out_channels // 2
        self.shortcut = nn.Identity()
        if self.halves:
            self.shortcut = nn.Sequential(
                conv_norm(in_channels, in_channels, 3, stride, groups=in_channels),
                conv_norm_relu(in_channels, half, 1),
            )
        self.branch = nn.Sequential(
            conv_norm_relu(in_channels if self.halves else half, half, 1),
            conv_norm(half, half, 3, stride, groups=half),
            conv_norm_relu(half, half, 1),
        )
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), after its ReLUs."""
        left, right = (inputs, inputs) if self.halves else inputs.chunk(2, dim=1)
        return self.shuffle(torch.cat([self.shortcut(left), self.branch(right)], dim=1))


class ShuffleNetV2(StagedClassifier):
    """ShuffleNetV2 at width 1 for images of any size from 8x8 up.

    Its maps are taken after their ReLU: at full size from the stem, then halved by every stage.
    The neck is the last 1x1 convolution.

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
            neck=conv_norm_relu(WIDTHS[-1], LAST_WIDTH, 1),
            head=nn.Linear(LAST_WIDTH, num_classes),
        )


shufflenetv2 = ShuffleNetV2
