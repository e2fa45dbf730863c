"""Wide ResNets (WRN): pre-activation blocks, in stages that are ``factor`` times as wide.

Source: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, without dropout.
"""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import he_initialise, stack


class PreActivationBlock(nn.Module):
    """y = ReLU(BN(x)); conv(ReLU(BN(conv(y)))) + shortcut, both convolutions 3x3.

    The shortcut is x, or a 1x1 convolution of y where the number of channels changes.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map; a stride of 2 must change the number.
        stride: of the first convolution; 2 halves the map.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), not yet activated."""
        activated = F.relu(self.norm1(inputs))
        residual = self.conv2(F.relu(self.norm2(self.conv1(activated))))
        return residual + (self.shortcut(activated) if self.shortcut else inputs)


class WideResNet(StagedClassifier):
    """A wide ResNet for images of any size from 4x4 up.

    Its maps are sums that no ReLU has seen: at full size from the stem and stage 1, half and a
    quarter of it from stages 2 and 3. The neck normalises and activates the last one.

    Args:
        depth: 6n + 4 layers, for n blocks in each of the three stages.
        factor: the stages have 16, 32 and 64 times as many channels; the stem has 16.
        num_classes: C.
        in_channels: channels of the images.

    Raises:
        ValueError: a depth that is not 6n + 4 with n ≥ 1, or a factor below 1.
    """

    halvings = 2

    def __init__(self, depth: int, factor: int, *, num_classes: int, in_channels: int) -> None:
        num_blocks, remainder = divmod(depth - 4, 6)
        if num_blocks < 1 or remainder:
            raise ValueError(f"a wide ResNet has depth 6n + 4: 10, 16, 22, ...; got {depth}")
        if factor < 1:
            raise ValueError(f"a wide ResNet has a factor ≥ 1, got {factor}")
        widths = (16, 16 * factor, 32 * factor, 64 * factor)
        super().__init__(
            stem=nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            stages=[
                stack(PreActivationBlock, before, width, num_blocks, stride)
                for (before, width), stride in zip(pairwise(widths), (1, 2, 2), strict=True)
            ],
            neck=nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU()),
            head=nn.Linear(widths[-1], num_classes),
        )
        he_initialise(self)


wrn_16_1 = partial(WideResNet, 16, 1)
wrn_16_2 = partial(WideResNet, 16, 2)
wrn_40_1 = partial(WideResNet, 40, 1)
wrn_40_2 = partial(WideResNet, 40, 2)
