"""Decoded images on the disk.

Images are decoded once, into files of the cache, which are mapped from then on: they load in no
time, all processes share them, and they may be larger than the memory. Their fingerprint is
computed meanwhile and stored with them: otherwise every training would first read all of them.

So is a CRC-32 of each image. Whoever loads them compares: all, where they take at most
:data:`CHECKED_WHOLE`, which costs about a second for that much, else :data:`CHECKED` of them,
chosen anew each time. That finds a cache of which 0.5 % is damaged in 99 of 100 loads, but hardly
ever one image among a million: who doubts those deletes the cache. A damaged cache is made again.
"""

import errno
import hashlib
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from filelock import Timeout
from torch import Tensor

from mcmi_core.base.errors import Damaged, DataError, StoreError
from mcmi_core.base.files import locked
from mcmi_core.base.messages import some
from mcmi_core.base.paths import cache_root
from mcmi_core.base.progress import progress_bar
from mcmi_core.base.tensor_files import map_tensor, read_tensors, write_tensors
from mcmi_core.base.terminal import printable
from mcmi_core.data.image_decoding import DECODING, decode, without_pillow_warnings
from mcmi_core.data.image_files import Listing
from mcmi_core.data.normalisation import channel_statistics
from mcmi_core.data.split import Fingerprint, Split

CHUNK = 512
"""Images that are decoded before more are asked for: those of 256 pixels take 100 MB together."""

CHECKED_WHOLE = 2**30
"""Bytes of images of which each is compared with its checksum when they are loaded."""

CHECKED = 1000
"""Images of a split that are compared where there are more bytes."""

SPLITS = ("train", "test")

logger = logging.getLogger(__name__)

Listings = dict[str, Listing]
"""By split."""


def decoded(
    root: Path, listings: Listings, size: int, announce: Callable[[], None]
) -> tuple[Split, Split, dict]:
    """The images of both splits, decoded now or earlier.

    Args:
        root: the folder of both, whose name begins the names of the files.
        listings: of ``train`` and ``test``.
        size: pixels per side.
        announce: called before images are decoded, if they are.

    Returns:
        Training split, test split, and ``mean``, ``std`` and ``fingerprint`` of them.

    Raises:
        DataError: images that cannot be decoded, or more of them than the disk has room for.
        StoreError: the cache cannot be read or written.
    """
    path = cache_root() / "imagefolder" / _file_name(root, listings, size)
    try:
        if _is_whole(path, listings, size):
            return _read(path, listings, size)
    except Damaged as damage:
        logger.warning("%s; the images are decoded again", damage)
    _decode_once(path, root, listings, size, announce)
    return _read(path, listings, size)


def _read(
    path: Path, listings: Listings, size: int, *, whole: bool = False
) -> tuple[Split, Split, dict]:
    """What is in the cache; ``whole``: after each image was compared with its checksum.

    Raises:
        Damaged: it is not what was written.
        StoreError: it cannot be read.
    """
    tensors, about = read_tensors(path)
    splits = []
    for name, listing in listings.items():
        pixels = _pixels_of(path, name)
        images = _mapped(pixels, len(listing.files), size)
        if (expected := tensors.get(_checksums(name))) is not None:  # earlier versions had none
            _check(pixels, images.numpy(), expected.numpy(), whole)
        splits.append(Split(images, tensors[name]))
    return *splits, about


def _checksums(split: str) -> str:
    """The name of the tensor (N,) with a CRC-32 of each image."""
    return f"{split}_crc32"


def _check(path: Path, images: np.ndarray, expected: np.ndarray, whole: bool) -> None:
    """Compare images with their checksums; of too many, some, unless ``whole``."""
    numbers = np.arange(len(images))
    if images.nbytes > CHECKED_WHOLE and not whole:
        numbers = np.random.default_rng().choice(numbers, min(CHECKED, len(numbers)), replace=False)
    for number in numbers:
        if zlib.crc32(images[number]) != expected[number]:
            raise Damaged(f"{path} is damaged (image {number + 1} of {len(images)})")


def _file_name(root: Path, listings: Listings, size: int) -> str:
    """Changes with every file's name and state, so that no stale images are taken."""
    digest = hashlib.sha256(f"{DECODING} {size}".encode() + os.fsencode(root.name))
    beginning = len(str(root))
    for listing in listings.values():
        for file in listing.files:
            name = os.fsencode(file.path[beginning:])
            digest.update(b"\0%b\0%d %b" % (name, file.label, str(file.state).encode()))
    name = re.sub(r"[^\w.-]", "_", root.name, flags=re.ASCII)[:64]  # any name, and not too long
    return f"{name}-{digest.hexdigest()[:16]}.safetensors"


def _num_bytes(size: int) -> int:
    """Of one decoded image."""
    return 3 * size**2


def _pixels_of(path: Path, split: str) -> Path:
    """The file of a split's images, beside the one that describes them."""
    return path.with_suffix(f".{split}")


