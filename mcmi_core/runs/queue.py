"""Which of many wanted runs are done, under way, or can start, and in which groups."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from mcmi_core.base.errors import CompanionError, RunsFailed, StoreError
from mcmi_core.runs.config import Run
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.records import Record
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
        common: what runs of a group have in common; None: a run is trained alone.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        store: Store,
        together: int = 1,
        common: Callable[[Run], str | None] = axis,
    ) -> None:
        self.store = store
        self.together = together
        self.wanted = {link.key: link for run in runs for link in run.chain()}
        self.parents = {key: r.parent and r.parent.key for key, r in self.wanted.items()}
        """By key, what each of them builds on; None: on nothing."""
        self._failures: dict[str, Failure] = {}  # by id
        self._records = self._read_records()
        self.finished = set(self._records)
        self.waiting = {
            key: run
            for key, run in self.wanted.items()
            if key not in self.finished and run.id not in self._failures
        }
        self.epochs_left = {key: store.epochs_left(run) for key, run in self.waiting.items()}
        """Of each run that can still start, and of each group under way, by its first run's key."""
        self._usable = {key for key, record in self._records.items() if record.status == "done"}
        self._under_way: set[str] = set()
        self._postponed: set[str] = set()
        self._made_again: set[str] = set()
        self._made_again_before: dict[str, set[str]] = {}
        """Of each group, what had been made again when it started, by its first run's key."""
        self._common = common
        self._axes = {key: common(run) for key, run in self.waiting.items()}
        self._leave_out_impossible()

    def _read_records(self) -> dict[str, Record]:
        """Of all runs that have one, by key; a run whose record cannot be read has failed.

        One whose record is damaged has none, so it waits, and is made again.
        """
        records = {}
        for key, run in self.wanted.items():
            try:
                if record := self.store.finished(run):
                    records[key] = record
            except StoreError as error:
                self._failures[run.id] = Failure.of(run, error)
        return records

    def finished_runs(self) -> list[tuple[Run, Record]]:
        """The runs that were finished when the queue was made, with their records."""
        return [(self.wanted[key], record) for key, record in self._records.items()]

    def fail(self, run: Run, error: BaseException) -> None:
        """Count a finished run as failed, for its result cannot be used."""
        self._failures[run.id] = Failure.of(run, error)
        self._usable.discard(run.key)
        self.finished.discard(run.key)
        self._leave_out_impossible()

    def groups(self, workers: int) -> list[Group]:
        """What can start now, in the order of its turns."""
        ready = [
            run
            for key, run in self.waiting.items()
            if (parent := self.parents[key]) is None or parent in self._usable
        ]
        ready.sort(key=lambda run: run.key in self._postponed)  # the order stays otherwise
        return group_runs(ready, self._axes, workers, self.together)

    def start(self, group: Group) -> None:
        """Note that a group is under way."""
        for run in group:
            del self.waiting[run.key]
            self._under_way.add(run.key)
            self.store.forget_failure(run)
        self._made_again_before[group[0].key] = set(self._made_again)
        self.epochs_left[group[0].key] = sum(self.epochs_left.pop(run.key) for run in group)

    def postpone(self, run: Run) -> None:
        """Put a run that was started alone back, as another process is making it.

        From now on, all others have their turn before it.
        """
        self._under_way.discard(run.key)
        self._postponed.add(run.key)
        self._wait_again(run)

    def count_epoch(self, key: str) -> None:
        """Note that one run of the group under way with that first key has trained an epoch."""
        self.epochs_left[key] = max(0, self.epochs_left[key] - 1)

    def finish(self, group: Group, outcomes: Iterable[Outcome]) -> None:
        """Note what became of a group, and keep why runs of it failed.

        Those that were trained together when their process was killed are tried again one by one.
        """
        del self.epochs_left[group[0].key]
        for outcome in outcomes:
            run = self.wanted[outcome.key]
            self._under_way.discard(run.key)
            outcome = self._unless_finished(run, outcome)
            if outcome.failure is None:
                self.finished.add(run.key)
                if outcome.usable:
                    self._usable.add(run.key)
            elif outcome.failure.killed and len(group) > 1:
                self._axes[run.key] = None
                self._wait_again(run)
            elif outcome.failure.parent_damaged and self._make_parent_again(run, group):
                self._wait_again(run)
            else:
                self._failures[run.id] = outcome.failure
                with suppress(StoreError):  # the disk may be full, and that is what is said
                    self.store.keep_failure(run, outcome.failure)
        self._leave_out_impossible()

    def _unless_finished(self, run: Run, outcome: Outcome) -> Outcome:
        """What became of a run: a process may have been killed right after it had finished it."""
        if outcome.failure and outcome.failure.killed:
            with suppress(StoreError):
                if record := self.store.record(run):
                    self.store.tidy(run)
                    return Outcome(run.key, record.status == "done")
        return outcome

    def _make_parent_again(self, run: Run, group: Group) -> bool:
        """Let what a run builds on wait, to be made again; not if it was, before its group began.

        If its record is there after all, as another process made it, that costs nothing.
        """
        parent = run.parent
        if parent.key in self._made_again_before[group[0].key]:
            return False
        if parent.key not in self._made_again:
            self._made_again.add(parent.key)
            self.finished.discard(parent.key)
            self._usable.discard(parent.key)
            self._axes[parent.key] = self._common(parent)
            self._wait_again(parent)
        return True

    def outcome(self, run: Run) -> Outcome:
        """What became of a run, when nothing waits or is under way any more."""
        failed = [link.id for link in run.chain() if link.id in self._failures]
        failure = self._failures[failed[0]] if failed else None
        if failure is None and run.key not in self.finished:
            failure = Failure.of(run, CompanionError(f"{run.parent.id} cannot be built upon"))
        return Outcome(run.key, run.key in self._usable, failure)

    def __str__(self) -> str:
        return f"{len(self.finished)} of {len(self.wanted)} runs done"

    def check_failures(self) -> None:
        """Raise RunsFailed if any run failed."""
        if self._failures:
            first, failure = next(iter(self._failures.items()))
            raise RunsFailed(
                f"{len(self._failures)} of {len(self.wanted)} runs failed: "
                f"{', '.join(self._failures)}. First error, in {first}: {failure.reason}"
            )

    def _wait_again(self, run: Run) -> None:
        """Put a run that was started back to where it was."""
        waiting = {*self.waiting, run.key}
        self.waiting = {key: self.wanted[key] for key in self.wanted if key in waiting}
        self.epochs_left.setdefault(run.key, self.store.epochs_left(run))

    def _leave_out_impossible(self) -> None:
        """Forget runs that wait for one that collapsed or failed, and so will never start."""
        possible = self._usable | self._under_way
        for key in list(self.waiting):  # each comes after the run it builds on
            if (parent := self.parents[key]) is None or parent in possible:
                possible.add(key)
            else:
                del self.waiting[key], self.epochs_left[key]


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
