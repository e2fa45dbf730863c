"""Batches of an epoch. Order and augmentation are functions of (seed, epoch, position) alone."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mcmi_core.data.augmentation import augment, num_variants
from mcmi_core.data.split import Dataset, Split
from mcmi_core.seeding import AUGMENTATION, ORDER, derive_seed


class Batch(NamedTuple):
    """Some samples, ready for a network."""

    inputs: Tensor
    """(N, ...), augmented and normalised."""
    labels: Tensor
    """(N,)."""
    indices: Tensor
    """(N,), places of the samples in their split."""


def training_batches(
    dataset: Dataset,
    split: Split,
    *,
    batch_size: int,
    epoch_length: int,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """One epoch in random order, augmented.

    All choices are drawn on the CPU, before the first batch, and copied to the device at once:
    every device sees the same images, and no step waits.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: the samples to train on; on ``device``.
        batch_size: samples per batch; the last batch holds what is left, and is dropped if that is
            a single sample, whose batch statistics would be meaningless.
        epoch_length: samples in an epoch; a smaller split is cycled, in a new order every time.
        seed: of the run.
        epoch: from 0.
        device: where the batches are needed.
    """
    order = epoch_order(len(split), epoch_length, seed=seed, epoch=epoch).to(device)
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, AUGMENTATION))
    number = num_variants(dataset.augmentation, dataset.image_size)
    variants = torch.randint(number, (epoch_length,), generator=generator).to(device)
    batches = zip(order.split(batch_size), variants.split(batch_size), strict=True)
    for indices, variants in batches:
        if len(indices) > 1:
            inputs = augment(split.inputs[indices], variants, dataset.augmentation)
            yield Batch(dataset.normalise(inputs), split.labels[indices], indices)


def epoch_order(num_samples: int, epoch_length: int, *, seed: int, epoch: int) -> Tensor:
    """Places of the samples of one epoch, (epoch_length,): permutations, one after the other."""
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, ORDER))
    cycles = -(-epoch_length // num_samples)
    orders = [torch.randperm(num_samples, generator=generator) for _ in range(cycles)]
    return torch.cat(orders)[:epoch_length]


def evaluation_batches(
    dataset: Dataset, split: Split, *, batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """Every sample once, in order, as it is."""
    for indices in torch.arange(len(split), device=device).split(batch_size):
        inputs = split.inputs[indices].to(device)
        yield Batch(dataset.normalise(inputs), split.labels[indices].to(device), indices)
