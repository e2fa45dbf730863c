"""Folders of images that are none; see test_messy_folder for those that can be used."""

import os
import struct
import time
import zlib

import pytest
from small_runs import draw_images

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import cache_root, data_root, store_root
from mcmi_core.data import load_dataset

PLACES = ("train", "train/cat", "train/cat/0.png", "test", "test/dog")


@pytest.fixture
def pets():
    root = data_root() / "pets"
    draw_images(root)
    return root


def refused(*words: str, folder: str = "pets", **options) -> None:
    begun = time.monotonic()
    with pytest.raises((CompanionError, ValueError)) as error:
        load_dataset("imagefolder", folder=folder, **{"image_size": 4} | options)
    message = str(error.value)
    assert message.isprintable() and len(message) < 2000
    for word in words:
        assert word in message
    assert not store_root().exists()
    cached = cache_root().rglob("*") if cache_root().exists() else []
    assert not [path for path in cached if path.suffix not in ("", ".lock")]
    assert time.monotonic() - begun < 30


def delete(path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            delete(entry)
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("place", PLACES[:2] + PLACES[3:])
def test_a_file_in_the_place_of_a_folder(pets, place):
    delete(pets / place)
    (pets / place).write_text("")
    refused(str(pets))


@pytest.mark.parametrize("place", ["train", "test"])
def test_a_link_to_itself_in_the_place_of_a_folder(pets, place):
    delete(pets / place)
    (pets / place).symlink_to(place)
    refused(str(pets), place)


@pytest.mark.parametrize("place", ["train", "test"])
def test_a_link_to_nothing_in_the_place_of_a_folder(pets, place):
    delete(pets / place)
    (pets / place).symlink_to("/nowhere")
    refused(str(pets), place)


def test_a_link_to_itself_in_the_place_of_all():
    data_root().mkdir()
    (data_root() / "pets").symlink_to("pets")
    refused("no folder", "pets")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_holds_links_in_a_circle_alone(pets, split):
    delete(pets / split / "cat")
    (pets / split / "cat").mkdir()
    (pets / split / "cat" / "again").symlink_to("..")
    refused("cat: no image of this class", "1 linked in a circle")


def test_one_class(pets):
    for split in ("train", "test"):
        delete(pets / split / "dog")
    refused("train has one class, cat, and networks tell two or more apart")


def test_a_class_that_one_split_lacks(pets):
    delete(pets / "test" / "dog")
    refused("train and test differ in the classes dog")


def png(width: int, height: int) -> bytes:
    """An image that says its size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


CONTENTS = {
    "0 bytes": b"",
    "one byte": b"\x89",
    "text": b"not an image",
    "zeros": bytes(5000),
    "a web page": b"<html><body>404 Not Found</body></html>",
    "a pointer to a large file": b"version https://git-lfs.github.com/spec/v1\n",
    "a header alone": png(4, 4),
    "no size": png(0, 0),
    "an enormous image": png(60_000, 60_000),
    "the largest size": png(2**31 - 1, 2**31 - 1),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_has_the_suffix_of_an_image_and_is_none(pets, content):
    (pets / PLACES[2]).write_bytes(content)
    refused("0.png")


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("nowhere", "no folder"),
        ("pets/train", "no class folders in train"),
        ("pets/train/cat/0.png", "no folder"),
        ("/dev/null", "no folder /dev/null"),
        ("/proc/self/mem", "no folder /proc/self/mem"),
        ("~nobody_here", "no folder"),
        ("x" * 300, "no folder"),
        ("pets\n", "no folder"),
        ("\x00", "no folder"),
        ("\x1b[31mpets", "no folder"),
    ],
    ids=repr,
)
def test_folders_that_are_not_there(pets, folder, words):
    refused(words, folder=folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"image_size": -4}, "image_size must be at least 1, got -4"),
        ({"image_size": "big"}, "got 'big'"),
        ({"image_size": 4.5}, "got 4.5"),
        ({"image_size": None}, "got None"),
        ({"image_size": 10**7}, "bytes of"),
        ({"images_per_class": -1}, "images_per_class must not be negative, got -1"),
        ({"images_per_class": "all"}, "got 'all'"),
        ({"test_folder": "train"}, "must name another folder than train, got 'train'"),
        ({"test_folder": "."}, "must name another folder than train, got '.'"),
        ({"test_folder": "nowhere"}, "no class folders in nowhere"),
        ({"test_folder": "../pets/train"}, "must name another folder than train"),
        ({"augmentation": "flip"}, "got 'flip'"),
        ({"augmentation": 3}, "got 3"),
        ({"labels": "a.csv"}, "unknown option 'labels' of data set 'imagefolder'; it takes fold"),
        (
            {"folders": "x"},
            "unknown option 'folders'",
        ),
    ],
    ids=repr,
)
def test_options_that_cannot_be(pets, options, words):
    refused(words, **options)


def test_a_file_in_the_place_of_all_data(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MCMI_DATA", str(tmp_path / "file"))
    refused("no folder", str(tmp_path / "file"), "MCMI_DATA")


def test_names_that_are_no_text_are_written_out(pets):
    broken = os.fsencode(pets / "train" / "cat") + b"/\xff.png"
    with open(broken, "wb") as file:
        file.write(b"no image")
    refused(r"\xff.png")
