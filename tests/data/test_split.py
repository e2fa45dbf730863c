"""Parts of a split against their definitions, and the whole message of what is refused."""

import hashlib
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from mcmi_core.data import Dataset, Split
from mcmi_core.data.split import UNLABELLED

CPU = torch.device("cpu")
COUNTS = (40, 13, 7, 1)


def numbered_split(counts=COUNTS, seed=0):
    """Sample i holds the number i; its posterior holds −i. Classes come in random order."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    numbers = torch.arange(len(labels), dtype=torch.float32)
    return Split(numbers[:, None], labels, -numbers[:, None].expand(-1, len(counts)))


def numbers(split):
    return split.inputs.flatten().long().tolist()


def class_counts(split):
    return torch.bincount(split.labels, minlength=len(COUNTS)).tolist()


def assert_taken_from(part, whole):
    """Labels and posteriors are still those of their samples."""
    taken = part.inputs.flatten().long()
    assert torch.equal(part.labels, whole.labels[taken])
    assert torch.equal(part.posterior, whole.posterior[taken])


def images(num=6, channels=3, size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (num, channels, size, size), generator=generator, dtype=torch.uint8)


def dataset(**changes):
    train = Split(images(6), torch.tensor([0, 1, 2, 0, 1, 2]))
    test = Split(images(3, seed=1), torch.tensor([2, 1, 0]))
    fields = {
        "name": "tiny",
        "train": train,
        "test": test,
        "class_names": ("cat", "dog", "eel"),
        "mean": (0.5, 0.25, 0.125),
        "std": (0.2, 0.3, 0.4),
    }
    return Dataset(**fields | changes)


# Split: construction


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (torch.zeros(3, dtype=torch.int32), "torch.int32 of shape (3,)"),
        (torch.zeros(3), "torch.float32 of shape (3,)"),
        (torch.zeros(2, dtype=torch.int64), "torch.int64 of shape (2,)"),
        (torch.zeros(3, 1, dtype=torch.int64), "torch.int64 of shape (3, 1)"),
        (torch.tensor(0), "torch.int64 of shape ()"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, got):
    message = f"3 samples need int64 labels of shape (3,), got {got}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Split(torch.zeros(3, 5), labels)


def test_a_posterior_of_other_samples_is_refused():
    with pytest.raises(ValueError, match=r"^3 samples cannot have 2 posteriors$"):
        Split(torch.zeros(3, 5), torch.tensor([0, 1, 0]), torch.full((2, 2), 0.5))


def test_a_split_without_samples_is_refused():
    with pytest.raises(ValueError, match=r"^a split needs at least one sample$"):
        Split(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64))


def test_length_is_the_number_of_samples():
    assert len(numbered_split()) == sum(COUNTS)


# Split: parts


def test_a_subset_has_the_order_of_its_indices():
    whole = numbered_split()
    part = whole.subset(torch.tensor([5, 0, 60, 5]))
    assert numbers(part) == [5, 0, 60, 5]
    assert_taken_from(part, whole)


def test_a_subset_without_posterior_has_none():
    whole = replace(numbered_split(), posterior=None)
    assert whole.subset(torch.tensor([1, 2])).posterior is None


def test_moving_keeps_everything():
    whole = numbered_split()
    moved = whole.to(CPU)
    assert numbers(moved) == numbers(whole)
    assert_taken_from(moved, whole)
    meta = whole.to(torch.device("meta"))
    tensors = (meta.inputs, meta.labels, meta.posterior)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize("classes", [(0,), (3,), (2, 0), {1, 3}, [0, 1, 2], ()])
def test_omit_keeps_all_samples_of_the_other_classes_in_order(classes):
    whole = numbered_split()
    part = whole.omit(classes)
    assert numbers(part) == [i for i, y in enumerate(whole.labels.tolist()) if y not in classes]
    assert_taken_from(part, whole)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((4,), "cannot omit class 4; there are [0, 1, 2, 3]"),
        ((0, 9, 7), "cannot omit class 7; there are [0, 1, 2, 3]"),
        ((-1,), "cannot omit class -1; there are [0, 1, 2, 3]"),
        ((3, 1, 0, 2), "omitting classes [0, 1, 2, 3] leaves no sample"),
    ],
)
def test_omit_refuses(classes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        numbered_split().omit(classes)


def test_what_was_omitted_cannot_be_omitted_again():
    with pytest.raises(ValueError, match=re.escape("cannot omit class 1; there are [0, 2, 3]")):
        numbered_split().omit((1,)).omit((1,))


@pytest.mark.parametrize("sampling", ["stratified", "first"])
@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.5, 0.9])
def test_part_and_rest_are_disjoint_complete_and_in_order(sampling, fraction):
    whole = numbered_split()
    part, rest = whole.divide(fraction, seed=3, sampling=sampling)
    assert sorted(numbers(part) + numbers(rest)) == numbers(whole)
    for piece in (part, rest):
        assert numbers(piece) == sorted(numbers(piece))
        assert_taken_from(piece, whole)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.25, 0.35, 0.5, 0.75, 0.9])
def test_stratified_takes_its_share_of_every_class_and_at_least_one(fraction):
    part = numbered_split().fraction(fraction, seed=0)
    expected = [max(1, int(np.rint(fraction * count))) for count in COUNTS]
    assert class_counts(part) == expected


def test_stratified_shares_do_not_depend_on_the_seed_but_samples_do():
    parts = [numbered_split().fraction(0.3, seed=seed) for seed in range(20)]
    assert len({tuple(class_counts(part)) for part in parts}) == 1
    assert len({tuple(numbers(part)) for part in parts}) == 20


def test_stratified_is_the_default():
    whole = numbered_split()
    stratified = numbers(whole.fraction(0.3, seed=4, sampling="stratified"))
    assert numbers(whole.fraction(0.3, seed=4)) == stratified
    assert numbers(whole.divide(0.3, seed=4)[0]) == stratified


def test_stratified_is_uniform_within_a_class():
    """Every sample of a class of 40 has a chance of one quarter."""
    whole = numbered_split((40, 40))
    taken = np.zeros(80)
    for seed in range(600):
        taken[numbers(whole.fraction(0.25, seed=seed))] += 1
    deviations = (taken / 600 - 0.25) / np.sqrt(0.25 * 0.75 / 600)
    assert np.abs(deviations).max() < 4.5
    assert 0.6 < np.square(deviations).mean() < 1.4


@pytest.mark.parametrize("sampling", ["stratified", "first"])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_with_one_seed_larger_parts_contain_smaller_ones(sampling, seed):
    whole = numbered_split()
    parts = [
        set(numbers(whole.fraction(fraction, seed=seed, sampling=sampling)))
        for fraction in (0.05, 0.1, 0.25, 0.35, 0.5, 0.75, 0.95)
    ]
    for smaller, larger in itertools.pairwise(parts):
        assert smaller < larger


@pytest.mark.parametrize("sampling", ["stratified", "first"])
def test_fraction_is_the_part_of_divide(sampling):
    whole = numbered_split()
    part, _ = whole.divide(0.4, seed=5, sampling=sampling)
    assert numbers(whole.fraction(0.4, seed=5, sampling=sampling)) == numbers(part)


def test_parts_do_not_depend_on_or_disturb_the_global_generator():
    whole = numbered_split()
    torch.manual_seed(0)
    first = numbers(whole.fraction(0.3, seed=1))
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert numbers(whole.fraction(0.3, seed=1)) == first
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("fraction", "size"), [(0.05, 3), (0.5, 30), (0.1, 6), (0.99, 60)])
def test_first_takes_the_first_samples_whatever_their_class_and_seed(fraction, size):
    """61 samples: 0.05 of them are 3.05, half of them 30.5, which rounds to even."""
    for seed in (0, 7):
        part, rest = numbered_split().divide(fraction, seed=seed, sampling="first")
        assert numbers(part) == list(range(size))
        assert numbers(rest) == list(range(size, 61))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("method", ["divide", "fraction"])
def test_fractions_out_of_range_are_refused(fraction, method):
    message = f"^fraction must be between 0 and 1, got {re.escape(str(fraction))}$"
    with pytest.raises(ValueError, match=message):
        getattr(numbered_split(), method)(fraction, seed=0)


def test_unknown_sampling_is_refused():
    with pytest.raises(
        ValueError, match=r"^sampling must be 'stratified' or 'first', got 'random'$"
    ):
        numbered_split().fraction(0.5, seed=0, sampling="random")


@pytest.mark.parametrize(
    ("fraction", "sampling"), [(0.001, "first"), (0.999, "first"), (0.999, "stratified")]
)
def test_an_empty_part_or_rest_is_refused(fraction, sampling):
    with pytest.raises(ValueError, match="a split needs at least one sample"):
        numbered_split().divide(fraction, seed=0, sampling=sampling)


def test_no_loss_accepts_hidden_labels():
    with pytest.raises(IndexError, match="out of bounds"):
        torch.nn.functional.cross_entropy(torch.zeros(2, 4), torch.tensor([0, UNLABELLED]))


# Dataset


def test_counts_and_sizes_of_images_and_vectors():
    pictures = dataset()
    assert (pictures.num_classes, pictures.in_channels, pictures.image_size) == (3, 3, 4)
    labels = torch.tensor([0, 1])
    vectors = Split(torch.zeros(2, 7), labels)
    points = Dataset("points", vectors, vectors, ("a", "b"))
    assert (points.num_classes, points.in_channels, points.image_size) == (2, 7, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"augmentation": "flip"},
            "augmentation must be one of none, crop, crop_flip, resized_crop, got 'flip'",
        ),
        (
            {"test": Split(images(3, size=5), torch.tensor([0, 1, 2]))},
            "tiny: training samples (3, 4, 4), test samples (3, 5, 5)",
        ),
        (
            {"train": Split(images(2), torch.tensor([0, 3]))},
            "label 3 is outside 0..2",
        ),
        (
            {"test": Split(images(2), torch.tensor([-1, 0]))},
            "label -1 is outside 0..2",
        ),
        (
            {"mean": None},
            "tiny: images with 3 channels need a mean and a standard deviation of each, "
            "got None and (0.2, 0.3, 0.4)",
        ),
        (
            {"std": None},
            "tiny: images with 3 channels need a mean and a standard deviation of each, "
            "got (0.5, 0.25, 0.125) and None",
        ),
        (
            {"mean": (0.5,), "std": (0.2,)},
            "tiny: images with 3 channels need a mean and a standard deviation of each, "
            "got (0.5,) and (0.2,)",
        ),
        (
            {"std": (0.2, 0.3)},
            "tiny: images with 3 channels need a mean and a standard deviation of each, "
            "got (0.5, 0.25, 0.125) and (0.2, 0.3)",
        ),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dataset(**changes)


def test_bytes_are_normalised_by_the_formula():
    tiny = dataset()
    pixels = tiny.train.inputs.numpy().astype(np.float64)
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (tiny.mean, tiny.std))
    seen = tiny.normalise(tiny.train.inputs)
    assert seen.dtype == torch.float32
    np.testing.assert_allclose(seen.numpy(), (pixels / 255 - mean) / std, rtol=1e-5, atol=2e-6)


def test_data_sets_with_other_figures_are_normalised_by_their_own():
    black = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    for mean, std in [((0.5, 0.25, 0.125), (0.2, 0.3, 0.4)), ((0.1, 0.2, 0.3), (1.0, 0.5, 0.25))]:
        seen = dataset(mean=mean, std=std).normalise(black)[0, :, 0, 0].tolist()
        assert seen == pytest.approx([-m / s for m, s in zip(mean, std, strict=True)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_are_not_normalised(dtype):
    inputs = torch.rand(2, 3, 4, 4).to(dtype)
    assert dataset().normalise(inputs) is inputs


def test_a_fingerprint_is_16_hexadecimal_digits_of_the_samples_alone():
    first, second = dataset(), dataset(name="other", mean=(0.1, 0.1, 0.1), class_names=("a",) * 3)
    assert re.fullmatch("[0-9a-f]{16}", first.fingerprint())
    assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_fingerprint_changes_with_any_sample_or_label(name):
    tiny = dataset()
    split = getattr(tiny, name)
    pixel, label = split.inputs.clone(), split.labels.clone()
    pixel[-1, 2, 3, 3] ^= 1
    label[0] = 1
    order = torch.tensor([1, 0, *range(2, len(split))])
    changed = [
        replace(split, inputs=pixel),
        replace(split, labels=label),
        split.subset(order),
        split.subset(torch.arange(len(split) - 1)),
    ]
    prints = {dataset(**{name: split}).fingerprint() for split in [split, *changed]}
    assert len(prints) == 5


def test_a_fingerprint_changes_with_the_shape_and_type_of_equal_bytes():
    labels = torch.tensor([0, 1])
    flat = torch.zeros(2, 4)
    prints = set()
    for inputs in (flat, flat.view(2, 1, 2, 2), flat.view(torch.int32), flat.view(2, 2, 2)):
        split = Split(inputs, labels)
        prints.add(Dataset("zeros", split, split, ("a", "b")).fingerprint())
    assert len(prints) == 4


def test_a_fingerprint_is_the_digest_of_types_shapes_and_numbers():
    """Runs store it, and teachers' logits are found by it: it may never change."""
    tiny = dataset()
    parts = []
    for tensor in (tiny.train.inputs, tiny.train.labels, tiny.test.inputs, tiny.test.labels):
        parts += [f"{tensor.dtype}{tuple(tensor.shape)}".encode(), tensor.numpy().tobytes()]
    assert tiny.fingerprint() == hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    assert tiny.train.fingerprint() == hashlib.sha256(b"".join(parts[:4])).hexdigest()[:16]


def test_a_stored_fingerprint_is_not_computed_again(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.split.Fingerprint", lambda: pytest.fail("hashed"))
    assert dataset(stored_fingerprint="0123456789abcdef").fingerprint() == "0123456789abcdef"


def test_a_fingerprint_does_not_depend_on_memory_layout():
    tiny = dataset()
    strided = replace(
        tiny.train, inputs=tiny.train.inputs.contiguous(memory_format=torch.channels_last)
    )
    assert not strided.inputs.is_contiguous()
    assert dataset(train=strided).fingerprint() == tiny.fingerprint()


def test_with_resized_crops_a_network_sees_less_than_is_stored():
    pixels = images(6, size=16)
    split = Split(pixels, torch.tensor([0, 1, 2, 0, 1, 2]))
    photographs = dataset(train=split, test=split, augmentation="resized_crop")
    assert (photographs.stored_size, photographs.image_size) == (16, 14)
    plain = dataset(train=split, test=split)
    assert (plain.stored_size, plain.image_size) == (16, 16)
    middle = pixels[:, :, 1:15, 1:15]
    assert torch.equal(photographs.normalise(pixels), plain.normalise(middle))
    assert torch.equal(photographs.normalise(middle), plain.normalise(middle))
