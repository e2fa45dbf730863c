"""Any folder of images, ``train/CLASS/*`` with ``test/CLASS/*`` or ``val/CLASS/*``.

Images are decoded once, into files of the cache, which are mapped from then on: they load in no
time, all processes share them, and they may be larger than the memory. Their fingerprint is
computed meanwhile and stored with them: otherwise every training would first read all of them.
"""

import errno
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor

from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.base.progress import progress_bar
from mcmi_core.base.tensor_files import map_tensor, read_tensors, write_tensors
from mcmi_core.data.augmentation import stored_size
from mcmi_core.data.normalisation import channel_statistics
from mcmi_core.data.split import Dataset, Fingerprint, Split

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder

DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on files that are no image, or no longer a whole one."""

PHOTOGRAPH = 128
"""Images of at least so many pixels per side are treated as ImageNet's are."""

CHUNK = 512
"""Images that are decoded before more are asked for: those of 256 pixels take 100 MB together."""


def image_folder(*, folder: str, image_size: int = 32, images_per_class: int = 0) -> Dataset:
    """Images of any size and format, brought to ``image_size`` squared, RGB.

    The shorter side is resized (with antialiasing) and the middle is cut out; an image that has
    the size already stays as it is. Training images are padded, cropped and flipped. From 128
    pixels on, the protocol is ImageNet's: images are stored at 8/7 of ``image_size`` (256 for
    224), training sees random boxes of them (``resized_crop``), evaluation the middle.

    Decoded images take one byte per pixel and channel on the disk (``MCMI_CACHE``).

    Args:
        folder: in ``MCMI_DATA``, or an absolute path.
        image_size: pixels per side that a network sees.
        images_per_class: only so many training images of each class, the first by name; 0: all. A
            network then fits its training images closely in a short training, as one does that sees
            all of them in a long one.

    Raises:
        ValueError: an image size below 1, or a negative number of images.
        DataError: a folder that is missing or empty, splits whose classes differ, an image that
            cannot be decoded, or more images than the disk has room for.
        StoreError: the cache cannot be written.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    if images_per_class < 0:
        raise ValueError(f"images_per_class must not be negative, got {images_per_class}")
    root = data_root() / folder
    listings = {"train": _list(root, "train"), "test": _list(root, "test", "val")}
    if images_per_class:
        _keep_first(listings["train"], images_per_class)
    _check_classes(root, listings)
    augmentation = "resized_crop" if image_size >= PHOTOGRAPH else "crop_flip"
    size = stored_size(augmentation, image_size)
    path = cache_root() / "imagefolder" / f"{root.name}-{_digest(listings, size)}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # if several processes ask at once, one decodes
        if not _is_whole(path, listings, size):
            _remove(path, listings)  # what an interrupted decoding left
            _check_room(path.parent, root, listings, size)
            _decode_into(path, listings, size)
    tensors, about = read_tensors(path)
    train, test = (
        Split(_mapped(_pixels_of(path, name), len(listing), size), tensors[name])
        for name, listing in listings.items()
    )
    return Dataset(
        root.name,
        train,
        test,
        tuple(listings["train"].classes),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        augmentation=augmentation,
        stored_fingerprint=about["fingerprint"],
    )


def _list(root: Path, *names: str) -> "ImageFolder":
    """The files of the first of the folders ``names`` that exists, with their classes."""
    from torchvision.datasets import ImageFolder  # takes seconds, so only where it is used

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


def _keep_first(listing: "ImageFolder", number: int) -> None:
    """Leave out all but the first files of each class; they are sorted by class and name."""
    seen, kept = Counter(), []
    for path, label in listing.samples:
        seen[label] += 1
        if seen[label] <= number:
            kept.append((path, label))
    listing.samples = listing.imgs = kept
    listing.targets = [label for _, label in kept]


def _check_classes(root: Path, listings: "dict[str, ImageFolder]") -> None:
    train, test = listings.values()
    if difference := sorted(set(train.classes) ^ set(test.classes)):
        raise DataError(f"{root}: training and test split differ in the classes {difference[:5]}")


def _check_room(folder: Path, root: Path, listings: "dict[str, ImageFolder]", size: int) -> None:
    number = sum(len(listing) for listing in listings.values())
    needed, free = number * _num_bytes(size), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{root}: {number} images of {size}x{size} need {needed:,} bytes of disk, and {folder} "
            f"has {free:,}; MCMI_CACHE names another place"
        )


def _digest(listings: "dict[str, ImageFolder]", size: int) -> str:
    """Changes with every file's name, size and time, so that no stale images are taken."""
    digest = hashlib.sha256(str(size).encode())
    for listing in listings.values():
        for path, label in listing.samples:
            stat = os.stat(path)
            name = os.path.relpath(path, listing.root)
            digest.update(f"{name} {label} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _num_bytes(size: int) -> int:
    """Of one decoded image."""
    return 3 * size**2


def _pixels_of(path: Path, split: str) -> Path:
    """The file of a split's images, beside the one that describes them."""
    return path.with_suffix(f".{split}")


def _is_whole(path: Path, listings: "dict[str, ImageFolder]", size: int) -> bool:
    for name, listing in listings.items():
        file = _pixels_of(path, name)
        if not file.exists() or file.stat().st_size != len(listing) * _num_bytes(size):
            return False
    # Descriptions by older versions have no fingerprint.
    return path.exists() and "fingerprint" in read_tensors(path)[1]


def _mapped(path: Path, number: int, size: int) -> Tensor:
    """Images (number, 3, size, size) that are read from the disk as they are needed."""
    return map_tensor(path, np.uint8, (number, 3, size, size))


def _decode_into(path: Path, listings: "dict[str, ImageFolder]", size: int) -> None:
    """Write the files of the cache: last the description, which says that the others are whole."""
    train = listings["train"]
    labels = {name: torch.tensor(listing.targets) for name, listing in listings.items()}
    fingerprint = Fingerprint()
    try:
        with progress_bar(sum(map(len, listings.values())), "image") as bar:
            for name, listing in listings.items():
                files = [file for file, _ in listing.samples]
                fingerprint.begin(torch.uint8, (len(files), 3, size, size))
                for image in _decode_all(files, _pixels_of(path, name), size):
                    fingerprint.add(image)
                    bar.update()
                fingerprint.begin(labels[name].dtype, tuple(labels[name].shape))
                fingerprint.add(labels[name])
        mean, std = channel_statistics(_mapped(_pixels_of(path, "train"), len(train), size))
        about = {"mean": mean, "std": std, "fingerprint": fingerprint.digits()}
        write_tensors(path, labels, about, durable=False)
    except ValueError as error:
        raise DataError(f"{train.root}: {error}") from None
    except OSError as error:
        raise StoreError(
            f"cannot write decoded images to {path.parent}: {error.strerror}"
        ) from error
    finally:
        if not path.exists():
            _remove(path, listings)


def _remove(path: Path, listings: "dict[str, ImageFolder]") -> None:
    for file in (path, *(_pixels_of(path, name) for name in listings)):
        file.unlink(missing_ok=True)


def _decode_all(files: list[str], path: Path, size: int) -> Iterator[np.ndarray]:
    """Write the images one after the other, (N, 3, size, size) bytes; yields each, in order."""

    def decode(place: int) -> np.ndarray:
        image = _decode(files[place], size)
        if os.pwrite(file.fileno(), image, place * image.nbytes) < image.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return image

    with open(path, "wb") as file, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), CHUNK):
            yield from pool.map(decode, range(start, min(start + CHUNK, len(files))))


def _decode(path: str, size: int) -> np.ndarray:
    """One image as (3, size, size) uint8."""
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.BILINEAR)
    except DAMAGED as error:
        raise DataError(f"cannot decode {path}: {error}") from None
    return np.ascontiguousarray(np.array(square).transpose(2, 0, 1))
