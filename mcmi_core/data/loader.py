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
    """Which variant of each :func:`~mcmi_core.data.augmentation.augment` made; None: unchanged."""


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

    All choices are drawn on the CPU, before the first batch, so that every device sees the same
    images, and are copied to the device at once. Samples that lie elsewhere, because they do not
    fit there (see :meth:`Split.to`), are gathered where they lie: each batch then waits until the
    CPU has read it.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: the samples to train on, on any device.
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
    for batch, chosen in zip(batches, variants.split(batch_size), strict=True):
        if len(batch.indices) > 1:
            inputs = augment(batch.inputs, chosen, kind)
            yield batch._replace(inputs=dataset.normalise(inputs), variants=chosen)


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
    """Every sample once, in order: as it is (of photographs the middle), or one of its variants."""
    order = torch.arange(len(split))
    for batch in _gather(split, order, batch_size, device):
        inputs, chosen = batch.inputs, None
        if variant is not None:
            chosen = torch.full_like(batch.indices, variant)
            inputs = augment(inputs, chosen, dataset.augmentation)
        yield batch._replace(inputs=dataset.normalise(inputs), variants=chosen)


def _gather(split: Split, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Batches of raw inputs, on ``device``."""
    samples = zip(
        _fetch(split.inputs, order, batch_size, device),
        _fetch(split.labels, order, batch_size, device),
        order.to(device).split(batch_size),
        strict=True,
    )
    for inputs, labels, indices in samples:
        yield Batch(inputs, labels, indices)


def _fetch(
    tensor: Tensor, order: Tensor, batch_size: int, device: torch.device
) -> Iterator[Tensor]:
    """Rows of a tensor, batch by batch, gathered where it lies and moved to ``device``."""
    for places in order.to(tensor.device).split(batch_size):
        rows = tensor[places]
        if device.type == "cuda" and not rows.is_cuda:
            rows = rows.pin_memory()  # else the copy would wait for the device
        yield rows.to(device, non_blocking=True)
