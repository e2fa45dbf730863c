"""Batches of an epoch. Order and augmentation are functions of (seed, epoch, position) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class EpochPlan(Sequence[Batch]):
    """All choices of an epoch, drawn beforehand; a batch is a function of them and of its number.

    ``plan[step]`` is :func:`batch_at`.
    """

    dataset: Dataset
    split: Split
    batch_size: int
    order: Tensor
    """(E,), places in the split, on the device where batches are needed."""
    order_on_cpu: Tensor
    """The same, for samples that lie there."""
    variants: Tensor
    """(E,) or (E, 5), what augmentation makes of each sample, on that device."""
    part: int = 0
    """Which of the ``parts`` of each batch to gather, from 0: rows ``part::parts``."""
    parts: int = 1
    """Processes that share a batch; of a small one, some have no sample."""

    @property
    def whole(self) -> int:
        """Number of batches of ``batch_size``."""
        return len(self.order) // self.batch_size

    @property
    def rest(self) -> int:
        """Samples in the last, smaller batch; 0 if there is none.

        A single sample is dropped: its batch statistics would be meaningless.
        """
        rest = len(self.order) % self.batch_size
        return rest if rest > 1 else 0

    @property
    def is_on_device(self) -> bool:
        """Whether the samples lie where batches are needed, so that no step waits for them."""
        return self.split.inputs.device == self.order.device

    def share(self, step: int) -> float:
        """How many of the samples of a batch are in this part, from 0 to 1."""
        rows = range(self.batch_size if step < self.whole else self.rest)
        return len(rows[self.part :: self.parts]) / len(rows)

    def __len__(self) -> int:
        return self.whole + (self.rest > 0)

    def __getitem__(self, step: int | Tensor) -> Batch:
        """The batch of a step, from 0.

        Raises:
            IndexError: the epoch has no such step.
        """
        if isinstance(step, int) and not 0 <= step < len(self):
            raise IndexError(f"the epoch has {len(self)} steps, and no step {step}")
        return batch_at(self, step)


def batch_at(plan: EpochPlan, step: int | Tensor) -> Batch:
    """The batch of a step: gathered, augmented and normalised, on the plan's device.

    Args:
        plan: of the epoch.
        step: from 0; or, of one of the whole batches, as a tensor (1,) on the plan's device. A
            captured CUDA graph reads it, so that one graph serves all steps.
    """
    indices, variants = _at(plan, plan.order, step), _at(plan, plan.variants, step)
    images, labels = (
        _samples(plan, tensor, indices, step) for tensor in (plan.split.inputs, plan.split.labels)
    )
    images = augment(images, variants, plan.dataset.augmentation)
    return Batch(plan.dataset.normalise(images), labels, indices, variants)


def _at(plan: EpochPlan, choices: Tensor, step: int | Tensor) -> Tensor:
    """Those of an epoch's choices that belong to a step."""
    size = plan.batch_size
    if isinstance(step, int):
        return choices[step * size + plan.part : (step + 1) * size : plan.parts]
    whole = choices[: plan.whole * size].unflatten(0, (plan.whole, size))
    return whole.index_select(0, step).squeeze(0)


def _samples(plan: EpochPlan, tensor: Tensor, indices: Tensor, step: int | Tensor) -> Tensor:
    """Rows of the split's inputs or labels, gathered where they lie, on the plan's device."""
    if tensor.device == indices.device:
        return tensor[indices]
    rows = tensor[_at(plan, plan.order_on_cpu, step)]
    if indices.is_cuda:
        rows = rows.pin_memory()  # else the copy would wait for the device
    return rows.to(indices.device, non_blocking=True)


def training_batches(
    dataset: Dataset,
    split: Split,
    *,
    batch_size: int,
    epoch_length: int,
    seed: int,
    epoch: int,
    device: torch.device,
    part: int = 0,
    parts: int = 1,
) -> EpochPlan:
    """One epoch in random order, augmented.

    All choices are drawn on the CPU, so that every device sees the same images, and are copied to
    the device at once. Samples that lie elsewhere, because they do not fit there (see
    :meth:`Split.to`), are gathered where they lie: each batch then waits until the CPU has read it.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: the samples to train on, on the device or, where they do not fit there, on the CPU.
        batch_size: samples per batch; the last batch holds what is left, and is dropped if that is
            a single sample, whose batch statistics would be meaningless.
        epoch_length: samples in an epoch; a smaller split is cycled, in a new order every time.
        seed: of the run.
        epoch: from 0.
        device: where the batches are needed.
        part: of each batch, that this process gathers.
        parts: of a batch; ``batch_size`` is that of all of them.
    """
    order = epoch_order(len(split), epoch_length, seed=seed, epoch=epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, AUGMENTATION))
    kind, size = dataset.augmentation, dataset.stored_size
    variants = draw_variants(kind, size, epoch_length, generator)
    choices = order.to(device), order, variants.to(device)
    return EpochPlan(dataset, split, batch_size, *choices, part, parts)


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
    indices = torch.arange(len(split), device=device)
    parts = (tensor.split(batch_size) for tensor in (split.inputs, split.labels, indices))
    for rows, labels, places in zip(*parts, strict=True):
        images, chosen = rows.to(device), None
        if variant is not None:
            chosen = torch.full_like(places, variant)
            images = augment(images, chosen, dataset.augmentation)
        yield Batch(dataset.normalise(images), labels.to(device), places, chosen)
