"""Random crop and flip as one number per image, so that a choice can be stored and repeated.

An image has V variants: it is padded with black on all sides by an eighth of its size (4 pixels at
32, the protocol of the paper), cropped to its size at one of (2·padding + 1)² places, and, with
``crop_flip``, flipped horizontally or not. At 32 pixels, V = 81 · 2 = 162.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

KINDS = ("none", "crop", "crop_flip")


def check_kind(kind: str) -> None:
    """Require a known augmentation.

    Raises:
        ValueError: another one.
    """
    if kind not in KINDS:
        raise ValueError(f"augmentation must be one of {', '.join(KINDS)}, got {kind!r}")


def num_variants(kind: str, image_size: int) -> int:
    """V: how many different images an augmentation makes of one."""
    check_kind(kind)
    places = (2 * _padding(image_size) + 1) ** 2
    return {"none": 1, "crop": places, "crop_flip": 2 * places}[kind]


def augment(images: Tensor, variants: Tensor, kind: str) -> Tensor:
    """Give each image its variant; all at once, on the device of the images.

    Args:
        images: (N, C, H, W) of any type, H = W; unchanged with ``none``.
        variants: (N,) integers in [0, V), for ``num_variants(kind, H)`` = V.
        kind: of augmentation.

    Returns:
        (N, C, H, W), of the type of ``images``.
    """
    if kind == "none":
        return images
    size = images.shape[-1]
    padding = _padding(size)
    side = 2 * padding + 1
    flips, places = variants // side**2, variants % side**2
    padded = F.pad(images, [padding] * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, side, side, H, W), a view
    samples = torch.arange(len(images), device=images.device)
    cropped = windows[samples, :, places // side, places % side]  # (N, C, H, W)
    return torch.where(flips.bool()[:, None, None, None], cropped.flip(-1), cropped)


def _padding(image_size: int) -> int:
    return image_size // 8
