"""Many trainings on one card, in one process: each on a stream of its own, served in turn.

A window of steps is queued, and while the card works on it, the others are served. So a network
that cannot fill a card shares it, and evaluations and files of one training cost the others
nothing: their next window is queued already.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import torch

from mcmi_core.base.seeding import OwnRandomNumbers
from mcmi_core.training.captured import CapturedSteps, EagerSteps
from mcmi_core.training.loop import Member, Result, Training

Engine = Literal["graph", "eager"]
"""How a GPU does steps: captured as CUDA graphs, or operation by operation."""


class Lane(Member[Result]):
    """A training with its own stream and random numbers, that goes on when :meth:`advance` says so.

    Args:
        training: asks for steps.
        device: where; on the CPU, the steps are done while they are queued.
        engine: how a GPU does them. Data that does not lie on the card is done eagerly.
    """

    def __init__(
        self, training: Training[Result], device: torch.device, engine: Engine = "graph"
    ) -> None:
        super().__init__(training)
        self.device = device
        self.engine = engine
        self.random = OwnRandomNumbers(device)
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.steps: CapturedSteps | EagerSteps | None = None

    def advance(self) -> bool:
        """Read the steps under way, go on, and queue the next; whether there are any."""
        with self._own():
            self.resume(self.steps.read() if self.request else None)
            if self.request:
                if self.steps is None:
                    captured = self.engine == "graph" and self._can_capture()
                    self.steps = CapturedSteps() if captured else EagerSteps()
                self.steps.queue(self.request)
        return self.request is not None

    def wait(self) -> None:
        """Until the steps under way are done; the training goes on when :meth:`advance` says so."""
        with self._own():
            if self.steps and self.request:
                self.steps.read()

    def close(self) -> None:
        """End the training, wherever it is, and free what it holds, such as locks."""
        with self._own():
            # Nothing of it is freed while the card works on it. What fails here failed before, or
            # does not matter any more; other lanes are still to be closed.
            with suppress(Exception):
                if self.steps and self.request:
                    self.steps.read()
            self.training.close()

    def _can_capture(self) -> bool:
        """Whether all that a step reads lies on the card, the teacher's logits among it."""
        buffers = self.request.trainee.criterion.buffers()
        return (
            self.device.type == "cuda"
            and self.request.plan.is_on_device
            and all(buffer.is_cuda for buffer in buffers)
        )

    @contextmanager
    def _own(self) -> Iterator[None]:
        """On the lane's stream, with its random numbers."""
        with torch.cuda.stream(self.stream), self.random.in_use():
            yield


def run_in_lanes(
    trainings: list[Training[Result]], device: torch.device, engine: Engine = "graph"
) -> list[Result]:
    """Run trainings side by side, each in a lane; what each returns.

    An exception that a training does not handle stops all, and is raised.
    """
    lanes = [Lane(training, device, engine) for training in trainings]
    try:
        under_way = lanes
        while under_way:
            under_way = [lane for lane in under_way if lane.advance()]
    finally:
        for lane in lanes:
            lane.close()
    return [lane.result for lane in lanes]
