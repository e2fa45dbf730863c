"""Random streams: one for every seed, epoch and purpose, so that no two draws share numbers."""

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
