"""Many runs on one GPU, in this process: each in a lane of its own."""

import time
import traceback
from concurrent.futures import Future

import torch
from filelock import Timeout

from mcmi_core.base.device import own_arithmetic
from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.progress import progress_bar
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
    engine: Engine,
    deadline: float,
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
                    outcome = _advance(lane)
                    if outcome is None:
                        continue
                    lanes.pop(key).close()
                    if outcome.cancelled():
                        queue.postpone(queue.wanted[key])
                        under_way -= 1
                    else:
                        queue.finish((queue.wanted[key],), outcome)
                bar.total = bar.n + sum(queue.epochs_left.values())  # less after a collapse
                if not under_way:
                    time.sleep(POLL_SECONDS)
    finally:
        for lane in lanes.values():
            lane.close()


def _advance(lane: Lane[Record]) -> Future | None:
    """Serve a lane; what became of its run, if that is over. Cancelled: another process has it."""
    outcome = Future()
    try:
        if lane.advance():
            return None
        done = lane.result.status == "done"
        outcome.set_result([lane.result.key] if done else [])
    except Timeout:
        outcome.cancel()
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
        failure = CompanionError(f"{reason}; run again with fewer at a time, and it goes on")
        outcome.set_exception(failure)
    except Exception as error:  # of this run alone; raised at the end, with the others'
        # Its frames would keep what the run had on the card, so they are kept as text.
        error.add_note("".join(traceback.format_exception(error)))
        error.__context__ = error.__cause__ = None
        outcome.set_exception(error.with_traceback(None))
    return outcome
