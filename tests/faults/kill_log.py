"""What the log of a killed sweep proves: who trained what, when, and that nobody did so twice."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECONDS_TO_DIE = 20
"""After SIGKILL, or without a driver, on a busy machine."""


class Event(NamedTuple):
    """A line of the log; see ``LoggedStore``."""

    when: float
    process: int
    what: str
    run: str
    """Its id; the message of a sweep that failed."""
    epoch: int


@dataclass
class Attempt:
    """A process at a run, from when it held the lock to when it gave it back or was killed."""

    process: int
    locked: float
    begun: int | None = None
    """Epochs that it found done, if it got so far."""
    trained: int = 0
    """The last epoch that it trained, from 1; 0 if none."""
    kept: int = 0
    """The last epoch that it has saved."""
    finishing: bool = False
    finished: bool = False
    unlocked: float | None = None
    killed: int | None = None
    """The number of the kill that hit it."""

    @property
    def open(self) -> bool:
        """Whether the process is at it, as far as is known."""
        return self.unlocked is None and self.killed is None

    def __str__(self) -> str:
        if self.begun is None:
            return "starting"
        if self.finishing:
            return "finishing"
        if self.trained > self.kept:
            return f"saving epoch {self.trained}"
        return f"after epoch {self.trained}"


def is_alive(process: int) -> bool:
    """Whether a process exists and is no corpse that nobody has fetched."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def is_dead_soon(process: int) -> bool:
    """Whether a process ends within some seconds."""
    end = time.monotonic() + SECONDS_TO_DIE
    while is_alive(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


@dataclass
class Log:
    """The attempts at every run, in order, checked as they are read.

    An AssertionError says which promise was broken.
    """

    path: Path
    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    """Messages of sweeps that failed."""
    kills: int = 0
    """So far."""
    _read: int = 0

    def new_events(self) -> list[Event]:
        """What was appended since the last time."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self._read += len(whole) + 1
        events = []
        for line in whole.decode().split("\n"):
            when, process, what, run, epoch = line.split("\t")
            events.append(Event(float(when), int(process), what, run, int(epoch)))
            self._take(events[-1])
        return events

    def open_attempts(self) -> list[tuple[str, Attempt]]:
        """Run and attempt, of all that are under way."""
        return [(run, all_[-1]) for run, all_ in self.attempts.items() if all_[-1].open]

    def bury(self) -> list[tuple[str, Attempt]]:
        """Count attempts of dead processes as killed by the last kill; those that are new to it."""
        dead = [(run, last) for run, last in self.open_attempts() if not is_alive(last.process)]
        self.new_events()  # what they noted before they died
        dead = [(run, attempt) for run, attempt in dead if attempt.open]
        for _, attempt in dead:
            attempt.killed = self.kills
        return dead

    def _take(self, event: Event) -> None:
        if event.what == "RunsFailed":
            self.failures.append(event.run)
            return
        attempts = self.attempts[event.run]
        if event.what == "locked":
            if attempts and attempts[-1].open:
                assert is_dead_soon(attempts[-1].process), f"two processes are at {event.run}"
                attempts[-1].killed = self.kills
            attempts.append(Attempt(event.process, event.when))
            return
        attempt = attempts[-1]
        assert attempt.process == event.process, f"{event.run} is not locked by {event.process}"
        match event.what:
            case "unlocked":
                attempt.unlocked = event.when
            case "begun":
                self._check_start(event)
                attempt.begun = attempt.trained = attempt.kept = event.epoch
            case "trained":
                expected = attempt.trained + 1
                assert event.epoch == expected, (
                    f"epoch {event.epoch} of {event.run}, not {expected}"
                )
                attempt.trained = event.epoch
            case "kept":
                attempt.kept = event.epoch
            case "finishing":
                assert not any(a.finished for a in attempts), f"{event.run} is finished twice"
                attempt.finishing = True
            case "finished":
                attempt.finished = True

    def _check_start(self, event: Event) -> None:
        """It goes on after the last epoch that was saved; one that was just being saved may count.

        So every kill costs a run at most the epoch that it was in.
        """
        before = [attempt for attempt in self.attempts[event.run][:-1] if attempt.begun is not None]
        assert not any(a.finished for a in before), f"{event.run} is trained, though it is finished"
        possible = {before[-1].kept, before[-1].trained} if before else {0}
        assert event.epoch in possible, (
            f"{event.run} goes on after epoch {event.epoch}, though {min(possible)} were saved"
        )

    def check_whole(self, run: str, epochs: int) -> int:
        """Require that a finished run was trained once; the epochs that were begun again.

        Args:
            run: its id.
            epochs: that it has; of one that collapsed, those before.
        """
        attempts = self.attempts[run]
        worked = [attempt for attempt in attempts if attempt.begun is not None]
        kills = sum(attempt.killed is not None for attempt in attempts)
        over = [a for a in attempts if a.finished or (a.finishing and a.killed is not None)]
        assert over and over[-1].finishing, f"nobody finished {run}"
        assert len(over) - 1 <= kills and sum(a.finished for a in over) <= 1
        trained = sum(attempt.trained - attempt.begun for attempt in worked)
        assert epochs <= trained <= epochs + kills, f"{trained} epochs of {run}, which has {epochs}"
        again = trained - epochs  # trained to the end, but not saved
        in_the_midst = [a for a in worked if a.killed is not None and not a.finishing]
        return again + sum(a.trained == a.kept and a.trained < epochs for a in in_the_midst)
