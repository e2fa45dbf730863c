"""Digits against scikit-learn's array."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mcmi_core.data.digits import digits


@pytest.fixture(scope="module")
def dataset():
    return digits()


@pytest.fixture(scope="module")
def truth():
    """How often each labelled image occurs, as bytes on the scale 0..240."""
    bunch = load_digits()
    pixels = (15 * bunch.images).astype(np.uint8)
    return Counter(zip(map(bytes, pixels), bunch.target.tolist(), strict=True))


def contents(split):
    pixels = split.inputs[:, 0].numpy()
    return Counter(zip(map(bytes, pixels), split.labels.tolist(), strict=True))


def test_every_image_is_in_one_split_with_its_label(dataset, truth):
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert contents(dataset.train) + contents(dataset.test) == truth
    for split in (dataset.train, dataset.test):
        assert split.inputs.dtype == torch.uint8
        assert split.inputs.shape == (len(split), 1, 8, 8)


def test_pixels_span_0_to_240(dataset):
    assert (dataset.train.inputs.min(), dataset.train.inputs.max()) == (0, 240)


def test_labels_are_what_the_images_show(dataset):
    """A nearest neighbour on raw pixels recognises nearly all, so labels fit."""
    train, test = (split.inputs.flatten(1).float() for split in (dataset.train, dataset.test))
    nearest = torch.cdist(test, train).argmin(dim=1)
    correct = dataset.train.labels[nearest] == dataset.test.labels
    assert correct.double().mean() > 0.97


def test_one_class_is_as_frequent_as_another_up_to_a_few_images(dataset):
    for split in (dataset.train, dataset.test):
        counts = torch.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 10


def test_normalised_training_images_have_mean_0_and_deviation_1(dataset):
    pixels = dataset.train.inputs.numpy() / 255
    assert dataset.mean == (round(pixels.mean(), 4),)
    assert dataset.std == (round(pixels.std(), 4),)
    seen = dataset.normalise(dataset.train.inputs).double()
    assert seen.mean().item() == pytest.approx(0, abs=3e-4)
    assert seen.std(correction=0).item() == pytest.approx(1, abs=3e-4)


def test_digits_are_cropped_and_never_flipped(dataset):
    assert dataset.name == "digits"
    assert dataset.augmentation == "crop"
    assert dataset.class_names == tuple("0123456789")
    assert (dataset.num_classes, dataset.in_channels, dataset.image_size) == (10, 1, 8)
    assert dataset.train.posterior is None and dataset.bayes_classifier is None


def test_digits_never_change(dataset):
    """Kept from the day the first record was made: other samples would be other results."""
    assert digits().fingerprint() == dataset.fingerprint() == "f35b15011f787f77"
