"""Folders of images: pixels against numpy, what is said of them, and every way to be wrong."""

import logging
import os
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import CLASSES, cache_files, chw, make_folder, random_pixels, write
from PIL import Image

from mcmi_core.base.errors import DataError
from mcmi_core.base.paths import data_root
from mcmi_core.base.terminal import printable
from mcmi_core.data import DATASETS, image_cache, load_dataset
from mcmi_core.data.image_folder import image_folder
from mcmi_core.data.loader import evaluation_batches


def load_one(pixels, image_size, suffix="png", **options):
    """(C, H, W) that a single image becomes, as numpy."""
    path = make_folder() / "test" / "ant" / f"0.{suffix}"
    (path.parent / "0.png").unlink()
    write(path, pixels, **options)
    dataset = image_folder(folder="pets", image_size=image_size)
    [place] = (dataset.test.labels == dataset.class_names.index("ant")).nonzero()
    return dataset.test.inputs[place].squeeze(0).numpy()


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


# The folder of test images


def imagenet():
    """As it is published: val has classes, test has no labels."""
    root = make_folder("imagenet", second="val")
    for index in range(4):
        write(root / "test" / f"{index}.png", random_pixels(4, 4, 3))
    return root


def image_in_test(kind, **options):
    dataset = image_folder(image_size=4, **options)
    return dataset.test.inputs[dataset.class_names.index(kind)].numpy()


@pytest.mark.parametrize("name", [None, "val"])
def test_val_is_tested_on_where_test_has_no_classes(name):
    imagenet()
    made = image_in_test("ant", folder="imagenet", test_folder=name)
    assert np.array_equal(made, chw(random_pixels(4, 4, 3, seed=100)))


@pytest.mark.parametrize("name", ["val", "held out", "more/splits"])
def test_any_folder_can_be_tested_on(name):
    """Also where size, time and name of every file are those of test, as in many an archive."""
    root = make_folder()
    for label, kind in enumerate(CLASSES):
        for folder, seed in (("test", 100), (name, 200)):
            (root / folder / kind / "0.png").unlink(missing_ok=True)
            path = root / folder / kind / "0.bmp"
            write(path, random_pixels(4, 4, 3, seed=seed + label))
            os.utime(path, ns=(0, 0))
    for folder, seed in ((None, 100), (name, 200), ("test", 100)):
        made = image_in_test("Bee", folder="pets", test_folder=folder)
        assert np.array_equal(made, chw(random_pixels(4, 4, 3, seed=seed + 1)))


def test_the_command_line_names_the_folder_to_test_on():
    imagenet()
    first, second = (
        load_dataset(f"imagefolder:folder=imagenet,image_size=4{option}")
        for option in (",test_folder=val", "")
    )
    assert first.fingerprint() == second.fingerprint()
    assert DATASETS.option_types("imagefolder")["test_folder"] == (str | None, None)


@pytest.mark.parametrize("name", ["test", "nowhere", "val/cat"])
def test_a_folder_without_classes_cannot_be_tested_on(name):
    root = imagenet()
    said = (
        f"{root}: no class folders in {name}, where images are expected ({name}/CLASS/*.jpg). "
        "Folders there: test, train, val; option test_folder names one to test on"
    )
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        image_folder(folder="imagenet", image_size=4, test_folder=name)


@pytest.mark.parametrize("name", ["", ".", "..", "train", "./train/", "../pets/train", "train/ant"])
def test_training_images_are_not_tested_on(name):
    make_folder()
    said = f"^test_folder must name another folder than train, got '{name}'$"
    with pytest.raises(ValueError, match=said):
        image_folder(folder="pets", image_size=4, test_folder=name)


# Data set


def test_name_augmentation_and_an_absolute_path(tmp_path):
    shutil.move(make_folder(), tmp_path / "elsewhere")
    dataset = image_folder(folder=str(tmp_path / "elsewhere"), image_size=4)
    assert dataset.name == "elsewhere"
    assert dataset.augmentation == "crop_flip"
    assert (dataset.num_classes, dataset.in_channels, dataset.image_size) == (3, 3, 4)


@pytest.mark.parametrize("folder", ["~/pets", "~/../home/pets"])
def test_a_folder_may_begin_with_the_home_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    shutil.move(make_folder(), tmp_path / "home" / "pets")
    assert image_folder(folder=folder, image_size=4).name == "pets"


