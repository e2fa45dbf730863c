"""Batches of an epoch. Order and augmentation are functions of (seed, epoch, position) alone."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mcmi_core.base.seeding import AUGMENTATION, ORDER, derive_seed
from mcmi_core.data.augmentation import augment, draw_variants
from mcmi_core.data.split import Dataset, Split


class Batch(NamedTuple):
    """Some samples, ready for a network."""

    inputs: Tensor
    """(N, ...), augmented and normalised."""
    labels: Tensor
    """(N,)."""
    indices: Tensor
    """(N,), places of the samples in their split."""
    variants: Tensor | None = None
    """What :func:`~mcmi_core.data.augmentation.augment` made of each; None: nothing."""


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
    every device sees the same images, and no step waits for it. Only images that do not fit there
    (see :meth:`Split.to`) are fetched batch by batch, while the device computes.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: the samples to train on; moved to ``device``.
        batch_size: samples per batch; the last batch holds what is left, and is dropped if that is
            a single sample, whose batch statistics would be meaningless.
        epoch_length: samples in an epoch; a smaller split is cycled, in a new order every time.
        seed: of the run.
        epoch: from 0.
        device: where the batches are needed.
    """
    order = epoch_order(len(split), epoch_length, seed=seed, epoch=epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, AUGMENTATION))
    kind, size = dataset.augmentation, dataset.stored_size
    variants = draw_variants(kind, size, epoch_length, generator).to(device)
    batches = _gather(split, order, batch_size, device)
    for (indices, inputs), chosen in zip(batches, variants.split(batch_size), strict=True):
        if len(indices) > 1:
            inputs = augment(inputs, chosen, kind)
            yield Batch(dataset.normalise(inputs), split.labels[indices], indices, chosen)


def epoch_order(num_samples: int, epoch_length: int, *, seed: int, epoch: int) -> Tensor:
    """Places of the samples of one epoch, (epoch_length,): permutations, one after the other."""
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, ORDER))
    cycles = -(-epoch_length // num_samples)
    orders = [torch.randperm(num_samples, generator=generator) for _ in range(cycles)]
    return torch.cat(orders)[:epoch_length]


def evaluation_batches(
    dataset: Dataset,
    split: Split,
    *,
    batch_size: int,
    device: torch.device,
    variant: int | None = None,
) -> Iterator[Batch]:
    """Every sample once, in order: as it is (of photographs the middle), or a variant of it."""
    order = torch.arange(len(split))
    for indices, inputs in _gather(split, order, batch_size, device):
        chosen = None
        if variant is not None:
            chosen = torch.full_like(indices, variant)
            inputs = augment(inputs, chosen, dataset.augmentation)
        yield Batch(dataset.normalise(inputs), split.labels[indices].to(device), indices, chosen)


def _gather(
    split: Split, order: Tensor, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices and inputs of each batch on ``device``, taken from where the inputs lie."""
    indices, places = order.to(device), order.to(split.inputs.device)
    batches = zip(indices.split(batch_size), places.split(batch_size), strict=True)
    for batch_indices, batch_places in batches:
        inputs = split.inputs[batch_places]
        if device.type == "cuda" and not inputs.is_cuda:
            inputs = inputs.pin_memory()  # from elsewhere, a copy would wait for the device
        yield batch_indices, inputs.to(device, non_blocking=True)
