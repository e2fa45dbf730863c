"""Folders of images: pixels against numpy, the cache, and every way a folder can be wrong."""

import errno
import importlib
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.base.tensor_files import read_tensors, write_tensors
from mcmi_core.data.image_folder import image_folder
from mcmi_core.data.loader import evaluation_batches

MODULE = importlib.import_module("mcmi_core.data.image_folder")  # the package's name is a function
CLASSES = ("ant", "Bee", "cat")


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def make_folder(name="pets", size=4, second="test", num=2):
    """``num`` training images and one test image of each class, all different."""
    root = data_root() / name
    for label, kind in enumerate(CLASSES):
        for index in range(num):
            pixels = random_pixels(size, size, 3, seed=10 * label + index)
            write(root / "train" / kind / f"{index}.png", pixels)
        write(root / second / kind / "0.png", random_pixels(size, size, 3, seed=100 + label))
    return root


def load_one(pixels, image_size, suffix="png", **options):
    """(C, H, W) that a single image becomes, as numpy."""
    path = make_folder() / "test" / "ant" / f"0.{suffix}"
    (path.parent / "0.png").unlink()
    write(path, pixels, **options)
    dataset = image_folder(folder="pets", image_size=image_size)
    [place] = (dataset.test.labels == dataset.class_names.index("ant")).nonzero()
    return dataset.test.inputs[place].squeeze(0).numpy()


def chw(pixels):
    return pixels.transpose(2, 0, 1)


def antialiased(line, size, start, length):
    """Triangle filter as wide as the reduction, along the first axis of ``line``."""
    scale = length / size
    support = max(scale, 1)
    places = np.arange(len(line)) + 0.5
    result = []
    for index in range(size):
        centre = start + (index + 0.5) * scale
        weights = np.maximum(0, 1 - np.abs(places - centre) / support)
        result.append(np.tensordot(weights / weights.sum(), line, axes=1))
    return np.array(result)


def resized_middle(pixels, size):
    """The central square of (H, W, C), brought to ``size``: (C, size, size)."""
    side = min(pixels.shape[:2])
    result = pixels.astype(np.float64)
    for _ in range(2):
        result = antialiased(result, size, (len(result) - side) / 2, side).swapaxes(0, 1)
    return chw(result)


def cache_files():
    return sorted((cache_root() / "imagefolder").glob("*.safetensors"))


@pytest.fixture
def no_decoding(monkeypatch):
    """Returns a switch: from its call on, no image may be decoded."""

    def refuse(path, image_size):
        raise AssertionError(f"decoded {path}")

    return lambda: monkeypatch.setattr(MODULE, "_decode", refuse)


# Pixels


@pytest.mark.parametrize("second", ["test", "val"])
def test_images_of_the_right_size_are_exact(second):
    make_folder(second=second)
    dataset = image_folder(folder="pets", image_size=4)
    assert dataset.class_names == tuple(sorted(CLASSES)) == ("Bee", "ant", "cat")
    for label, kind in enumerate(dataset.class_names):
        seed = CLASSES.index(kind)
        train = dataset.train.inputs[dataset.train.labels == label]
        expected = [random_pixels(4, 4, 3, seed=10 * seed + index) for index in range(2)]
        assert np.array_equal(train.numpy(), [chw(pixels) for pixels in expected])
        test = dataset.test.inputs[dataset.test.labels == label]
        assert np.array_equal(test.numpy(), [chw(random_pixels(4, 4, 3, seed=100 + seed))])
    assert dataset.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.test.labels.tolist() == [0, 1, 2]


def test_test_comes_before_val():
    root = make_folder(second="test")
    for kind in CLASSES:
        write(root / "val" / kind / "0.png", np.zeros((4, 4, 3), dtype=np.uint8))
    assert (image_folder(folder="pets", image_size=4).test.inputs > 0).any()


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 8), 4),
        ((9, 9), 4),
        ((8, 20), 4),
        ((23, 8), 4),
        ((11, 8), 8),
        ((37, 50), 32),
        ((5, 5), 8),
        ((3, 7), 8),
        ((1, 1), 3),
    ],
)
def test_other_sizes_are_resized_and_cut_to_the_middle(shape, size):
    pixels = random_pixels(*shape, 3)
    made = load_one(pixels, size)
    assert made.shape == (3, size, size)
    np.testing.assert_allclose(made, resized_middle(pixels, size), atol=1.01)


