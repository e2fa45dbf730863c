"""How long runs take, as learnt from the records of others."""

import statistics
from collections import defaultdict

from mcmi_core.components import DATASETS, MODELS
from mcmi_core.runs.config import Run, Student
from mcmi_core.runs.records import Record


def kind(run: Run) -> str:
    """``student oracle mlp kd (width=32)``: stage, data, networks and method, but for the seed."""
    words = run.id.replace("-", " ").removesuffix(f" {run.key}")
    options = _options(run)
    return f"{words} ({', '.join(options)})" if options else words


def seconds_per_epoch(record: Record) -> float | None:
    """What training took; None where nothing was trained, or a record of others does not say."""
    epochs = len(record.history.get("epoch", []))
    seconds = record.provenance.get("seconds")
    return seconds / epochs if epochs and isinstance(seconds, int | float) else None


class Durations:
    """What an epoch of a run will take, in seconds, by the median of what others took.

    The others are those of its :func:`kind`. If none is done, they are those that have its networks
    and data; if none of these is done either, an epoch is taken to be as long as the longest.
    Before any is done it takes no time.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._medians: dict[str, float] = {}
        self._names: dict[str, tuple[str, str]] = {}  # by key of a run

    def learn(self, run: Run, seconds: float) -> None:
        """Take note of what an epoch of a finished run took."""
        for name in self._names_of(run):
            self._seconds[name].append(seconds)
            self._medians[name] = statistics.median(self._seconds[name])

    def expected(self, run: Run) -> float:
        """Of one epoch."""
        for name in self._names_of(run):
            if name in self._medians:
                return self._medians[name]
        return max(self._medians.values(), default=0.0)

    def _names_of(self, run: Run) -> tuple[str, str]:
        """What its seconds are remembered under, the narrower first."""
        if run.key not in self._names:
            self._names[run.key] = kind(run), f"networks: {_networks(run)}"
        return self._names[run.key]


def _networks(run: Run) -> str:
    """As its :func:`kind`, without the method."""
    model = getattr(run, "model", None)
    return " ".join([run.stage, run.data.name, model.name if model else "", *_options(run)])


def _options(run: Run) -> list[str]:
    """Of its data and networks, where they are not the default."""
    options = []
    for registry, component in ((DATASETS, run.data), (MODELS, getattr(run, "model", None))):
        if component:
            types = registry.option_types(component.name)
            for name, value in component.options.items():
                if name != "seed" and value != types[name][1]:
                    options.append(f"{name}={value}")
    if isinstance(run, Student):
        options.append(f"from {getattr(run.teacher, 'model', 'P*')}")
    return options
