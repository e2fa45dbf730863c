"""Where runs live: one folder per run, with its record, its weights and, meanwhile, a checkpoint.

::

    store/ID/record.json          written last: a run with a record is finished
    store/ID/weights.safetensors  the trained network
    store/ID/checkpoint.safetensors  the last whole epoch that was saved, while the run is under way
    store/ID/failure.json         why it was not finished, when somebody asked for it last
    store/ID/lock                 held by the process that trains it
    store/ID/logits-*.float32     what a teacher tells its students; see teacher_logits
    store/ID/*.damaged            what its checksum, or its size, gave away; the run is made again

Only who holds the lock of a run sets its damaged files aside. A file that cannot be read, as its
disk fails or is not there, is an error, and so is one that belongs to something else.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError, field_validator
from torch import Tensor

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.files import (
    delete_leftovers,
    exists,
    locked,
    make_folder,
    set_aside,
    write_atomically,
)
from mcmi_core.base.messages import in_a_line, quoted
from mcmi_core.base.tensor_files import read_metadata, read_tensors, write_tensors
from mcmi_core.runs.config import Run
from mcmi_core.runs.failures import Failure
from mcmi_core.runs.records import Record, Records, read_records
from mcmi_core.training.loop import Checkpoint

logger = logging.getLogger(__name__)


def names_run(reference: str, run_id: str) -> bool:
    """Whether a reference is the beginning of a run's id, or of the key that an id ends with."""
    return run_id.startswith(reference) or run_id.rpartition("-")[2].startswith(reference)


class _About(BaseModel):
    """What a checkpoint says beside its tensors; another machine may have written it."""

    model_config = ConfigDict(strict=True)

    epoch: NonNegativeInt
    history: list[dict[str, int | float | dict[str, dict[str, int | float]]]]
    provenance: dict[str, str | int | float] | None = None
    seconds: float = 0.0
    """All that those of earlier versions have of the provenance."""

    @field_validator("provenance")
    @classmethod
    def _seconds_are_a_number(cls, provenance: dict | None) -> dict | None:
        if not isinstance(seconds := (provenance or {}).get("seconds", 0.0), int | float):
            raise ValueError(f"seconds must be a number, got {quoted(seconds)}")
        return provenance


