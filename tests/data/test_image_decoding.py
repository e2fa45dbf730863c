"""Pixels of single files: turned upright, in 8 bits, and otherwise exactly what Pillow gives."""

import re
import struct
import zlib

import numpy as np
import pytest
from image_folders import chw, random_pixels
from PIL import Image, ImageFile, ImageOps

from mcmi_core.base.errors import DataError
from mcmi_core.data.image_decoding import (
    decode,
    formats,
    is_image,
    printable,
    suffixes,
    without_pillow_warnings,
)

GREY = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
"""Every number of 16 bits."""
IN_8_BITS = ((GREY.astype(int) + 128) // 257).astype(np.uint8)
"""v/257, rounded; there are no ties."""


def tiff(numbers, *, bits, kind=1, order="<", white_is_zero=False):
    """A TIFF of one uncompressed strip. Kinds of numbers: 1 unsigned, 2 signed, 3 float."""
    tags = [(256, numbers.shape[1]), (257, numbers.shape[0]), (258, bits), (259, 1)]
    tags += [(262, 0 if white_is_zero else 1), (273, 8), (277, 1), (278, numbers.shape[0])]
    data = numbers.tobytes()
    tags += [(279, len(data)), (339, kind)]
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(data))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, number) for tag, number in tags)
    return header + data + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def png(pixels, colour):
    """16 bits a channel. Colours: 0 grey, 2 RGB; with transparency, 4 and 6."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def pgm(numbers, white):
    return b"P5 %d %d %d\n" % (*numbers.shape[::-1], white) + numbers.astype(">u2").tobytes()


def pfm(numbers):
    """Rows from below."""
    rows = numbers[::-1].astype("<f4")
    return b"Pf\n%d %d\n-1.0\n" % numbers.shape[::-1] + rows.tobytes()


def written(path, content):
    path.write_bytes(content)
    return str(path)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def in_12_bits(numbers):
    """Two numbers in three bytes."""
    first, second = numbers[:, ::2], numbers[:, 1::2]
    parts = first >> 4, (first & 15) << 4 | second >> 8, second & 255
    return np.stack(parts, axis=2).astype(np.uint8).reshape(len(numbers), -1)


# Bits


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png(GREY, 0), id="png"),
        pytest.param(tiff(GREY, bits=16), id="tiff"),
        pytest.param(tiff(GREY.astype(">u2"), bits=16, order=">"), id="big-endian tiff"),
        pytest.param(tiff(65535 - GREY, bits=16, white_is_zero=True), id="inverted tiff"),
        pytest.param(pgm(GREY, 65535), id="pgm"),
    ],
)
def test_grey_of_16_bits_is_rounded_to_8(content, tmp_path):
    made = decode(written(tmp_path / "image", content), 256)
    assert np.array_equal(made, [IN_8_BITS] * 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_grey_of_16_bits_that_pillow_wrote_is_rounded_to_8(suffix, tmp_path):
    made = decode(saved(tmp_path / f"image.{suffix}", GREY), 256)
    assert np.array_equal(made, [IN_8_BITS] * 3)


def test_grey_of_12_bits_is_rounded_to_8(tmp_path):
    numbers = np.arange(2**12).reshape(64, 64)
    content = bytearray(tiff(in_12_bits(numbers), bits=12))
    width = content.index(struct.pack("<HHI", 256, 4, 1)) + 8
    content[width : width + 4] = struct.pack("<I", 64)
    made = decode(written(tmp_path / "image", content), 64)
    assert np.array_equal(made[0], np.rint(numbers * 255 / 4095))


@pytest.mark.parametrize("white", [1023, 4095])
def test_white_is_what_a_pgm_says(white, tmp_path):
    numbers = np.arange(1024).reshape(32, 32) * (white // 1023)
    made = decode(written(tmp_path / "image", pgm(numbers, white)), 32)
    np.testing.assert_allclose(made[0], numbers * 255 / white, atol=0.51)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_of_16_bits_in_colour_the_upper_8_are_taken(colour, channels, tmp_path):
    """Pillow does so while it reads, which is at most one step from the rounded value."""
    pixels = GREY.reshape(256, 256, 1) ^ np.arange(channels, dtype=np.uint16) * 4321
    made = decode(written(tmp_path / "image", png(pixels, colour)), 256)
    grey = channels == 2
    assert np.array_equal(made, chw(pixels[:, :, [0] * 3 if grey else [0, 1, 2]] >> 8))


def floats(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_floats_from_0_to_1_are_rounded_to_8_bits(order, invert, tmp_path):
    numbers = floats(8, 8)
    numbers[0, :2] = 0, 1
    content = tiff(numbers.astype(f"{order}f4"), bits=32, kind=3, order=order, white_is_zero=invert)
    made = decode(written(tmp_path / "image", content), 8)
    expected = np.rint(255 * (1 - numbers if invert else numbers))
    assert np.array_equal(made, [expected] * 3)


def test_portable_floats_are_rounded_to_8_bits(tmp_path):
    numbers = floats(8, 8)
    made = decode(written(tmp_path / "image.pfm", pfm(numbers)), 8)
    assert np.array_equal(made[0], np.rint(255 * numbers))


@pytest.mark.parametrize(
    ("numbers", "kind", "span"),
    [
        (np.arange(16, dtype=np.int32), 2, "0 to 15"),
        (np.arange(16, dtype=np.uint32) * 70_000, 1, "0 to 1.05e+06"),
        (np.arange(-8, 8, dtype=np.int32), 2, "-8 to 7"),
        (np.zeros(16, dtype=np.int32), 2, "0 to 0"),
        (np.arange(16, dtype=np.float32), 3, "0 to 15"),
        (np.linspace(-0.1, 1, 16, dtype=np.float32), 3, "-0.1 to 1"),
        (np.linspace(0, 1.5, 16, dtype=np.float32), 3, "0 to 1.5"),
        (np.array([0, 1] * 7 + [np.nan, 1], dtype=np.float32), 3, "nan to nan"),
        (np.array([0, 1] * 7 + [np.inf, 1], dtype=np.float32), 3, "0 to inf"),
    ],
)
def test_numbers_of_unknown_range_are_refused(numbers, kind, span, tmp_path):
    path = written(tmp_path / "image", tiff(numbers.reshape(4, 4), bits=32, kind=kind))
    message = (
        f"{path}: its numbers, from {span}, do not say what is black and what is white; "
        "save it with 8 or 16 bits"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        decode(path, 4)


# Orientation


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),  # clockwise
    7: lambda stored: np.rot90(stored.swapaxes(0, 1), 2),
    8: np.rot90,
}
"""By the tag's value, what brings the first row to the top and the first column to the left."""


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags


