"""Mean and standard deviation of image channels, for data without published figures."""

import torch
from torch import Tensor

Channels = tuple[float, ...]

CHUNK = 4096
"""Images that are counted at a time, as all together may not fit into the memory."""


def channel_statistics(images: Tensor) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel over all pixels of all images, exactly.

    Counting the 256 values of a channel needs no float copy of the images.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        Means and standard deviations on the scale from 0 to 1, rounded to 4 digits as the usual
        published figures are, so that they do not depend on the order of summation.

    Raises:
        ValueError: a channel that has one value everywhere, and so cannot be normalised.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel, counts in enumerate(sum(map(_counts, images.split(CHUNK)))):
        share = counts.double() / counts.sum()
        mean = (share * values).sum()
        deviation = (share * (values - mean).square()).sum().sqrt()
        if deviation < 1e-4:
            raise ValueError(f"channel {channel} is {255 * mean:.0f} everywhere; it tells nothing")
        means.append(round(mean.item(), 4))
        deviations.append(round(deviation.item(), 4))
    return tuple(means), tuple(deviations)


def _counts(images: Tensor) -> Tensor:
    """How often each channel has each value, (C, 256)."""
    channels = images.transpose(0, 1)
    return torch.stack([torch.bincount(pixels.flatten(), minlength=256) for pixels in channels])
