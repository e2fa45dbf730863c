"""A profile: the settings of every experiment at one size.

What trains or needs data is imported where it is used: to replay records takes no torch.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcmi_core import experiments
from mcmi_core.base.errors import CompanionError, RunsFailed, StoreError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.messages import meant, quoted
from mcmi_core.base.paths import cluster_scheduler, records_root, store_root
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.lab import Lab
from mcmi_core.runs.config import Run
from mcmi_core.runs.records import Record, Records

if TYPE_CHECKING:
    import torch

CLAIMS = "99_claims"
"""The notebook that shows the runs of all experiments."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What every notebook runs, at one size."""

    name: str
    needs_gpu: bool
    """Whether it is trained on a GPU; if not, on the CPU, even where there is a GPU: networks that
    small are faster there, and a record says the same wherever it was made."""
    workers: int | None
    """Runs at a time; None: one per processor core, on a GPU as many as keep it busy."""
    experiments: tuple[Experiment, ...]
    """In reading order. What is asked on several data sets is there once for each."""

    def device(self) -> "torch.device":
        """Where its runs are trained."""
        import torch

        from mcmi_core.base.device import default_device

        return default_device() if self.needs_gpu else torch.device("cpu")

    def named(self, name: str) -> list[Experiment]:
        """The experiments of that name with this profile's settings, one for each data set.

        None where the profile leaves that experiment out.

        Raises:
            CompanionError: there is no experiment of that name.
        """
        known = sorted(getattr(experiments, kind).name for kind in experiments.__all__)
        if name not in known:
            raise CompanionError(
                f"unknown experiment {quoted(name)}; choose from {', '.join(known)}"
                f"{meant(name, known)}"
            )
        return [experiment for experiment in self.experiments if experiment.name == name]

    def experiments_of(self, notebooks: Collection[str]) -> list[Experiment]:
        """The experiments whose runs some notebooks show, in reading order.

        Args:
            notebooks: names. One without an experiment has no runs; ``99_claims`` shows all.
        """
        everything = CLAIMS in notebooks
        return [e for e in self.experiments if everything or e.name in notebooks]

    def lab(self, train: bool = False) -> Lab:
        """Access to its runs.

        Args:
            train: whether to train what is missing, into the store, on this machine or on the
                cluster that ``MCMI_CLUSTER`` names; if not, only the records in ``MCMI_RECORDS``,
                by default the committed ones, answer.
        """
        if not isinstance(train, bool):  # such as "False", which would train for hours
            raise CompanionError(f"train must be True or False, got {quoted(train)}")
        if not train:
            return Lab(self.name, Records(records_root() / self.name))
        from mcmi_core.runs.execute import execute
        from mcmi_core.runs.queue import Queue
        from mcmi_core.runs.store import Store

        store = Store(store_root())

        def train_missing(runs: list[Run], workers: int | None) -> None:
            scheduler = cluster_scheduler() if Queue(runs, store).waiting else ""
            with self._place(scheduler) as place:
                execute(runs, store, workers=workers or self.workers, **place)

        return Lab(self.name, store, train_missing)

    @contextmanager
    def _place(self, scheduler: str) -> Iterator[dict[str, Any]]:
        """Where :func:`~mcmi_core.runs.execute.execute` trains: here, or on a cluster."""
        if not scheduler:
            yield {"device": self.device()}
            return
        import torch

        from mcmi_core.runs.cluster_client import connected

        with connected(scheduler) as cluster:
            yield {"device": torch.device("cuda" if self.needs_gpu else "cpu"), "cluster": cluster}

    def train(
        self,
        experiments: Collection[Experiment],
        deadline: float = math.inf,
        records: Path | None = None,
        say: Callable[[str], None] = print,
        cluster: str = "",
    ) -> None:
        """Train what is missing of some experiments, all at once, into the store.

        Args:
            experiments: of this profile.
            deadline: when to stop, in seconds since 1970.
            records: a folder for the records of all their runs; None: they are in the store only.
            say: told what became of an experiment's runs: ``04_zero_shot: 57 done, 1 collapsed``.
            cluster: address or file of the scheduler of a cluster to train on; by default the one
                that ``MCMI_CLUSTER`` names, if any.

        Raises:
            CompanionError, DataError: as :meth:`check` of experiments that are not all trained,
                before anything is; or the cluster lacks what they need.
            RunsFailed: some runs failed; all that could be trained without them are trained.
            OutOfTime: the deadline came first.
        """
        from mcmi_core.runs.execute import execute
        from mcmi_core.runs.queue import Queue
        from mcmi_core.runs.store import Store

        cluster = cluster or cluster_scheduler()
        store, failures, runs_by_workers = Store(store_root()), [], defaultdict(list)
        # What was trained elsewhere, as by a sprint, needs no GPU any more.
        if unfinished := [each for each in experiments if Queue(each.runs(), store).waiting]:
            self.check(unfinished, here=not cluster)
        for experiment in experiments:
            runs_by_workers[experiment.workers or self.workers] += experiment.runs()
        with self._place(cluster if unfinished else "") as place:
            for workers, runs in runs_by_workers.items():
                try:
                    execute(runs, store, workers=workers, deadline=deadline, **place)
                except RunsFailed as error:
                    failures.append(str(error))
        for experiment in experiments:
            found, unreadable = _records(experiment, store)
            statuses = Counter(record.status if record else "not run" for record in found.values())
            statuses += Counter(unreadable=unreadable)
            outcome = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
            say(f"{experiment.name}: {outcome}")
            for run_id, record in found.items():
                if records and record:
                    path = records / self.name / f"{run_id}.json"
                    write_atomically(path, record.to_json(), durable=False)
        if failures:
            raise RunsFailed("\n".join(failures))

    def check(self, experiments: Collection[Experiment], here: bool = True) -> None:
        """Fail now, not after hours, if a GPU or a data set is missing.

        ImageNet, which few have at hand and which takes long to decode, is left to the runs that
        need it.

        Args:
            experiments: of this profile.
            here: whether this machine trains them, and so needs the GPU.

        Raises:
            CompanionError: the profile needs a GPU and there is none.
            DataError: a data set cannot be found or downloaded.
        """
        from mcmi_core.data import load_dataset

        if here and self.needs_gpu and self.device().type != "cuda":
            raise CompanionError(
                f"profile {self.name!r} needs a CUDA GPU and torch finds none; PROFILE=smoke runs "
                "the same notebooks on a CPU"
            )
        checked = [experiment for experiment in experiments if experiment.data_is_checked]
        for data in sorted({pair.data for e in checked for pair in e.all_pairs()}):
            load_dataset(data)


def _records(experiment: Experiment, store: Records) -> tuple[dict[str, Record | None], int]:
    """Of all its runs and of what they build on, by id; and how many cannot be read."""
    links = {link.id: link for run in experiment.runs() for link in run.chain()}
    records, unreadable = {}, 0
    for run_id, link in links.items():
        try:
            records[run_id] = store.record(link)
        except StoreError:  # which training has reported
            unreadable += 1
    return records, unreadable
