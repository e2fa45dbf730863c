"""In which order runs are started, so that all of them are done soonest."""

from mcmi_core.runs.config import Run
from mcmi_core.runs.durations import Durations
from mcmi_core.runs.queue import Group, Queue


class LongestFirst:
    """First the run that the longest chain of others waits for.

    How long runs take is learnt from those that are done, before or meanwhile. As long as nothing
    is known, the queue's own order stays.

    Args:
        queue: whose groups are put in order.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._durations = Durations()
        self._seconds_left: dict[str, float] | None = None
        """By key: of a run and the longest chain that waits for it. None: not up to date."""

    def learn(self, run: Run, seconds: float | None) -> None:
        """Take note of what an epoch of a finished run took; None: it trained nothing."""
        if seconds is not None:
            self._durations.learn(run, seconds)
            self._seconds_left = None

    def sort(self, groups: list[Group]) -> list[Group]:
        """Groups of the queue that can start, in the order in which they should."""
        if self._seconds_left is None:
            self._seconds_left = self._chains()
        left = self._seconds_left
        return sorted(groups, key=lambda group: max(left[r.key] for r in group), reverse=True)

    def _chains(self) -> dict[str, float]:
        waiting = dict.fromkeys(self._queue.wanted, 0.0)  # what the runs that build on it take
        seconds = {}
        for key, run in reversed(self._queue.wanted.items()):  # each after those that build on it
            epochs = self._queue.epochs_left.get(key, 0)
            seconds[key] = epochs * self._durations.expected(run) + waiting[key]
            if parent := self._queue.parents[key]:
                waiting[parent] = max(waiting[parent], seconds[key])
        return seconds
