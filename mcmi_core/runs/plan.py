"""What a list of runs would cost: which are done, which are missing, and how long those take."""

from collections.abc import Iterable

import pandas as pd

from mcmi_core.components import DATASETS, MODELS
from mcmi_core.runs.config import Run, Student
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
        (_kind(run), key in queue.finished, queue.epochs_left.get(key, 0))
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
    times = []
    for record in {record.key: record for record in finished}.values():
        epochs = len(record.history.get("epoch", []))
        if epochs and record.provenance["hardware"] == hardware:
            times.append((_kind(record.parsed_run), record.provenance["seconds"] / epochs))
    table = pd.DataFrame(times, columns=["kind", "seconds"])
    return table.groupby("kind").seconds.median().astype(float).rename("seconds_per_epoch")


def _kind(run: Run) -> str:
    """``student oracle mlp kd (width=32)``: stage, data, network and method, but for the seed."""
    options = []
    for registry, component in ((DATASETS, run.data), (MODELS, getattr(run, "model", None))):
        if component:
            types = registry.option_types(component.name)
            for name, value in component.options.items():
                if name != "seed" and value != types[name][1]:
                    options.append(f"{name}={value}")
    if isinstance(run, Student):
        options.append(f"from {getattr(run.teacher, 'model', 'P*')}")
    words = run.id.replace("-", " ").removesuffix(f" {run.key}")
    return f"{words} ({', '.join(options)})" if options else words
