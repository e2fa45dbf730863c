"""Many runs, in parallel processes."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.progress import progress_bar
from mcmi_core.runs import Run
from mcmi_core.runs.stacking import axis
from mcmi_core.runs.store import Store
from mcmi_core.training.stacked import MOST_TOGETHER


class RunsFailed(CompanionError):
    """Some runs failed; those that did not depend on them were finished."""


def execute(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
    together: int = MOST_TOGETHER,
) -> None:
    """Make the records of many runs, in parallel processes, with a progress bar.

    A run starts when those it builds on are done. One that fails stops only those trained together
    with it; runs that build on a failed or collapsed one are left out. Interrupted, it stops after
    the epochs under way, and asked again it goes on from there; so it does at the time that
    ``MCMI_DEADLINE`` names, in seconds since 1970.

    Args:
        runs: what to do; runs that are finished cost nothing.
        store: where results are kept.
        workers: processes; the default is one per processor core (or as many as ``MCMI_CORES``
            says, where others work beside), at most one per run. Each takes half a gigabyte of a
            GPU, even while it waits.
        device: where to train; the default is the GPU if there is one.
        together: small students that one process trains at once, at most (see
            :mod:`~mcmi_core.training.stacked`). With 1 each is trained alone, and results equal those of
            :func:`~mcmi_core.runs.trainer.ensure` bit for bit, not only up to rounding.

    Raises:
        RunsFailed: lists what failed and quotes the first error.
        OutOfTime: the deadline came first.
        ValueError: ``together`` or ``MCMI_CORES`` is less than 1.
    """
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    deadline = float(os.environ.get("MCMI_DEADLINE", "inf"))
    wanted = {link.key: link for run in runs for link in run.chain()}
    records = {key: store.record(run) for key, run in wanted.items()}
    waiting = [run for key, run in wanted.items() if records[key] is None]
    usable = {key for key, record in records.items() if record and record.status == "done"}
    if not waiting:
        return

    cores = _cores()
    workers = min(workers or cores, len(waiting))
    # One process imports torch (seconds) and the workers are copies of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mcmi_core.runs.trainer"])
    epochs_done, stop = context.SimpleQueue(), context.Event()
    failures: dict[str, BaseException] = {}
    with (
        ProcessPoolExecutor(
            workers, context, _start_worker, (max(1, cores // workers), epochs_done, stop)
        ) as pool,
        progress_bar(total=sum(run.epochs for run in waiting), unit="epoch") as bar,
    ):
        active: dict[Future, list[Run]] = {}
        try:
            while waiting or active:
                if time.time() >= deadline:
                    under_way = sum(map(len, active.values()))
                    done = len(wanted) - len(waiting) - under_way - len(failures)
                    raise OutOfTime(f"{done} of {len(wanted)} runs done")
                ready = [run for run in waiting if run.parent is None or run.parent.key in usable]
                for group in _groups(ready, workers, together):
                    if len(active) < workers:
                        waiting = [run for run in waiting if run not in group]
                        active[pool.submit(_work, group, store, device)] = group
                if not active:
                    break  # what is still waiting builds on a failed or collapsed run
                finished, _ = wait(active, timeout=0.2, return_when=FIRST_COMPLETED)
                while not epochs_done.empty():
                    bar.update(epochs_done.get())
                for future in finished:
                    group = active.pop(future)
                    if error := future.exception():
                        failures |= {run.id: error for run in group}
                        if isinstance(error, BrokenProcessPool):
                            waiting = []  # no process is left to run them
                    else:
                        usable |= set(future.result())
        except BaseException:
            stop.set()  # workers stop after the epoch under way, whose checkpoint is kept
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        first, error = next(iter(failures.items()))
        if isinstance(error, BrokenProcessPool):
            error = "its process was killed (out of memory?); run again to go on"
        raise RunsFailed(
            f"{len(failures)} of {len(wanted)} runs failed: {', '.join(failures)}. "
            f"First error, in {first}: {error}"
        ) from (error if isinstance(error, BaseException) else None)


def _cores() -> int:
    text = os.environ.get("MCMI_CORES") or str(os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"MCMI_CORES must be a whole number of at least 1, got {text!r}")
    return int(text)


def _groups(ready: list[Run], workers: int, together: int) -> list[list[Run]]:
    """Runs for one process each, in the order of their turns.

    First come runs that are trained alone, as others may build on them. The rest waits until a
    process is free, and by then more have become ready; there is work for all, and the largest
    group comes first.
    """
    alone, shared = [], defaultdict(list)
    for run in ready:
        common = axis(run)
        if common is None:
            alone.append([run])
        else:
            shared[common].append(run)
    most = min(together, math.ceil(sum(map(len, shared.values())) / workers))
    groups = []
    for runs in shared.values():
        number = math.ceil(len(runs) / most)
        groups += [runs[place::number] for place in range(number)]
    return alone + sorted(groups, key=len, reverse=True)


_on_epoch: Callable[[], None]


def _start_worker(threads: int, epochs_done, stop) -> None:
    global _on_epoch
    torch.set_num_threads(threads)
    # Ctrl-C reaches the whole process group; the parent turns it into a stop after this epoch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()

    def on_epoch() -> None:
        epochs_done.put(1)
        if stop.is_set():
            raise KeyboardInterrupt

    _on_epoch = on_epoch


def _work(runs: list[Run], store: Store, device: torch.device | None) -> list[str]:
    """Make the records of runs that build on finished ones; the keys of those that are done."""
    from mcmi_core.runs.trainer import ensure_together  # seconds, which only those who train wait

    try:
        records = ensure_together(runs, store, device, _on_epoch)
        return [record.key for record in records if record.status == "done"]
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
    finally:
        torch.cuda.empty_cache()  # for other processes; nothing happens without CUDA
    raise CompanionError(f"{reason}; run again with fewer workers, and it goes on from there")


def deadline_from_environment() -> float:
    """When to stop, in seconds since 1970: ``MCMI_DEADLINE``, which a notebook's caller sets."""
    return float(os.environ.get("MCMI_DEADLINE", "inf"))
