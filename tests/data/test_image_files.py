"""Which files are taken: those of torchvision in its order, and of messy folders the images."""

import errno
import os
import re
import shutil
import socket

import numpy as np
import pytest
from image_folders import CLASSES, chw, make_folder, random_pixels, write
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder

from mcmi_core.base.errors import DataError
from mcmi_core.data import image_files
from mcmi_core.data.image_files import describe_skipped, list_folders, list_images
from mcmi_core.data.image_folder import image_folder
from mcmi_core.data.split import Fingerprint

ORDINARY = (
    "10.png",
    "2.png",
    "B.JPG",
    "a.b.jpeg",
    "a.jpg",
    "a/1.png",
    "a-b/1.png",
    "a/b/1.bmp",
    "a/B/1.ppm",
    "a b/1.webp",
    "a.png/1.tiff",
    "\u00e9/\u65e5.tif",
    "z/1.pgm",
)
"""Names that are not sorted alike with and without their folders: '-' comes before '/'."""


def picture(path, seed=0, **options):
    write(path, random_pixels(5, 5, 3, seed=seed), **options)
    return path


@pytest.fixture
def ordinary(tmp_path):
    """Files of all suffixes that torchvision takes, some in folders and some behind links."""
    root = tmp_path / "data" / "ordinary"
    seed = 0
    for split in ("train", "test"):
        for kind in ("b", "B", "10", "9", "b-", "\u00fc", "c d"):
            for name in ORDINARY:
                picture(root / split / kind / name, seed := seed + 1)
        elsewhere = picture(tmp_path / split / "x" / "1.png", seed := seed + 1).parent
        (root / split / "linked").symlink_to(elsewhere)
        (root / split / "b" / "also").symlink_to(elsewhere)
        (root / split / "9" / "file.png").symlink_to(elsewhere / "1.png")
    return root


def images_of(listing):
    return [(file.path, file.label) for file in listing.files]


def test_ordinary_folders_are_listed_as_torchvision_does(ordinary):
    for split in ("train", "test"):
        listing, theirs = list_images(ordinary, split), ImageFolder(ordinary / split)
        assert len(listing.files) == 7 * len(ORDINARY) + 3
        assert images_of(listing) == theirs.samples
        assert listing.classes == tuple(theirs.classes)
        assert listing.skipped == {}


def test_the_fingerprint_of_ordinary_folders_is_that_of_torchvisions_files(ordinary):
    fingerprint = Fingerprint()
    for split in ("train", "test"):
        theirs = ImageFolder(ordinary / split)
        pixels = []
        for path, _ in theirs.samples:
            image = Image.open(path).convert("RGB")
            pixels.append(chw(np.array(ImageOps.fit(image, (4, 4), Image.BILINEAR))))
        for numbers, dtype in ((np.array(pixels), "uint8"), (np.array(theirs.targets), "int64")):
            fingerprint.begin(f"torch.{dtype}", numbers.shape)
            fingerprint.add(numbers)
    assert image_folder(folder="ordinary", image_size=4).fingerprint() == fingerprint.digits()


