"""Seeds that depend on what they are for, and on nothing else."""

import itertools

import numpy as np
import pytest
import torch

from mcmi_core.base.seeding import (
    AUGMENTATION,
    ORDER,
    STEPS,
    SUBSET,
    WEIGHTS,
    OwnRandomNumbers,
    derive_seed,
    seed_torch,
)

PURPOSES = (WEIGHTS, ORDER, AUGMENTATION, SUBSET, STEPS)


def test_seeds_never_change():
    """Kept from the day the first record was made: other seeds would be other results."""
    assert PURPOSES == (0, 1, 2, 3, 4)
    assert derive_seed(0, 1, WEIGHTS) == 2918264622725855778
    assert derive_seed(7, 3, AUGMENTATION) == 8034915097316094625


@pytest.mark.parametrize("seed", [0, 5, 2**32 + 5])
def test_initial_weights_are_those_of_the_seed_alone(seed):
    """The first records were made so, and numpy's sequences do not tell trailing 0s from none."""
    [word] = np.random.SeedSequence((seed,)).generate_state(1, np.uint64)
    assert derive_seed(seed, 0, WEIGHTS) == int(word) // 2


def test_a_seed_is_the_top_63_bits_of_numpys_sequence():
    for entropy in [(0, 1, 0), (5, 2, 1), (12345, 239, 3)]:
        [word] = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        seed = derive_seed(*entropy)
        assert type(seed) is int and seed == int(word) // 2
        assert 0 <= seed < 2**63  # what torch takes on every device


def test_every_seed_epoch_and_purpose_has_its_own():
    """Zeros among them, wherever they stand: no stream is another one's with a 0 left out."""
    streams = list(itertools.product(range(10), range(30), PURPOSES))
    assert len({derive_seed(*stream) for stream in streams}) == len(streams)


def test_no_stream_goes_without_a_purpose():
    for stream in [(3,), (3, 1)]:
        with pytest.raises(TypeError, match="missing"):
            derive_seed(*stream)
        with pytest.raises(TypeError, match="missing"):
            seed_torch(*stream)


def test_negative_integers_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        derive_seed(3, -1, ORDER)


def test_torch_draws_depend_on_the_seed_alone():
    def draw(*stream):
        seed_torch(*stream)
        return torch.rand(4)

    first = draw(3, 1, STEPS)
    assert torch.equal(draw(3, 1, STEPS), first)
    assert not torch.equal(draw(3, 2, STEPS), first)
    assert not torch.equal(draw(1, 3, STEPS), first)
    assert not torch.equal(draw(3, 1, ORDER), first)
    generator = torch.Generator().manual_seed(derive_seed(3, 1, STEPS))
    assert torch.equal(torch.rand(4, generator=generator), first)


def test_nobody_else_draws_from_own_random_numbers():
    """They go on where they were, and so do those of everybody else."""
    torch.manual_seed(1)
    expected = torch.rand(6)
    torch.manual_seed(2)
    of_others = torch.rand(6)

    torch.manual_seed(1)
    own = OwnRandomNumbers(torch.device("cpu"))
    torch.manual_seed(2)
    for first in (0, 2, 4):
        with own.in_use():
            assert torch.equal(torch.rand(2), expected[first : first + 2])
        assert torch.equal(torch.rand(2), of_others[first : first + 2])


def test_a_stream_that_is_started_in_own_random_numbers_stays_there():
    own, other = (OwnRandomNumbers(torch.device("cpu")) for _ in range(2))
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for seed, numbers in ((3, own), (4, other)):
        with numbers.in_use():
            seed_torch(seed, 0, STEPS)
    assert torch.equal(torch.get_rng_state(), state)
    for seed, numbers in ((3, own), (4, other)):
        generator = torch.Generator().manual_seed(derive_seed(seed, 0, STEPS))
        with numbers.in_use():
            assert torch.equal(torch.rand(4), torch.rand(4, generator=generator))


def test_an_error_leaves_the_random_numbers_of_others_as_they_were():
    own = OwnRandomNumbers(torch.device("cpu"))
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="broken"), own.in_use():
        torch.rand(3)
        raise ValueError("broken")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="draws on a GPU")
def test_nobody_else_draws_from_own_random_numbers_of_a_gpu():
    gpu = torch.device("cuda", 0)
    own = OwnRandomNumbers(gpu)
    torch.manual_seed(2)
    of_others = torch.rand(6, device=gpu)
    with own.in_use():
        torch.manual_seed(1)
        expected = torch.rand(6, device=gpu)
        torch.manual_seed(1)
    torch.manual_seed(2)
    drawn = {"own": [], "others": []}
    for _ in range(2):
        with own.in_use():
            drawn["own"].append(torch.rand(6, device=gpu))
        drawn["others"].append(torch.rand(6, device=gpu))
    assert torch.equal(drawn["own"][0], expected)
    assert torch.equal(drawn["others"][0], of_others)
    assert not torch.equal(drawn["own"][1], expected)
