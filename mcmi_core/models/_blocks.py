"""Layers that the convolutional families share."""

from collections.abc import Callable

from torch import nn


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution → batch norm: (N, in_channels, H, W) to (N, out_channels, H/stride, W/stride).

    Without bias by default: batch norm subtracts it again and adds its own. Sizes round up.
    """
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=bias,
        ),
        nn.BatchNorm2d(out_channels),
    )


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """:func:`conv_norm` → ReLU."""
    layers = conv_norm(in_channels, out_channels, kernel_size, stride, groups=groups, bias=bias)
    return layers.append(nn.ReLU())


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """A residual block's shortcut: the identity, or a 1x1 convolution where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_norm(in_channels, out_channels, 1, stride)


def stack(
    block: Callable[[int, int, int], nn.Module],
    in_channels: int,
    out_channels: int,
    num_blocks: int,
    stride: int,
) -> nn.Sequential:
    """``num_blocks`` blocks of one width, of which the first changes channels and size.

    Args:
        block: makes a block from its input channels, output channels and stride.
        in_channels: channels of the input map.
        out_channels: channels of every block's output.
        num_blocks: at least 1.
        stride: of the first block; the others have stride 1.
    """
    first = block(in_channels, out_channels, stride)
    return nn.Sequential(
        first, *(block(out_channels, out_channels, 1) for _ in range(num_blocks - 1))
    )


def he_initialise(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, 2 / fan-out), layer by layer.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
