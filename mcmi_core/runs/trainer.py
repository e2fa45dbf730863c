"""From a run's configuration to its record: one run, here."""

import time
from collections.abc import Callable

import torch
from torch import nn

from mcmi_core.base.device import default_device, place
from mcmi_core.base.errors import DataError, IncompatibleNetworks, StoreError, TrainingCollapsed
from mcmi_core.base.seeding import seed_torch
from mcmi_core.criterion import Criterion
from mcmi_core.data import load_dataset
from mcmi_core.data.loader import training_batches
from mcmi_core.data.split import Dataset, Split
from mcmi_core.distillers import DISTILLERS
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.measures import MEASUREMENTS
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.objectives import OBJECTIVES
from mcmi_core.runs import (
    BayesTeacher,
    Measurement,
    Run,
    Student,
    Teacher,
    TeacherHeads,
    provenance,
)
from mcmi_core.runs.store import Record, Store
from mcmi_core.runs.teacher_logits import remembered_shape, teacher_logits
from mcmi_core.training.loop import Checkpoint, Row, Training, run_in_step, training
from mcmi_core.training.stacked import train_together


def ensure(
    run: Run,
    store: Store,
    device: torch.device | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> Record:
    """The record of a run, made now if need be, along with all runs that it builds on.

    An interrupted run goes on after its last whole epoch. Of several processes that ask for the
    same run at once, one trains and the others wait.

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
        IncompatibleNetworks: a run that this one builds on could not be.
        DataError: the data set is missing.
        StoreError: the store cannot be read or written.
    """
    for link in run.chain():
        [record] = ensure_together([link], store, device, on_epoch)
        if record.status == "collapsed" and link is not run:
            raise TrainingCollapsed(f"{run.id} builds on a collapsed run. {record.message}")
        if record.status == "incompatible" and link is not run:
            raise IncompatibleNetworks(f"{run.id} builds on {link.id}. {record.message}")
    return record


def ensure_together(
    runs: list[Run],
    store: Store,
    device: torch.device | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> list[Record]:
    """The records of runs, those that are missing made side by side, as if they were one training.

    Args:
        runs: of one :func:`~mcmi_core.training.stacked.axis`, or a single one; what they build on must be
            finished.
        store: where results are kept.
        device: where to train; the default is the GPU if there is one.
        on_epoch: called after every epoch of each run.

    Returns:
        The records, in the order of ``runs``; see :func:`ensure`.

    Raises:
        DataError: a data set is missing.
        StoreError: the store cannot be read or written.
    """
    # In an order that all processes agree on, so that no two wait for each other's locks; runs on
    # the same data one after the other, so that it is loaded once.
    distinct = {run.key: run for run in runs}.values()
    ordered = sorted(distinct, key=lambda run: (str(run.data), run.key))
    device = device or default_device()
    records = run_in_step([_make(run, store, device, on_epoch) for run in ordered], train_together)
    by_key = {record.key: record for record in records}
    return [by_key[run.key] for run in runs]


def load_model(run: Run, store: Store, device: torch.device) -> nn.Module:
    """The network of a finished run, in eval mode; for a Bayes teacher, the exact posterior.

    Raises:
        StoreError: the run is not finished, or its weights are missing or damaged.
        DataError: the data set is missing, or its posterior is not known.
    """
    dataset = load_dataset(run.data)
    if isinstance(run, BayesTeacher):
        if dataset.bayes_classifier is None:
            raise DataError(f"the true BCPD of data set {run.data.name!r} is not known; use oracle")
        return dataset.bayes_classifier.to(device).eval()
    if store.record(run) is None:
        raise StoreError(f"{run.id} is not finished in {store.root}")
    model = create_untrained(run, dataset)
    model.load_state_dict(store.weights(run))
    return place(model, device).eval()


def create_untrained(run: Teacher | TeacherHeads | Student, dataset: Dataset) -> nn.Module:
    """The network of a run as it is before training, on the CPU."""
    model = create_model(
        run.model,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
    )
    return HeadedNetwork(model) if isinstance(run, TeacherHeads) else model


def _make(run: Run, store: Store, device: torch.device, on_epoch: Callable) -> Training[Record]:
    if record := store.record(run):
        return record
    with store.lock(run):  # another process may have made it, while this one waited
        return store.record(run) or (yield from _execute(run, store, device, on_epoch))


def _execute(run: Run, store: Store, device: torch.device, on_epoch: Callable) -> Training[Record]:
    dataset = load_dataset(run.data)
    about = provenance.describe(device) | {"data_fingerprint": dataset.fingerprint()}
    record = Record(key=run.key, run=run.model_dump(mode="json"), provenance=about)
    match run:
        case Measurement():
            result = MEASUREMENTS.build(
                run.what,
                model=load_model(run.of, store, device),
                dataset=dataset,
                split=getattr(dataset, run.split).to(device),
                device=device,
            )
            record = record.model_copy(update={"result": result})
            weights = None
        case BayesTeacher():
            splits = {"train": dataset.train, "test": dataset.test}
            model = load_model(run, store, device)
            metrics = {
                name: evaluate(model, dataset, split.to(device), device)
                for name, split in splits.items()
            }
            record = record.model_copy(update={"metrics": metrics})
            weights = None
        case _:
            try:
                record, weights = yield from _train(run, record, dataset, store, device, on_epoch)
            except IncompatibleNetworks as reason:  # a result: a table has a row for it
                outcome = {"status": "incompatible", "message": str(reason)}
                record, weights = record.model_copy(update=outcome), None
    store.finish(run, record, weights)
    return record


def _train(
    run: Teacher | TeacherHeads | Student,
    record: Record,
    dataset: Dataset,
    store: Store,
    device: torch.device,
    on_epoch: Callable,
) -> Training[tuple[Record, dict[str, torch.Tensor]]]:
    """Train a teacher, its heads or a student, saving a checkpoint after every epoch."""
    train_split, epoch_length = run.part.select(dataset.train)
    train_split, test_split = train_split.to(device), dataset.test.to(device)
    seed_torch(run.seed)
    model, criterion = _model_and_criterion(run, dataset, train_split, epoch_length, store, device)
    checkpoint, seconds_before = store.load_checkpoint(run, device)
    started = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - started

    def metrics(*splits: str) -> dict[str, Row]:
        parts = {"train": train_split, "test": test_split}
        return {name: evaluate(model, dataset, parts[name], device) for name in splits}

    def evaluate_epoch(last: bool) -> Row:
        both = last or run.recipe.evaluate_train
        return {
            f"{split}_{name}": value
            for split, row in metrics("test", *["train"] * both).items()
            for name, value in row.items()
        }

    def epoch_batches(epoch: int):
        return training_batches(
            dataset,
            train_split,
            batch_size=run.recipe.batch_size,
            epoch_length=epoch_length,
            seed=run.seed,
            epoch=epoch,
            device=device,
        )

    def on_epoch_end(checkpoint: Checkpoint) -> None:
        store.save_checkpoint(run, checkpoint, seconds())
        on_epoch()

    try:
        history = yield from training(
            model,
            criterion,
            epoch_batches,
            run.recipe,
            seed=run.seed,
            evaluate=evaluate_epoch,
            resume_from=checkpoint,
            on_epoch_end=on_epoch_end,
        )
        outcome = {"metrics": _final_metrics(history[-1])}
    except TrainingCollapsed as collapse:
        # A result too: which settings collapse is what a sweep wants to know.
        last_whole_epoch, _ = store.load_checkpoint(run, device)
        history = last_whole_epoch.history if last_whole_epoch else []
        finite = all(tensor.isfinite().all() for tensor in model.state_dict().values())
        outcome = {
            "status": "collapsed",
            "message": str(collapse),
            "metrics": metrics("test", "train") if finite else {},
        }
    together = max((row.get("trained_together", 1) for row in history), default=1)
    about = record.provenance | {"seconds": round(seconds() / together, 1)}  # its share
    if together > 1:
        about |= {"trained_together": together}
    record = record.model_copy(update=outcome | {"history": _columns(history), "provenance": about})
    return record, model.state_dict()


def _model_and_criterion(
    run: Teacher | TeacherHeads | Student,
    dataset: Dataset,
    split: Split,
    epoch_length: int,
    store: Store,
    device: torch.device,
) -> tuple[nn.Module, Criterion]:
    precision = run.recipe.precision
    if isinstance(run, Teacher):
        if run.start is None:
            model = create_untrained(run, dataset)
        else:
            model = load_model(run.start, store, device)
        criterion = OBJECTIVES.build(run.objective, num_classes=dataset.num_classes)
    elif isinstance(run, TeacherHeads):
        model = HeadedNetwork(load_model(run.teacher, store, device))
        criterion = HeadsLoss()
    else:
        model = create_untrained(run, dataset)
        teacher = place(load_model(run.teacher, store, device), device, precision)
        criterion = DISTILLERS.build(
            run.distiller,
            student=place(model, device, precision),
            teacher=teacher,
            sample=dataset.normalise(split.inputs[:2].to(device)),
            labels=split.labels,
        )
    model, criterion = place(model, device, precision), place(criterion, device, precision)
    if remembered_shape(run, dataset, split, epoch_length):
        # Last, since what is placed is moved to the device, and these may be too large for it.
        criterion.remember(teacher_logits(run.teacher, teacher, dataset, split, store, device))
    return model, criterion


def _final_metrics(last_row: Row) -> dict[str, Row]:
    return {
        split: {
            name.removeprefix(f"{split}_"): value
            for name, value in last_row.items()
            if name.startswith(f"{split}_")
        }
        for split in ("train", "test")
    }


def _columns(history: list[Row]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for row in history for name in row)
    return {name: [row.get(name) for row in history] for name in names}
