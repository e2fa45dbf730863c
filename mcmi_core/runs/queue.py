"""Which of many wanted runs are done, under way, or can start, and in which groups."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

from mcmi_core.base.errors import OutOfTime, RunsFailed
from mcmi_core.runs import Run
from mcmi_core.runs.stacking import axis
from mcmi_core.runs.store import Store

Group = tuple[Run, ...]
"""Runs that one process trains at once; most often one."""


class Queue:
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
        return group_runs(ready, self._axes, workers, self.together)

    def start(self, group: Group) -> None:
        """Note that a group is under way; its first run's key stands for it."""
        epochs = sum(self._epochs_left[run.key] for run in group)
        for run in group:
            del self.waiting[run.key]
        self._under_way[group[0].key] = group
        self._epochs_left[group[0].key] = epochs

    def count_epoch(self, key: str) -> None:
        """Note that one run of a group under way has trained one more epoch."""
        self._epochs_left[key] = max(0, self._epochs_left[key] - 1)

    def finish(self, group: Group, outcome: Future) -> None:
        """Note what became of a group: keys of usable runs, or an error."""
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


def group_runs(
    ready: list[Run], axes: Mapping[str, str | None], workers: int, together: int
) -> list[Group]:
    """Runs for one process each, in the order of their turns.

    First come runs that are trained alone, as others may build on them. The rest is divided into
    groups, so large that every process still gets one, the largest first. Those that wait for a
    free process are grouped anew then, with the runs that have become ready meanwhile.

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
