"""One image file, of any format that Pillow decodes, as 8-bit RGB pixels of one size."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageOps

from mcmi_core.base.errors import DataError
from mcmi_core.base.terminal import printable

DECODING = 2
"""Raise it when the same file becomes other pixels, so that no images of old are taken."""

NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow recognises, and cannot decode or leaves to other programs."""

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats of which 32-bit integers (mode I) are 16-bit images; elsewhere their range is unknown."""


@cache
def formats() -> tuple[str, ...]:
    """Names of the formats that can be decoded here, the usual ones first."""
    Image.preinit()
    Image.init()
    return tuple(name for name in Image.ID if name not in NO_PICTURES)


@cache
def suffixes() -> frozenset[str]:
    """Suffixes of these formats, as ``.jpg``, in lower case."""
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in known if name in formats())


@cache
def _marked_formats() -> tuple[str, ...]:
    """Those that are told by their first bytes; the others see an image in many a file."""
    return tuple(name for name in formats() if Image.OPEN[name][1])


def is_image(path: str) -> bool:
    """Whether a file begins as an image does, whatever its name.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            Image.open(file, formats=_marked_formats())
        except Exception:  # from whatever Pillow stumbles over, it is no image that it knows
            return False
    return True


@contextmanager
def without_pillow_warnings() -> Iterator[None]:
    """Pillow warns of metadata, palettes and sizes that pictures are decoded in spite of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode(path: str, size: int) -> np.ndarray:
    """One image as it is meant to be seen, brought to ``size`` squared, (3, size, size) uint8.

    It is turned as its camera says. Numbers of more than 8 bits are rounded to 8, where black and
    white are known: in 16 bits, and in floats from 0 to 1.

    Raises:
        DataError: it cannot be decoded; the message is its path and why.
    """
    try:
        with Image.open(path, formats=formats()) as image:
            _turn_upright(image)
            square = ImageOps.fit(_in_8_bits(image).convert("RGB"), (size, size), Image.BILINEAR)
    except Exception as error:  # Pillow raises any kind, and each says why it is no image to it
        reason = str(error) or type(error).__name__
        raise DataError(f"{printable(path)}: {reason}") from error
    return np.ascontiguousarray(np.array(square).transpose(2, 0, 1))


def _turn_upright(image: Image.Image) -> None:
    image.load()
    with suppress(Exception):  # damaged metadata says nothing, and the picture is whole
        ImageOps.exif_transpose(image, in_place=True)


def _in_8_bits(image: Image.Image) -> Image.Image:
    """The image itself, or grey of 8 bits where Pillow would cut larger numbers off."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN_BITS):
        white = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    elif image.mode in ("I", "F"):
        white = 1 if image.mode == "F" else np.nan
    else:
        return image
    numbers = np.asarray(image, dtype=np.float32)
    share = numbers / white
    if not (share.min() >= 0 and share.max() <= 1):  # nor NaN
        raise ValueError(
            f"its numbers, from {numbers.min():g} to {numbers.max():g}, do not say what is black "
            "and what is white; save it with 8 or 16 bits"
        )
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is
        share = 1 - share
    return Image.fromarray(np.rint(255 * share).astype(np.uint8))
