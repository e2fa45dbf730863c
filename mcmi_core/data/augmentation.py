"""Random crop and flip as numbers per image, so that a choice can be stored and repeated.

Small images have V variants: they are padded with black on all sides by an eighth of their size (4
pixels at 32, the protocol of the paper), cropped to their size at one of (2·padding + 1)² places,
and, with ``crop_flip``, flipped horizontally or not. At 32 pixels, V = 81 · 2 = 162.

Variants of photographs are too many to number: ``resized_crop``, the protocol of ImageNet, cuts out
a box of 8 to 100 % of the area, resizes it to what a network sees, seven eighths of the stored side
(224 of 256), and flips it or not. Evaluation sees the middle of the image, of that size.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KINDS = ("none", "crop", "crop_flip", "resized_crop")

SEEN = 7 / 8
"""Side of what a network sees of an image, with ``resized_crop``."""

AREAS = (0.08, 1.0)
"""Share of the image that a box of ``resized_crop`` covers; uniform."""

RATIOS = (3 / 4, 4 / 3)
"""Width over height of such a box; its logarithm is uniform."""

TRIES = 10
"""Boxes drawn per image; the first that fits into the image is taken, or else the whole image."""


def check_kind(kind: str) -> None:
    """Require a known augmentation.

    Raises:
        ValueError: another one.
    """
    if kind not in KINDS:
        raise ValueError(f"augmentation must be one of {', '.join(KINDS)}, got {kind!r}")


def seen_size(kind: str, stored_size: int) -> int:
    """Pixels per side that a network sees of images that are stored with ``stored_size``."""
    return round(SEEN * stored_size) if kind == "resized_crop" else stored_size


def stored_size(kind: str, seen_size: int) -> int:
    """Pixels per side to store, for a network to see ``seen_size`` of them."""
    return round(seen_size / SEEN) if kind == "resized_crop" else seen_size


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The middle (..., size, size) of images (..., H, H); smaller ones are returned unchanged."""
    margin = max(0, round((images.shape[-1] - size) / 2))
    return images[..., margin : margin + size, margin : margin + size]


def draw_variants(kind: str, stored_size: int, number: int, generator: torch.Generator) -> Tensor:
    """What :func:`augment` is to make of each of ``number`` images.

    Returns:
        (number,) integers in [0, V); with ``resized_crop`` (number, 5): the box's top, left, height
        and width in pixels, and whether it is flipped.
    """
    if kind != "resized_crop":
        return torch.randint(num_variants(kind, stored_size), (number,), generator=generator)
    uniform = torch.rand(number, TRIES, 2, generator=generator)
    areas = stored_size**2 * _between(*AREAS, uniform[..., 0])
    ratios = _between(*map(math.log, RATIOS), uniform[..., 1]).exp()
    sides = torch.stack([areas / ratios, areas * ratios], dim=-1).sqrt().round()  # height, width
    fits = (sides <= stored_size).all(dim=-1)  # (number, TRIES)
    first = fits.int().argmax(dim=1)[:, None, None].expand(-1, 1, 2)
    sides = sides.gather(1, first).squeeze(1)  # (number, 2)
    sides = sides.where(fits.any(dim=1, keepdim=True), torch.tensor(float(stored_size)))
    corners = torch.rand(number, 2, generator=generator, dtype=torch.float64)
    corners *= stored_size + 1 - sides
    flips = torch.randint(2, (number, 1), generator=generator)
    return torch.cat([corners.long(), sides.long(), flips], dim=1)


def num_variants(kind: str, image_size: int) -> int:
    """V: how many different images an augmentation makes of one.

    Raises:
        ValueError: an unknown one, or ``resized_crop``, whose variants are not numbered.
    """
    check_kind(kind)
    if kind == "resized_crop":
        raise ValueError("the variants of resized_crop are not numbered")
    places = (2 * _padding(image_size) + 1) ** 2
    return {"none": 1, "crop": places, "crop_flip": 2 * places}[kind]


def augment(images: Tensor, variants: Tensor, kind: str) -> Tensor:
    """Give each image its variant; all at once, on the device of the images.

    Args:
        images: (N, C, H, W) of any type, H = W; unchanged with ``none``.
        variants: (N,) or (N, 5), of :func:`draw_variants` for H.
        kind: of augmentation.

    Returns:
        (N, C, S, S) for S = ``seen_size(kind, H)``, of the type of ``images``.
    """
    if kind == "none":
        return images
    if kind == "resized_crop":
        return _resized_crop(images, variants, seen_size(kind, images.shape[-1]))
    size = images.shape[-1]
    padding = _padding(size)
    side = 2 * padding + 1
    flips, places = variants // side**2, variants % side**2
    padded = F.pad(images, [padding] * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, side, side, H, W), a view
    samples = torch.arange(len(images), device=images.device)
    cropped = windows[samples, :, places // side, places % side]  # (N, C, H, W)
    return torch.where(flips.bool()[:, None, None, None], cropped.flip(-1), cropped)


def _resized_crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The box of each image (N, C, H, H), resized bilinearly: (N, C, size, size).

    Without antialiasing, as a box is at most 8/7 of ``size`` wide.
    """
    top, left, height, width, flipped = boxes.float().split(1, dim=1)  # (N, 1) each
    steps = (torch.arange(size, device=images.device) + 0.5) / size  # pixel centres, from 0 to 1

    def places(start: Tensor, length: Tensor) -> Tensor:
        """Where the pixels of a side lie in the image, (N, size), from −1 to 1."""
        # Clamped, so that pixels on the border of a box are not mixed with those beside it.
        inside = (length * steps).clamp(0.5, None).minimum(length - 0.5)
        return 2 * (start + inside) / images.shape[-1] - 1

    rows, columns = places(top, height), places(left, width)
    columns = torch.where(flipped.bool(), columns.flip(1), columns)
    grid = torch.stack(
        [columns[:, None].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=-1
    )
    resized = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return resized.to(images.dtype) if images.is_floating_point() else resized.round().to(images)


def _between(low: float, high: float, uniform: Tensor) -> Tensor:
    return low + (high - low) * uniform


def _padding(image_size: int) -> int:
    return image_size // 8