@pytest.mark.parametrize("name", ["~nobody-of-that-name", "a" * 300, "nul\0"])
def test_a_folder_that_cannot_be_is_said(name):
    place = printable(str(data_root() / name))
    refused(re.escape(f"no folder {place}; images are expected") + ".*", folder=name)


@pytest.mark.parametrize("name", ["p" * 255, "[p]*", "\u732b"])
def test_a_folder_may_have_any_name(name):
    make_folder(name)
    assert image_folder(folder=name, image_size=4).name == name
    assert len(cache_files()) == 3


def test_normalisation_is_that_of_the_training_images():
    make_folder()
    dataset = image_folder(folder="pets", image_size=4)
    pixels = dataset.train.inputs.numpy().astype(np.float64) / 255
    assert dataset.mean == tuple(np.round(pixels.mean(axis=(0, 2, 3)), 4))
    assert dataset.std == tuple(np.round(pixels.std(axis=(0, 2, 3)), 4))


# What is said


@pytest.fixture
def said(caplog):
    """Level and text of what was logged since the last call."""
    caplog.set_level(logging.INFO)

    def lines():
        found = [(level, text) for name, level, text in caplog.record_tuples if name == LOGGER]
        caplog.clear()
        return found

    return lines


LOGGER = "mcmi_core.data.image_folder"


@pytest.mark.parametrize("second", ["test", "val"])
def test_what_is_taken_is_said_when_it_is_decoded(second, said):
    root = make_folder(second=second)
    image_folder(folder="pets", image_size=4)
    line = f"{root}: 6 training images (train) and 3 test images ({second}) of 3 classes"
    assert said() == [(logging.INFO, line)]
    image_folder(folder="pets", image_size=4)
    assert said() == []
    image_folder(folder="pets", image_size=4, images_per_class=1)
    assert said() == [(logging.INFO, line.replace("6 training", "3 training"))]


def test_thousands_are_separated(said):
    root = make_folder(num=1)
    for index in range(1, 1000):
        os.link(root / "train" / "cat" / "0.png", root / "train" / "cat" / f"{index}.png")
    image_folder(folder="pets", image_size=4)
    assert said()[0][1].startswith(f"{root}: 1,002 training images (train) and 3 test images")


def test_what_is_skipped_is_a_warning(said):
    root = make_folder(second="val")
    for split in ("train", "val"):
        (root / split / "cat" / "._0.png").write_text("")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / ".ipynb_checkpoints" / "a.jpg").write_text("")
    (root / "train" / "cat" / "notes.txt").write_text("notes")
    (root / "val" / "readme.md").write_text("read me")
    image_folder(folder="pets", image_size=4)
    assert said() == [
        (
            logging.WARNING,
            f"{root}: 6 training images (train) and 3 test images (val) of 3 classes; "
            "skipped 5: 3 hidden (such as train/.ipynb_checkpoints), "
            "1 of unknown format (train/cat/notes.txt), "
            "1 beside the class folders (val/readme.md)",
        )
    ]
    image_folder(folder="pets", image_size=4)
    assert said() == []


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
    assert cache_files() == []


@pytest.mark.parametrize("image_size", [0, -3])
def test_an_image_size_below_1_is_refused(image_size):
    with pytest.raises(ValueError, match=f"^image_size must be at least 1, got {image_size}$"):
        image_folder(folder="pets", image_size=image_size)


def test_a_missing_folder_is_said():
    refused(
        re.escape(
            f"no folder {data_root()}/pets; images are expected in its train/CLASS/*.jpg and "
            f"test/CLASS/*.jpg. MCMI_DATA names another place than {data_root()} for folders that "
            "are not absolute"
        )
    )


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["train"], "train, where images are expected (train/CLASS/*.jpg). Folders there: test"),
        (
            ["test"],
            "test or val, where images are expected (test/CLASS/*.jpg). Folders there: train; "
            "option test_folder names one to test on",
        ),
        (
            ["train", "test"],
            "train, where images are expected (train/CLASS/*.jpg). Folders there: none",
        ),
    ],
)
def test_a_missing_split_is_said_with_what_there_is(missing, said):
    root = make_folder()
    for name in missing:
        shutil.rmtree(root / name)
    refused(re.escape(f"{root}: no class folders in {said}"))


