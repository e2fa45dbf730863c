"""From a run's configuration to its record; :mod:`mcmi_core.runs.execute` does so for many runs."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from mcmi_core.base import processes
from mcmi_core.base.device import default_device, make_reproducible, own_arithmetic, place
from mcmi_core.base.errors import (
    Damaged,
    DataError,
    IncompatibleNetworks,
    NonFiniteLogits,
    ParentDamaged,
    StoreError,
    TrainingCollapsed,
)
from mcmi_core.base.messages import without_breaks
from mcmi_core.base.seeding import WEIGHTS, seed_torch
from mcmi_core.components import DISTILLERS, MEASUREMENTS, OBJECTIVES
from mcmi_core.criterion import Criterion
from mcmi_core.data import load_dataset
from mcmi_core.data.loader import EpochPlan, training_batches
from mcmi_core.data.split import Dataset, Split
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.folding import fold_batch_norms
from mcmi_core.runs import provenance
from mcmi_core.runs.config import (
    BayesTeacher,
    Measurement,
    Part,
    Run,
    Student,
    Teacher,
    TeacherHeads,
)
from mcmi_core.runs.records import Record, flat_metrics
from mcmi_core.runs.same_data import FINGERPRINT, check_same_data
from mcmi_core.runs.sharing import check_shareable, finished, lock
from mcmi_core.runs.stacking import axis
from mcmi_core.runs.store import Store
from mcmi_core.runs.teacher_logits import remembers, teacher_logits
from mcmi_core.training.global_batch_norm import use_global_statistics
from mcmi_core.training.lanes import run_in_lanes
from mcmi_core.training.loop import Checkpoint, Metrics, Row, Training, run_in_step, training
from mcmi_core.training.shared import SharedSteps
from mcmi_core.training.stacked import train_together

GLANCED_SAMPLES = 10_000
"""Of the training split, that are evaluated between epochs, in equal shares from every class; after
the last epoch, all are. Of n samples of each class, CMI is too low by about one part in n."""

TIME_FOR_CHECKPOINTS = 0.05
"""Of a process's time, at most, that goes into checkpoints. There is one after every epoch, fewer
where they would take more. The first epoch always has one."""

LONGEST_WITHOUT_CHECKPOINT = 3600
"""Seconds, however long the last one took: the computer may have slept meanwhile."""


def ensure(
    run: Run,
    store: Store,
    device: torch.device | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> Record:
    """The record of a run, made now if need be, along with all runs that it builds on.

    An interrupted run goes on after its last checkpoint (:data:`TIME_FOR_CHECKPOINTS`). Of several
    processes that ask for the same run at once, one trains and the others wait; those that were
    started together (:mod:`mcmi_core.base.processes`) all ask, and train it together.

    Args:
        run: what to do.
        store: where results are kept.
        device: where to train; the default is the GPU if there is one.
        on_epoch: called after every epoch.

    Returns:
        The record; its status is ``collapsed`` when training collapsed, and ``incompatible``
        when the distiller cannot compare student and teacher.

    Raises:
        TrainingCollapsed: a run that this one builds on collapsed.
        IncompatibleNetworks: a run that this one builds on cannot be trained.
        DataError: the data set is missing.
        StoreError: the store cannot be read or written.
        CompanionError: several processes cannot share it, or see other data or another store.
    """
    for link in run.chain():
        check_shareable(link)
    links, position, sent_back = list(run.chain()), 0, set()
    while position < len(links):
        link = links[position]
        try:
            [record] = ensure_together([link], store, device, on_epoch)
        except ParentDamaged:
            if link.key in sent_back:
                raise
            sent_back.add(link.key)
            position -= 1  # to the run that it builds on
            continue
        position += 1
        if record.status != "done" and link is not run:
            kind = TrainingCollapsed if record.status == "collapsed" else IncompatibleNetworks
            raise kind(f"{run.id} builds on {link.id}, which is {record.status}. {record.message}")
    return record


def ensure_together(
    runs: list[Run],
    store: Store,
    device: torch.device | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> list[Record]:
    """The records of runs; those that are missing are made side by side.

    Args:
        runs: of one :func:`~mcmi_core.runs.stacking.axis`, or a single one; what they build on must
            be finished.
        store: where results are kept.
        device: where to train; the default is the GPU if there is one.
        on_epoch: called after every epoch of each run.

    Returns:
        The records, in the order of ``runs``; see :func:`ensure`.

    Raises:
        DataError: a data set is missing.
        ParentDamaged: what they build on is to be made again first.
        StoreError: the store cannot be read or written.
    """
    # In an order that all processes agree on, so that no two wait for each other's locks; runs on
    # the same data one after the other, so that it is loaded once.
    distinct = {run.key: run for run in runs}.values()
    ordered = sorted(distinct, key=lambda run: (str(run.data), run.key))
    device = device or default_device()
    trainings = [make(run, store, device, on_epoch, streams=len(ordered)) for run in ordered]
    with own_arithmetic(runs[0].threads):
        if processes.number() > 1:
            records = [run_in_step([one], SharedSteps().advance)[0] for one in trainings]
        elif device.type == "cuda":
            records = run_in_lanes(trainings, device)
        elif axis(runs[0]):
            records = run_in_step(trainings, train_together)
        else:
            records = run_in_step(trainings)
    by_key = {record.key: record for record in records}
    return [by_key[run.key] for run in runs]


def load_model(run: Run, store: Store, device: torch.device) -> nn.Module:
    """The network of a finished run, in eval mode; for a Bayes teacher, the exact posterior.

    Raises:
        StoreError: the run has no network or is not finished, or its weights are missing or
            those of another run.
        Damaged: its record or its weights are not what was written.
        DataError: the data set is missing or was another when the run was made, or its posterior is
            not known.
    """
    if isinstance(run, Measurement):
        raise StoreError(f"{run.id} has no network; use the run that it measured, {run.of.id}")
    dataset = load_dataset(run.data)
    if isinstance(run, BayesTeacher):
        return exact_posterior(run, dataset).to(device).eval()
    record = store.record(run)
    if record is None:
        raise StoreError(f"{run.id} is not finished in {store.root}")
    check_same_data(run, record.provenance, store)
    if record.status == "incompatible":
        raise StoreError(f"{run.id} has no network, as it could not be trained. {record.message}")
    model = create_untrained(run, dataset)
    try:
        model.load_state_dict(store.weights(run))
    except RuntimeError as error:
        reason = without_breaks(error)
        raise StoreError(f"the weights of {run.id} do not fit its network: {reason}") from error
    return place(model, device).eval()


def _load_parent(parent: Run, store: Store, device: torch.device) -> nn.Module:
    """The network that a run builds on; if its files are damaged, they are set aside.

    Raises:
        ParentDamaged: it is to be made again first; if it was already, it cannot be used.
        StoreError: it cannot be used, and several processes share the run.
        DataError: as :func:`load_model`.
    """
    try:
        return load_model(parent, store, device)
    except Damaged as damage:
        if processes.number() > 1:
            raise Damaged(f"{damage}; the same command in one process makes it again") from None
        store.reopen(parent)
        raise ParentDamaged(str(damage)) from None
    except StoreError as error:
        if processes.number() > 1:
            raise
        # Another process may have set it aside, and even made it again. The run begins anew, as
        # what was drawn for a network that was not loaded would change its random numbers.
        raise ParentDamaged(str(error)) from None


def create_untrained(run: Teacher | TeacherHeads | Student, dataset: Dataset) -> nn.Module:
    """The network of a run as it is before training, on the CPU."""
    model = create_model(
        run.model,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
    )
    return HeadedNetwork(model) if isinstance(run, TeacherHeads) else model


def exact_posterior(run: BayesTeacher, dataset: Dataset) -> nn.Module:
    """The network of a Bayes teacher.

    Raises:
        DataError: the data set knows none.
    """
    if dataset.bayes_classifier is None:
        raise DataError(f"the true BCPD of data set {run.data.name!r} is not known; use oracle")
    return dataset.bayes_classifier


def create_distiller(
    run: Student,
    dataset: Dataset,
    *,
    student: nn.Module,
    teacher: nn.Module,
    inputs: Tensor,
    labels: Tensor,
) -> Criterion:
    """The criterion of a student before training.

    Args:
        run: of the student.
        dataset: that it learns from.
        student: not yet trained.
        teacher: on the same device.
        inputs: (n, ...) on that device, any few; for their shape.
        labels: (N,) of all samples that it learns from.

    Raises:
        IncompatibleNetworks: the distiller cannot compare these networks.
        ValueError: an option that it refuses.
    """
    sample = dataset.normalise(inputs)
    networks = {"student": student, "teacher": teacher}
    return DISTILLERS.build(run.distiller, **networks, sample=sample, labels=labels)


def make(
    run: Run,
    store: Store,
    device: torch.device,
    on_epoch: Callable[[], None],
    *,
    wait: bool = True,
    streams: int = 1,
) -> Training[Record]:
    """The record of a run whose parent is finished, as a training that asks for its steps.

    Args:
        run: what to do.
        store: where results are kept.
        device: where to train.
        on_epoch: called after every epoch.
        wait: for another process that is making it.
        streams: runs that this process makes at a time.

    Returns:
        As :func:`ensure`, and with its errors.

    Raises:
        filelock.Timeout: another process is making it, and this one is not to wait.
    """
    make_reproducible(device)
    record = finished(run, store)
    if record is None:
        with lock(run, store, wait):  # another process may have made it, while this one waited
            record = finished(run, store)
            if record is None:
                return (yield from _execute(run, store, device, on_epoch, streams))
    store.tidy(run)
    check_same_data(run, record.provenance, store)
    return record


def _execute(
    run: Run,
    store: Store,
    device: torch.device,
    on_epoch: Callable[[], None],
    streams: int,
) -> Training[Record]:
    """Measure or train, as the run says, and keep the record and the weights."""
    dataset = load_dataset(run.data)
    processes.check_same(f"data {run.data}", dataset.fingerprint())
    about = provenance.describe(device) | {FINGERPRINT: dataset.fingerprint()}
    if device.type == "cuda" and run.epochs:
        about["streams"] = streams
    weights = None
    match run:
        case Measurement():
            result = MEASUREMENTS.build(
                run.what,
                model=_load_parent(run.of, store, device),
                dataset=dataset,
                split=getattr(dataset, run.split).to(device),
                device=device,
            )
            outcome = {"result": result}
        case BayesTeacher():
            truth, splits = load_model(run, store, device), ("train", "test")
            metrics = {s: evaluate(truth, dataset, getattr(dataset, s), device) for s in splits}
            outcome = {"metrics": metrics}
        case _:
            try:
                job = _Job(run, dataset, store, device, on_epoch, streams, about)
                outcome, weights = yield from job.train()
                about = job.about | job.expense()
            except IncompatibleNetworks as reason:  # a result: a table has a row for it
                outcome = {"status": "incompatible", "message": str(reason)}
    record = Record(key=run.key, run=run.model_dump(mode="json"), provenance=about, **outcome)
    processes.from_first(lambda: store.finish(run, record, weights))
    return record


@dataclass
class _Samples:
    """A part of the training split, or the test split, on a device."""

    split: Split
    epoch_length: int

    @cached_property
    def glance(self) -> Split:
        """What is evaluated of it between epochs."""
        if len(self.split) <= GLANCED_SAMPLES:
            return self.split
        return self.split.fraction(GLANCED_SAMPLES / len(self.split), seed=0)


_samples: WeakValueDictionary[tuple, _Samples] = WeakValueDictionary()
"""What runs under way hold: those that see the same samples share them."""


def _on_device(dataset: Dataset, part: Part | None, device: torch.device) -> _Samples:
    """A part of the training split, or with None the test split, once on a device."""
    found = _samples.get((dataset, part, device))
    if found is None:
        split, length = part.select(dataset.train) if part else (dataset.test, len(dataset.test))
        found = _samples[dataset, part, device] = _Samples(split.to(device), length)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # before another stream reads them
    return found


@dataclass
class _Job:
    """The training of a teacher, of auxiliary heads or of a student."""

    run: Teacher | TeacherHeads | Student
    dataset: Dataset
    store: Store
    device: torch.device
    on_epoch: Callable[[], None]
    streams: int
    """Runs that this process makes at a time."""
    about: dict[str, Any]
    """Provenance: of this process, and of those that trained earlier epochs."""
    history: list[Row] = field(default_factory=list)
    next_save: float = -math.inf
    """When to save a checkpoint again, by the monotonic clock."""

    def __post_init__(self) -> None:
        self.samples = {
            "train": _on_device(self.dataset, self.run.part, self.device),
            "test": _on_device(self.dataset, None, self.device),
        }
        self.splits = {name: samples.split for name, samples in self.samples.items()}
        self.epoch_length = self.samples["train"].epoch_length
        seed_torch(self.run.seed, 0, WEIGHTS)
        match self.run:
            case Teacher():
                self.model, self.criterion = self._teacher()
            case TeacherHeads():
                self.model, self.criterion = self._heads()
            case Student():
                self.model, self.criterion = self._student()
        if processes.number() > 1:
            use_global_statistics(self.model)
            use_global_statistics(self.criterion)

    def _teacher(self) -> tuple[nn.Module, Criterion]:
        if self.run.start is None:
            model = create_untrained(self.run, self.dataset)
        else:
            model = _load_parent(self.run.start, self.store, self.device)
        objective = OBJECTIVES.build(self.run.objective, num_classes=self.dataset.num_classes)
        return self._place(model), self._place(objective)

    def _heads(self) -> tuple[nn.Module, Criterion]:
        model = HeadedNetwork(_load_parent(self.run.teacher, self.store, self.device))
        return self._place(model), self._place(HeadsLoss())

    def _student(self) -> tuple[nn.Module, Criterion]:
        run, dataset, split = self.run, self.dataset, self.splits["train"]
        # In this order, since both draw: a loaded network has random weights at first.
        student = self._place(create_untrained(run, dataset))
        teacher = self._place(_load_parent(run.teacher, self.store, self.device))
        remembering = remembers(run, dataset, split, self.epoch_length)
        reads_features = DISTILLERS.load(run.distiller.name).uses_features
        if run.recipe.precision == "bf16" and not (remembering or reads_features):
            # Rounded to bf16 either way. In float32, last digits of earlier results would change.
            teacher = self._place(fold_batch_norms(teacher))
        networks = {"student": student, "teacher": teacher}
        inputs = split.inputs[:2].to(self.device)
        distiller = create_distiller(run, dataset, **networks, inputs=inputs, labels=split.labels)
        self._place(distiller)
        if remembering:
            # Last, since what is placed is moved to the device, and these may be too large for it.
            logits = teacher_logits(run.teacher, teacher, dataset, split, self.store, self.device)
            distiller.remember(logits)
        return student, distiller

    def _place(self, module: nn.Module) -> nn.Module:
        return place(module, self.device, self.run.recipe.precision)

    def train(self) -> Training[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Train, keeping checkpoints; fields of the record, and the weights."""
        checkpoint, before = self.store.load_checkpoint(self.run, self.device)
        check_same_data(self.run, before, self.store)
        done = checkpoint.epoch if checkpoint else 0
        processes.check_same(f"the last epoch of {self.run.id} that was saved", done)
        self.about = provenance.joined(before, self.about)
        self.history = checkpoint.history if checkpoint else []
        self.started = time.monotonic() - before.get("seconds", 0.0)
        try:
            yield from training(
                self.model,
                self.criterion,
                self.epoch_batches,
                self.run.recipe,
                seed=self.run.seed,
                evaluate=self.evaluate,
                resume_from=checkpoint,
                on_epoch_end=self.keep,
            )
            last = self.history[-1]["metrics"]
            outcome = {"metrics": {split: last[split] for split in self.splits}}
        except TrainingCollapsed as collapse:
            # A result too: which settings collapse is what a sweep wants to know.
            outcome = {"status": "collapsed", "message": str(collapse), "metrics": {}}
            for split, samples in self.splits.items():
                with suppress(NonFiniteLogits):
                    outcome["metrics"] |= self.metrics(**{split: samples})
        return outcome | {"history": _columns(self.history)}, self.model.state_dict()

    def epoch_batches(self, epoch: int) -> EpochPlan:
        """The training batches of an epoch (from 0)."""
        return training_batches(
            self.dataset,
            self.splits["train"],
            batch_size=self.run.recipe.batch_size,
            epoch_length=self.epoch_length,
            seed=self.run.seed,
            epoch=epoch,
            device=self.device,
            part=processes.rank(),
            parts=processes.number(),
        )

    def evaluate(self, last: bool) -> Metrics:
        """The metrics of an epoch: of the test split, and of the other as the recipe says."""
        looked_at = {"test": self.splits["test"]}
        if last:
            looked_at["train"] = self.splits["train"]
        elif self.run.recipe.evaluate_train:
            looked_at["train"] = self.samples["train"].glance
        return self.metrics(**looked_at)

    def metrics(self, **splits: Split) -> Metrics:
        """Split → metric → value, of the model as it is now.

        Raises:
            NonFiniteLogits: they cannot be computed, or some are infinite.
        """
        metrics = {}
        for split, samples in splits.items():
            values = evaluate(self.model, self.dataset, samples, self.device)
            for name, value in values.items():
                if not math.isfinite(value):  # −inf for one class: its probability is exactly 0
                    raise NonFiniteLogits(f"{split}_{name} is {value}: some logits are infinite")
            metrics[split] = values
        return metrics

    def keep(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint of an epoch, if it is time to, and say that the epoch is over."""
        self.history = checkpoint.history
        begun = time.monotonic()
        if processes.is_first() and begun >= self.next_save:
            about = self.about | {"seconds": self.seconds}
            self.store.save_checkpoint(self.run, checkpoint, about)
            taken = time.monotonic() - begun
            pause = taken * self.streams / TIME_FOR_CHECKPOINTS
            self.next_save = begun + min(pause, LONGEST_WITHOUT_CHECKPOINT)
        self.on_epoch()

    @property
    def seconds(self) -> float:
        """Of training so far, those of earlier processes included."""
        return time.monotonic() - self.started

    def expense(self) -> dict[str, float]:
        """What the record says of its cost.

        Of runs stacked into one, a share of the seconds. On a card with several streams, seconds in
        which others were trained too.
        """
        together = max((row.get("trained_together", 1) for row in self.history), default=1)
        seconds = {"seconds": round(self.seconds / together, 1)}
        return seconds | ({"trained_together": together} if together > 1 else {})


def _columns(history: list[Row]) -> dict[str, list[float | None]]:
    """The rows of a history as columns, metrics among them; None where a row lacks a column."""
    rows = []
    for row in history:
        metrics = flat_metrics(row.get("metrics", {}))
        rows.append({name: row[name] for name in row if name != "metrics"} | metrics)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
