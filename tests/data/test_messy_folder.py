"""A folder as people have them: from phones, scanners and Macs, on a server, with notes."""

import logging
import os

import numpy as np
import pytest
from image_folders import CLASSES, random_pixels, write
from PIL import Image

from mcmi_core.base.paths import data_root
from mcmi_core.data.image_folder import image_folder

RAMP = np.add.outer(np.arange(8), np.arange(12)).astype(np.uint8) * 10


def plain(grey):
    return Image.fromarray(grey)


def photograph(grey):
    """Of a phone that was held upright: it lies on its side, and says so."""
    image = plain(grey).rotate(90, expand=True)
    image.getexif()[274] = 6
    return image


KINDS = (
    (".png", plain, {}),
    (".PNG", lambda grey: plain(grey).convert("RGBA"), {}),
    (".jpg.png", photograph, {}),
    (".gif", plain, {}),
    (".webp", plain, {"lossless": True}),
    (".bmp", lambda grey: plain(grey).convert("RGB"), {}),
    (".pgm", plain, {}),
    (".tif", lambda grey: Image.fromarray(grey.astype(np.uint16) * 257), {}),
    (".tiff", lambda grey: Image.fromarray(grey / np.float32(255)), {}),
    ("", plain, {"format": "jpeg2000"}),
)
"""Suffix, image and how it is saved; none loses anything."""


@pytest.fixture
def messy():
    """Folder and, by split and class, the grey images in the order of their folders and names."""
    root, images = data_root() / "messy", {}
    for number in range(300):
        split, kind = "test" if number % 4 == 0 else "train", CLASSES[number % 3]
        folder = root / split / kind / ("more" if number % 7 == 0 else "")
        suffix, image_of, options = KINDS[number // 12 % 10]
        grey = np.roll(RAMP, number, axis=1)
        image = image_of(grey)
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:03}{suffix}", exif=image.getexif(), **options)
        (folder / f"._{number:03}{suffix}").write_bytes(b"\0\5\26\7")
        images.setdefault((split, kind), []).append((str(folder), number, grey))
    for folder in ("train", "test", "train/cat", "test/ant/more"):
        (root / folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        write(root / folder / "@eaDir" / "0.jpg" / "THUMB.jpg", random_pixels(4, 4, 3))
    for folder, number in (("train/Bee", 11), ("train/cat", 4), ("test/cat", 5)):
        for index in range(number):
            (root / folder / f"{index}.txt").write_text("0 0.5 0.5 1 1\n")
    (root / "train" / "readme.md").write_text("# Pets")
    (root / "train" / "again").symlink_to(".")
    (root / "train" / "cat" / "lost.jpg").symlink_to("/nowhere/lost.jpg")
    os.mkfifo(root / "test" / "cat" / "pipe")
    return root, {key: [grey for *_, grey in sorted(group)] for key, group in images.items()}


def test_every_image_is_taken_and_everything_else_is_said(messy, caplog):
    root, images = messy
    dataset = image_folder(folder="messy", image_size=8)
    assert dataset.class_names == tuple(sorted(CLASSES))
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        expected = [
            (label, np.stack([grey[:, 2:10]] * 3))
            for label, kind in enumerate(dataset.class_names)
            for grey in images[name, kind]
        ]
        assert split.labels.tolist() == [label for label, _ in expected]
        assert np.array_equal(split.inputs, [pixels for _, pixels in expected])
    line = (
        f"{root}: 225 training images (train) and 75 test images (test) of 3 classes; "
        "skipped 332: 308 hidden (such as train/.DS_Store), "
        "20 of unknown format (such as train/Bee/0.txt), 1 linked in a circle (train/again), "
        "1 linked to nothing (train/cat/lost.jpg), 1 beside the class folders (train/readme.md), "
        "1 neither file nor folder (test/cat/pipe)"
    )
    logger = "mcmi_core.data.image_folder"
    assert caplog.record_tuples == [(logger, logging.WARNING, line)]
