"""Any folder of images, ``train/CLASS/*`` with ``test/CLASS/*`` or ``val/CLASS/*``."""

import logging
import os
import unicodedata
from pathlib import Path
from typing import Literal

from mcmi_core.base.errors import DataError
from mcmi_core.base.messages import some
from mcmi_core.base.paths import data_root
from mcmi_core.base.terminal import printable
from mcmi_core.data.augmentation import check_kind, stored_size
from mcmi_core.data.image_cache import decoded
from mcmi_core.data.image_files import Listing, describe_skipped, list_folders, list_images
from mcmi_core.data.split import Dataset

PHOTOGRAPH = 128
"""Images of at least so many pixels per side are treated as ImageNet's are."""

logger = logging.getLogger(__name__)


def image_folder(
    *,
    folder: str,
    image_size: int = 32,
    images_per_class: int = 0,
    test_folder: str | None = None,
    augmentation: Literal["none", "crop", "crop_flip", "resized_crop"] | None = None,
) -> Dataset:
    """Images of any size and format, brought to ``image_size`` squared, RGB.

    The shorter side is resized (with antialiasing) and the middle is cut out; an image that has
    the size already stays as it is. Training images are padded, cropped and flipped
    (``crop_flip``). From 128 pixels on, the protocol is ImageNet's: training sees random boxes
    (``resized_crop``) of images that are stored at 8/7 of ``image_size`` (256 for 224), evaluation
    the middle.

    Whatever Pillow can decode is an image. Hidden files, and files that are none, are skipped;
    when images are decoded, what was taken and what was skipped is logged, in one line.

    Decoded images take one byte per pixel and channel on the disk (``MCMI_CACHE``).

    Args:
        folder: in ``MCMI_DATA``, or an absolute path; may begin with ``~``.
        image_size: pixels per side that a network sees.
        images_per_class: only so many training images of each class, the first by name; 0: all. A
            network then fits its training images closely in a short training, as one does that sees
            all of them in a long one.
        test_folder: name of the folder of test images; None: ``test``, or ``val`` where ``test``
            has no class folders, as ImageNet's.
        augmentation: of training images, see :mod:`mcmi_core.data.augmentation`; None: the above.

    Raises:
        ValueError: an image size below 1, a negative number of images, an unknown augmentation, or
            training images that would be tested on.
        DataError: a folder that is missing, unreadable or empty, splits whose classes differ,
            images that cannot be decoded, or more of them than the disk has room for.
        StoreError: the cache cannot be read or written.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    if images_per_class < 0:
        raise ValueError(f"images_per_class must not be negative, got {images_per_class}")
    augmentation = augmentation or ("resized_crop" if image_size >= PHOTOGRAPH else "crop_flip")
    check_kind(augmentation)
    root = data_root() / os.path.expanduser(folder)
    if test_folder is not None and _one_in_the_other(root / "train", root / test_folder):
        raise ValueError(f"test_folder must name another folder than train, got {test_folder!r}")
    tested = ("test", "val") if test_folder is None else (test_folder,)
    folders = {"train": _find(root, "train"), "test": _find(root, *tested)}
    listings = {split: list_images(root, name) for split, name in folders.items()}
    if images_per_class:
        listings["train"] = listings["train"].first(images_per_class)
    _check_classes(root, *listings.values())
    size = stored_size(augmentation, image_size)
    train, test, about = decoded(root, listings, size, lambda: _log(root, *listings.values()))
    return Dataset(
        printable(root.name),
        train,
        test,
        listings["train"].classes,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        augmentation=augmentation,
        stored_fingerprint=about["fingerprint"],
    )


def _find(root: Path, *names: str) -> str:
    """The first of the folders ``names`` that has class folders."""
    if not os.path.isdir(root):
        raise DataError(
            f"no folder {printable(str(root))}; images are expected in its train/CLASS/*.jpg and "
            f"test/CLASS/*.jpg. MCMI_DATA names another place than {data_root()} for folders that "
            "are not absolute"
        )
    for name in names:
        if list_folders(root / name):
            return name
    there = some([printable(name) for name in list_folders(root)]) or "none"
    option = "" if names == ("train",) else "; option test_folder names one to test on"
    raise DataError(
        f"{printable(str(root))}: no class folders in {' or '.join(names)}, where images are "
        f"expected ({names[0]}/CLASS/*.jpg). Folders there: {there}{option}"
    )


def _one_in_the_other(first: Path, second: Path) -> bool:
    """Whether two folders are the same, or one is within the other."""
    places = [os.path.realpath(first), os.path.realpath(second)]
    return os.path.commonpath(places) in places


def _check_classes(root: Path, train: Listing, test: Listing) -> None:
    if len(train.classes) < 2:
        raise DataError(
            f"{printable(str(root))}: {train.folder} has one class, {train.classes[0]}, and "
            "networks tell two or more apart"
        )
    difference = sorted(set(train.classes) ^ set(test.classes))
    if not difference:
        return
    hint = f"option test_folder names another than {test.folder}"
    if _composed(train.classes) == _composed(test.classes):
        hint = "the names look alike, but their accents are encoded in two ways (NFC and NFD)"
    raise DataError(
        f"{printable(str(root))}: {train.folder} and {test.folder} differ in the classes "
        f"{some(difference)}; {hint}"
    )


def _composed(names: tuple[str, ...]) -> set[str]:
    return {unicodedata.normalize("NFC", name) for name in names}


def _log(root: Path, train: Listing, test: Listing) -> None:
    """Say what was taken, and as a warning what was not."""
    skipped = train.skipped.copy()
    for reason, paths in test.skipped.items():
        skipped[reason] = skipped[reason] + paths
    logger.log(
        logging.WARNING if skipped else logging.INFO,
        "%s: %s training images (%s) and %s test images (%s) of %d classes%s",
        printable(str(root)),
        f"{len(train.files):,}",
        train.folder,
        f"{len(test.files):,}",
        test.folder,
        len(train.classes),
        describe_skipped(skipped, root),
    )
