"""How the training images of a folder are augmented, where the default is not wanted."""

import re

import pytest
import torch
from image_folders import make_folder

from mcmi_core.base.registry import Component
from mcmi_core.components import DATASETS
from mcmi_core.data import load_dataset
from mcmi_core.data.augmentation import KINDS
from mcmi_core.data.image_folder import image_folder
from mcmi_core.data.loader import training_batches


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_one_that_was_asked_for(kind):
    make_folder(size=8)
    dataset = load_dataset(f"imagefolder:folder=pets,image_size=7,augmentation={kind}")
    assert dataset.augmentation == kind
    assert dataset.image_size == 7
    assert dataset.stored_size == (8 if kind == "resized_crop" else 7)


def test_without_augmentation_training_sees_the_images_as_they_are():
    make_folder()
    dataset = image_folder(folder="pets", image_size=4, augmentation="none")
    plan = training_batches(
        dataset,
        dataset.train,
        batch_size=6,
        epoch_length=6,
        seed=0,
        epoch=0,
        device=torch.device("cpu"),
    )
    [batch] = list(plan)
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    expected = (dataset.train.inputs[batch.indices] / 255 - mean) / std
    torch.testing.assert_close(batch.inputs, expected)


@pytest.mark.parametrize(("size", "kind"), [(32, "crop_flip"), (128, "resized_crop")])
def test_not_to_ask_is_the_default_and_no_part_of_a_key(size, kind):
    make_folder(size=8)
    asked = f"imagefolder:folder=pets,image_size={size}"
    assert load_dataset(asked).augmentation == kind
    assert "augmentation" not in DATASETS.complete(Component.model_validate(asked)).options


def test_an_unknown_one_is_refused():
    make_folder()
    known = ", ".join(KINDS)
    message = f"augmentation must be one of {known}, got 'flip'"
    with pytest.raises(ValueError, match=re.escape(message)):
        image_folder(folder="pets", augmentation="flip")
    with pytest.raises(ValueError, match="flip"):
        load_dataset("imagefolder:folder=pets,augmentation=flip")