def _is_whole(path: Path, listings: Listings, size: int) -> bool:
    """Nothing is written or locked to find out, so a cache may be read-only once it is whole."""
    return os.path.exists(path) and all(
        os.path.exists(file := _pixels_of(path, name))
        and os.path.getsize(file) == len(listing.files) * _num_bytes(size)
        for name, listing in listings.items()
    )


def _is_sound(path: Path, listings: Listings, size: int) -> bool:
    """As another process may just have made it, in the place of one known to be damaged.

    All images are compared, as other ones than those that gave the damage away would pass.
    """
    try:
        return _is_whole(path, listings, size) and bool(_read(path, listings, size, whole=True))
    except Damaged:
        return False


def _mapped(path: Path, number: int, size: int) -> Tensor:
    """Images (number, 3, size, size) that are read from the disk as they are needed."""
    try:
        return map_tensor(path, np.uint8, (number, 3, size, size))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def _decode_once(
    path: Path, root: Path, listings: Listings, size: int, announce: Callable[[], None]
) -> None:
    """Write the files of the cache; if several processes ask at once, one does."""
    try:
        with locked(Path(f"{path}.lock")):
            if not _is_sound(path, listings, size):
                _delete_leftovers(path)
                _check_room(path.parent, root, listings, size)
                announce()
                _decode_into(path, listings, size)
    except StoreError as error:
        raise StoreError(f"{error}; MCMI_CACHE names another place") from error


def _delete_leftovers(path: Path) -> None:
    """Delete what killed decodings have left, of ``path`` and of folders that have changed since.

    The description is written last: pixels without one that nobody is decoding are leftovers.
    """
    _remove(path)
    pixels = [file for file in path.parent.iterdir() if file.suffix[1:] in SPLITS]
    for other in {file.with_suffix(path.suffix) for file in pixels} - {path}:
        with suppress(Timeout, StoreError), locked(Path(f"{other}.lock"), wait=False):
            if not other.exists():
                _remove(other)


def _remove(path: Path) -> None:
    for file in (path, *(_pixels_of(path, name) for name in SPLITS)):
        with suppress(OSError):  # what cannot be deleted cannot be written either, which is said
            file.unlink(missing_ok=True)


def _check_room(folder: Path, root: Path, listings: Listings, size: int) -> None:
    number = sum(len(listing.files) for listing in listings.values())
    needed, free = number * _num_bytes(size), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{printable(str(root))}: {number} images of {size}x{size} need {needed:,} bytes of "
            f"disk, and {folder} has {free:,}; MCMI_CACHE names another place"
        )


def _decode_into(path: Path, listings: Listings, size: int) -> None:
    """Write the files of the cache: last the description, which says that the others are whole."""
    train = listings["train"]
    labels = {
        name: torch.tensor([file.label for file in listing.files])
        for name, listing in listings.items()
    }
    checksums = {name: [] for name in listings}
    fingerprint, damaged = Fingerprint(), []
    total = sum(len(listing.files) for listing in listings.values())
    try:
        with progress_bar(total, "image") as bar, without_pillow_warnings():
            for name, listing in listings.items():
                files = [file.path for file in listing.files]
                fingerprint.begin(torch.uint8, (len(files), 3, size, size))
                for image in _decode_all(files, _pixels_of(path, name), size):
                    if isinstance(image, DataError):
                        damaged.append(str(image))
                    else:
                        fingerprint.add(image)
                        checksums[name].append(zlib.crc32(image))
                    bar.update()
                fingerprint.begin(labels[name].dtype, tuple(labels[name].shape))
                fingerprint.add(labels[name])
        _check_damaged(damaged)
        try:
            images = _mapped(_pixels_of(path, "train"), len(train.files), size)
            mean, std = channel_statistics(images)
        except ValueError as error:
            raise DataError(f"{printable(str(train.root / train.folder))}: {error}") from None
        about = {"mean": mean, "std": std, "fingerprint": fingerprint.digits()}
        sums = {_checksums(name): torch.tensor(values) for name, values in checksums.items()}
        write_tensors(path, labels | sums, about)
    except OSError as error:
        raise StoreError(
            f"cannot write decoded images to {path.parent}: {error.strerror}"
        ) from error
    finally:
        if not path.exists():
            _remove(path)


def _check_damaged(damaged: list[str]) -> None:
    """All of them are said at once, so that nobody has to decode again for each."""
    if damaged:
        number = f"{len(damaged):,} images: " if len(damaged) > 1 else ""
        raise DataError(f"cannot decode {number}{some(damaged, '; ')}")


def _decode_all(files: list[str], path: Path, size: int) -> Iterator[np.ndarray | DataError]:
    """Write the images one after the other, (N, 3, size, size) bytes; yields each, in order.

    In the place of an image that cannot be decoded it yields the error.
    """

    def decode_to(place: int) -> np.ndarray | DataError:
        try:
            image = decode(files[place], size)
        except DataError as error:
            return error
        if os.pwrite(file.fileno(), image, place * image.nbytes) < image.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return image

    with open(path, "wb") as file, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), CHUNK):
            yield from pool.map(decode_to, range(start, min(start + CHUNK, len(files))))
        os.fsync(file.fileno())  # before the description says that they are whole
