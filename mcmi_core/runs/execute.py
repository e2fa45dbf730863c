"""Many runs: in parallel processes on a CPU, on streams of one process on a GPU."""

import logging
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from mcmi_core.base.device import default_device
from mcmi_core.base.errors import CompanionError, OutOfTime, RunsFailed
from mcmi_core.base.progress import progress_bar, send_bars_to
from mcmi_core.runs.config import Run
from mcmi_core.runs.queue import Group, Queue
from mcmi_core.runs.store import Store
from mcmi_core.training.stacked import MOST_TOGETHER

if TYPE_CHECKING:
    from mcmi_core.training.lanes import Engine

STREAMS = 8
"""Runs at a time on a GPU, unless somebody says otherwise."""

WARM = ["mcmi_core.runs.trainer", "torch._dynamo"]
"""Imported once, for all workers; ``torch._dynamo``, since every optimiser imports it."""


def execute(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
    together: int = MOST_TOGETHER,
    engine: "Engine" = "graph",
    deadline: float = math.inf,
) -> None:
    """Make the records of many runs, several at a time, with a progress bar.

    On a CPU in parallel processes, small students of a kind stacked into one
    (:mod:`~mcmi_core.training.stacked`); on a GPU in this process, each on a stream of its own
    (:mod:`~mcmi_core.training.lanes`).

    What becomes of a run depends neither on what else is asked for or missing, nor on the number of
    workers. It starts when those it builds on are done. One whose record is damaged is made again,
    and so is one whose weights are, when another run needs them. One that fails, has a record that
    was edited or was made with other data than there is now stops only those trained together with
    it; runs that build on a failed or collapsed one are left out. Interrupted, or at the deadline,
    training stops within seconds: the next call goes on from the last checkpoints.

    Args:
        runs: what to do; runs that are finished cost nothing.
        store: where results are kept.
        workers: runs at a time. The default is on a CPU one process per core (or for as many as
            ``MCMI_CORES`` says, where other programs need the rest), fewer where a recipe asks for
            several threads; on a GPU :data:`STREAMS`.
        device: where to train; the default is the GPU if there is one.
        together: the most small students that one process trains at once on a CPU.
        engine: how a GPU does steps.
        deadline: when to stop, in seconds since 1970.

    Raises:
        RunsFailed: lists what failed and quotes the first error.
        OutOfTime: the deadline came first.
        ValueError: ``together`` or ``MCMI_CORES`` is less than 1.
    """
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    device = device or default_device()
    on_card = device.type == "cuda"
    queue = Queue(runs, store, together=1 if on_card else together)
    workers = workers or default_workers(device, queue.wanted.values())
    _refuse_other_data(queue, store)
    if queue.waiting and on_card:
        from mcmi_core.runs.on_card import execute_on_card  # here, as the trainer takes seconds

        settings = {"streams": workers, "engine": engine, "deadline": deadline}
        execute_on_card(queue, store, device, **settings)
    elif queue.waiting:
        _execute_in_processes(queue, store, device, workers, deadline)
    queue.check_failures()


def _execute_in_processes(
    queue: Queue, store: Store, device: torch.device, workers: int, deadline: float
) -> None:
    number = min(workers, len(queue.waiting))
    store.attach()
    active: dict[Future, Group] = {}
    try:
        with (
            _processes(number) as (pool, messages),
            progress_bar(total=sum(queue.epochs_left.values()), unit="epoch") as bar,
        ):
            while queue.waiting or active:
                if time.time() >= deadline:
                    raise OutOfTime(str(queue))
                for group in queue.groups(number)[: number - len(active)]:
                    queue.start(group)
                    active[pool.submit(_work, group, store, device)] = group
                finished, _ = wait(active, timeout=0.2, return_when=FIRST_COMPLETED)
                _report(messages, queue, bar)
                for future in finished:
                    queue.finish(active.pop(future), future)
                bar.total = bar.n + sum(queue.epochs_left.values())  # less after a collapse
    except BrokenProcessPool:
        raise RunsFailed(
            f"a process that trained was killed (out of memory?), {queue}, under way: "
            f"{', '.join(queue.under_way())}; run again to go on"
        ) from None


def _refuse_other_data(queue: Queue, store: Store) -> None:
    """Count finished runs as failed whose data is not there as it was when they were made."""
    from mcmi_core.runs.same_data import check_same_data  # here, as data sets take seconds

    # Those of one data set after the other, so that each is loaded once.
    for run, record in sorted(queue.finished_runs(), key=lambda found: str(found[0].data)):
        try:
            check_same_data(run, record.provenance, store)
        except CompanionError as error:
            queue.fail(run, error)


def _report(messages: SimpleQueue, queue: Queue, bar: tqdm) -> None:
    """Put what the processes told since the last time on the bar."""
    epochs = 0
    while not messages.empty():
        key, note = messages.get()
        if key is None:
            bar.set_postfix_str(note, refresh=False)
        else:
            queue.count_epoch(key)
            epochs += 1
    bar.update(epochs)  # also by 0, which refreshes its clock


@contextmanager
def _processes(number: int) -> Iterator[tuple[ProcessPoolExecutor, SimpleQueue]]:
    """Processes that train, and what they tell meanwhile.

    They are copies of one process that has imported torch, which takes seconds. All of them hold
    the reading end of a pipe and exit when its writing end is closed, be it on purpose or because
    the process that holds it died: whatever they are doing, the store stays whole.

    Args:
        number: of processes.
    """
    context = _context_with_torch()
    messages = context.SimpleQueue()
    reader, alive = context.Pipe(duplex=False)
    settings = (dict(os.environ), messages, reader)
    pool = ProcessPoolExecutor(number, context, _start_worker, settings)
    try:
        yield pool, messages
        pool.shutdown()  # in peace; after an error, closing the pipe ends what is under way
    finally:
        alive.close()
        pool.shutdown()


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


def _context_with_torch() -> multiprocessing.context.BaseContext:
    """Makes copies of a process that has imported torch; returns when that is ready.

    At Ctrl-C, that process would print a traceback: it is started with the signal blocked. So would
    this one while it waits for the first copy, so that a thread, which no signal reaches, does it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    resource_tracker.ensure_running()  # here, since it unblocks the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    first = threading.Thread(target=context.Process(target=int).start, daemon=True)
    first.start()
    first.join()
    return context


_messages: SimpleQueue
"""To the process that asked: (key of a group, "") for an epoch, (None, note) for the bar."""


def _start_worker(environment: dict[str, str], messages: SimpleQueue, alive: Connection) -> None:
    global _messages
    _messages = messages
    os.environ.clear()
    os.environ.update(environment)  # a copy has that of the process that it was copied from
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the asking process decides
    threading.Thread(target=_exit_after, args=(alive,), daemon=True).start()
    send_bars_to(lambda note: messages.put((None, note)))
    logging.basicConfig(format="mcmi: %(message)s")  # as the command line does


def _exit_after(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _work(group: Group, store: Store, device: torch.device) -> list[str]:
    """Make the records of runs that build on finished ones; the keys of those that are done."""
    from mcmi_core.runs.trainer import ensure_together  # here, as only workers need it

    def on_epoch() -> None:
        _messages.put((group[0].key, ""))

    records = ensure_together(list(group), store, device, on_epoch)
    return [record.key for record in records if record.status == "done"]
