"""What became of runs that were asked for together, and what is kept of those that failed."""

import platform
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from mcmi_core.base.errors import CompanionError, ParentDamaged
from mcmi_core.base.messages import without_breaks
from mcmi_core.runs.config import Run

LAST_LINES = 20
"""Of what a run said before it failed, that are kept."""


class Failure(BaseModel):
    """Why a run has no record; kept beside where that would be until it is asked for again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    reason: str
    """One line."""
    last_lines: tuple[str, ...] = ()
    """Of the traceback, or of what a killed process wrote; empty where the reason says it all."""
    killed: bool = False
    """Whether its process died, so that the run itself may have done nothing wrong."""
    parent_damaged: bool = False
    """Whether the run that it builds on is to be made again first."""
    host: str
    date: str

    @classmethod
    def of(cls, run: Run, error: BaseException) -> "Failure":
        """What is kept of an error."""
        lines = []
        if not isinstance(error, CompanionError):  # whose message is meant for people
            lines = "".join(traceback.format_exception(error)).splitlines()[-LAST_LINES:]
        reason = without_breaks(error) or type(error).__name__
        if lines:
            reason = f"{type(error).__name__}: {reason}"
        return cls._now(run, reason, lines, parent_damaged=isinstance(error, ParentDamaged))

    @classmethod
    def of_killed(
        cls, run: Run, how: str, epochs_left: int, lines: Iterable[str] = ()
    ) -> "Failure":
        """What is kept of a run whose process died.

        Args:
            run: that it trained.
            how: it died.
            epochs_left: of the run, by its last checkpoint.
            lines: that the process wrote last.
        """
        done = f"after epoch {run.epochs - epochs_left} of {run.epochs}"
        return cls._now(run, f"{how} {done}; run again to go on", lines, killed=True)

    @classmethod
    def _now(cls, run: Run, reason: str, lines: Iterable[str], **why: bool) -> "Failure":
        return cls(
            run_id=run.id,
            reason=reason,
            last_lines=tuple(line for line in lines if line.strip())[-LAST_LINES:],
            **why,
            host=platform.node(),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        )


class Outcome(NamedTuple):
    """What became of a run."""

    key: str
    usable: bool = False
    """Whether others can build on it: it is done, and neither collapsed nor incompatible."""
    failure: Failure | None = None
    """Why it has no record."""
