"""CIFAR ResNets: a stem and three stages of basic blocks, which work at the full image size.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. As usual
in the distillation literature, and unlike that section, a shortcut that changes shape is a 1x1
convolution with batch norm, and the ``x4`` variants have stages four times as wide.
"""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm_relu, he_initialise, projection, stack

Widths = tuple[int, int, int, int]
"""Channels of the stem and of the three stages."""

NARROW: Widths = (16, 16, 32, 64)
WIDE: Widths = (32, 64, 128, 256)


class BasicBlock(nn.Module):
    """ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x)), both convolutions 3x3.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map.
        stride: of the first convolution; 2 halves the map.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = projection(in_channels, out_channels, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), after its ReLU."""
        residual = F.relu(self.norm1(self.conv1(inputs)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut(inputs))


class ResNet(StagedClassifier):
    """A CIFAR ResNet for images of any size from 4x4 up.

    Its maps are taken after their ReLU: at full size from the stem and stage 1, half and a quarter
    of it from stages 2 and 3.

    Args:
        depth: 6n + 2 layers, for n basic blocks in each of the three stages.
        widths: channels of the stem and of the three stages.
        num_classes: C.
        in_channels: channels of the images.

    Raises:
        ValueError: a depth that is not 6n + 2 with n ≥ 1.
    """

    halvings = 2

    def __init__(self, depth: int, widths: Widths, *, num_classes: int, in_channels: int) -> None:
        num_blocks, remainder = divmod(depth - 2, 6)
        if num_blocks < 1 or remainder:
            raise ValueError(f"a CIFAR ResNet has depth 6n + 2: 8, 14, 20, ...; got {depth}")
        super().__init__(
            stem=conv_norm_relu(in_channels, widths[0], 3),
            stages=[
                stack(BasicBlock, before, width, num_blocks, stride)
                for (before, width), stride in zip(pairwise(widths), (1, 2, 2), strict=True)
            ],
            head=nn.Linear(widths[-1], num_classes),
        )
        he_initialise(self)


resnet8 = partial(ResNet, 8, NARROW)
resnet14 = partial(ResNet, 14, NARROW)
resnet20 = partial(ResNet, 20, NARROW)
resnet32 = partial(ResNet, 32, NARROW)
resnet44 = partial(ResNet, 44, NARROW)
resnet56 = partial(ResNet, 56, NARROW)
resnet110 = partial(ResNet, 110, NARROW)
resnet152 = partial(ResNet, 152, NARROW)
resnet8x4 = partial(ResNet, 8, WIDE)
resnet32x4 = partial(ResNet, 32, WIDE)
