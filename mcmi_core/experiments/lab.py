"""How an experiment gets at its runs: ask for them, get one tidy table.

There are two ways to answer: from records, in seconds and on any machine (replay), or from the
store, training whatever is missing. The tables look the same.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import pandas as pd

from mcmi_core.base.errors import NotMeasured, StoreError
from mcmi_core.runs.config import Measurement, Run
from mcmi_core.runs.records import Record, flat_metrics


class Source(Protocol):
    """Where finished runs are looked up: the store, or a folder of records."""

    def record(self, run: Run) -> Record | None:
        """The record of a finished run, or None."""


class Lab:
    """Access to the runs of one profile.

    Args:
        profile: its name.
        source: where finished runs are looked up.
        train: makes the records of runs that have none; None: only those that exist answer.
    """

    def __init__(
        self,
        profile: str,
        source: Source,
        train: Callable[[list[Run], int | None], None] | None = None,
    ) -> None:
        self.profile = profile
        self._source = source
        self._train = train
        self._found: dict[str, Record] = {}
        self._ensured: set[str] = set()

    def ensure(self, runs: Iterable[Run], workers: int | None = None) -> None:
        """Train the runs that have no record yet, all at once; in a replay, do nothing.

        Args:
            runs: that tables will be asked of.
            workers: runs at a time; the default is the profile's.

        Raises:
            RunsFailed: training failed.
            OutOfTime: the deadline came first.
        """
        missing = [run for run in runs if run.key not in self._ensured]
        if self._train and missing:
            self._train(missing, workers)
            self._ensured |= {run.key for run in missing}

    def collect(self, runs: Iterable[Run], metrics: Collection[str] = ()) -> pd.DataFrame:
        """One row per run: what it was (configuration) and how it ended (final metrics).

        Columns: ``id``, ``key``, ``parent_key``, ``label``, ``status``, the configuration
        flattened (``model_width``, ``teacher_objective_lam``), and each metric by split
        (``test_accuracy_percent``, ``train_cmi_nats``). ``best_test_accuracy_percent`` is the best
        evaluated epoch, SELECTED ON TEST; ``test_accuracy_percent`` is the last epoch's. A run
        whose teacher collapsed has status ``not run`` and no metrics; a student whose distiller
        cannot compare it with its teacher has status ``incompatible``, and none either.

        Args:
            runs: what is asked for.
            metrics: columns that are there, empty, even if no run has the metric.

        Raises:
            NotMeasured: a record is missing and training is not allowed.
            StoreError: some records are damaged; names all of them.
            RunsFailed: training failed.
        """
        rows = [_describe(run) | _outcome(record) for run, record in self._ask(runs)]
        return _with_columns(pd.DataFrame(rows), metrics)

    def collect_histories(self, runs: Iterable[Run], metrics: Collection[str] = ()) -> pd.DataFrame:
        """One row per run and evaluated epoch; as :meth:`collect`, with column ``epoch``."""
        return self._rows(runs, lambda record: record.history, ["epoch", *metrics])

    def collect_results(
        self, measurements: Iterable[Measurement], metrics: Collection[str] = ()
    ) -> pd.DataFrame:
        """One row per measurement and line of its result; as :meth:`collect`."""
        return self._rows(measurements, lambda record: record.result, metrics)

    def provenance(self) -> str:
        """Where the numbers collected so far come from: a line per machine and software.

        It names the days on which they were made, and the commits.
        """
        if not self._found:
            return "no runs collected yet"
        table = pd.DataFrame([record.provenance for record in self._found.values()])
        if "seconds" not in table:
            table["seconds"] = 0.0
        groups = table.groupby(["hardware", "threads", "torch"])
        return "\n".join(
            f"{_counted(len(group), 'run')}, {group['seconds'].sum() / 60:.1f} min of training, on "
            f"{hardware}, {_counted(threads, 'thread')} each, torch {version}, {_made_by(group)}"
            for (hardware, threads, version), group in groups
        )

    def __str__(self) -> str:
        source = "training what is missing" if self._train else "replaying records"
        return f"profile {self.profile}: {source}"

    def _rows(
        self, runs: Iterable[Run], columns_of: Callable[[Record], dict], expected: Collection[str]
    ) -> pd.DataFrame:
        """Without any row, the columns are those that describe the runs, and the expected ones."""
        rows, described = [], {}
        for run, record in self._ask(runs):
            described |= _describe(run)
            if record is not None:
                columns = columns_of(record)
                about = _describe(run)
                for values in zip(*columns.values(), strict=True):
                    rows.append(about | dict(zip(columns, values, strict=True)))
        table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(described))
        return _with_columns(table, expected)

    def _ask(self, runs: Iterable[Run]) -> list[tuple[Run, Record | None]]:
        """Each run with its record, or with None if a run that it builds on did not succeed."""
        runs = list(runs)
        self.ensure(runs)
        answers, missing, damaged = [], [], []
        for run in runs:
            try:
                chain = [self._record(link) for link in run.chain()]
            except StoreError as error:
                damaged.append(str(error))
                continue
            answers.append((run, chain[-1]))
            impossible = any(record and record.status != "done" for record in chain)
            if chain[-1] is None and not impossible:
                missing.append(run.id)
        if damaged:
            raise StoreError("; ".join(dict.fromkeys(damaged)))
        if missing:
            raise NotMeasured(
                f"{len(missing)} of {len(runs)} runs have no record in the {self.profile!r} "
                f"records (the first: {missing[0]}). To train them: set train = True in the "
                f"notebook, or: mcmi notebook run NAME --profile {self.profile} --train --output ."
            )
        return answers

    def _record(self, run: Run) -> Record | None:
        """Looked up once, if there is one."""
        if run.key not in self._found and (record := self._source.record(run)):
            self._found[run.key] = record
        return self._found.get(run.key)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _made_by(group: pd.DataFrame) -> str:
    """Days and commits of runs; one that went on under another commit names both."""
    first, last = group["date"].min(), group["date"].max()
    days = first if first == last else f"{first} to {last}"
    commits = sorted({each for commit in group["commit"] for each in commit.split(", then ")})
    return f"{days}, commit{'' if len(commits) == 1 else 's'} {', '.join(commits)}"


def _with_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """With those of the columns that it lacks, as NaN."""
    lacking = [name for name in names if name not in table]
    return table.assign(**dict.fromkeys(lacking, float("nan")))


def _describe(run: Run) -> dict:
    """The configuration in flat columns."""
    parent = run.parent
    names = {"id": run.id, "key": run.key, "parent_key": parent.key if parent else None}
    return names | {"label": run.label} | _flat(run.model_dump(mode="json"))


def _flat(config: dict, prefix: str = "") -> dict:
    columns = {}
    for name, value in config.items():
        if isinstance(value, dict):
            columns |= _flat(value, f"{prefix}{name}_")
        else:
            columns[f"{prefix}{name}"] = value
    return columns


def _outcome(record: Record | None) -> dict:
    if record is None:
        return {"status": "not run"}
    metrics = flat_metrics(record.metrics)
    accuracies = [a for a in record.history.get("test_accuracy_percent", []) if a is not None]
    if accuracies:
        metrics["best_test_accuracy_percent"] = max(accuracies)
    return {"status": record.status} | metrics
