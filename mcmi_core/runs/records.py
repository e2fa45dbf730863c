"""What is kept of a run, and the folders of records that a replay reads. Needs no torch."""

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mcmi_core.base.errors import StoreError
from mcmi_core.base.messages import in_a_line
from mcmi_core.runs.config import Run, parse_run

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

        def written(value: Any) -> str:
            if not value or not isinstance(value, dict):
                return json.dumps(value)
            lines = (f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
            return "{\n" + ",\n".join(lines) + "\n }"

        fields = _rounded(self.model_dump(mode="json")).items()
        return "{\n" + ",\n".join(f' "{name}": {written(v)}' for name, v in fields) + "\n}\n"


def _rounded(value: dict) -> dict:
    def rounded(text: str) -> float:
        return float(f"{float(text):.{SIGNIFICANT_DIGITS}g}")

    return json.loads(json.dumps(value), parse_float=rounded)


def read_record(path: Path) -> Record:
    """The record in a file, checked against its own configuration.

    Raises:
        StoreError: the file is no record, or its key is not that of its configuration.
    """
    try:
        record = Record.model_validate_json(path.read_text(encoding="utf-8"))
        key = record.parsed_run.key
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        reason = in_a_line(error) if isinstance(error, ValidationError) else error
        raise StoreError(f"{path} is not a record: {reason}") from None
    if key != record.key:
        raise StoreError(
            f"{path} says key {record.key}, but its configuration has key {key}: it was edited, or "
            "written by another version"
        )
    return record


def read_records(paths: Iterable[Path]) -> tuple[list[Record], list[StoreError]]:
    """The records in some files, and an error for each of the files that holds none."""
    records, errors = [], []
    for path in paths:
        try:
            records.append(read_record(path))
        except StoreError as error:
            errors.append(error)
    return records, errors


class Records:
    """A folder of records, ``ID.json`` each: a replay reads these and trains nothing.

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
        return read_record(path) if os.path.exists(path) else None


def flat_metrics(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """``{"test": {"cmi_nats": ...}}`` as ``{"test_cmi_nats": ...}``: the columns of tables."""
    return {
        f"{split}_{name}": value
        for split, values in metrics.items()
        for name, value in values.items()
    }