@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_pictures_are_turned_as_the_camera_says(suffix, orientation, tmp_path):
    stored = random_pixels(6, 6, 3)
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"image.{suffix}", stored, exif=exif(orientation), **options)
    upright = UPRIGHT.get(orientation, UPRIGHT[1])(stored)
    assert np.array_equal(decode(path, 6), chw(upright))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photographs_are_turned_before_the_middle_is_cut_out(orientation, tmp_path):
    """A smooth ramp, which JPEG keeps nearly exactly."""
    stored = np.add.outer(3 * np.arange(32), 2 * np.arange(64)).astype(np.uint8)
    path = saved(tmp_path / "image.jpg", stored, exif=exif(orientation), quality=100)
    upright = UPRIGHT[orientation](stored)
    top, left = (side // 2 - 16 for side in upright.shape)
    expected = upright[top : top + 32, left : left + 32].astype(float)
    np.testing.assert_allclose(decode(path, 32)[0], expected, atol=4)


def test_grey_of_16_bits_is_turned(tmp_path):
    made = decode(saved(tmp_path / "image.png", GREY, exif=exif(6)), 256)
    assert np.array_equal(made[0], np.rot90(IN_8_BITS, -1))


@pytest.mark.parametrize("damage", [b"junk", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_metadata_does_not_cost_the_picture(suffix, damage, tmp_path):
    pixels = random_pixels(16, 16, 3)
    path = saved(tmp_path / f"image.{suffix}", pixels, exif=b"Exif\0\0" + damage)
    plain = saved(tmp_path / f"plain.{suffix}", pixels)
    with without_pillow_warnings():
        assert np.array_equal(decode(path, 16), decode(plain, 16))


# Everything else is as Pillow has it


def as_pillow_has_it(path, size):
    with Image.open(path) as image:
        return chw(np.array(ImageOps.fit(image.convert("RGB"), (size, size), Image.BILINEAR)))


@pytest.mark.parametrize("size", [5, 12, 17])
@pytest.mark.parametrize(
    ("mode", "suffix", "options"),
    [
        ("1", "png", {}),
        ("1", "tif", {}),
        ("L", "jpg", {}),
        ("L", "pgm", {}),
        ("LA", "png", {}),
        ("P", "png", {"transparency": bytes(range(0, 250, 10))}),
        ("P", "png", {"transparency": 3}),
        ("P", "gif", {"transparency": 3}),
        ("RGB", "bmp", {}),
        ("RGB", "jpg", {}),
        ("RGB", "jpg", {"progressive": True}),
        ("RGB", "jp2", {}),
        ("RGB", "png", {"transparency": (1, 2, 3)}),
        ("RGB", "ppm", {}),
        ("RGB", "tga", {}),
        ("RGB", "tif", {"compression": "tiff_lzw"}),
        ("RGB", "webp", {}),
        ("RGBA", "png", {}),
        ("RGBA", "webp", {}),
        ("CMYK", "jpg", {}),
        ("CMYK", "tif", {}),
        ("YCbCr", "jpg", {}),
    ],
)
def test_8_bits_without_orientation_are_as_pillow_has_them(mode, suffix, options, size, tmp_path):
    path = str(tmp_path / f"image.{suffix}")
    Image.fromarray(random_pixels(12, 20, 3)).convert(mode).save(path, **options)
    with without_pillow_warnings():
        assert np.array_equal(decode(path, size), as_pillow_has_it(path, size))


def test_of_several_pictures_the_first_is_taken(tmp_path):
    pictures = [Image.fromarray(random_pixels(6, 6, 3, seed=seed)) for seed in range(3)]
    path = tmp_path / "image.tif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    assert np.array_equal(decode(str(path), 6), chw(np.asarray(pictures[0])))


# What is no image


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jp2", "jpg", "pgm", "png", "tif", "webp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_half_an_image_is_refused(suffix, share, tmp_path):
    """Pillow says so once: asked again, it takes half a JPEG 2000 for a whole one."""
    path = tmp_path / f"image.{suffix}"
    saved(path, random_pixels(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .+"):
        decode(str(path), 4)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Failed to decode image"), "Failed to decode image"),  # of a damaged AVIF
        (AttributeError("no stkoffset"), "no stkoffset"),  # of a damaged SPIDER
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_pillow_raises_of_any_kind_is_said(error, said, tmp_path, monkeypatch):
    def fail(image):
        raise error

    path = saved(tmp_path / "image.bmp", random_pixels(4, 4, 3))
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(DataError, match=f"^{re.escape(path)}: {said}$"):
        decode(path, 4)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("eps", POSTSCRIPT),
        ("mpg", b"\x00\x00\x01\xb3\x00\x40\x04"),
        ("h5", b"\x89HDF\r\n\x1a\n" + bytes(64)),
    ],
)
def test_what_pillow_recognises_and_cannot_decode_is_no_image(suffix, content, tmp_path):
    path = written(tmp_path / f"file.{suffix}", content)
    with Image.open(path):
        assert f".{suffix}" not in suffixes()
    assert not is_image(path)
    with pytest.raises(DataError, match="cannot identify image file"):
        decode(path, 4)


def test_no_program_is_run_for_an_image_that_is_a_program(tmp_path):
    path = written(tmp_path / "image.jpg", POSTSCRIPT)
    with pytest.raises(DataError, match="cannot identify image file"):
        decode(path, 4)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\nnotes",
        b"#!/bin/sh\nexit\n",
        b"{}",
        bytes(100),
        bytes(range(256)),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\x00\x00\x02" + bytes(9) + b"\x04\x00\x04\x00\x18\x00" + bytes(48),  # TGA has no mark
    ],
)
def test_other_files_do_not_begin_as_an_image(content, tmp_path):
    assert not is_image(written(tmp_path / "file", content))


@pytest.mark.parametrize("format", ["png", "jpeg", "gif", "webp", "tiff", "bmp", "ppm", "avif"])
def test_images_are_told_by_their_content(format, tmp_path):
    assert is_image(saved(tmp_path / "file", random_pixels(4, 4, 3), format=format))
    assert format.upper() in formats()


def test_the_suffixes_of_torchvision_are_known():
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert set(IMG_EXTENSIONS) | {".gif", ".jfif", ".avif", ".jp2"} <= suffixes()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"cat", "cat"),
        (b"caf\xc3\xa9", "caf\xe9"),
        (b"caf\xe9", r"caf\xe9"),
        (b"\xff/a", r"\xff/a"),
        (b"\x1b[31ma\nb", r"\x1b[31ma\nb"),
        ("cat\u202etac\u200b".encode(), r"cat\u202etac\u200b"),  # turns and hides what follows
    ],
)
def test_paths_are_printable(raw, text):
    assert printable(raw.decode(errors="surrogateescape")) == text