class Store(Records):
    """A folder of runs.

    Args:
        root: made when the first run is written.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._disk: int | None = None
        self._held: set[str] = set()
        """The ids of runs whose locks this object holds."""

    def attach(self) -> None:
        """Make the folder, and note its disk: if that goes, no new store begins in its place."""
        make_folder(self.root)
        self._disk = self.root.stat().st_dev

    def path(self, run_id: str) -> Path:
        """Where the record of a run is, or would be."""
        return self.root / run_id / "record.json"

    def find(self, reference: str = "") -> list[str]:
        """The ids of finished runs whose id or key starts with ``reference``, in order.

        An id ends with the key, so names of folders answer this and no record is read.

        Raises:
            StoreError: the store, or the folder of such a run, cannot be read.
        """
        return [
            name for name in self._names() if names_run(reference, name) and exists(self.path(name))
        ]

    def _names(self) -> list[str]:
        """Of everything in the store, in order; nothing without one."""
        try:
            return sorted(os.listdir(self.root))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreError(f"cannot read {self.root}: {error.strerror}") from error

    def _files(self, name: str) -> tuple[list[Path], list[StoreError]]:
        """Those of a name in the folders of runs, and an error for each folder that hides it."""
        found, errors = [], []
        for path in (self.root / run_id / name for run_id in self._names()):
            try:
                if exists(path):
                    found.append(path)
            except StoreError as error:
                errors.append(error)
        return found, errors

    def folder(self, run: Run) -> Path:
        """Where everything about a run lies."""
        return self.root / run.id

    def finished(self, run: Run) -> Record | None:
        """The record of a run; None also where it is damaged, since that run is to be made again.

        Raises:
            StoreError: the record cannot be read, was edited, or is of another version.
        """
        try:
            return self.record(run)
        except Damaged:
            return None

    @contextmanager
    def lock(self, run: Run, wait: bool = True) -> Iterator[None]:
        """Held while a run is made; the system frees it when its process dies.

        What earlier processes that were killed have left half-written in its folder is deleted, and
        a damaged record is set aside.

        Args:
            run: whose folder is made, if need be.
            wait: until whoever holds it is done.

        Raises:
            StoreError: the folder cannot be made or written to, or the store is gone.
            filelock.Timeout: another process holds it, and this one is not to wait.
        """
        self._check_disk()
        remedy = "; MCMI_STORE names another place"
        if damage := self._damage(run):
            remedy += f". {damage}"
        with locked(self.folder(run) / "lock", wait=wait, remedy=remedy):
            self.attach()
            for file in (self.path(run.id), self._weights(run), self._checkpoint(run)):
                delete_leftovers(file)
            if damage := self._damage(run):
                self._set_aside(self.path(run.id), damage, "the run is made again")
            self._held.add(run.id)
            try:
                yield
            finally:
                self._held.discard(run.id)

    def reopen(self, run: Run) -> None:
        """Let a finished run whose weights are damaged be made again.

        They are looked at anew, as another process may have made them again meanwhile. The record
        goes first: if this process is killed in between, the run counts as unfinished already.

        Raises:
            StoreError: as :meth:`lock`; or nothing can be renamed.
        """
        while self.finished(run):
            # Whoever has the lock of a finished run has it for a moment.
            with suppress(Timeout), self.lock(run, wait=False):
                self._reopen(run)
                return
            time.sleep(0.05)

    def _reopen(self, run: Run) -> None:
        try:
            self.weights(run)
        except Damaged as damage:
            if exists(self.path(run.id)):
                set_aside(self.path(run.id))
            reason = "so is its record, and the run is made again"
            self._set_aside(self._weights(run), damage, reason)

    def _damage(self, run: Run) -> Damaged | None:
        """Of its record."""
        try:
            self.record(run)
        except Damaged as damage:
            return damage
        return None

    def _set_aside(self, path: Path, damage: Damaged, consequence: str) -> None:
        aside = set_aside(path)
        logger.warning("%s; it is kept as %s, %s", damage, aside.name, consequence)

    def _check_disk(self) -> None:
        try:
            there = self._disk in (None, self.root.stat().st_dev)
        except OSError:
            there = self._disk is None
        if not there:
            raise StoreError(
                f"{self.root} was there and is gone, as with a disk that was unplugged; once it is "
                "back, the same command goes on"
            )

    def _check_folder(self, run: Run) -> None:
        """Of a run that is made; it must not be made anew in the place of what is gone."""
        if run.id in self._held and not exists(self.folder(run) / "lock"):
            self._check_disk()
            raise StoreError(
                f"{self.folder(run)} was deleted while the run was made; the same command goes on"
            )

    def records(self) -> tuple[list[Record], list[StoreError]]:
        """The records of all finished runs, by name, and an error for each that cannot be read.

        Raises:
            StoreError: the store cannot be read.
        """
        paths, hidden = self._files("record.json")
        records, errors = read_records(paths)
        return records, hidden + errors

    def finish(self, run: Run, record: Record, weights: dict[str, Tensor] | None) -> None:
        """Keep the result of a run; from here on it counts as finished.

        Raises:
            StoreError: the disk is full or gone; the last checkpoint is still there.
        """
        self._check_folder(run)
        for logits in self.folder(run).glob("logits-*.float32"):  # of a teacher that was deleted
            logits.unlink(missing_ok=True)  # another process may make room meanwhile
        if weights is not None:
            write_tensors(self._weights(run), weights, {"run": record.run})
        write_atomically(self.path(run.id), record.to_json(checksum=True))
        delete_leftovers(self._checkpoint(run))
        self.tidy(run)

    def keep_failure(self, run: Run, failure: Failure) -> None:
        """Keep why a run was not finished, until it is started again.

        Raises:
            StoreError: the store cannot be written, or is gone.
        """
        self._check_disk()
        write_atomically(self._failure(run.id), failure.model_dump_json(indent=1), durable=False)

    def forget_failure(self, run: Run) -> None:
        """Delete what is kept of an earlier failure, as the run is started again."""
        with suppress(OSError):  # a store that cannot be written is reported by what is to be kept
            self._failure(run.id).unlink(missing_ok=True)

    def failures(self) -> tuple[list[Failure], list[StoreError]]:
        """Why runs were not finished, by name, and an error for each file that cannot be read.

        Raises:
            StoreError: the store cannot be read.
        """
        found = []
        paths, errors = self._files("failure.json")
        for path in paths:
            try:
                found.append(Failure.model_validate_json(path.read_bytes()))
            except FileNotFoundError:  # the run was started again just now
                continue
            except OSError as error:
                errors.append(StoreError(f"cannot read {path}: {error.strerror}"))
            except ValidationError:
                errors.append(StoreError(f"{path} is damaged"))
        return found, errors

    def tidy(self, run: Run) -> None:
        """Delete the checkpoint and the failure of a finished run.

        They are still there if a process was killed right after it had written the record.
        """
        for path in (self._checkpoint(run), self._failure(run.id)):
            if os.path.exists(path):
                with suppress(OSError):  # it does no harm in a store that may not be written to
                    path.unlink()

    def weights(self, run: Run) -> dict[str, Tensor]:
        """The trained weights of a finished run.

        Raises:
            Damaged: they are not what was written.
            StoreError: they are missing, or those of another run.
        """
        path = self._weights(run)
        tensors, metadata = read_tensors(path)
        config = metadata.get("run")
        if config is not None and config != run.model_dump(mode="json"):
            raise StoreError(f"{path} holds the weights of another run than {run.id}: {config}")
        return tensors

    def save_checkpoint(
        self, run: Run, checkpoint: Checkpoint, provenance: Mapping[str, Any]
    ) -> None:
        """Keep a whole epoch of a run under way.

        Args:
            run: whose lock this process holds.
            checkpoint: of the epoch.
            provenance: software, hardware, data, and the ``seconds`` it took so far.

        Raises:
            StoreError: the disk is full or gone; the checkpoint before it is still there.
        """
        self._check_folder(run)
        write_tensors(
            self._checkpoint(run),
            checkpoint.tensors,
            {
                "key": run.key,
                "epoch": checkpoint.epoch,
                "history": checkpoint.history,
                "provenance": dict(provenance),
            },
            durable=False,  # a killed process loses nothing; a power cut costs the run's epochs
        )

    def epochs_left(self, run: Run) -> int:
        """Epochs that a run still has to be trained: 0 if it is finished, even by a collapse."""
        try:
            if self.finished(run):
                return 0
        except StoreError:  # it is not trained, as its record is in the way
            return 0
        try:
            done = int(read_metadata(self._checkpoint(run))["epoch"])
        except (StoreError, KeyError, TypeError, ValueError, OverflowError):
            done = 0  # there is none, it is damaged or no checkpoint, which training reports
        return run.epochs - done

    def load_checkpoint(
        self, run: Run, device: torch.device
    ) -> tuple[Checkpoint | None, dict[str, Any]]:
        """The last saved epoch of an interrupted run, and its provenance; None and {} without one.

        A damaged one is set aside by who holds the run's lock; others leave it to that process.

        Args:
            run: of several processes that share it, the first holds its lock.
            device: for the tensors.

        Raises:
            StoreError: it cannot be read, belongs to another run, or does not say what one says.
        """
        path = self._checkpoint(run)
        if not exists(path):
            return None, {}
        try:
            tensors, metadata = read_tensors(path)
        except Damaged as damage:
            if run.id in self._held:
                self._set_aside(path, damage, "the run is trained from the start")
            return None, {}
        if metadata.get("key") != run.key:
            raise StoreError(
                f"{path} is no checkpoint of {run.key}, but of {metadata.get('key')}; delete it to "
                "train from the start"
            )
        try:
            about = _About.model_validate(metadata)
        except ValidationError as error:
            raise StoreError(
                f"{path} is no checkpoint: {in_a_line(error)}; delete it to train from the start"
            ) from None
        tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        checkpoint = Checkpoint(about.epoch, about.history, tensors)
        if about.provenance is None:
            return checkpoint, {"seconds": about.seconds}
        return checkpoint, about.provenance

    def _failure(self, run_id: str) -> Path:
        return self.root / run_id / "failure.json"

    def _weights(self, run: Run) -> Path:
        return self.folder(run) / "weights.safetensors"

    def _checkpoint(self, run: Run) -> Path:
        return self.folder(run) / "checkpoint.safetensors"
