"""Random streams: one for every seed, epoch and purpose, so that no two draws share numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

WEIGHTS, ORDER, AUGMENTATION, SUBSET, STEPS = range(5)
"""Purposes: initial weights (of a distiller's heads too), order of samples, augmentation, choice of
few samples, and what networks and criteria draw in training steps (dropout, CRD's negatives)."""


def derive_seed(seed: int, epoch: int, purpose: int) -> int:
    """The 63-bit seed of one stream.

    Args:
        seed: of a run or of a part of the data, at least 0.
        epoch: from 0; 0 for what is drawn once.
        purpose: one of this module's.

    Raises:
        ValueError: a negative number.
    """
    sequence = np.random.SeedSequence((seed, epoch, purpose))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def seed_torch(seed: int, epoch: int, purpose: int) -> None:
    """Start a stream in torch's global generators, on every device; see :func:`derive_seed`."""
    torch.manual_seed(derive_seed(seed, epoch, purpose))


class OwnRandomNumbers:
    """Torch's generators as one of several trainings in a process sees them: nobody else draws.

    A CUDA graph that is captured meanwhile keeps drawing from them, wherever it is replayed.

    Args:
        device: whose generator, beside that of the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cpu = torch.get_rng_state()
        self._on_card = torch.Generator(device) if device.type == "cuda" else None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Draw from them, and leave those of the others as they were."""
        others = torch.get_rng_state()
        torch.set_rng_state(self._on_cpu)
        if self._on_card:
            default = torch.cuda.default_generators[self._on_card.device.index or 0]
            others_on_card = default.graphsafe_get_state()
            default.graphsafe_set_state(self._on_card)
        try:
            yield
        finally:
            self._on_cpu = torch.get_rng_state()
            torch.set_rng_state(others)
            if self._on_card:
                default.graphsafe_set_state(others_on_card)
