"""VGG with batch norm: plain 3x3 convolutions, and max-pooling between the stages.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, table 1. As usual in the distillation literature: batch norm after every
convolution, one linear layer instead of three, no pooling before the last stage (a 32x32 image
ends at 4x4), and VGG-8 as well, with a single convolution in each stage.
"""

from functools import partial
from itertools import pairwise

from torch import nn

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm_relu, he_initialise

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the stem and of the four stages."""

POOLS = (False, True, True, True, False)
"""Whether the stem and the four stages begin with max-pooling."""

NumLayers = tuple[int, int, int, int, int]
"""Convolutions in the stem and in the four stages."""


class VGG(StagedClassifier):
    """A VGG for images of any size from 8x8 up.

    Its maps are taken after their ReLU and before pooling, with which the next stage begins: at
    full size from the stem, then a half, a quarter, an eighth and an eighth of it.

    Args:
        num_layers: convolutions in the stem and in the four stages.
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 3

    def __init__(self, num_layers: NumLayers, *, num_classes: int, in_channels: int) -> None:
        channels = pairwise((in_channels, *WIDTHS))
        stem, *stages = (
            _stage(before, width, number, pools)
            for (before, width), number, pools in zip(channels, num_layers, POOLS, strict=True)
        )
        super().__init__(stem=stem, stages=stages, head=nn.Linear(WIDTHS[-1], num_classes))
        he_initialise(self)


def _stage(in_channels: int, out_channels: int, num_layers: int, pools: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.MaxPool2d(2)] if pools else []
    for before in [in_channels] + [out_channels] * (num_layers - 1):
        # The bias does nothing before batch norm, but belongs to the literature's VGG.
        layers.append(conv_norm_relu(before, out_channels, 3, bias=True))
    return nn.Sequential(*layers)


vgg8 = partial(VGG, (1, 1, 1, 1, 1))
vgg11 = partial(VGG, (1, 1, 2, 2, 2))
vgg13 = partial(VGG, (2, 2, 2, 2, 2))
vgg16 = partial(VGG, (2, 2, 3, 3, 3))
vgg19 = partial(VGG, (2, 2, 4, 4, 4))
