"""Independent random streams, each a pure function of a run's seed and what it is for."""

import numpy as np
import torch

# Purposes that a seed is derived for. Not 0: numpy's sequences do not tell a trailing 0 from none.
ORDER, AUGMENTATION, SUBSET = 1, 2, 3


def derive_seed(*entropy: int) -> int:
    """One 63-bit seed from several non-negative integers, such as (seed, epoch, purpose)."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def seed_torch(*entropy: int) -> None:
    """Seed torch's global generators on every device (initial weights, dropout)."""
    torch.manual_seed(derive_seed(*entropy))
