"""Many runs, in parallel processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from mcmi_core.device import CONTEXT_BYTES, default_device, free_memory
from mcmi_core.errors import CompanionError
from mcmi_core.progress import progress_bar
from mcmi_core.runs import Run
from mcmi_core.store import Store


class RunsFailed(CompanionError):
    """Some runs failed; those that did not depend on them were finished."""


def execute(
    runs: Iterable[Run],
    store: Store,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
) -> None:
    """Make the records of many runs, in parallel processes, with a progress bar.

    A run starts when those it builds on are done. One that fails does not stop the others; runs
    that build on a failed or collapsed one are left out. Interrupted, it stops after the epochs
    under way, and asked again it goes on from there. On a GPU, a run also waits until the memory
    that it is estimated to need (:mod:`mcmi_core.memory`) is left by those under way; runs that
    need less go first.

    Args:
        runs: what to do; runs that are finished cost nothing.
        store: where results are kept.
        workers: processes; the default is one per processor core, at most one per run. Each takes
            half a gigabyte of a GPU, even while it waits.
        device: where to train; the default is the GPU if there is one.

    Raises:
        RunsFailed: lists what failed and quotes the first error.
    """
    wanted = {link.key: link for run in runs for link in run.chain()}
    records = {key: store.record(run) for key, run in wanted.items()}
    waiting = [run for key, run in wanted.items() if records[key] is None]
    usable = {key for key, record in records.items() if record and record.status == "done"}
    if not waiting:
        return

    cores = os.cpu_count() or 1
    workers = min(workers or cores, len(waiting))
    room = _Room(device or default_device(), workers)
    # One process imports torch (seconds) and the workers are copies of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mcmi_core.trainer"])
    epochs_done, stop = context.SimpleQueue(), context.Event()
    failures: dict[str, BaseException] = {}
    with (
        ProcessPoolExecutor(
            workers, context, _start_worker, (max(1, cores // workers), epochs_done, stop)
        ) as pool,
        progress_bar(total=sum(run.epochs for run in waiting), unit="epoch") as bar,
    ):
        active: dict[Future, Run] = {}
        try:
            while waiting or active:
                for run in [r for r in waiting if r.parent is None or r.parent.key in usable]:
                    if room.admits(run, active.values()):
                        waiting.remove(run)
                        active[pool.submit(_work, run, store, device)] = run
                if not active:
                    break  # what is still waiting builds on a failed or collapsed run
                finished, _ = wait(active, timeout=0.2, return_when=FIRST_COMPLETED)
                while not epochs_done.empty():
                    bar.update(epochs_done.get())
                for future in finished:
                    run = active.pop(future)
                    if error := future.exception():
                        failures[run.id] = error
                        if isinstance(error, BrokenProcessPool):
                            waiting = []  # no process is left to run them
                    elif future.result() == "done":
                        usable.add(run.key)
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


class _Room:
    """The memory of a device, which runs share; on the CPU nothing is counted.

    Args:
        device: where they run.
        workers: processes that may hold memory there, and runs at a time.
    """

    def __init__(self, device: torch.device, workers: int) -> None:
        self.counted = device.type == "cuda"
        self.workers = workers
        self.free = free_memory(device) - workers * CONTEXT_BYTES
        self.needs: dict[str, int] = {}

    def admits(self, run: Run, active: Collection[Run]) -> bool:
        """Whether a run may start beside others; alone always, as needs are estimates."""
        if not self.counted or not active:
            return True
        if len(active) == self.workers:
            return False
        return sum(map(self._need, [run, *active])) <= self.free

    def _need(self, run: Run) -> int:
        if run.key not in self.needs:
            from mcmi_core.memory import bytes_needed  # seconds to import

            try:
                self.needs[run.key] = bytes_needed(run, self.free)
            except (CompanionError, ValueError):
                self.needs[run.key] = 0  # what is wrong with a run, it will say itself
        return self.needs[run.key]


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


def _work(run: Run, store: Store, device: torch.device | None) -> str:
    from mcmi_core.trainer import ensure  # seconds, which only those who train should wait

    try:
        return ensure(run, store, device, _on_epoch).status
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
    finally:
        torch.cuda.empty_cache()  # for other processes; nothing happens without CUDA
    raise CompanionError(f"{reason}; run again with fewer workers, and it goes on from there")
