"""Processes of this machine that train, one group of runs at a time each."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Self

import torch
from tqdm import tqdm

from mcmi_core.base.progress import send_bars_to
from mcmi_core.base.terminal import log_lines
from mcmi_core.runs.config import Run
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.queue import Group, Queue
from mcmi_core.runs.store import Store

WARM = ["mcmi_core.runs.work", "torch._dynamo"]
"""Imported once, for all workers; ``torch._dynamo``, since every optimiser imports it."""


class LocalWorkers:
    """Processes that train, and what they tell meanwhile; a context manager.

    They are copies of one process that has imported torch, which takes seconds. All of them hold
    the reading end of a pipe and exit when its writing end is closed, be it on purpose or because
    the process that holds it died: whatever they are doing, the store stays whole. One that dies
    takes no other with it, and another takes its place.

    Args:
        number: of groups at a time.
        store: where results are kept.
        device: where to train.
    """

    def __init__(self, number: int, store: Store, device: torch.device) -> None:
        self.number = number
        self._store, self._device = store, device
        self._context = _context_with_torch()
        self._ends, self._alive = self._context.Pipe(duplex=False)
        self._free = [self._new_worker() for _ in range(number)]
        self._working: dict[Future, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        workers = [*self._free, *self._working.values()]
        if kind is None:
            for worker in workers:
                worker.pool.shutdown()
        self._alive.close()  # after an error, this ends what is under way
        for worker in workers:
            worker.pool.shutdown()

    def submit(self, group: Group) -> Future:
        """Let a free process train a group."""
        worker = self._free.pop()
        future = worker.pool.submit(_work, group, self._store, self._device)
        self._working[future] = worker
        return future

    def outcomes(self, future: Future, group: Group) -> list[Outcome]:
        """What became of the runs of a group that is no longer trained."""
        worker = self._working.pop(future)
        try:
            outcomes = future.result()
            self._free.append(worker)
        except BrokenProcessPool:
            worker.pool.shutdown()
            self._free.append(self._new_worker())
            outcomes = [self._killed(run) for run in group]
        return outcomes

    def report(self, queue: Queue, bar: tqdm) -> None:
        """Put what the processes told since the last time on the bar."""
        epochs = 0
        for worker in [*self._free, *self._working.values()]:
            while worker.messages.poll():
                key, note = worker.messages.recv()
                if key is None:
                    bar.set_postfix_str(note, refresh=False)
                else:
                    queue.count_epoch(key)
                    epochs += 1
        bar.update(epochs)  # also by 0, which refreshes its clock

    def _new_worker(self) -> "_Process":
        return _Process(self._context, self._ends)

    def _killed(self, run: Run) -> Outcome:
        how, left = "its process was killed (out of memory?)", self._store.epochs_left(run)
        return Outcome(run.key, failure=Failure.of_killed(run, how, left))


class _Process:
    """A process, with a pipe of its own: one that dies while it writes would block a shared one."""

    def __init__(self, context: multiprocessing.context.BaseContext, alive: Connection) -> None:
        self.messages, told = context.Pipe(duplex=False)
        settings = (dict(os.environ), told, alive)
        self.pool = ProcessPoolExecutor(1, context, _start_worker, settings)


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


_told: Connection
"""To the process that asked: (key of a group, "") for an epoch, (None, note) for the bar."""


def _start_worker(environment: dict[str, str], told: Connection, alive: Connection) -> None:
    global _told
    _told = told
    os.environ.clear()
    os.environ.update(environment)  # a copy has that of the process that it was copied from
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the asking process decides
    threading.Thread(target=_exit_after, args=(alive,), daemon=True).start()
    send_bars_to(lambda note: told.send((None, note)))
    log_lines()


def _exit_after(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _work(group: Group, store: Store, device: torch.device) -> list[Outcome]:
    from mcmi_core.runs.work import work  # here, as only workers need it

    return work(group, store, device, lambda: _told.send((group[0].key, "")))
