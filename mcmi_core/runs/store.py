"""Where runs live: one folder per run, with its record, its weights and, meanwhile, a checkpoint.

store/ID/record.json          written last: a run with a record is finished
store/ID/weights.safetensors  the trained network
store/ID/checkpoint.safetensors  the last whole epoch that was saved, while the run is under way
store/ID/lock                 held by the process that trains it
store/ID/logits-*.float32     what a teacher tells its students; see teacher_logits
"""

from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.tensor_files import read_metadata, read_tensors, write_tensors
from mcmi_core.runs.config import Run
from mcmi_core.runs.records import Record, Records, read_record
from mcmi_core.training.loop import Checkpoint


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

    def lock(self, run: Run, wait: bool = True) -> FileLock:
        """Held while a run is trained; the system frees it when its process dies.

        Args:
            run: whose folder is made, if need be.
            wait: until whoever holds it is done; if not, taking it raises ``filelock.Timeout``.
        """
        folder = self.folder(run)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {folder}: {error.strerror}") from None
        return FileLock(folder / "lock", blocking=wait)

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
        """Keep a whole epoch of a run under way, and the time it took so far.

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
        try:
            done = read_metadata(self.folder(run) / "checkpoint.safetensors")["epoch"]
        except StoreError:  # there is none, or it is damaged, which training will report
            done = 0
        return run.epochs - done

    def load_checkpoint(self, run: Run, device: torch.device) -> tuple[Checkpoint | None, float]:
        """The last saved epoch of an interrupted run (or None), and the seconds spent on it.

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