def test_the_state_of_a_file_changes_with_whatever_lies_in_its_place(ordinary):
    """Another image may have its name, its size, and, as tools that copy can do, its time."""
    [one, other, *_] = list_images(ordinary, "train").files
    status = os.stat(other.path)
    shutil.copyfile(one.path, f"{other.path}.new")
    os.utime(f"{other.path}.new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(f"{other.path}.new", other.path)
    assert os.stat(other.path).st_mtime_ns == status.st_mtime_ns
    [same, changed, *_] = list_images(ordinary, "train").files
    assert same == one
    assert changed.state != other.state


# What is skipped


@pytest.fixture
def pets():
    return make_folder()


def skipped(root):
    """By reason, relative to the root; nothing else of the listing has changed."""
    listing = list_images(root, "train")
    assert listing.classes == tuple(sorted(CLASSES))
    assert [os.path.relpath(file.path, root) for file in listing.files] == [
        f"train/{kind}/{index}.png" for kind in sorted(CLASSES) for index in range(2)
    ]
    return {
        reason: [os.path.relpath(path, root) for path in paths]
        for reason, paths in listing.skipped.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "._0.png",
        ".ipynb_checkpoints/0-checkpoint.png",
        "cat/._0.png",
        "cat/.ipynb_checkpoints/0-checkpoint.png",
        "cat/.png",
        "__MACOSX/cat/._0.png",
        "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/0.png",
        "$RECYCLE.BIN/0.png",
        "System Volume Information/0.png",
        "lost+found/0.png",
    ],
)
def test_hidden_files_are_skipped_and_hidden_folders_are_not_opened(name, pets):
    (pets / "train" / name).parent.mkdir(parents=True, exist_ok=True)
    picture(pets / "train" / name, format="png")
    parts = name.split("/")
    first = next(i for i, part in enumerate(parts) if part not in ("cat",))
    assert skipped(pets) == {"hidden": ["/".join(["train", *parts[: first + 1]])]}


@pytest.mark.parametrize("name", ["notes.txt", "Thumbs.db", "labels.csv", "noext", "0.png.part"])
@pytest.mark.parametrize("content", [b"", b"notes\n", bytes(range(256)) * 9])
def test_files_that_are_no_image_are_skipped(name, content, pets):
    (pets / "train" / "cat" / name).write_bytes(content)
    assert skipped(pets) == {"of unknown format": [f"train/cat/{name}"]}


@pytest.mark.parametrize("name", ["loose.png", "readme.md", "noext"])
def test_files_beside_the_class_folders_are_skipped(name, pets):
    picture(pets / "train" / name, format="png")
    assert skipped(pets) == {"beside the class folders": [f"train/{name}"]}


@pytest.mark.parametrize("target", ["nowhere.png", "broken.png", "1.png/x"])
def test_broken_links_are_skipped(target, pets):
    """They lead nowhere, to themselves, and into a file as if it were a folder."""
    (pets / "train" / "cat" / "broken.png").symlink_to(target)
    assert skipped(pets) == {"linked to nothing": ["train/cat/broken.png"]}


def test_a_broken_link_is_no_class(pets):
    (pets / "train" / "dog").symlink_to("nowhere")
    assert skipped(pets) == {"linked to nothing": ["train/dog"]}


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("self", "."),
        ("train/self", "."),
        ("train/up", ".."),
        ("train/cat/self", "."),
        ("train/cat/up", ".."),
        ("train/cat/top", "../.."),
    ],
)
def test_links_in_a_circle_are_not_followed(place, target, pets):
    (pets / place).symlink_to(target)
    assert skipped(pets) == ({"linked in a circle": [place]} if "/" in place else {})


def test_pipes_and_sockets_are_not_opened(pets, monkeypatch):
    """To open a pipe would wait for a writer, for ever."""
    os.mkfifo(pets / "train" / "cat" / "fifo.png")
    monkeypatch.chdir(pets / "train" / "cat")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        assert skipped(pets) == {
            "neither file nor folder": ["train/cat/fifo.png", "train/cat/socket"]
        }


# What is taken


@pytest.mark.parametrize("name", ["2.gif", "2.JFIF", "2.avif", "2.jp2", "2.ico", "2.tga"])
def test_all_suffixes_that_pillow_decodes_are_taken_unseen(name, pets, monkeypatch):
    (pets / "train" / "cat" / name).write_bytes(b"")
    monkeypatch.setattr(image_files, "is_image", None)
    assert list_images(pets, "train").files[-1][:2] == (f"{pets}/train/cat/{name}", 2)


@pytest.mark.parametrize("name", ["2", "2.dat", "2.jpg~", "2.jpg.bak", "2.jpg?size=large", "2."])
def test_images_of_other_suffixes_are_told_by_their_content(name, pets):
    picture(pets / "train" / "cat" / name, format="jpeg")
    listing = list_images(pets, "train")
    assert listing.files[-1][:2] == (f"{pets}/train/cat/{name}", 2)
    assert listing.skipped == {}


