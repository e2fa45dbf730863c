"""What is kept of a run, and the folders of records that a replay reads. Needs no torch."""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.files import altered, content_of, exists
from mcmi_core.base.messages import in_a_line
from mcmi_core.runs.config import Run, parse_run

SIGNIFICANT_DIGITS = 8
"""Of numbers in records: far below any effect, and half the size of full floats."""

CHECKSUM = "checksum"
"""The last field of a record's file in a store. Committed files have none: git has its own."""


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

    def to_json(self, *, checksum: bool = False) -> str:
        """One line per top-level field and per history column, for readable diffs.

        Args:
            checksum: of all other fields, as the last one.
        """

        def written(value: Any) -> str:
            if not value or not isinstance(value, dict):
                return json.dumps(value)
            lines = (f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
            return "{\n" + ",\n".join(lines) + "\n }"

        fields = _rounded(self.model_dump(mode="json"))
        if checksum:
            fields[CHECKSUM] = _checksum(fields)
        lines = (f' "{name}": {written(value)}' for name, value in fields.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"


def _checksum(fields: dict) -> str:
    """SHA-256 of what the fields say, however it is written."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _rounded(value: dict) -> dict:
    def rounded(text: str) -> float:
        return float(f"{float(text):.{SIGNIFICANT_DIGITS}g}")

    return json.loads(json.dumps(value), parse_float=rounded)


def read_record(path: Path) -> Record:
    """The record in a file, checked against its checksum, if any, and its own configuration.

    Raises:
        Damaged: the file is no JSON, its content is not that of its checksum, or that has another
            name.
        StoreError: it cannot be read, is no record of this version, or its key is not that of its
            configuration.
    """
    content = content_of(path)
    try:
        fields = json.loads(content)
        damage = _take_checksum(fields) if isinstance(fields, dict) else None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON: {error}") from None
    if damage:
        raise _damaged(path, damage)
    try:
        record = Record.model_validate(fields)
        key = record.parsed_run.key
    except ValidationError as error:
        raise StoreError(f"{path} is not a record: {in_a_line(error)}") from None
    if key != record.key:
        raise StoreError(
            f"{path} says key {record.key}, but its configuration has key {key}: it was edited, or "
            "written by another version"
        )
    return record


def _take_checksum(fields: dict) -> str | None:
    """Take the checksum out of a record's fields, if there is one; what is wrong with it."""
    if name := altered(CHECKSUM, fields):
        return f"its {CHECKSUM} is called {name!r}"
    if CHECKSUM in fields and fields.pop(CHECKSUM) != _checksum(fields):
        return "its checksum is another"
    return None


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(f"{path} is damaged ({reason})")


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
            Damaged, StoreError: as :func:`read_record`.
            StoreError: the record is that of another run.
        """
        path = self.path(run.id)
        if not exists(path):
            return None
        record = read_record(path)
        if record.key != run.key:
            raise StoreError(f"{path} holds the record of another run, {record.id}")
        return record


def flat_metrics(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """``{"test": {"cmi_nats": ...}}`` as ``{"test_cmi_nats": ...}``: the columns of tables."""
    return {
        f"{split}_{name}": value
        for split, values in metrics.items()
        for name, value in values.items()
    }
