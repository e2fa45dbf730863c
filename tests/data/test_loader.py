"""Which samples an epoch holds, in which order and form, recomputed from what was drawn."""

import numpy as np
import pytest
import torch

from mcmi_core.data import Dataset, Split
from mcmi_core.data.augmentation import augment, num_variants
from mcmi_core.data.loader import epoch_order, evaluation_batches, training_batches
from mcmi_core.seeding import derive_seed

CPU = torch.device("cpu")


def make_dataset(num=23, augmentation="crop_flip", size=8):
    generator = torch.Generator().manual_seed(0)

    def split(num):
        shape = (num, 3, size, size)
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        return Split(images, torch.arange(num) % 5)

    return Dataset(
        "pixels",
        split(num),
        split(11),
        ("a", "b", "c", "d", "e"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
        augmentation=augmentation,
    )


def an_epoch(dataset, split=None, *, batch_size=4, epoch_length=None, seed=0, epoch=0):
    split = split or dataset.train
    return list(
        training_batches(
            dataset,
            split,
            batch_size=batch_size,
            epoch_length=epoch_length or len(split),
            seed=seed,
            epoch=epoch,
            device=CPU,
        )
    )


def joined(batches):
    """Inputs, labels and indices of all batches."""
    return [torch.cat(tensors) for tensors in zip(*batches, strict=True)]


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def normalised(dataset, images):
    mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (dataset.mean, dataset.std))
    return ((images.double().numpy() / 255 - mean) / std).astype(np.float32)


# Order


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("epoch", [0, 1, 200])
def test_an_epoch_as_long_as_the_split_holds_every_sample_once(seed, epoch):
    batches = an_epoch(make_dataset(), seed=seed, epoch=epoch)
    assert [len(batch.indices) for batch in batches] == [4, 4, 4, 4, 4, 3]
    order = joined(batches)[2].tolist()
    assert sorted(order) == list(range(23))
    assert order != list(range(23))


@pytest.mark.parametrize("epoch_length", [23, 50, 65, 66, 67])
def test_a_small_split_is_cycled_evenly(epoch_length):
    dataset = make_dataset()
    few = dataset.train.subset(torch.arange(11))
    _, labels, indices = joined(an_epoch(dataset, few, batch_size=9, epoch_length=epoch_length))
    assert len(indices) == epoch_length
    counts = torch.bincount(indices, minlength=11)
    assert counts.max() - counts.min() <= 1
    assert torch.equal(labels, few.labels[indices])


def test_every_cycle_is_a_permutation_in_a_new_order():
    cycles = epoch_order(11, 110, seed=2, epoch=5).view(10, 11)
    assert torch.equal(cycles.sort(dim=1).values, torch.arange(11).expand(10, -1))
    assert len({tuple(cycle) for cycle in cycles.tolist()}) == 10


def test_an_epoch_shorter_than_the_split_repeats_no_sample():
    order = epoch_order(100, 30, seed=0, epoch=0)
    assert len(order) == len(order.unique()) == 30


def test_orders_are_uniform():
    """Each of 6 samples is as often at each of 6 places."""
    counts = np.zeros((6, 6))
    for epoch in range(600):
        counts[np.arange(6), epoch_order(6, 6, seed=0, epoch=epoch).numpy()] += 1
    deviations = (counts - 100) / np.sqrt(600 * (1 / 6) * (5 / 6))
    assert np.abs(deviations).max() < 4.5


