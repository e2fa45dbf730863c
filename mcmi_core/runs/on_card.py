"""Many runs on one GPU, in this process: each in a lane of its own."""

import math
import time

import torch
from filelock import Timeout

from mcmi_core.base.device import own_arithmetic
from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.progress import progress_bar
from mcmi_core.runs.config import Run
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.records import Record
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import make
from mcmi_core.training.lanes import Engine, Lane

POLL_SECONDS = 0.2
"""Between looks at runs that other processes are making, when nothing else is left to do."""


def execute_on_card(
    queue: Queue,
    store: Store,
    device: torch.device,
    *,
    streams: int,
    engine: Engine = "graph",
    deadline: float = math.inf,
) -> None:
    """Make the records of the runs of a queue, several at a time, with a progress bar.

    A run that fails is noted in the queue, and stops no other.

    Args:
        queue: of runs that are trained alone.
        store: where results are kept.
        device: where to train.
        streams: runs at a time.
        engine: how their steps are done.
        deadline: when to stop, in seconds since 1970.

    Raises:
        OutOfTime: the deadline came first; the next call goes on from the last checkpoints.
    """
    lanes: dict[str, Lane[Record]] = {}
    try:
        with (
            own_arithmetic(threads=1),
            progress_bar(total=sum(queue.epochs_left.values()), unit="epoch") as bar,
        ):
            while queue.waiting or lanes:
                for [run] in queue.groups(streams)[: streams - len(lanes)]:
                    queue.start((run,))

                    def on_epoch(key: str = run.key) -> None:
                        queue.count_epoch(key)
                        bar.update()

                    training = make(run, store, device, on_epoch, wait=False, streams=streams)
                    lanes[run.key] = Lane(training, device, engine)
                under_way = len(lanes)
                for key, lane in list(lanes.items()):
                    if time.time() >= deadline:
                        raise OutOfTime(str(queue))
                    run = queue.wanted[key]
                    try:
                        outcome = _advance(run, lane)
                    except Timeout:  # another process has it
                        lanes.pop(key).close()
                        queue.postpone(run)
                        under_way -= 1
                        continue
                    if outcome:
                        lanes.pop(key).close()
                        queue.finish((run,), [outcome])
                bar.total = bar.n + sum(queue.epochs_left.values())  # less after a collapse
                if not under_way:
                    time.sleep(POLL_SECONDS)
    finally:
        for lane in lanes.values():
            lane.close()


def _advance(run: Run, lane: Lane[Record]) -> Outcome | None:
    """Serve a lane; what became of its run, if that is over.

    Raises:
        filelock.Timeout: another process is making it.
    """
    try:
        if lane.advance():
            return None
        return Outcome(run.key, usable=lane.result.status == "done")
    except Timeout:
        raise
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
        error = CompanionError(f"{reason}; run again with fewer at a time, and it goes on")
        return Outcome(run.key, failure=Failure.of(run, error))
    except Exception as error:  # of this run alone; kept, and said at the end
        return Outcome(run.key, failure=Failure.of(run, error))