def test_of_many_folders_the_first_are_said():
    """An archive that was unpacked into a folder too deep, beside others."""
    root = make_folder("pets/pets").parent
    for name in "abcdef":
        (root / name).mkdir()
    (root / ".git").mkdir()
    (root / "readme.md").write_text("about pets")
    refused(
        re.escape(f"{root}: no class folders in train")
        + ".* Folders there: a, b, c, d, e, and 2 more"
    )


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_class_without_images_is_said(name):
    root = make_folder()
    (root / name / "dog").mkdir()
    refused(re.escape(f"{root / name}/dog: no image of this class"))
    (root / name / "dog" / "notes.txt").write_text("no dog yet")
    (root / name / "dog" / ".dog.jpg").write_text("hidden")
    refused(
        re.escape(
            f"{root / name}/dog: no image of this class; skipped 2: "
            f"1 hidden ({name}/dog/.dog.jpg), 1 of unknown format ({name}/dog/notes.txt)"
        )
    )


@pytest.mark.parametrize("left", ["loose.jpg", ".hidden/1.jpg"])
def test_a_split_without_classes_is_said(left):
    root = make_folder()
    shutil.rmtree(root / "test")
    write(root / "test" / left, random_pixels(4, 4, 3))
    refused(
        re.escape(
            f"{root}: no class folders in test or val, where images are expected "
            "(test/CLASS/*.jpg). Folders there: test, train; "
            "option test_folder names one to test on"
        )
    )


def test_classes_that_differ_are_said():
    root = make_folder()
    (root / "test" / "cat").rename(root / "test" / "dog")
    said = f"{root}: train and test differ in the classes"
    refused(re.escape(f"{said} cat, dog; option test_folder names another than test"))
    for name in "mnop":
        write(root / "train" / name / "1.png", random_pixels(4, 4, 3))
    refused(re.escape(f"{said} cat, dog, m, n, o, and 1 more; option") + ".*")


def test_classes_that_look_alike_are_said():
    """Composed, as most write it; decomposed, as older Macs do."""
    root = make_folder()
    composed, decomposed = (unicodedata.normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    (root / "train" / "cat").rename(root / "train" / composed)
    (root / "test" / "cat").rename(root / "test" / decomposed)
    refused(
        re.escape(
            f"{root}: train and test differ in the classes {decomposed}, {composed}; "
            "the names look alike, but their accents are encoded in two ways (NFC and NFD)"
        )
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


def test_all_damaged_images_are_counted_and_the_first_are_named(monkeypatch):
    """Whatever the split, and in however many parts they are decoded."""
    monkeypatch.setattr(image_cache, "CHUNK", 2)
    root = make_folder()
    damaged = [*sorted((root / "train" / "ant").iterdir()), *(root / "test" / "cat").iterdir()]
    for path in damaged:
        path.write_text("not an image")
    reasons = [f"{path}: cannot identify image file '{path}'" for path in damaged]
    refused(re.escape(f"cannot decode 3 images: {'; '.join(reasons)}"))
    for path in root.rglob("*.png"):
        path.write_text("not an image")
    damaged = [
        file for split in ("train", "test") for file in sorted((root / split).rglob("*.png"))
    ]
    reasons = [f"{path}: cannot identify image file '{path}'" for path in damaged[:5]]
    refused(re.escape(f"cannot decode 9 images: {'; '.join(reasons)}; and 4 more"))


def test_numbers_of_unknown_range_are_said_like_damage():
    path = make_folder() / "train" / "cat" / "2.tif"
    Image.fromarray(np.arange(16, dtype=np.int32).reshape(4, 4)).save(path)
    refused(
        re.escape(
            f"cannot decode {path}: its numbers, from 0 to 15, do not say what is black and what "
            "is white; save it with 8 or 16 bits"
        )
    )


def test_images_that_pillow_warns_of_are_decoded():
    """The warning would be an error here."""
    path = make_folder() / "train" / "cat" / "2.png"
    image = Image.fromarray(random_pixels(4, 4)).convert("P")
    image.save(path, transparency=bytes(range(100)))
    with pytest.warns(UserWarning, match="Palette images with Transparency"):
        Image.open(path).convert("RGB")
    assert len(image_folder(folder="pets", image_size=4).train) == 7


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


def test_no_folder_is_written_but_the_cache(tmp_path):
    root = make_folder()
    before = sorted(root.rglob("*"))
    image_folder(folder="pets", image_size=4)
    assert sorted(root.rglob("*")) == before
    assert {path.name for path in Path(tmp_path).iterdir()} == {"data", "cache"}
