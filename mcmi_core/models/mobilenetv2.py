"""MobileNetV2 at half width: inverted residual blocks with linear bottlenecks.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
table 2. As usual in the distillation literature: all widths but the last are halved without
rounding to multiples of 8, the second row of the table has stride 1 instead of 2, the first block
too has its 1x1 convolution at an expansion of 1, activations are ReLU instead of ReLU6, and there
is no dropout.
"""

from functools import partial

from torch import Tensor, nn

from mcmi_core.models._base import StagedClassifier
from mcmi_core.models._blocks import conv_norm, conv_norm_relu, he_initialise, stack

STEM_WIDTH = 16
LAST_WIDTH = 1280

STAGES = (
    ((1, 8, 1, 1), (6, 12, 2, 1)),
    ((6, 16, 3, 2),),
    ((6, 32, 4, 2), (6, 48, 3, 1)),
    ((6, 80, 3, 2), (6, 160, 1, 1)),
)
"""Per stage, rows of the paper's table: expansion, channels, blocks, stride of the first block."""


class InvertedResidual(nn.Module):
    """1x1 convolution to ``expansion`` times the channels → depthwise 3x3 → linear 1x1.

    The input is added where the shape stays the same.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map.
        stride: of the depthwise convolution; 2 halves the map.
        expansion: how many times wider the depthwise convolution is than the input.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.residual = nn.Sequential(
            conv_norm_relu(in_channels, inner, 1),
            conv_norm_relu(inner, inner, 3, stride, groups=inner),
            conv_norm(inner, out_channels, 1),
        )
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), without an activation."""
        residual = self.residual(inputs)
        return inputs + residual if self.adds_input else residual


class MobileNetV2(StagedClassifier):
    """MobileNetV2 at half width for images of any size from 16x16 up.

    Its maps are taken after their ReLU from the stem, and linear from the stages: at half size
    from the stem and stage 1, then halved by every stage. The neck is the last 1x1 convolution.

    Args:
        num_classes: C.
        in_channels: channels of the images.
    """

    halvings = 4

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        stem = conv_norm_relu(in_channels, STEM_WIDTH, 3, stride=2)
        stages, before = [], STEM_WIDTH
        for rows in STAGES:
            stage = nn.Sequential()
            for expansion, width, num_blocks, stride in rows:
                block = partial(InvertedResidual, expansion=expansion)
                stage.append(stack(block, before, width, num_blocks, stride))
                before = width
            stages.append(stage)
        super().__init__(
            stem=stem,
            stages=stages,
            neck=conv_norm_relu(before, LAST_WIDTH, 1),
            head=nn.Linear(LAST_WIDTH, num_classes),
        )
        he_initialise(self)


mobilenetv2 = MobileNetV2
