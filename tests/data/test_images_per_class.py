"""Only the first images of each class: which they are, and that nothing else changes."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.components import DATASETS
from mcmi_core.data import load_dataset
from mcmi_core.data.image_folder import image_folder

NAMES = ("10.png", "2.png", "a.png", "b.png")
"""In the order of names: 10 comes before 2."""
TRAIN = {"cat": 4, "dog": 2, "eel": 3}


@pytest.fixture
def pets():
    """All images differ; dogs are few."""
    generator = np.random.default_rng(0)
    for split, number in (("train", TRAIN), ("test", dict.fromkeys(TRAIN, 3))):
        for kind in TRAIN:
            folder = data_root() / "pets" / split / kind
            folder.mkdir(parents=True)
            for name in NAMES[: number[kind]]:
                pixels = generator.integers(256, size=(4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name)
    return data_root() / "pets"


def load(number, folder="pets"):
    return image_folder(folder=folder, image_size=4, images_per_class=number)


def pixels(path):
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 9])
def test_the_first_by_name_of_each_class_are_kept(pets, number):
    dataset = load(number)
    files = [
        (label, pets / "train" / kind / name)
        for label, kind in enumerate(TRAIN)
        for name in NAMES[: min(number, TRAIN[kind])]
    ]
    assert dataset.train.labels.tolist() == [label for label, _ in files]
    assert np.array_equal(dataset.train.inputs.numpy(), [pixels(path) for _, path in files])
    assert dataset.class_names == tuple(TRAIN)


@pytest.mark.parametrize("number", [1, 2])
def test_it_is_as_if_the_others_were_not_there(pets, number):
    some = load(number)
    shutil.copytree(pets, data_root() / "fewer")
    for kind in TRAIN:
        for name in NAMES[number : TRAIN[kind]]:
            (data_root() / "fewer" / "train" / kind / name).unlink()
    fewer = load(0, "fewer")
    assert some.fingerprint() == fewer.fingerprint() != load(0).fingerprint()
    assert (some.mean, some.std) == (fewer.mean, fewer.std)
    assert torch.equal(some.train.inputs, fewer.train.inputs)


def test_the_test_split_stays_whole(pets):
    assert torch.equal(load(1).test.inputs, load(0).test.inputs)
    assert load(1).test.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_enough_for_all_is_the_whole_folder(pets):
    assert load(4).fingerprint() == load(0).fingerprint()
    assert len(list((cache_root() / "imagefolder").glob("*.safetensors"))) == 1
    load(2)
    assert len(list((cache_root() / "imagefolder").glob("*.safetensors"))) == 2


@pytest.mark.parametrize("number", [-1, -500])
def test_a_negative_number_is_refused(pets, number):
    message = f"^images_per_class must not be negative, got {number}$"
    with pytest.raises(ValueError, match=message):
        load(number)
    with pytest.raises(ValueError, match=re.escape(f"got {number}")):
        load_dataset(f"imagefolder:folder=pets,images_per_class={number}")


def test_the_command_line_knows_the_option(pets):
    usage = DATASETS.usage("imagefolder")
    assert usage.startswith("imagefolder:folder=...,image_size=32,images_per_class=0")
    dataset = load_dataset("imagefolder:folder=pets,image_size=4,images_per_class=2")
    assert torch.equal(dataset.train.inputs, load(2).train.inputs)
