"""What a list of runs would cost: which are done, which are missing, and how long those take."""

from collections.abc import Iterable

import pandas as pd

from mcmi_core.runs.config import Run
from mcmi_core.runs.durations import kind, seconds_per_epoch
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.records import Record
from mcmi_core.runs.store import Store


def plan(
    runs: Iterable[Run], store: Store, finished: Iterable[Record], hardware: str
) -> pd.DataFrame:
    """What training ``runs``, and all that they build on, would take.

    Args:
        runs: that are wanted.
        store: where they would be trained; what it holds is done.
        finished: records to take times from; the same one may come twice.
        hardware: as provenance names it; only times measured on it count.

    Returns:
        One row per kind of run (equal in stage, data, network and method, whatever the seeds), in
        the order in which they would be trained: ``runs``, ``done``, ``epochs_left``,
        ``seconds_per_epoch`` (median over finished runs of this kind; NaN if there are none) and
        ``seconds_left`` of a single process. A run below one that collapsed is never done, and has
        no epochs left.
    """
    queue = Queue(runs, store)
    rows = [
        (kind(run), key in queue.finished, queue.epochs_left.get(key, 0))
        for key, run in queue.wanted.items()
    ]
    table = pd.DataFrame(rows, columns=["kind", "done", "epochs_left"])
    plan = table.groupby("kind", sort=False).agg(
        runs=("done", "size"), done=("done", "sum"), epochs_left=("epochs_left", "sum")
    )
    plan = plan.join(_seconds_per_epoch(finished, hardware))
    plan["seconds_left"] = plan.seconds_per_epoch * plan.epochs_left
    plan.loc[plan.epochs_left == 0, "seconds_left"] = 0
    return plan


def _seconds_per_epoch(finished: Iterable[Record], hardware: str) -> pd.Series:
    """Median by kind."""
    times = [
        (kind(record.parsed_run), seconds_per_epoch(record))
        for record in {record.key: record for record in finished}.values()
        if record.provenance["hardware"] == hardware
    ]
    table = pd.DataFrame(times, columns=["kind", "seconds"]).dropna()
    return table.groupby("kind").seconds.median().astype(float).rename("seconds_per_epoch")
