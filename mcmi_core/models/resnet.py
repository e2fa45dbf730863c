"""CIFAR ResNets: a stem and three stages of basic blocks, which work at the full image size.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. As usual
in the distillation literature, and unlike that section, a shortcut that changes shape is a 1x1
convolution with batch norm, and the ``x4`` variants have stages four times as wide.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.models._base import Classifier

Widths = tuple[int, int, int, int]
"""Channels of the stem and of the three stages."""

NARROW: Widths = (16, 16, 32, 64)
WIDE: Widths = (32, 64, 128, 256)

SMALLEST_IMAGE = 4
"""Pixels per side that the second and third stage can halve down to one."""


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
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """The output map (N, out_channels, H / stride, W / stride), after its ReLU."""
        residual = F.relu(self.norm1(self.conv1(inputs)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut(inputs))


class ResNet(Classifier):
    """A CIFAR ResNet for images of any size from 4x4 up.

    Args:
        depth: 6n + 2 layers, for n basic blocks in each of the three stages.
        widths: channels of the stem and of the three stages.
        num_classes: C.
        in_channels: channels of the images.

    Raises:
        ValueError: a depth that is not 6n + 2 with n ≥ 1.
    """

    def __init__(self, depth: int, widths: Widths, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        num_blocks, remainder = divmod(depth - 2, 6)
        if num_blocks < 1 or remainder:
            raise ValueError(f"a CIFAR ResNet has depth 6n + 2: 8, 14, 20, ...; got {depth}")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(
            _stage(before, width, num_blocks, stride)
            for (before, width), stride in zip(pairwise(widths), (1, 2, 2), strict=True)
        )
        self.head = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """[stem, stage 1, stage 2, stage 3, pooled] and the logits (N, C), for images (N, c, H, W).

        The maps are taken after their ReLU: (N, D, H, W) at full size from the stem and stage 1,
        half and a quarter of it from stages 2 and 3; the pooled vector is (N, D).
        """
        maps = [self.stem(inputs)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        # A mean, as adaptive pooling has no deterministic gradient on CUDA.
        pooled = maps[-1].mean(dim=(2, 3))  # (N, D)
        return [*maps, pooled], self.head(pooled)


def _stage(in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Sequential:
    """Blocks of one width, of which the first changes the shape."""
    first = BasicBlock(in_channels, out_channels, stride)
    others = [BasicBlock(out_channels, out_channels, stride=1) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *others)


def _factory(name: str, depth: int, widths: Widths) -> Callable[..., ResNet]:
    """The registry's entry for one member of the family; it has no options."""

    def create(*, num_classes: int, in_channels: int, image_size: int) -> ResNet:
        if image_size < SMALLEST_IMAGE:
            raise ValueError(
                f"{name} halves its images twice and needs image_size ≥ {SMALLEST_IMAGE}, "
                f"got {image_size}"
            )
        return ResNet(depth, widths, num_classes=num_classes, in_channels=in_channels)

    return create


_MEMBERS = {
    "resnet8": (8, NARROW),
    "resnet14": (14, NARROW),
    "resnet20": (20, NARROW),
    "resnet32": (32, NARROW),
    "resnet44": (44, NARROW),
    "resnet56": (56, NARROW),
    "resnet110": (110, NARROW),
    "resnet152": (152, NARROW),
    "resnet8x4": (8, WIDE),
    "resnet32x4": (32, WIDE),
}

RESNETS = {name: _factory(name, depth, widths) for name, (depth, widths) in _MEMBERS.items()}
"""Factory by name."""
