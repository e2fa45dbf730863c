"""Trainings in lanes, on the CPU: each is what it would be alone, and ends alone."""

import pytest
import torch
from small_trainings import CPU, Small
from torch import nn

from mcmi_core.criterion import Criterion
from mcmi_core.training import lanes
from mcmi_core.training.captured import EagerSteps
from mcmi_core.training.lanes import Lane, run_in_lanes
from mcmi_core.training.loop import Steps, run_in_step
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import Trainee

MEMBERS = [
    ("mll", 0, 3),
    ("dropout", 1, 3),
    ("crd", 2, 2),
    ("dropout", 3, 1),
    ("mcmi:lam=0.05,centroids=tracked", 4, 3),
    ("ab:initial_epochs=1", 5, 2),
]
"""Method, seed and epochs; some draw random numbers in their steps."""


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    """Three in an epoch, so that lanes take turns within it."""
    monkeypatch.setattr("mcmi_core.training.loop.CHECK_EVERY", 2)


def members():
    return [Small(*member) for member in MEMBERS]


def test_each_is_what_it_would_be_alone():
    together, alone = members(), members()
    histories = run_in_lanes([small.training() for small in together], CPU)
    for small, other, history in zip(together, alone, histories, strict=True):
        [expected] = run_in_step([other.training()])
        assert history == expected
        assert len(small.checkpoints) == small.epochs
        small.assert_equals(other)


def test_a_resumed_one_catches_up_beside_others():
    whole, other = Small("dropout", 1), Small("dropout", 2)
    run_in_step([whole.training()])
    resumed = Small("dropout", 1)
    run_in_lanes([resumed.training(whole.checkpoints[0]), other.training()], CPU)
    assert [checkpoint.epoch for checkpoint in resumed.checkpoints] == [2, 3]
    resumed.assert_equals(whole)


def test_lanes_do_not_disturb_torchs_generator():
    trainings = [Small("dropout", seed, epochs=1).training() for seed in (0, 1)]
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    run_in_lanes(trainings, CPU)
    assert torch.equal(torch.rand(4), expected)


def test_random_numbers_drawn_between_turns_do_not_disturb_a_lane():
    expected, disturbed = Small("dropout"), Small("dropout")
    run_in_step([expected.training()])
    lane = Lane(disturbed.training(), CPU)
    while lane.advance():
        torch.manual_seed(0)
        torch.rand(3)
    disturbed.assert_equals(expected)
    assert lane.result == expected.checkpoints[-1].history


class Asks:
    """A training without anything to train, that notes how it ends."""

    def __init__(self, turns, error=None):
        self.turns, self.error = turns, error
        self.trainee = Trainee(nn.Linear(1, 1), Criterion(), Recipe())
        self.windows, self.closed = [], 0

    def training(self):
        try:
            for epoch in range(self.turns):
                self.windows.append((yield Steps(epoch, self.trainee, [], range(0))))
            if self.error:
                raise self.error
            return len(self.windows)
        finally:
            self.closed += 1


def test_a_lane_goes_on_when_it_is_told_to():
    asks = Asks(2)
    lane = Lane(asks.training(), CPU)
    assert [lane.advance() for _ in range(3)] == [True, True, False]
    assert lane.result == 2
    assert [window.sums for window in asks.windows] == [{}, {}]
    assert isinstance(lane.steps, EagerSteps)
    assert asks.closed == 1


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_lane_can_be_closed_at_any_time(turns):
    asks = Asks(3)
    lane = Lane(asks.training(), CPU)
    for _ in range(turns):
        assert lane.advance()
    lane.close()
    assert lane.training.gi_frame is None  # ended, and holds nothing
    assert asks.closed == (turns > 0)
    lane.close()


def test_a_closed_lane_leaves_torchs_generator_alone():
    lane = Lane(Small("dropout").training(), CPU)
    lane.advance()
    state = torch.get_rng_state()
    lane.close()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_error_closes_all_lanes_before_it_is_raised(place):
    others = [Asks(9), Asks(9)]
    asked = [*others[:place], Asks(1, ValueError("broken")), *others[place:]]
    trainings = [asks.training() for asks in asked]  # kept, so that nothing else closes them
    with pytest.raises(ValueError, match="^broken$"):
        run_in_lanes(trainings, CPU)
    assert [asks.closed for asks in asked] == [1, 1, 1]


@pytest.mark.parametrize("method", ["queue", "read"])
def test_an_error_in_a_step_closes_all_lanes_before_it_is_raised(method, monkeypatch):
    """Also where reading the steps under way fails again, as it does on a card that is broken."""

    class Broken(EagerSteps):
        number = 0

        def queue(self, request):
            Broken.number += 1
            self.is_broken = Broken.number == 2
            if method == "queue" and self.is_broken:
                raise ValueError("broken")
            super().queue(request)

        def read(self):
            if self.is_broken:
                raise ValueError("broken")
            return super().read()

    monkeypatch.setattr(lanes, "EagerSteps", Broken)
    asked = [Asks(9) for _ in range(3)]
    trainings = [asks.training() for asks in asked]  # kept, so that nothing else closes them
    with pytest.raises(ValueError, match="^broken$"):
        run_in_lanes(trainings, CPU)
    assert all(training.gi_frame is None for training in trainings)
    # The third had not begun when the second one's steps failed to start.
    assert [asks.closed for asks in asked] == [1, 1, method == "read"]


def test_no_lane_is_no_work():
    assert run_in_lanes([], CPU) == []
