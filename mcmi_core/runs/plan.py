"""What a list of runs would cost: which are done, which are missing, and how long those take."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from mcmi_core.runs import Measurement, Run, Student, Teacher
from mcmi_core.runs.store import Record, Store


@dataclass(frozen=True)
class PlannedKind:
    """All runs of one kind: equal in stage, data, networks and method, whatever their seeds."""

    kind: str
    """``student resnet8 kd on digits``."""
    runs: int
    done: int
    epochs_left: int
    seconds_per_epoch: float | None
    """Median over finished runs of this kind on the same hardware; None if there are none."""

    @property
    def seconds_left(self) -> float | None:
        """Of one process; None where nothing of this kind has been timed."""
        if not self.epochs_left:
            return 0.0
        return self.seconds_per_epoch and self.seconds_per_epoch * self.epochs_left


def plan(
    runs: Iterable[Run], store: Store, finished: Iterable[Record], hardware: str
) -> list[PlannedKind]:
    """What training ``runs``, and all that they build on, would take.

    Args:
        runs: that are wanted.
        store: where they would be trained; what it holds is done.
        finished: records to take times from.
        hardware: as provenance names it; only times measured on it count.

    Returns:
        One entry per kind of run, in the order in which they would be trained.
    """
    wanted = {link.key: link for run in runs for link in run.chain()}
    done = {key for key, run in wanted.items() if store.path(run.id).exists()}
    times = _seconds_per_epoch(finished, hardware)
    kinds: dict[str, list[Run]] = {}
    for run in wanted.values():
        kinds.setdefault(_kind(run), []).append(run)
    return [
        PlannedKind(
            kind,
            len(members),
            sum(run.key in done for run in members),
            sum(run.epochs for run in members if run.key not in done),
            times.get(kind),
        )
        for kind, members in kinds.items()
    ]


def _seconds_per_epoch(finished: Iterable[Record], hardware: str) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    for record in finished:
        run, seconds = record.parsed_run, record.provenance.get("seconds")
        epochs = len(record.history.get("epoch", []))
        if seconds and epochs and record.provenance["hardware"] == hardware:
            times.setdefault(_kind(run), []).append(seconds / epochs)
    return {kind: median(values) for kind, values in times.items()}


def _kind(run: Run) -> str:
    options = {name: value for name, value in run.data.options.items() if name != "seed"}
    data = str(type(run.data)(name=run.data.name, **options))
    match run:
        case Measurement():
            words = [run.what.name, "of a", run.of.stage]
        case Teacher():
            words = [run.model, run.objective.name]
        case Student():
            words = [run.model, run.distiller.name]
        case _:
            words = [run.label]
    return " ".join(map(str, [run.stage, *words, "on", data]))
