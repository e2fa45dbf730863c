"""Any folder of images, ``train/CLASS/*`` with ``test/CLASS/*`` or ``val/CLASS/*``.

Images are decoded once, into a file of the cache that is read in a second from then on.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor

from mcmi_core.data.normalisation import channel_statistics
from mcmi_core.data.split import Dataset, Split
from mcmi_core.errors import DataError
from mcmi_core.files import read_tensors, write_tensors
from mcmi_core.paths import cache_root, data_root
from mcmi_core.progress import progress_bar

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder

DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on files that are no image, or no longer a whole one."""


def image_folder(*, folder: str, image_size: int = 32) -> Dataset:
    """Images of any size and format, brought to ``image_size`` squared, RGB.

    The shorter side is resized (with antialiasing) and the middle is cut out; an image that has
    the size already stays as it is. All of them are held in memory, one byte per pixel and channel.

    Args:
        folder: in ``MCMI_DATA``, or an absolute path.
        image_size: pixels per side.

    Raises:
        ValueError: an image size below 1.
        DataError: a folder that is missing or empty, splits whose classes differ, an image that
            cannot be decoded, or more images than the memory holds.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    root = data_root() / folder
    listings = {"train": _list(root, "train"), "test": _list(root, "test", "val")}
    _check(root, listings, image_size)
    path = cache_root() / "imagefolder" / f"{root.name}-{_digest(listings, image_size)}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # of many processes, one decodes
        if not path.exists():
            _decode_into(path, listings, image_size)
    tensors, about = read_tensors(path)
    train, test = (Split(tensors[f"{name}_images"], tensors[f"{name}_labels"]) for name in listings)
    return Dataset(
        root.name,
        train,
        test,
        tuple(listings["train"].classes),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        augmentation="crop_flip",
    )


def _list(root: Path, *names: str) -> "ImageFolder":
    """The files of the first of the folders ``names`` that exists, with their classes."""
    from torchvision.datasets import ImageFolder  # seconds, which only this data set should wait

    for name in names:
        if (root / name).is_dir():
            try:
                return ImageFolder(root / name)
            except FileNotFoundError as error:  # no class folder, or one without images
                raise DataError(f"{root / name}: {error}") from None
    raise DataError(
        f"no folder {' or '.join(str(root / name) for name in names)}; images are expected in "
        f"{names[0]}/CLASS/*.jpg. MCMI_DATA names another place than {data_root()}"
    )


def _check(root: Path, listings: "dict[str, ImageFolder]", image_size: int) -> None:
    train, test = listings.values()
    if difference := sorted(set(train.classes) ^ set(test.classes)):
        raise DataError(f"{root}: training and test split differ in the classes {difference[:5]}")
    needed = (len(train) + len(test)) * 3 * image_size**2
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise DataError(
            f"{root}: {len(train) + len(test)} images of {image_size}x{image_size} need "
            f"{needed / 1e9:.0f} GB of memory, and this machine has {memory / 1e9:.0f}; choose a "
            "smaller image_size"
        )


def _digest(listings: "dict[str, ImageFolder]", image_size: int) -> str:
    """Changes with every file's name, size and time, so that no stale images are taken."""
    digest = hashlib.sha256(str(image_size).encode())
    for listing in listings.values():
        for path, label in listing.samples:
            stat = os.stat(path)
            name = os.path.relpath(path, listing.root)
            digest.update(f"{name} {label} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _decode_into(path: Path, listings: "dict[str, ImageFolder]", image_size: int) -> None:
    tensors = {}
    total = sum(len(listing) for listing in listings.values())
    with progress_bar(total, "image") as bar, ThreadPoolExecutor() as pool:
        for name, listing in listings.items():
            images = torch.empty(len(listing), 3, image_size, image_size, dtype=torch.uint8)
            decoded = pool.map(lambda sample: _decode(sample[0], image_size), listing.samples)
            for index, image in enumerate(decoded):
                images[index] = image
                bar.update()
            tensors |= {f"{name}_images": images, f"{name}_labels": torch.tensor(listing.targets)}
    try:
        mean, std = channel_statistics(tensors["train_images"])
    except ValueError as error:
        raise DataError(f"{listings['train'].root}: {error}") from None
    write_tensors(path, tensors, {"mean": mean, "std": std}, durable=False)


def _decode(path: str, image_size: int) -> Tensor:
    """One image as (3, image_size, image_size) uint8."""
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.BILINEAR)
    except DAMAGED as error:
        raise DataError(f"cannot decode {path}: {error}") from None
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)
