"""A step as a CUDA graph: recorded once, then replayed as a whole.

In a step of a small network, a GPU waits for Python to start some hundred operations one by one. A
captured step is started as one. It repeats the same operations on the same places in memory: the
batch is gathered from the epoch's plan by a counter that the step itself moves on, and the learning
rate, weights of terms, centroids and memory banks are tensors that are changed in place.
"""

from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from mcmi_core.data.loader import EpochPlan
from mcmi_core.training.loop import Steps, Window
from mcmi_core.training.trainee import TermSums, Trainee

WARM_UPS = 3
"""Steps before one is captured: libraries choose their kernels and allocate what they work in."""

LAUNCHERS = 4
"""Threads that start graphs. Meanwhile the main thread evaluates, writes files and goes on with
other runs."""


class CapturedSteps:
    """Does the steps of one run, from its first to its last, on the current stream.

    The steps of a window are started by another thread, and the caller is free until it asks for
    their sums. A phase of a criterion has its own graph, and so does the last, smaller batch of an
    epoch. Random numbers are drawn from torch's generator for the device, which must be the run's
    own (see :class:`~mcmi_core.base.seeding.OwnRandomNumbers`).
    """

    def __init__(self) -> None:
        self._plan: EpochPlan | None = None  # whose tensors the graphs read
        self._loaded: EpochPlan | None = None  # the plan that was copied into it
        self._step: Tensor | None = None  # (1,), the number of the next whole batch
        self._graphs: dict[tuple[Hashable, bool], torch.cuda.CUDAGraph] = {}
        self._sums: dict[Hashable, TermSums] = {}  # by phase
        self._replaying: Future[tuple[TermSums, Tensor, torch.cuda.Event]] | None = None

    def queue(self, request: Steps) -> None:
        """Start the steps of a window; nothing waits for them."""
        trainee, phase = request.trainee, request.trainee.criterion.phase
        self._load(request.plan)
        graphs = []
        for number in request.numbers:
            is_whole = number < self._plan.whole
            if (phase, is_whole) not in self._graphs:
                self._graphs[phase, is_whole] = self._capture(trainee, number, is_whole)
            graphs.append(self._graphs[phase, is_whole])
        window = graphs, self._sums[phase], request.numbers.start, torch.cuda.current_stream()
        self._replaying = _launchers().submit(self._replay, *window)

    def read(self) -> Window:
        """Wait for the steps that were queued; their sums."""
        sums, on_host, done = self._replaying.result()
        done.synchronize()
        return Window(dict(zip(sums.names, on_host.tolist(), strict=True)))

    def _replay(
        self,
        graphs: list[torch.cuda.CUDAGraph],
        sums: TermSums,
        first: int,
        stream: torch.cuda.Stream,
    ) -> tuple[TermSums, Tensor, torch.cuda.Event]:
        """Start the steps, and the copy of their sums to the host."""
        with torch.cuda.stream(stream):
            sums.total.zero_()
            self._step.fill_(first)
            for graph in graphs:
                graph.replay()
            on_host = torch.empty_like(sums.total, device="cpu", pin_memory=True)
            on_host.copy_(sums.total, non_blocking=True)
            done = torch.cuda.Event()
            done.record()
        return sums, on_host, done

    def _load(self, plan: EpochPlan) -> None:
        """Copy an epoch's choices to where the graphs read them."""
        if self._plan is None:
            self._plan = replace(plan, order=plan.order.clone(), variants=plan.variants.clone())
            self._step = torch.zeros(1, dtype=torch.int64, device=plan.order.device)
        elif plan is not self._loaded:
            self._plan.order.copy_(plan.order)
            self._plan.variants.copy_(plan.variants)
        self._loaded = plan

    def _capture(self, trainee: Trainee, number: int, is_whole: bool) -> torch.cuda.CUDAGraph:
        """The graph of a step that nothing has happened to, as if it had never been tried."""
        sums = self._sums.setdefault(trainee.criterion.phase, TermSums())
        position = self._step if is_whole else number
        before = {name: value.clone() for name, value in trainee.snapshot().items()}
        random_state = torch.cuda.get_rng_state(trainee.device)
        self._step.fill_(number)
        for _ in range(WARM_UPS):
            sums.minimise(trainee.terms, trainee.optimizer, self._plan[position])
        trainee.restore(before)
        torch.cuda.set_rng_state(random_state, trainee.device)

        graph = torch.cuda.CUDAGraph()
        pools = [other.pool() for other in self._graphs.values()][:1]  # never replayed at once
        # Other threads may go on: they do not touch the stream that is captured.
        graph.capture_begin(*pools, capture_error_mode="thread_local")
        try:
            sums.minimise(trainee.terms, trainee.optimizer, self._plan[position])
            if is_whole:
                self._step.add_(1)
        except BaseException:
            with suppress(RuntimeError):  # that the capture was broken off; the cause matters
                graph.capture_end()
            raise
        graph.capture_end()
        return graph


@cache
def _launchers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LAUNCHERS, thread_name_prefix="launcher")


class EagerSteps:
    """Does the steps of one run operation by operation, as :class:`CapturedSteps` is asked to."""

    def __init__(self) -> None:
        self._sums = TermSums()

    def queue(self, request: Steps) -> None:
        """Start the steps of a window; on a GPU nothing waits for them."""
        self._sums = TermSums()
        for batch in request.batches:
            self._sums.minimise(request.trainee.terms, request.trainee.optimizer, batch)

    def read(self) -> Window:
        """Wait for the steps that were queued; their sums."""
        return Window(self._sums.read())
