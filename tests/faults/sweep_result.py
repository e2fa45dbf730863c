"""What a sweep has come to, compared bit by bit."""

from pathlib import Path

import torch
from killed_sweep import PER_CLASS, VARIANTS

from mcmi_core.base.errors import StoreError
from mcmi_core.base.tensor_files import read_tensors
from mcmi_core.runs.config import Run
from mcmi_core.runs.store import Store

Stamp = tuple[int, int]
"""Inode and time of a file: another one has another."""


class Peaceful:
    """Results of the sweep that was left in peace.

    Args:
        runs: of the sweep.
        root: of its store.
        cache: of the images that it decoded.
    """

    def __init__(self, runs: list[Run], root: Path, cache: Path) -> None:
        self.runs = runs
        self.results = {run.id: _result(run, Store(root)) for run in runs}
        self.names = _names(root), _names(cache)

    @property
    def statuses(self) -> set[str]:
        """Of all runs."""
        return {fields["status"] for fields, _ in self.results.values()}

    def epochs(self, run: Run) -> int:
        """That the run was trained."""
        history = self.results[run.id][0]["history"]
        return len(history.get("epoch", []))

    def check_files_that_are_there(self, root: Path, seen: dict[str, Stamp]) -> None:
        """Require that whatever counts as done is right, and that what is not can be gone on with.

        Args:
            root: of a store whose sweep may be under way.
            seen: of each run that was done before, its record; new ones are added.
        """
        store = Store(root)
        for run in self.runs:
            path = store.path(run.id)
            if path.exists():
                about = path.stat()
                stamp = about.st_ino, about.st_mtime_ns
                if run.id not in seen:
                    self._check_same_result(run, store)
                assert seen.setdefault(run.id, stamp) == stamp, f"{run.id} was made again"
            else:
                assert run.id not in seen, f"{run.id} is lost"
                _check_checkpoint(store, run)

    def _check_same_result(self, run: Run, store: Store) -> None:
        """Require that a run has the record and the weights of the run that was left in peace."""
        (fields, weights), (expected, same_weights) = _result(run, store), self.results[run.id]
        for name, value in expected.items():
            assert fields[name] == value, f"{name} of {run.id} differs: {fields[name]}, not {value}"
        assert weights.keys() == same_weights.keys(), f"weights of {run.id} differ"
        for name, tensor in weights.items():
            assert torch.equal(tensor, same_weights[name]), f"{name} of {run.id} differs"

    def check_same_files(self, root: Path, cache: Path) -> None:
        """Require that every run is there, and nothing else."""
        for names, expected in zip((_names(root), _names(cache)), self.names, strict=True):
            assert names >= expected, f"lost: {sorted(expected - names)}"
            assert names <= expected, f"left behind: {sorted(names - expected)}"


def _result(run: Run, store: Store) -> tuple[dict, dict[str, torch.Tensor]]:
    """All of a record but where and when it was made, and the weights if it has any."""
    fields = store.record(run).model_dump(exclude={"provenance"})
    fields["history"].pop("trained_together", None)  # which seeds are left when a stack is begun
    has_weights = (store.folder(run) / "weights.safetensors").exists()
    return fields, store.weights(run) if has_weights else {}


def _names(folder: Path) -> set[str]:
    """Of all files in it and below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _check_checkpoint(store: Store, run: Run) -> None:
    path = store.folder(run) / "checkpoint.safetensors"
    if path.exists():
        try:
            _, about = read_tensors(path)
        except StoreError:
            assert not path.exists(), f"{path} is damaged"  # or the run was finished meanwhile
        else:
            assert about["key"] == run.key


def size_of_logits() -> int:
    """Bytes of what the remembered teacher says of two classes of images."""
    return 4 * VARIANTS * 2 * PER_CLASS * 2
