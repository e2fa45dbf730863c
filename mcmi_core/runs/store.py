"""Where runs live: one folder per run, with its record, its weights and, meanwhile, a checkpoint.

store/ID/record.json          written last: a run with a record is finished
store/ID/weights.safetensors  the trained network
store/ID/checkpoint.safetensors  the last whole epoch, while the run is under way
store/ID/lock                 held by the process that trains it
store/ID/logits-*.float32     what a teacher tells its students; see teacher_logits
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import Tensor

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import read_metadata, read_tensors, write_atomically, write_tensors
from mcmi_core.runs import Run, parse_run
from mcmi_core.training.loop import Checkpoint

SIGNIFICANT_DIGITS = 8
"""Of numbers in records: far below any effect, and half the size of full floats."""


class Record(BaseModel):
    """What is kept of a run: its configuration and everything measured, but no weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    status: Literal["done", "collapsed", "incompatible"] = "done"
    """Incompatible: the distiller cannot compare these networks, and nothing was trained."""
    message: str = ""
    """Why it is not done."""
    metrics: dict[str, dict[str, float]] = {}
    """Split → metric → final value."""
    history: dict[str, list[int | float | None]] = {}
    """Column → value per epoch; None where an epoch was not evaluated."""
    result: dict[str, list[JsonValue]] = {}
    """A measurement's columns: numbers mostly; texts, small arrays or None where it says so."""
    provenance: dict[str, str | int | float]
    run: dict[str, Any]

    @cached_property
    def parsed_run(self) -> Run:
        """The run that ``run`` describes.

        Raises:
            pydantic.ValidationError: an unknown field or component, or a value out of range.
        """
        return parse_run(self.run)

    @property
    def id(self) -> str:
        """The run's readable name."""
        return self.parsed_run.id

    def to_json(self) -> str:
        """One line per top-level field and per history column, for readable diffs."""

        def lines(value: dict) -> str:
            items = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            return "{\n" + ",\n".join(items) + "\n }" if value else "{}"

        fields = _rounded(self.model_dump(mode="json"))
        nested = ("metrics", "history", "result", "provenance", "run")
        return (
            "{\n"
            + ",\n".join(
                f" {json.dumps(name)}: {lines(v) if name in nested else json.dumps(v)}"
                for name, v in fields.items()
            )
            + "\n}\n"
        )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def read_record(path: Path) -> Record:
    """The record in a file, checked against its own configuration.

    Raises:
        StoreError: the file is no record, or its key is not that of its configuration.
    """
    try:
        record = Record.model_validate_json(path.read_text(encoding="utf-8"))
        key = record.parsed_run.key
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(f"{path} is not a record: {reason}") from None
    if key != record.key:
        raise StoreError(
            f"{path} says key {record.key}, but its configuration has key {key}: it was edited, or "
            "written by another version"
        )
    return record


class Records:
    """A folder of committed records, ``ID.json`` each: replay reads these and trains nothing.

    Args:
        root: such as ``records/smoke``.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, run_id: str) -> Path:
        """Where the record of a run is, or would be."""
        return self.root / f"{run_id}.json"

    def record(self, run: Run) -> Record | None:
        """The record of a finished run, or None.

        Raises:
            StoreError: the record is damaged or was edited.
        """
        path = self.path(run.id)
        return read_record(path) if path.exists() else None


class Store(Records):
    """A folder of runs.

    Args:
        root: made when the first run is written.
    """

    def path(self, run_id: str) -> Path:
        """Where the record of a run is, or would be."""
        return self.root / run_id / "record.json"

    def find(self, reference: str = "") -> list[str]:
        """The ids of finished runs whose id or key starts with ``reference``, in order.

        An id ends with the key, so names of folders answer this and no record is read.
        """
        ids = sorted(path.parent.name for path in self.root.glob("*/record.json"))
        return [
            run_id
            for run_id in ids
            if run_id.startswith(reference) or run_id.rpartition("-")[2].startswith(reference)
        ]

    def folder(self, run: Run) -> Path:
        """Where everything about a run lies."""
        return self.root / run.id

    def lock(self, run: Run) -> FileLock:
        """Held while a run is trained; the system frees it when its process dies."""
        folder = self.folder(run)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {folder}: {error.strerror}") from None
        return FileLock(folder / "lock")

    def records(self) -> list[Record]:
        """The records of all finished runs, by name."""
        return [read_record(self.path(run_id)) for run_id in self.find()]

    def finish(self, run: Run, record: Record, weights: dict[str, Tensor] | None) -> None:
        """Keep the result of a run; from here on it counts as finished."""
        folder = self.folder(run)
        if weights is not None:
            write_tensors(folder / "weights.safetensors", weights, {"run": record.run})
        write_atomically(self.path(run.id), record.to_json())
        for leftover in (folder / "checkpoint.safetensors", *folder.glob(".*")):
            leftover.unlink(missing_ok=True)  # the latter are half-written, by killed processes

    def weights(self, run: Run) -> dict[str, Tensor]:
        """The trained weights of a finished run.

        Raises:
            StoreError: they are missing or damaged.
        """
        return read_tensors(self.folder(run) / "weights.safetensors")[0]

    def save_checkpoint(self, run: Run, checkpoint: Checkpoint, seconds: float) -> None:
        """Keep the last whole epoch of a run under way, and the time it took so far.

        Raises:
            StoreError: the disk is full; the checkpoint before it is still there.
        """
        write_tensors(
            self.folder(run) / "checkpoint.safetensors",
            checkpoint.tensors,
            {
                "key": run.key,
                "epoch": checkpoint.epoch,
                "history": checkpoint.history,
                "seconds": seconds,
            },
            durable=False,  # a killed process loses nothing; a power cut costs the run's epochs
        )

    def epochs_left(self, run: Run) -> int:
        """Epochs that a run still has to be trained: 0 if it is finished, even by a collapse."""
        if self.path(run.id).exists():
            return 0
        path = self.folder(run) / "checkpoint.safetensors"
        if not path.exists():
            return run.epochs
        try:
            return run.epochs - read_metadata(path)["epoch"]
        except StoreError:  # it is damaged, which training will report
            return run.epochs

    def load_checkpoint(self, run: Run, device: torch.device) -> tuple[Checkpoint | None, float]:
        """The last whole epoch of an interrupted run (or None), and the seconds spent on it.

        Raises:
            StoreError: it is damaged, or belongs to another run.
        """
        path = self.folder(run) / "checkpoint.safetensors"
        if not path.exists():
            return None, 0.0
        tensors, metadata = read_tensors(path)
        if metadata.get("key") != run.key:
            raise StoreError(f"{path} belongs to run {metadata.get('key')}, not {run.key}")
        tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        checkpoint = Checkpoint(metadata["epoch"], metadata["history"], tensors)
        return checkpoint, metadata["seconds"]


def flat_metrics(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """``{"test": {"cmi_nats": ...}}`` as ``{"test_cmi_nats": ...}``: the columns of tables."""
    return {
        f"{split}_{name}": value
        for split, values in metrics.items()
        for name, value in values.items()
    }