def test_large_photographs_are_taken_by_their_content(pets):
    """Of 100 megapixels, of which Pillow warns; the warning would be an error here."""
    path = pets / "train" / "cat" / "2"
    Image.new("RGB", (4, 4)).save(path, format="BMP")
    content = bytearray(path.read_bytes())
    content[18:26] = (10_000).to_bytes(4, "little") * 2
    path.write_bytes(content)
    listing = list_images(pets, "train")
    assert (len(listing.files), listing.skipped) == (7, {})


def test_names_that_are_no_text_are_taken():
    """Of an archive from a system that wrote Latin-1."""
    root = make_folder(os.fsdecode(b"p\xe9ts"))
    for split in ("train", "test"):
        folder = root / split / os.fsdecode(b"\xe9l\xe9phant")
        picture(folder / os.fsdecode(b"\xe0.png"))
        (folder / os.fsdecode(b"\xe0.txt")).write_text("no image")
    for _ in range(2):  # decoded, then read from the cache
        dataset = image_folder(folder=root.name, image_size=4)
        assert dataset.name == r"p\xe9ts"
        assert dataset.class_names == ("Bee", "ant", "cat", r"\xe9l\xe9phant")
        assert dataset.test.labels.tolist() == [0, 1, 2, 3]
    listing = list_images(root, "train")
    assert describe_skipped(listing.skipped, root) == (
        r"; skipped 1: 1 of unknown format (train/\xe9l\xe9phant/\xe0.txt)"
    )


# What cannot be read


def refuse(path):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


@pytest.mark.parametrize("place", ["train", "train/cat"])
def test_a_folder_that_cannot_be_read_is_said(place, pets, monkeypatch):
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda path: refuse(path) if str(path) == f"{pets}/{place}" else real(path)
    )
    message = f"cannot read {pets}/{place}: Permission denied"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        image_folder(folder="pets", image_size=4)


def test_a_file_that_cannot_be_read_is_said(pets, monkeypatch):
    path = pets / "train" / "cat" / "noext"
    path.write_bytes(b"")
    monkeypatch.setattr(image_files, "is_image", refuse)
    with pytest.raises(DataError, match=f"^cannot read {re.escape(str(path))}: Permission denied$"):
        list_images(pets, "train")


class Entries(list):
    """What scandir returns."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_a_file_that_vanishes_meanwhile_is_said(pets, monkeypatch):
    """Not a link that leads nowhere: what was there is not there any more."""
    gone = pets / "train" / "cat" / "1.png"
    real = os.scandir

    def scandir(path):
        entries = Entries(real(path))
        if str(path) == str(gone.parent):
            gone.unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=f"^cannot read {re.escape(str(gone))}: No such file"):
        list_images(pets, "train")


# The rest


def test_folders_are_those_that_can_be_seen(tmp_path):
    assert list_folders(tmp_path / "nowhere") == []
    for name in ("b", "a", ".hidden", "__MACOSX"):
        (tmp_path / "top" / name).mkdir(parents=True)
    (tmp_path / "top" / "linked").symlink_to("a")
    (tmp_path / "top" / "file").write_text("")
    assert list_folders(tmp_path / "top") == ["a", "b", "linked"]
    assert list_folders(tmp_path / "top" / "file") == []


def test_skipped_files_are_described_by_reason_the_most_frequent_first(tmp_path):
    for number in range(1200):
        (tmp_path / f"{number:04}").write_text("")
    paths = sorted(map(str, tmp_path.iterdir()))
    assert describe_skipped({}, tmp_path) == ""
    assert describe_skipped({"odd": paths[:1], "even": paths}, tmp_path) == (
        "; skipped 1,201: 1,200 even (such as 0000), 1 odd (0000)"
    )
