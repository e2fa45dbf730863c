"""What a notebook calls: ask for runs, get one tidy table.

Two ways to answer: from the committed records, in seconds and on any machine (replay), or from
the store, training whatever is missing (train). The tables look the same.
"""

from collections.abc import Iterable

import pandas as pd

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import output_root, records_root, store_root
from mcmi_core.profiles import get_profile
from mcmi_core.runs import Measurement, Run
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Record, Records, Store


class Lab:
    """A notebook's access to runs.

    Args:
        profile: ``smoke``, ``gpu`` or ``paper``.
        train: whether to train what is missing; if not, only committed records answer.

    Raises:
        CompanionError: unknown profile.
    """

    def __init__(self, profile: str, train: bool = False) -> None:
        self.profile = get_profile(profile)
        self.train = train
        self._used: dict[str, Record] = {}

    def collect(self, runs: Iterable[Run], *, workers: int | None = None) -> pd.DataFrame:
        """One row per run: what it was (configuration) and how it ended (final metrics).

        Columns: ``id``, ``key``, ``parent_key``, ``label``, ``status``, the configuration
        flattened (``model_width``, ``teacher_objective_lam``), and each metric by split
        (``test_accuracy_percent``, ``train_cmi_nats``). ``best_test_accuracy_percent`` is the best
        evaluated epoch, SELECTED ON TEST; ``test_accuracy_percent`` is the last epoch's. A run
        whose teacher collapsed has status ``not run`` and no metrics; a student whose distiller
        cannot compare it with its teacher has status ``incompatible``, and none either.

        Args:
            runs: what to collect.
            workers: runs to train at a time, where they need more memory than others; the default
                is the profile's.

        Raises:
            NotMeasured: a record is missing and training is not allowed.
            RunsFailed: training failed.
        """
        return pd.DataFrame(
            [_describe(run) | _outcome(rec) for run, rec in self._ask(runs, workers)]
        )

    def collect_histories(self, runs: Iterable[Run]) -> pd.DataFrame:
        """One row per run and evaluated epoch; columns as :meth:`collect`, and ``epoch``."""
        return self._rows(runs, lambda record: record.history)

    def collect_results(self, measurements: Iterable[Measurement]) -> pd.DataFrame:
        """One row per measurement and line of its result; columns as :meth:`collect`."""
        return self._rows(measurements, lambda record: record.result)

    def provenance(self) -> str:
        """Where the numbers collected so far come from, in one line per software and machine."""
        if not self._used:
            return "no runs collected yet"
        table = pd.DataFrame([record.provenance for record in self._used.values()])
        if "seconds" not in table:
            table["seconds"] = 0.0
        groups = table.groupby(["hardware", "threads", "torch", "commit", "date"])
        return "\n".join(
            f"{len(group)} runs, {group['seconds'].sum() / 60:.1f} min of training, on {hardware}, "
            f"{threads} thread(s) each, torch {version}, commit {commit}, {date}"
            for (hardware, threads, version, commit, date), group in groups
        )

    def __str__(self) -> str:
        source = "training what is missing" if self.train else "replaying committed records"
        return f"profile {self.profile.name}: {source}"

    def _rows(self, runs: Iterable[Run], columns_of) -> pd.DataFrame:
        rows = [
            description | dict(zip(columns, values, strict=True))
            for run, record in self._ask(runs)
            if record is not None
            for description, columns in [(_describe(run), columns_of(record))]
            for values in zip(*columns.values(), strict=True)
        ]
        return pd.DataFrame(rows)

    def _ask(
        self, runs: Iterable[Run], workers: int | None = None
    ) -> list[tuple[Run, Record | None]]:
        """Each run with its record, or with None if a run that it builds on collapsed."""
        runs = list(runs)
        if self.train:
            source = Store(store_root())
            execute(runs, source, workers=workers or self.profile.workers)
        else:
            source = Records(records_root() / self.profile.name)
        answers, missing = [], []
        for run in runs:
            chain = [(link, source.record(link)) for link in run.chain()]
            self._used |= {link.key: record for link, record in chain if record}
            answers.append((run, chain[-1][1]))
            impossible = any(record and record.status != "done" for _, record in chain)
            if chain[-1][1] is None and not impossible:
                missing.append(run.id)
        if missing:
            raise NotMeasured(
                f"{len(missing)} of {len(runs)} runs have no record in {source.root.name!r} "
                f"records (the first: {missing[0]}). To train them: set train = True in the "
                f"notebook, or run: make figures PROFILE={self.profile.name}"
            )
        if self.train:
            self._export()
        return answers

    def _export(self) -> None:
        """Put the records behind the figures beside them, for ``make evidence`` to commit."""
        for record in self._used.values():
            path = output_root() / "records" / f"{record.id}.json"
            write_atomically(path, record.to_json(), durable=False)


def _describe(run: Run) -> dict:
    """The configuration in flat columns."""
    parent = run.parent
    config = pd.json_normalize(run.model_dump(mode="json"), sep="_").iloc[0].to_dict()
    names = {"id": run.id, "key": run.key, "parent_key": parent.key if parent else None}
    return names | {"label": run.label} | config


def _outcome(record: Record | None) -> dict:
    if record is None:
        return {"status": "not run"}
    metrics = {
        f"{split}_{name}": value
        for split, values in record.metrics.items()
        for name, value in values.items()
    }
    accuracies = [a for a in record.history.get("test_accuracy_percent", []) if a is not None]
    if accuracies:
        metrics["best_test_accuracy_percent"] = max(accuracies)
    return {"status": record.status} | metrics
