"""Seeds that depend on what they are for, and on nothing else."""

import itertools

import numpy as np
import pytest
import torch

from mcmi_core.base.seeding import derive_seed, seed_torch


def test_seeds_never_change():
    """Kept from the day the first record was made: other seeds would be other results."""
    assert derive_seed(0, 1) == 2918264622725855778
    assert derive_seed(7, 3, 2) == 8034915097316094625


def test_a_seed_is_the_top_63_bits_of_numpys_sequence():
    for entropy in [(0, 1), (5, 2, 1), (12345, 239, 3)]:
        [word] = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        seed = derive_seed(*entropy)
        assert type(seed) is int and seed == int(word) // 2
        assert 0 <= seed < 2**63  # what torch takes on every device


def test_every_seed_epoch_and_purpose_has_its_own():
    streams = list(itertools.product(range(10), range(30), (1, 2, 3)))
    assert len({derive_seed(*stream) for stream in streams}) == len(streams)


def test_order_and_number_of_integers_count():
    assert len({derive_seed(*e) for e in [(1, 2), (2, 1), (12,), (1,), (2,), (1, 2, 1)]}) == 6


def test_negative_integers_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        derive_seed(3, -1)


def test_torch_draws_depend_on_the_seed_alone():
    def draw(*entropy):
        seed_torch(*entropy)
        return torch.rand(4)

    first = draw(3, 1)
    assert torch.equal(draw(3, 1), first)
    assert not torch.equal(draw(3, 2), first)
    assert not torch.equal(draw(1, 3), first)
    generator = torch.Generator().manual_seed(derive_seed(3, 1))
    assert torch.equal(torch.rand(4, generator=generator), first)
