"""Many runs: on a CPU's cores, on streams of a GPU, or on the workers of a cluster."""

import math
import os
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import torch
from tqdm import tqdm

from mcmi_core.base.device import default_device
from mcmi_core.base.errors import CompanionError, OutOfTime, StoreError
from mcmi_core.base.progress import progress_bar
from mcmi_core.runs.config import Run
from mcmi_core.runs.durations import seconds_per_epoch
from mcmi_core.runs.failures import Outcome
from mcmi_core.runs.on_cores import LocalWorkers
from mcmi_core.runs.order import LongestFirst
from mcmi_core.runs.queue import Group, Queue
from mcmi_core.runs.stacking import axis, side_by_side
from mcmi_core.runs.store import Store
from mcmi_core.training.stacked import MOST_TOGETHER

if TYPE_CHECKING:
    from distributed import Client

    from mcmi_core.training.lanes import Engine

STREAMS = 8
"""Runs at a time on a GPU, unless somebody says otherwise."""

POLL_SECONDS = 0.2
"""Between looks at what workers tell, at the most."""


def execute(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
    together: int = MOST_TOGETHER,
    engine: "Engine" = "graph",
    deadline: float = math.inf,
    cluster: "Client | None" = None,
) -> None:
    """Make the records of many runs, several at a time, with a progress bar.

    On a CPU in parallel processes, small students of a kind stacked into one
    (:mod:`~mcmi_core.training.stacked`); on a GPU in this process, each on a stream of its own
    (:mod:`~mcmi_core.training.lanes`); on a cluster on all its workers, each of which does the
    same (:mod:`~mcmi_core.runs.on_cluster`).

    What becomes of a run depends neither on what else is asked for or missing, nor on the number of
    workers. It starts when the runs it builds on are done. Of those that can start, the one that
    the longest chain of others waits for goes first (:mod:`~mcmi_core.runs.order`). With a
    deadline, and on this machine's GPU, they start in the order of ``runs``.

    One whose record is damaged is made again, and so is one whose weights are, when another run
    needs them. One that fails, has a record that was edited or was made with other data than there
    is now stops no other, but those that build on a failed or collapsed one are left out. Why a run
    failed that was started is kept in the store until it is started again; of one that was refused,
    for its record or its data, the error alone says so. Interrupted, or at the deadline, training
    stops within seconds: the next call goes on from the last checkpoints.

    Args:
        runs: what to do; runs that are finished cost nothing.
        store: where results are kept.
        workers: runs at a time. The default is on a CPU one process per core (or for as many as
            ``MCMI_CORES`` says, where other programs need the rest), fewer where a recipe asks for
            several threads; on a GPU, also on each of a cluster, :data:`STREAMS`.
        device: where to train; the default is the GPU if there is one.
        together: the most small students that one process trains at once on a CPU.
        engine: how a GPU does steps.
        deadline: when to stop, in seconds since 1970.
        cluster: a client of Dask; None: this machine.

    Raises:
        RunsFailed: lists what failed and quotes the first error.
        OutOfTime: the deadline came first.
        StoreError: the store cannot be made.
        CompanionError: the cluster lacks what the runs need, or was lost.
        ValueError: ``together`` or ``MCMI_CORES`` is less than 1.
    """
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    device = device or default_device()
    on_card = device.type == "cuda"
    if on_card and cluster:
        queue = Queue(runs, store, together=workers or STREAMS, common=side_by_side)
    else:
        queue = Queue(runs, store, together=1 if on_card else together, common=axis)
    for run, _ in queue.finished_runs():
        store.tidy(run)
    _refuse_other_data(queue, store)
    if queue.waiting:
        store.attach()
    if queue.waiting and cluster:
        from mcmi_core.runs.on_cluster import ClusterWorkers  # here, as Dask is an extra

        with ClusterWorkers(cluster, queue, store, device, deadline) as pool:
            _drive(queue, pool, deadline)
    elif queue.waiting and on_card:
        from mcmi_core.runs.on_card import execute_on_card  # here, as the trainer takes seconds

        settings = {"streams": workers or STREAMS, "engine": engine, "deadline": deadline}
        execute_on_card(queue, store, device, **settings)
    elif queue.waiting:
        number = workers or default_workers(device, queue.wanted.values())
        with LocalWorkers(min(number, len(queue.waiting)), store, device) as pool:
            _drive(queue, pool, deadline)
    queue.check_failures()


class Workers(Protocol):
    """Who trains groups of runs: processes of this machine, or workers of a cluster."""

    @property
    def number(self) -> int:
        """Groups at a time, at this moment."""

    def submit(self, group: Group) -> Future:
        """Let one of them train a group."""

    def outcomes(self, future: Future, group: Group) -> list[Outcome]:
        """What became of the runs of a group that is no longer trained."""

    def report(self, queue: Queue, bar: tqdm) -> None:
        """Put what they did since the last time on the bar."""


def _drive(queue: Queue, workers: Workers, deadline: float) -> None:
    """Let workers train all that waits, each run as soon as it can start.

    With a deadline, not all may be done, so they start in the order in which they were asked for.
    """
    active: dict[Future, Group] = {}
    order = LongestFirst(queue)
    for run, record in queue.finished_runs():
        order.learn(run, seconds_per_epoch(record))
    with progress_bar(total=sum(queue.epochs_left.values()), unit="epoch") as bar:
        while queue.waiting or active:
            if time.time() >= deadline:
                raise OutOfTime(str(queue))
            number = workers.number
            if number > len(active):
                groups = queue.groups(number)
                if math.isinf(deadline):
                    groups = order.sort(groups)
                for group in groups[: number - len(active)]:
                    queue.start(group)
                    active[workers.submit(group)] = group
            finished, _ = wait(active, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            workers.report(queue, bar)
            for future in finished:
                group = active.pop(future)
                queue.finish(group, workers.outcomes(future, group))
                _learn(order, group, queue.store)
            bar.total = bar.n + sum(queue.epochs_left.values())  # less after a collapse


def _learn(order: LongestFirst, group: Group, store: Store) -> None:
    """How long the runs of a group took that are finished."""
    for run in group:
        with suppress(StoreError):  # whoever needs its record says so
            if record := store.finished(run):
                order.learn(run, seconds_per_epoch(record))


def _refuse_other_data(queue: Queue, store: Store) -> None:
    """Count finished runs as failed whose data is not there as it was when they were made."""
    from mcmi_core.runs.same_data import check_same_data  # here, as data sets take seconds

    # Those of one data set after the other, so that each is loaded once.
    for run, record in sorted(queue.finished_runs(), key=lambda found: str(found[0].data)):
        try:
            check_same_data(run, record.provenance, store)
        except CompanionError as error:
            queue.fail(run, error)


def default_workers(device: torch.device, runs: Iterable[Run]) -> int:
    """Runs of these at a time on a device, unless somebody says otherwise."""
    if device.type == "cuda":
        return STREAMS
    return max(1, cores() // max((run.threads for run in runs), default=1))


def cores() -> int:
    """Processor cores that training may take: ``MCMI_CORES``, or all.

    Raises:
        ValueError: ``MCMI_CORES`` is no whole number of at least 1.
    """
    text = os.environ.get("MCMI_CORES") or str(os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"MCMI_CORES must be a whole number of at least 1, got {text!r}")
    return int(text)
