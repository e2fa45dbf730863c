"""Samples with labels, parts of them, and two such splits as a data set."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mcmi_core.base.checks import check_label_range
from mcmi_core.base.device import free_memory
from mcmi_core.base.seeding import SUBSET, derive_seed
from mcmi_core.data.augmentation import centre_crop, check_kind, seen_size

UNLABELLED = -1
"""Label of a sample whose class is hidden."""

Sampling = Literal["stratified", "first"]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples, their labels and, where it is known, the true posterior of each.

    Raises:
        ValueError: tensors that do not belong together, or no sample.
    """

    inputs: Tensor
    """Images (N, C, H, W) as uint8, or anything else as floats, which are not normalised."""
    labels: Tensor
    """(N,) int64."""
    posterior: Tensor | None = None
    """P*(y|x), (N, classes)."""

    def __post_init__(self) -> None:
        if self.labels.dtype != torch.int64 or self.labels.shape != self.inputs.shape[:1]:
            raise ValueError(
                f"{len(self.inputs)} samples need int64 labels of shape ({len(self.inputs)},), got "
                f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        if self.posterior is not None and len(self.posterior) != len(self.labels):
            raise ValueError(f"{len(self)} samples cannot have {len(self.posterior)} posteriors")
        if len(self) == 0:
            raise ValueError("a split needs at least one sample")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same samples on a device.

        Inputs that would take more than half of its free memory stay where they are; their batches
        are moved one by one.
        """
        there = self.inputs.device.type == device.type
        fits = there or 2 * self.inputs.nbytes <= free_memory(device)
        inputs = self.inputs.to(device) if fits else self.inputs
        posterior = None if self.posterior is None else self.posterior.to(device)
        return Split(inputs, self.labels.to(device), posterior)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any sample or label; computed once."""
        return self._own_fingerprint

    @cached_property
    def _own_fingerprint(self) -> str:
        return _fingerprint(self)

    def slices(self, size: int, start: int = 0, stop: int | None = None) -> "Iterator[Split]":
        """The samples from ``start`` to ``stop`` in parts of at most ``size``, without a copy."""
        stop = len(self) if stop is None else min(stop, len(self))
        for first in range(start, stop, size):
            yield self._map(itemgetter(slice(first, min(first + size, stop))))

    def subset(self, indices: Tensor) -> "Split":
        """The samples at ``indices``, in that order."""
        return self._map(lambda tensor: tensor[indices.to(tensor.device)])

    def omit(self, classes: Collection[int]) -> "Split":
        """All samples but those of some classes.

        Raises:
            ValueError: a class that no sample has, or nothing left.
        """
        present = set(self.labels.unique().tolist())
        if absent := set(classes) - present:
            raise ValueError(f"cannot omit class {min(absent)}; there are {sorted(present)}")
        kept = ~torch.isin(self.labels, torch.tensor(sorted(classes), device=self.labels.device))
        if not kept.any():
            raise ValueError(f"omitting classes {sorted(classes)} leaves no sample")
        return self.subset(kept.nonzero().flatten())

    def fraction(self, fraction: float, *, seed: int, sampling: Sampling = "stratified") -> "Split":
        """A part of the samples, in their order; see :meth:`divide`."""
        return self.subset(self._choose(fraction, seed, sampling).nonzero().flatten())

    def divide(
        self, fraction: float, *, seed: int, sampling: Sampling = "stratified"
    ) -> "tuple[Split, Split]":
        """A part of the samples and the rest, both in their order.

        Args:
            fraction: share of the part, in (0, 1).
            seed: of a stratified choice; with one seed, larger parts contain smaller ones.
            sampling: ``stratified``: that share of every class, rounded, and at least one sample
                of each; ``first``: the first samples, whatever their class (as the authors' code).

        Raises:
            ValueError: a fraction out of range, unknown sampling, or a part or rest that is empty.
        """
        chosen = self._choose(fraction, seed, sampling)
        return self.subset(chosen.nonzero().flatten()), self.subset((~chosen).nonzero().flatten())

    def _choose(self, fraction: float, seed: int, sampling: Sampling) -> Tensor:
        """Whether a sample belongs to the part, (N,)."""
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
        chosen = torch.zeros(len(self), dtype=torch.bool)
        if sampling == "first":
            chosen[: round(fraction * len(self))] = True
        elif sampling == "stratified":
            generator = torch.Generator().manual_seed(derive_seed(seed, 0, SUBSET))
            labels = self.labels.cpu()
            for label in labels.unique():
                members = (labels == label).nonzero().flatten()
                members = members[torch.randperm(len(members), generator=generator)]
                chosen[members[: max(1, round(fraction * len(members)))]] = True
        else:
            raise ValueError(f"sampling must be 'stratified' or 'first', got {sampling!r}")
        return chosen

    def _map(self, change) -> "Split":
        posterior = None if self.posterior is None else change(self.posterior)
        return Split(change(self.inputs), change(self.labels), posterior)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split, and how a network sees their images.

    Raises:
        ValueError: parts that do not belong together.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    """Of each channel of the uint8 images, on the scale from 0 to 1."""
    std: tuple[float, ...] | None = None
    """Standard deviation of each channel, on the same scale."""
    augmentation: str = "none"
    """Of training batches: ``none``, ``crop``, ``crop_flip`` or ``resized_crop``."""
    bayes_classifier: nn.Module | None = None
    """From inputs (N, ...) to log P*(y|x), (N, classes), where that is known."""
    stored_fingerprint: str | None = None
    """The :meth:`fingerprint`, if it was stored with the files and need not be computed."""

    def __post_init__(self) -> None:
        check_kind(self.augmentation)
        if self.train.inputs.shape[1:] != self.test.inputs.shape[1:]:
            shapes = [tuple(split.inputs.shape[1:]) for split in (self.train, self.test)]
            raise ValueError(f"{self.name}: training samples {shapes[0]}, test samples {shapes[1]}")
        for split in (self.train, self.test):
            check_label_range(split.labels, self.num_classes)
        if self.train.inputs.dtype == torch.uint8 and not (
            self.mean and self.std and len(self.mean) == len(self.std) == self.in_channels
        ):
            raise ValueError(
                f"{self.name}: images with {self.in_channels} channels need a mean and a standard "
                f"deviation of each, got {self.mean} and {self.std}"
            )

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """Channels of the images, or dimensions of the vectors."""
        return self.train.inputs.shape[1]

    @property
    def stored_size(self) -> int:
        """Pixels per side; 1 for vectors."""
        return self.train.inputs.shape[2] if self.train.inputs.ndim == 4 else 1

    @property
    def image_size(self) -> int:
        """Pixels per side that a network sees; fewer than are stored with ``resized_crop``."""
        return seen_size(self.augmentation, self.stored_size)

    def normalise(self, inputs: Tensor) -> Tensor:
        """What a network sees: (pixel / 255 − mean) / std for uint8 images, floats unchanged.

        Of images that are larger than ``image_size``, it sees the middle.
        """
        if inputs.dtype != torch.uint8:
            return inputs
        scale, offset = _scale_and_offset(self.mean, self.std, inputs.device)
        return centre_crop(inputs, self.image_size) * scale - offset

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any sample or label; computed once."""
        return self.stored_fingerprint or self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return _fingerprint(self.train, self.test)


class Fingerprint:
    """Digest of the inputs and labels of splits, one tensor after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def begin(self, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        """Name the tensor whose numbers come next."""
        self._digest.update(f"{dtype}{shape}".encode())

    def add(self, numbers: Tensor | np.ndarray) -> None:
        """Some numbers of the tensor that was begun, in the order of its elements."""
        self._digest.update(np.ascontiguousarray(numbers).data)

    def digits(self) -> str:
        """16 hexadecimal digits."""
        return self._digest.hexdigest()[:16]


def _fingerprint(*splits: Split) -> str:
    fingerprint = Fingerprint()
    for split in splits:
        for tensor in (split.inputs, split.labels):
            fingerprint.begin(tensor.dtype, tuple(tensor.shape))
            fingerprint.add(tensor.cpu())
    return fingerprint.digits()


@lru_cache(maxsize=16)
def _scale_and_offset(mean, std, device: torch.device) -> tuple[Tensor, Tensor]:
    """Made once per device, as a copy of two tuples to a GPU would wait for it in every step."""
    shape = (1, len(mean), 1, 1)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(shape) for values in (mean, std))
    return (1 / (255 * std)).float().to(device), (mean / std).float().to(device)
