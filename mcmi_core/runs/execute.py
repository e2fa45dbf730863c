"""Many runs, in parallel processes: a plan of what can start, and processes that do it."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue

import torch
from tqdm import tqdm

from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.progress import progress_bar, send_bars_to
from mcmi_core.runs import Run
from mcmi_core.runs.stacking import axis
from mcmi_core.runs.store import Store
from mcmi_core.training.stacked import MOST_TOGETHER

Group = tuple[Run, ...]
"""Runs that one process trains at once; most often one."""


WARM = ["mcmi_core.runs.trainer", "torch._dynamo"]
"""What workers need. An optimiser imports the latter, which takes seconds, whether used or not."""


class RunsFailed(CompanionError):
    """Some runs failed; those that did not depend on them were finished."""


def deadline_from_environment() -> float:
    """When to stop, in seconds since 1970: ``MCMI_DEADLINE``, which a notebook's caller sets."""
    return float(os.environ.get("MCMI_DEADLINE", "inf"))


def execute(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
    together: int = MOST_TOGETHER,
    deadline: float = math.inf,
) -> None:
    """Make the records of many runs, in parallel processes, with a progress bar.

    A run starts when those it builds on are done. One that fails stops only those trained together
    with it; runs that build on a failed or collapsed one are left out. Interrupted, or at the
    deadline, training stops within seconds: only the epochs under way are lost, and the next call
    goes on from the last whole one.

    Args:
        runs: what to do; runs that are finished cost nothing.
        store: where results are kept.
        workers: processes; the default is one per processor core (or as many as ``MCMI_CORES``
            says, where other programs need the rest), at most one per run. Each takes half a
            gigabyte of a GPU, even while it waits.
        device: where to train; the default is the GPU if there is one.
        together: the most small students that one process trains at once (see
            :mod:`~mcmi_core.training.stacked`). With 1 each is trained alone, and results equal
            those of :func:`~mcmi_core.runs.trainer.ensure` bit for bit, not only up to rounding.
        deadline: when to stop, in seconds since 1970.

    Raises:
        RunsFailed: lists what failed and quotes the first error.
        OutOfTime: the deadline came first.
        ValueError: ``together`` or ``MCMI_CORES`` is less than 1.
    """
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    plan = _Plan(runs, store, together)
    if not plan.waiting:
        return
    plan.check_time(deadline)
    cores = _cores()
    number = min(workers or cores, len(plan.waiting))
    with _Workers(number, threads=max(1, cores // number)) as pool:
        _carry_out(plan, pool, store, device, deadline)
    plan.check_failures()


class _Plan:
    """Which of the wanted runs are done, which are under way, and which can start.

    Args:
        runs: what is wanted; what they build on is added.
        store: where records and checkpoints are.
        together: the most runs of a group.
    """

    def __init__(self, runs: Iterable[Run], store: Store, together: int) -> None:
        wanted = {link.key: link for run in runs for link in run.chain()}
        records = {key: store.record(run) for key, run in wanted.items()}
        self.together = together
        self.number = len(wanted)
        self.finished = sum(record is not None for record in records.values())
        self.waiting = {key: run for key, run in wanted.items() if records[key] is None}
        self._usable = {k for k, record in records.items() if record and record.status == "done"}
        self._under_way: dict[str, Group] = {}  # by the key of a group's first run
        self._failures: dict[str, BaseException] = {}  # by id
        self._axes = {key: axis(run) for key, run in self.waiting.items()}
        self._epochs_left = {key: store.epochs_left(run) for key, run in self.waiting.items()}
        self._leave_out_impossible()

    @property
    def epochs_left(self) -> int:
        """Epochs that are still to be trained, by whatever can still start."""
        left = sum(self._epochs_left[key] for key in self.waiting)
        return left + sum(self._epochs_left[key] for key in self._under_way)

    def groups(self, workers: int) -> list[Group]:
        """What can start now, in the order of its turns."""
        ready = [
            run
            for run in self.waiting.values()
            if run.parent is None or run.parent.key in self._usable
        ]
        return _groups(ready, self._axes, workers, self.together)

    def start(self, group: Group) -> None:
        """Take note that a group is under way; its first run's key stands for it."""
        epochs = sum(self._epochs_left[run.key] for run in group)
        for run in group:
            del self.waiting[run.key]
        self._under_way[group[0].key] = group
        self._epochs_left[group[0].key] = epochs

    def count_epoch(self, key: str) -> None:
        """Take note that one run of a group under way has trained one more epoch."""
        self._epochs_left[key] = max(0, self._epochs_left[key] - 1)

    def finish(self, group: Group, outcome: Future) -> None:
        """Take note of what became of a group: keys of usable runs, or an error."""
        del self._under_way[group[0].key]
        if error := outcome.exception():
            self._failures |= {run.id: error for run in group}
            if isinstance(error, BrokenProcessPool):
                self.waiting.clear()  # no process is left to run them
        else:
            self.finished += len(group)
            self._usable |= set(outcome.result())
        self._leave_out_impossible()

    def check_time(self, deadline: float) -> None:
        """Raise OutOfTime from the deadline on."""
        if time.time() >= deadline:
            raise OutOfTime(f"{self.finished} of {self.number} runs done")

    def check_failures(self) -> None:
        """Raise RunsFailed if any run failed."""
        if not self._failures:
            return
        first, error = next(iter(self._failures.items()))
        failed = f"{len(self._failures)} of {self.number} runs failed: {', '.join(self._failures)}"
        if isinstance(error, BrokenProcessPool):
            why = "its process was killed (out of memory?); run again to go on"
            raise RunsFailed(f"{failed}. First error, in {first}: {why}")
        raise RunsFailed(f"{failed}. First error, in {first}: {error}") from error

    def _leave_out_impossible(self) -> None:
        """Forget runs that wait for one that collapsed or failed, and so will never start."""
        possible = self._usable | {run.key for group in self._under_way.values() for run in group}
        for key, run in list(self.waiting.items()):  # each comes after the run it builds on
            if run.parent is None or run.parent.key in possible:
                possible.add(key)
            else:
                del self.waiting[key]


def _groups(
    ready: list[Run], axes: Mapping[str, str | None], workers: int, together: int
) -> list[Group]:
    """Runs for one process each, in the order of their turns.

    First come runs that are trained alone, as others may build on them. Of the rest, each group is
    as large as leaves work for every process, and the largest comes first: those that have to wait
    for a free process are grouped anew then, with the runs that have become ready meanwhile.

    Args:
        ready: what can start.
        axes: by key, what runs that can be trained together have in common; None: alone.
        workers: processes.
        together: the most runs of a group.
    """
    alone, shared = [], defaultdict(list)
    for run in ready:
        common = axes[run.key]
        if common is None:
            alone.append((run,))
        else:
            shared[common].append(run)
    most = min(together, math.ceil(sum(map(len, shared.values())) / workers))
    groups = []
    for runs in shared.values():
        number = math.ceil(len(runs) / most)
        groups += [tuple(runs[place::number]) for place in range(number)]
    return alone + sorted(groups, key=len, reverse=True)


def _carry_out(plan: _Plan, pool: "_Workers", store: Store, device, deadline: float) -> None:
    """Keep all processes busy until nothing of the plan is left that can start."""
    active: dict[Future, Group] = {}
    with progress_bar(total=plan.epochs_left, unit="epoch") as bar:
        while plan.waiting or active:
            plan.check_time(deadline)
            for group in plan.groups(pool.number)[: pool.number - len(active)]:
                plan.start(group)
                active[pool.submit(_work, group, store, device)] = group
            finished, _ = wait(active, timeout=0.2, return_when=FIRST_COMPLETED)
            pool.report(plan, bar)
            for future in finished:
                plan.finish(active.pop(future), future)
            bar.total = bar.n + plan.epochs_left  # less, once a run has collapsed


class _Workers:
    """Processes that train, and what they tell meanwhile.

    They are copies of one process that has imported torch, which takes seconds. All of them hold
    the reading end of a pipe and exit when its writing end is closed, be it on purpose or because
    the process that holds it died: whatever they are doing, the store stays whole.

    Args:
        number: of processes.
        threads: of each.
    """

    def __init__(self, number: int, threads: int) -> None:
        context = _context_with_torch()
        self.number = number
        self._messages = context.SimpleQueue()
        reader, self._alive = context.Pipe(duplex=False)
        settings = (threads, dict(os.environ), self._messages, reader)
        self._pool = ProcessPoolExecutor(number, context, _start_worker, settings)

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, kind, *details) -> None:
        if kind is not None:
            self._alive.close()
        self._pool.shutdown()
        self._alive.close()

    def submit(self, function, *arguments) -> Future:
        """Call a function in the next free process."""
        try:
            return self._pool.submit(function, *arguments)
        except BrokenProcessPool as error:  # a process was killed since the last one ended
            future = Future()
            future.set_exception(error)
            return future

    def report(self, plan: _Plan, bar: tqdm) -> None:
        """Put what the processes told since the last time on the bar."""
        epochs = 0
        while not self._messages.empty():
            key, note = self._messages.get()
            if key is None:
                bar.set_postfix_str(note, refresh=False)
            else:
                plan.count_epoch(key)
                epochs += 1
        bar.update(epochs)  # 0 too: the time on it goes on


def _cores() -> int:
    text = os.environ.get("MCMI_CORES") or str(os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"MCMI_CORES must be a whole number of at least 1, got {text!r}")
    return int(text)


def _context_with_torch() -> multiprocessing.context.BaseContext:
    """Makes copies of a process that has imported torch; returns when that is ready.

    Ctrl-C would print a traceback in that process, which is therefore started with the signal
    blocked, and in a copy that was being started, so a thread starts the first one.
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


def _start_worker(
    threads: int, environment: dict[str, str], messages: SimpleQueue, alive: Connection
) -> None:
    global _messages
    _messages = messages
    os.environ.clear()
    os.environ.update(environment)  # what a copy has is that of the copied process
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the asking process decides
    threading.Thread(target=_exit_after, args=(alive,), daemon=True).start()
    send_bars_to(lambda note: messages.put((None, note)))


def _exit_after(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _work(group: Group, store: Store, device: torch.device | None) -> list[str]:
    """Make the records of runs that build on finished ones; the keys of those that are done."""
    from mcmi_core.runs.trainer import ensure_together  # here, as only workers need it

    def on_epoch() -> None:
        _messages.put((group[0].key, ""))

    try:
        records = ensure_together(list(group), store, device, on_epoch)
        return [record.key for record in records if record.status == "done"]
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
    finally:
        torch.cuda.empty_cache()  # for other processes; nothing happens without CUDA
    raise CompanionError(f"{reason}; run again with fewer workers, and it goes on from there")
