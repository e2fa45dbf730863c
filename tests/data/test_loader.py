"""Which samples an epoch holds, in which order and form, recomputed from what was drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mcmi_core.base.seeding import derive_seed
from mcmi_core.data import Dataset, Split
from mcmi_core.data.augmentation import KINDS, augment, draw_variants
from mcmi_core.data.loader import batch_at, epoch_order, evaluation_batches, training_batches

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


def a_plan(dataset, split=None, *, batch_size=4, epoch_length=None, seed=0, epoch=0, device=CPU):
    split = split or dataset.train
    return training_batches(
        dataset,
        split,
        batch_size=batch_size,
        epoch_length=epoch_length or len(split),
        seed=seed,
        epoch=epoch,
        device=device,
    )


def an_epoch(*arguments, **settings):
    return list(a_plan(*arguments, **settings))


def joined(batches):
    """Inputs, labels and indices of all batches."""
    parts = ((batch.inputs, batch.labels, batch.indices) for batch in batches)
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


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
    plan = a_plan(make_dataset(num=max(num, 5)), batch_size=batch_size, epoch_length=num)
    assert [len(batch.indices) for batch in plan] == sizes
    assert len(plan) == len(sizes)
    assert plan.whole == sizes.count(batch_size)
    assert plan.rest == sum(sizes) - plan.whole * batch_size


# Steps


@pytest.mark.parametrize("augmentation", KINDS)
@pytest.mark.parametrize("epoch_length", [20, 22, 21, 60])
def test_a_batch_is_a_function_of_plan_and_step(augmentation, epoch_length):
    """Whether the step is a number or, as in a captured graph, a tensor."""
    dataset = make_dataset(augmentation=augmentation, size=16)
    plan = a_plan(dataset, epoch_length=epoch_length)
    whole = [plan[step] for step in range(epoch_length // 4)]
    assert_equal_batches([plan[torch.tensor([step])] for step in range(len(whole))], whole)
    assert_equal_batches([batch_at(plan, torch.tensor([s])) for s in range(len(whole))], whole)
    assert_equal_batches([plan[step] for step in reversed(range(len(whole)))], whole[::-1])
    assert_equal_batches(an_epoch(dataset, epoch_length=epoch_length)[: len(whole)], whole)


def test_the_last_smaller_batch_holds_the_end_of_the_order():
    plan = a_plan(make_dataset(), epoch_length=23)
    assert (len(plan), plan.whole, plan.rest) == (6, 5, 3)
    assert torch.equal(plan[5].indices, plan.order[20:])
    assert torch.equal(plan[5].variants, plan.variants[20:])


@pytest.mark.parametrize("augmentation", KINDS)
@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("epoch_length", [20, 21, 22])
def test_parts_of_a_batch_are_disjoint_and_all_of_it(augmentation, parts, epoch_length):
    """Some have nothing of the last batch of two, and of five parts one of every batch of four."""
    plan = a_plan(make_dataset(augmentation=augmentation, size=16), epoch_length=epoch_length)
    shares = [replace(plan, part=part, parts=parts) for part in range(parts)]
    assert all(len(share) == len(plan) for share in shares)
    for step, batch in enumerate(plan):
        rows = [share[step] for share in shares]
        for part, own in enumerate(rows):
            for tensor, whole in zip(own, batch, strict=True):
                assert torch.equal(tensor, whole[part::parts])
            assert shares[part].share(step) == len(own.labels) / len(batch.labels)
    assert plan.share(0) == 1


@pytest.mark.parametrize(("epoch_length", "steps"), [(20, 5), (21, 5), (22, 6)])
def test_a_step_that_is_missing_is_named(epoch_length, steps):
    plan = a_plan(make_dataset(), epoch_length=epoch_length)
    for step in (-1, steps, 99):
        with pytest.raises(IndexError, match=f"^the epoch has {steps} steps, and no step {step}$"):
            plan[step]


def test_what_is_moved_into_a_plan_is_what_its_batches_are_made_of():
    dataset = make_dataset()
    plan, other = (a_plan(dataset, epoch=epoch) for epoch in (0, 1))
    plan.order.copy_(other.order)
    plan.variants.copy_(other.variants)
    assert_equal_batches(list(plan), list(other))


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


@pytest.mark.parametrize("augmentation", KINDS)
def test_batches_hold_augmented_then_normalised_images(augmentation):
    dataset = make_dataset(augmentation=augmentation)
    batches = an_epoch(dataset, epoch_length=60, seed=3, epoch=2)
    inputs, labels, indices = joined(batches)
    order = torch.Generator().manual_seed(derive_seed(3, 2, 1))
    places = torch.cat([torch.randperm(23, generator=order) for _ in range(3)])[:60]
    choice = torch.Generator().manual_seed(derive_seed(3, 2, 2))
    variants = draw_variants(augmentation, 8, 60, choice)

    assert torch.equal(indices, places)
    assert torch.equal(torch.cat([batch.variants for batch in batches]), variants)
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


@pytest.mark.parametrize(("augmentation", "variant"), [("crop", 8), ("crop_flip", 11), ("none", 0)])
def test_evaluation_sees_one_variant_of_every_sample(augmentation, variant):
    dataset = make_dataset(augmentation=augmentation)
    options = {"batch_size": 4, "device": CPU, "variant": variant}
    batches = list(evaluation_batches(dataset, dataset.test, **options))
    inputs, labels, indices = joined(batches)
    variants = torch.full((11,), variant)
    assert indices.tolist() == list(range(11))
    assert torch.equal(labels, dataset.test.labels)
    assert torch.equal(torch.cat([batch.variants for batch in batches]), variants)
    images = augment(dataset.test.inputs, variants, augmentation)
    np.testing.assert_allclose(inputs.numpy(), normalised(dataset, images), rtol=1e-5, atol=1e-5)


def test_evaluation_sees_the_middle_of_what_is_cropped_at_random():
    dataset = make_dataset(augmentation="resized_crop", size=16)
    [batch] = evaluation_batches(dataset, dataset.test, batch_size=11, device=CPU)
    middle = dataset.test.inputs[:, :, 1:15, 1:15]
    expected = normalised(dataset, middle)
    np.testing.assert_allclose(batch.inputs.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert joined(an_epoch(dataset))[0].shape == (23, 3, 14, 14)


# Where inputs lie


META = torch.device("meta")
"""Stands for a GPU: its tensors have shapes, but no values."""


class Movements(TorchDispatchMode):
    """Notes the shapes of what is moved to it."""

    def __init__(self):
        super().__init__()
        self.moved = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") == META:
            self.moved.append(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("free", "moved"), [(2 * 23 * 192, True), (2 * 23 * 192 - 1, False)])
def test_inputs_of_more_than_half_the_free_memory_stay(monkeypatch, free, moved):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", {META: free}.__getitem__)
    split = make_dataset().train
    there = split.to(META)
    assert there.labels.device == META
    assert there.inputs.device == (META if moved else CPU)
    assert moved or there.inputs.data_ptr() == split.inputs.data_ptr()


@pytest.mark.parametrize("inputs_there", [True, False])
def test_a_plan_knows_whether_its_samples_are_where_batches_are_needed(inputs_there):
    dataset = make_dataset()
    inputs, labels = dataset.train.inputs, dataset.train.labels.to(META)
    split = Split(inputs.to(META) if inputs_there else inputs, labels)
    plan = a_plan(dataset, split, device=META)
    assert plan.is_on_device == inputs_there
    assert plan.order.device == plan.variants.device == META
    assert plan.order_on_cpu.device == CPU
    assert a_plan(dataset).is_on_device


def test_inputs_that_are_there_already_do_not_move_again(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: 0)
    split = make_dataset().train
    assert split.to(CPU).inputs is split.inputs


@pytest.mark.parametrize("augmentation", KINDS)
def test_inputs_that_stayed_are_fetched_batch_by_batch(monkeypatch, augmentation):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: 0)
    dataset = make_dataset(augmentation=augmentation, size=16)
    split = dataset.train.to(META)
    options = {"batch_size": 5, "epoch_length": 23, "seed": 0, "epoch": 0, "device": META}
    with Movements() as device:
        batches = [
            tuple(batch.inputs.shape) for batch in training_batches(dataset, split, **options)
        ]
    size = dataset.image_size
    assert batches == [(number, 3, size, size) for number in (5, 5, 5, 5, 3)]
    fetched = [shape for shape in device.moved if len(shape) == 4 and shape[1:] == (3, 16, 16)]
    assert fetched == [(number, 3, 16, 16) for number in (5, 5, 5, 5, 3)]
    assert max(map(math.prod, device.moved)) == 5 * 3 * 16 * 16  # and never all at once


def test_inputs_that_stayed_are_evaluated_batch_by_batch(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: 0)
    dataset = make_dataset(augmentation="resized_crop", size=16)
    split = dataset.test.to(META)
    batches = list(evaluation_batches(dataset, split, batch_size=4, device=META))
    assert [tuple(batch.inputs.shape) for batch in batches] == [(n, 3, 14, 14) for n in (4, 4, 3)]
    assert {tensor.device for batch in batches for tensor in batch[:3]} == {META}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs two devices that hold values")
@pytest.mark.parametrize("augmentation", KINDS)
def test_inputs_that_stayed_give_the_same_batches(monkeypatch, augmentation):
    gpu = torch.device("cuda")
    dataset = make_dataset(augmentation=augmentation, size=16)
    resident = dataset.train.to(gpu)
    monkeypatch.setattr("mcmi_core.data.split.free_memory", lambda device: 0)
    stayed = dataset.train.to(gpu)
    assert (resident.inputs.is_cuda, stayed.inputs.is_cuda) == (True, False)
    options = {"batch_size": 5, "epoch_length": 60, "seed": 0, "epoch": 0, "device": gpu}
    first, second = (
        list(training_batches(dataset, split, **options)) for split in (resident, stayed)
    )
    assert_equal_batches(first, second)


def test_mapped_inputs_give_the_same_batches(tmp_path):
    dataset = make_dataset()
    dataset.train.inputs.numpy().tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r+", shape=dataset.train.inputs.shape)
    split = Split(torch.from_numpy(mapped), dataset.train.labels)
    assert split.to(CPU).inputs.data_ptr() == mapped.ctypes.data
    assert_equal_batches(an_epoch(dataset, split), an_epoch(dataset))


@pytest.mark.parametrize("moved", ["nothing", "labels", "all"])
@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_samples_may_lie_on_another_device_than_their_batches(kind, moved):
    """The "meta" device stands for a GPU: tensors of two devices do not mix there either."""
    dataset, device = make_dataset(), torch.device("meta")
    inputs, labels = dataset.train.inputs, dataset.train.labels
    split = Split(
        inputs.to(device) if moved == "all" else inputs,
        labels if moved == "nothing" else labels.to(device),
    )
    if kind == "training":
        order = {"batch_size": 8, "epoch_length": 20, "seed": 0, "epoch": 0}
        batches = list(training_batches(dataset, split, device=device, **order))
    else:
        batches = list(evaluation_batches(dataset, split, batch_size=8, variant=3, device=device))
    assert [len(batch.labels) for batch in batches] == [8, 8, 4 if kind == "training" else 7]
    for batch in batches:
        assert {tensor.device for tensor in batch} == {device}
        assert batch.inputs.shape == (len(batch.labels), 3, 8, 8)