@pytest.mark.parametrize(
    ("num", "batch_size", "sizes"),
    [
        (9, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (8, 4, [4, 4]),
        (3, 64, [3]),
        (2, 2, [2]),
        (1, 64, []),
    ],
)
def test_a_last_single_sample_is_dropped(num, batch_size, sizes):
    batches = an_epoch(make_dataset(num=max(num, 5)), batch_size=batch_size, epoch_length=num)
    assert [len(batch.indices) for batch in batches] == sizes


# Reproducibility


def test_an_epoch_is_a_function_of_seed_and_epoch():
    dataset = make_dataset()
    first = an_epoch(dataset, seed=4, epoch=7)
    assert_equal_batches(an_epoch(dataset, seed=4, epoch=7), first)
    for seed, epoch in [(5, 7), (4, 8), (7, 4)]:
        other = an_epoch(dataset, seed=seed, epoch=epoch)
        assert joined(other)[2].tolist() != joined(first)[2].tolist()


def test_variants_are_a_function_of_seed_and_epoch():
    """One image many times: order cannot tell the epochs apart, only augmentation can."""
    dataset = make_dataset()
    one = dataset.train.subset(torch.tensor([3]))

    def inputs(seed, epoch):
        return joined(an_epoch(dataset, one, epoch_length=40, seed=seed, epoch=epoch))[0]

    first = inputs(4, 7)
    assert len(first.unique(dim=0)) > 10
    assert torch.equal(inputs(4, 7), first)
    for seed, epoch in [(5, 7), (4, 8), (7, 4)]:
        assert not torch.equal(inputs(seed, epoch), first)


def test_the_global_generator_neither_matters_nor_moves():
    dataset = make_dataset()
    torch.manual_seed(0)
    first = an_epoch(dataset)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    torch.rand(5)
    assert_equal_batches(an_epoch(dataset), first)


def test_the_batch_size_does_not_matter():
    dataset = make_dataset(num=24)
    whole = joined(an_epoch(dataset, batch_size=24))
    for batch_size in (2, 5, 8):
        for tensor, expected in zip(
            joined(an_epoch(dataset, batch_size=batch_size)), whole, strict=True
        ):
            assert torch.equal(tensor, expected)


def test_epochs_read_in_turn_or_side_by_side_are_the_same():
    dataset = make_dataset()
    expected = [an_epoch(dataset, epoch=epoch) for epoch in (0, 1)]
    options = {"batch_size": 4, "epoch_length": 23, "seed": 0, "device": CPU}
    side_by_side = zip(
        training_batches(dataset, dataset.train, epoch=0, **options),
        training_batches(dataset, dataset.train, epoch=1, **options),
        strict=True,
    )
    for batches, pair in zip(zip(*expected, strict=True), side_by_side, strict=True):
        assert_equal_batches(batches, pair)


# Content


@pytest.mark.parametrize("augmentation", ["none", "crop", "crop_flip"])
def test_batches_hold_augmented_then_normalised_images(augmentation):
    dataset = make_dataset(augmentation=augmentation)
    inputs, labels, indices = joined(an_epoch(dataset, epoch_length=60, seed=3, epoch=2))
    order = torch.Generator().manual_seed(derive_seed(3, 2, 1))
    places = torch.cat([torch.randperm(23, generator=order) for _ in range(3)])[:60]
    choice = torch.Generator().manual_seed(derive_seed(3, 2, 2))
    variants = torch.randint(num_variants(augmentation, 8), (60,), generator=choice)

    assert torch.equal(indices, places)
    assert torch.equal(labels, dataset.train.labels[places])
    images = augment(dataset.train.inputs[places], variants, augmentation)
    assert inputs.dtype == torch.float32
    np.testing.assert_allclose(inputs.numpy(), normalised(dataset, images), rtol=1e-5, atol=1e-5)


def test_the_border_of_a_crop_is_black():
    """Padding comes before normalisation: 0 becomes −mean / std, not 0."""
    dataset = make_dataset(augmentation="crop")
    white = Split(torch.full((5, 3, 8, 8), 255, dtype=torch.uint8), torch.arange(5))
    inputs = joined(an_epoch(dataset, white, epoch_length=50))[0]
    for channel in range(3):
        mean, std = dataset.mean[channel], dataset.std[channel]
        values = inputs[:, channel].unique().tolist()
        assert values == pytest.approx([-mean / std, (1 - mean) / std], abs=1e-5)


def test_labels_and_indices_are_those_of_the_given_split():
    dataset = make_dataset(augmentation="none")
    part = dataset.train.subset(torch.tensor([20, 3, 11, 7]))
    inputs, labels, indices = joined(an_epoch(dataset, part, batch_size=2))
    assert sorted(indices.tolist()) == [0, 1, 2, 3]
    assert torch.equal(labels, part.labels[indices])
    assert torch.equal(inputs, dataset.normalise(part.inputs[indices]))


def test_vectors_are_trained_on_as_they_are():
    split = Split(torch.randn(12, 6), torch.arange(12) % 2)
    inputs, _, indices = joined(an_epoch(Dataset("points", split, split, ("a", "b"))))
    assert torch.equal(inputs, split.inputs[indices])


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 3]), (5, [5, 5, 1]), (64, [11])])
def test_evaluation_sees_every_sample_once_in_order_as_it_is(batch_size, sizes):
    dataset = make_dataset()
    batches = list(evaluation_batches(dataset, dataset.test, batch_size=batch_size, device=CPU))
    assert [len(batch.indices) for batch in batches] == sizes
    inputs, labels, indices = joined(batches)
    assert indices.tolist() == list(range(11))
    assert torch.equal(labels, dataset.test.labels)
    expected = normalised(dataset, dataset.test.inputs)
    np.testing.assert_allclose(inputs.numpy(), expected, rtol=1e-5, atol=1e-5)