def test_only_the_middle_is_seen():
    """A white square between black sides."""
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 255
    assert (load_one(wide, 8) == 255).all()
    assert (load_one(wide.swapaxes(0, 1), 8) == 255).all()


def test_grey_images_get_three_equal_channels():
    pixels = random_pixels(4, 4)
    assert np.array_equal(load_one(pixels, 4), np.stack([pixels] * 3))


def test_transparency_is_ignored():
    pixels = random_pixels(4, 4, 4)
    assert np.array_equal(load_one(pixels, 4), chw(pixels[:, :, :3]))


def test_palette_images_get_their_colours():
    colours = random_pixels(5, 3)
    places = np.random.default_rng(1).integers(5, size=(4, 4)).astype(np.uint8)
    path = make_folder() / "test" / "ant" / "0.png"
    image = Image.fromarray(places)
    image.putpalette(colours.tobytes())
    image.save(path)
    dataset = image_folder(folder="pets", image_size=4)
    assert np.array_equal(dataset.test.inputs[1].numpy(), chw(colours[places]))


@pytest.mark.parametrize("suffix", ["jpg", "JPEG"])
def test_jpegs_are_nearly_exact(suffix):
    ramp = np.arange(0, 256, 16, dtype=np.uint8)
    pixels = np.stack([np.add.outer(ramp // 2, ramp // 2)] * 3, axis=2)
    made = load_one(pixels, 16, suffix=suffix, quality=100, subsampling=0)
    np.testing.assert_allclose(made.astype(float), chw(pixels), atol=3)


def test_the_default_is_32_pixels():
    make_folder(size=40)
    dataset = image_folder(folder="pets")
    assert dataset.train.inputs.shape == (6, 3, 32, 32)
    assert dataset.train.inputs.dtype == torch.uint8


# Data set


def test_name_augmentation_and_an_absolute_path(tmp_path):
    shutil.move(make_folder(), tmp_path / "elsewhere")
    dataset = image_folder(folder=str(tmp_path / "elsewhere"), image_size=4)
    assert dataset.name == "elsewhere"
    assert dataset.augmentation == "crop_flip"
    assert (dataset.num_classes, dataset.in_channels, dataset.image_size) == (3, 3, 4)


def test_normalisation_is_that_of_the_training_images():
    make_folder()
    dataset = image_folder(folder="pets", image_size=4)
    pixels = dataset.train.inputs.numpy().astype(np.float64) / 255
    assert dataset.mean == tuple(np.round(pixels.mean(axis=(0, 2, 3)), 4))
    assert dataset.std == tuple(np.round(pixels.std(axis=(0, 2, 3)), 4))


# Cache


def test_a_second_load_decodes_nothing_and_is_equal(no_decoding):
    make_folder()
    first = image_folder(folder="pets", image_size=4)
    assert [path.name[:5] for path in cache_files()] == ["pets-"]
    no_decoding()
    second = image_folder(folder="pets", image_size=4)
    assert second.fingerprint() == first.fingerprint()
    assert (second.mean, second.std) == (first.mean, first.std)
    assert second.class_names == first.class_names


@pytest.mark.parametrize("chunk", [1, 4, 512])
def test_the_stored_fingerprint_is_what_hashing_would_give(chunk, monkeypatch):
    monkeypatch.setattr(MODULE, "CHUNK", chunk)
    make_folder()
    for _ in range(2):  # decoded, then read from the cache
        dataset = image_folder(folder="pets", image_size=4)
        assert dataset.stored_fingerprint == replace(dataset, stored_fingerprint=None).fingerprint()
        assert dataset.fingerprint() == dataset.stored_fingerprint


def test_a_cache_of_an_older_version_without_fingerprint_is_decoded_again(no_decoding):
    make_folder()
    first = image_folder(folder="pets", image_size=4)
    [path] = cache_files()
    tensors, about = read_tensors(path)
    assert about.pop("fingerprint") == first.fingerprint()
    write_tensors(path, tensors, about)
    assert image_folder(folder="pets", image_size=4).stored_fingerprint == first.fingerprint()
    assert read_tensors(path)[1]["fingerprint"] == first.fingerprint()
    write_tensors(path, tensors, about)
    no_decoding()
    with pytest.raises(AssertionError, match="decoded "):
        image_folder(folder="pets", image_size=4)


def test_another_size_is_decoded_anew():
    make_folder()
    for image_size in (4, 3, 4):
        dataset = image_folder(folder="pets", image_size=image_size)
        assert dataset.image_size == image_size
    assert len(cache_files()) == 2


def change_pixels(root):
    write(root / "train" / "ant" / "0.png", random_pixels(4, 4, 3, seed=77))


def change_pixels_but_not_the_size(root):
    """As an uncompressed format would: only the time tells."""
    path = root / "train" / "ant" / "0.bmp"
    (root / "train" / "ant" / "0.png").unlink()
    write(path, random_pixels(4, 4, 3, seed=1))
    image_folder(folder="pets", image_size=4)
    before = path.stat()
    write(path, random_pixels(4, 4, 3, seed=77))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size


def change_names_and_so_the_order(root):
    """Of images that size and time do not tell apart."""
    shutil.rmtree(root / "train" / "ant")
    for index in range(2):
        path = root / "train" / "ant" / f"{index}.bmp"
        write(path, random_pixels(4, 4, 3, seed=index))
        os.utime(path, ns=(0, 0))
    image_folder(folder="pets", image_size=4)
    path.rename(path.with_name("-1.bmp"))


def add_an_image(root):
    write(root / "train" / "cat" / "9.png", random_pixels(4, 4, 3, seed=77))


def remove_an_image(root):
    (root / "train" / "cat" / "1.png").unlink()


def move_an_image(root):
    (root / "train" / "cat" / "1.png").rename(root / "train" / "ant" / "cat.png")


@pytest.mark.parametrize(
    "change",
    [
        change_pixels,
        change_pixels_but_not_the_size,
        change_names_and_so_the_order,
        add_an_image,
        remove_an_image,
        move_an_image,
    ],
)
def test_a_changed_folder_is_decoded_anew(change):
    root = make_folder()
    before = image_folder(folder="pets", image_size=4)
    change(root)
    after = image_folder(folder="pets", image_size=4)
    assert after.fingerprint() != before.fingerprint()
    shutil.rmtree(cache_root())
    assert image_folder(folder="pets", image_size=4).fingerprint() == after.fingerprint()


def test_a_cache_that_was_deleted_is_made_again():
    make_folder()
    first = image_folder(folder="pets", image_size=4)
    shutil.rmtree(cache_root())
    assert image_folder(folder="pets", image_size=4).fingerprint() == first.fingerprint()


def pixel_files():
    return sorted(
        path for path in (cache_root() / "imagefolder").iterdir() if path.suffix in SPLITS
    )


SPLITS = (".test", ".train")


def test_images_are_mapped_from_the_cache_and_not_copied():
    make_folder()
    dataset = image_folder(folder="pets", image_size=4)
    for split, path in zip((dataset.test, dataset.train), pixel_files(), strict=True):
        assert path.read_bytes() == split.inputs.numpy().tobytes()
        assert str(path) in mapping_of(split.inputs.data_ptr())
        assert split.to(torch.device("cpu")).inputs.data_ptr() == split.inputs.data_ptr()


def mapping_of(address):
    """The line of this process's memory map that an address belongs to."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line


def cut_pixels(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [Path.unlink, cut_pixels])
@pytest.mark.parametrize("which", ["train", "test", "safetensors"])
def test_an_incomplete_cache_does_not_count(damage, which, no_decoding):
    """As of a process that was killed: the description is written last."""
    make_folder()
    first = image_folder(folder="pets", image_size=4)
    expected, about = first.fingerprint(), (first.mean, first.std)
    [path] = (cache_root() / "imagefolder").glob(f"*.{which}")
    damage(path)
    if which == "safetensors" and damage is cut_pixels:
        with pytest.raises(StoreError, match="is damaged .*; delete it, and what it held is"):
            image_folder(folder="pets", image_size=4)
        path.unlink()
    again = image_folder(folder="pets", image_size=4)
    assert (again.fingerprint(), (again.mean, again.std)) == (expected, about)
    no_decoding()
    assert image_folder(folder="pets", image_size=4).fingerprint() == expected


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_decoding_in_parts_is_the_same(monkeypatch, chunk):
    make_folder()
    expected = image_folder(folder="pets", image_size=4).fingerprint()
    shutil.rmtree(cache_root())
    monkeypatch.setattr(MODULE, "CHUNK", chunk)
    assert image_folder(folder="pets", image_size=4).fingerprint() == expected


# Photographs


def test_from_128_pixels_on_the_protocol_is_imagenets():
    make_folder(size=150, num=1)
    small = image_folder(folder="pets", image_size=127)
    assert (small.augmentation, small.stored_size, small.image_size) == ("crop_flip", 127, 127)
    large = image_folder(folder="pets", image_size=128)
    assert (large.augmentation, large.stored_size, large.image_size) == ("resized_crop", 146, 128)


def test_imagenet_is_stored_at_256_pixels_and_seen_at_224():
    make_folder(num=1, size=300)
    dataset = image_folder(folder="pets", image_size=224)
    assert dataset.train.inputs.shape == (3, 3, 256, 256)
    assert dataset.image_size == 224
    pixels = random_pixels(300, 300, 3, seed=100 + CLASSES.index("Bee"))
    expected = resized_middle(pixels, 256)[:, 16:240, 16:240]
    [batch] = evaluation_batches(dataset, dataset.test, batch_size=3, device=torch.device("cpu"))
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (dataset.mean, dataset.std))
    seen = 255 * (batch.inputs[0].numpy() * std + mean)
    np.testing.assert_allclose(seen, expected, atol=1.05)


# Errors


def refused(message, folder="pets", image_size=4):
    """The load fails with that message and leaves no cache file, finished or not."""
    with pytest.raises(DataError, match=f"^{message}$"):
        image_folder(folder=folder, image_size=image_size)
    left = (cache_root() / "imagefolder").glob("*")
    assert [path.name for path in left if path.suffix != ".lock"] == []


@pytest.mark.parametrize("image_size", [0, -3])
def test_an_image_size_below_1_is_refused(image_size):
    with pytest.raises(ValueError, match=f"^image_size must be at least 1, got {image_size}$"):
        image_folder(folder="pets", image_size=image_size)


@pytest.mark.parametrize(
    ("missing", "said"), [(["train"], "train"), (["test"], "test"), (["train", "test"], "train")]
)
def test_a_missing_folder_is_said(missing, said):
    root = make_folder()
    for name in missing:
        shutil.rmtree(root / name)
    tried = {"train": f"{root}/train", "test": f"{root}/test or {root}/val"}[said]
    refused(
        re.escape(
            f"no folder {tried}; images are expected in {said}/CLASS/*.jpg. "
            f"MCMI_DATA names another place than {data_root()}"
        )
    )


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_class_without_images_is_said(name):
    root = make_folder()
    (root / name / "dog").mkdir()
    (root / name / "dog" / "notes.txt").write_text("no dog yet")
    refused(rf"{re.escape(str(root / name))}: .*\bdog\b.*")


def test_a_split_without_classes_is_said():
    root = make_folder()
    shutil.rmtree(root / "test")
    (root / "test").mkdir()
    refused(rf"{re.escape(str(root / 'test'))}: .*class folder.*")


def test_classes_that_differ_are_said():
    root = make_folder()
    (root / "test" / "cat").rename(root / "test" / "dog")
    refused(
        re.escape(f"{root}: training and test split differ in the classes ['cat', 'dog']"),
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:60])


def empty(path):
    path.write_bytes(b"")


def replace_with_text(path):
    path.write_text("not an image")


def damage_the_header(path):
    """A PNG whose first chunk is too short: Pillow raises a ValueError."""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\x02IHDR\x00\x00\x2a\x6d\x55\x21")


def claim_a_huge_size(path):
    """A BMP of 10 gigapixels in a few bytes: Pillow raises a DecompressionBombError."""
    Image.new("RGB", (4, 4)).save(path, format="BMP")
    content = bytearray(path.read_bytes())
    content[18:26] = (100_000).to_bytes(4, "little") * 2
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [truncate, empty, replace_with_text, damage_the_header, claim_a_huge_size]
)
def test_a_damaged_image_is_named(damage):
    path = make_folder() / "train" / "cat" / "1.png"
    damage(path)
    refused(f"cannot decode {re.escape(str(path))}: .+")


def test_a_repaired_image_is_decoded():
    path = make_folder() / "train" / "cat" / "1.png"
    whole = path.read_bytes()
    truncate(path)
    refused("cannot decode .*")
    path.write_bytes(whole)
    assert len(image_folder(folder="pets", image_size=4).train) == 6


def test_images_of_one_colour_are_refused():
    root = make_folder()
    for path in (root / "train").rglob("*.png"):
        pixels = random_pixels(4, 4, 3)
        pixels[:, :, 1] = 8
        write(path, pixels)
    refused(re.escape(f"{root / 'train'}: channel 1 is 8 everywhere; it tells nothing"))


def disk_with(monkeypatch, free):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(MODULE.shutil, "disk_usage", lambda path: usage._replace(free=free))


def test_more_images_than_the_disk_has_room_for_are_refused(monkeypatch, no_decoding):
    """9 images of 20,000² pixels, which are stored at 8/7 of it."""
    root = make_folder()
    disk_with(monkeypatch, free=10**9)
    no_decoding()
    refused(
        re.escape(
            f"{root}: 9 images of 22857x22857 need {9 * 3 * 22857**2:,} bytes of disk, and "
            f"{cache_root() / 'imagefolder'} has 1,000,000,000; MCMI_CACHE names another place"
        ),
        image_size=20_000,
    )


def test_room_that_just_suffices_is_enough(monkeypatch):
    make_folder()
    disk_with(monkeypatch, free=9 * 3 * 4 * 4 - 1)
    refused(".*need 432 bytes of disk, and .* has 431; MCMI_CACHE names another place")
    disk_with(monkeypatch, free=9 * 3 * 4 * 4)
    assert len(image_folder(folder="pets", image_size=4).train) == 6
    disk_with(monkeypatch, free=0)
    assert len(image_folder(folder="pets", image_size=4).train) == 6  # decoded already


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [no_space, lambda file, content, place: 47])
def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_is_left(monkeypatch, write):
    """Of an image, 47 of its 48 bytes may still have been written."""
    make_folder()
    with monkeypatch.context() as full:
        full.setattr(MODULE.os, "pwrite", write)
        with pytest.raises(StoreError) as caught:
            image_folder(folder="pets", image_size=4)
    folder = cache_root() / "imagefolder"
    assert str(caught.value) == (
        f"cannot write decoded images to {folder}: No space left on device"
    )
    assert {path.suffix for path in folder.iterdir()} <= {".lock"}
    assert len(image_folder(folder="pets", image_size=4).train) == 6


def test_no_folder_is_written_but_the_cache(tmp_path):
    root = make_folder()
    before = sorted(root.rglob("*"))
    image_folder(folder="pets", image_size=4)
    assert sorted(root.rglob("*")) == before
    assert {path.name for path in Path(tmp_path).iterdir()} == {"data", "cache"}
