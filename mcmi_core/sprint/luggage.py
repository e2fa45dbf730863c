"""What a sprint brings back: few files, none of them large.

records.tar.gz     the records of all finished runs
weights-1.tar ...  of finished runs, and checkpoints of those under way, what later runs need first
"""

import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mcmi_core.base.archives import files_in
from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import make_folder, write_atomically
from mcmi_core.runs.config import Run
from mcmi_core.runs.store import Store

FILES = 4
"""Of weights, at most."""

MOST_BYTES = 15 * 2**20
"""Of one file."""

RECORDS = "records.tar.gz"
MOST_UNPACKED = 2**26
"""Bytes of one archive, unpacked: many more than a sprint packs."""

PLACES = re.compile(r"[\w-]+/(?:record\.json|(?:weights|checkpoint)\.safetensors)", re.ASCII)
"""Of the files that are packed, in the store."""

OVERHEAD = 2048
"""Bytes that a file takes in an archive beside its own, at most."""


def pack(runs: list[Run], store: Store, out: Path) -> None:
    """Write what the store holds of some runs, as much as fits; replaces what was packed before.

    Args:
        runs: in the order in which they are wanted, each after what it builds on.
        store: where they are trained.
        out: a folder, made if need be.

    Raises:
        StoreError: a file cannot be written; what was packed before is still there.
    """
    make_folder(out)
    finished = {run.key for run in runs if store.path(run.id).exists()}
    needed = {run.parent.key for run in runs if run.parent and run.key not in finished} & finished
    boxes, room = [[] for _ in range(FILES)], [MOST_BYTES] * FILES
    for path, size in _by_need(runs, finished, needed, store):
        box = next((number for number in range(FILES) if size <= room[number]), None)
        if box is not None:
            boxes[box].append(path)
            room[box] -= size
    for number, paths in enumerate(boxes, start=1):
        target = out / f"weights-{number}.tar"
        if paths:
            _write(target, paths, store.root, "w")
        else:
            target.unlink(missing_ok=True)  # what was packed before
    # Last, and without runs whose weights are needed and had no room: those are trained again.
    packed = {path for paths in boxes for path in paths}
    left_out = {
        run.key
        for run in runs
        if run.key in needed
        and _weights(run, store) not in packed
        and _weights(run, store).exists()  # a Bayes teacher has none
    }
    records = [store.path(run.id) for run in runs if run.key in finished - left_out]
    _write(out / RECORDS, records, store.root, "w:gz")


def unpack(folder: Path, store: Store) -> int:
    """Put what was packed into a store, beside what it has; the number of records.

    What the store has is kept: it is as new, or newer.

    Raises:
        StoreError: the folder holds no records, or a damaged archive.
    """
    if not (folder / RECORDS).exists():
        raise StoreError(f"{folder} holds no {RECORDS}: no sprint was packed there")
    make_folder(store.root)
    # Weights first: a run with a record counts as finished.
    for path in [*sorted(folder.glob("weights-*.tar")), folder / RECORDS]:
        packed = 0
        for name, content in files_in(path, PLACES, MOST_UNPACKED):
            packed += 1
            if _is_new(name, store):
                write_atomically(store.root / name, content, durable=False)
    return packed


def _is_new(name: str, store: Store) -> bool:
    """Whether a file is neither in the store nor the checkpoint of a run that is finished there."""
    path = store.root / name
    over = path.name == "checkpoint.safetensors" and path.with_name("record.json").exists()
    return not (path.exists() or over)


def _weights(run: Run, store: Store) -> Path:
    return store.folder(run) / "weights.safetensors"


def _by_need(
    runs: list[Run], finished: set[str], needed: set[str], store: Store
) -> Iterator[tuple[Path, int]]:
    """Weights that unfinished runs build on, checkpoints of those, then all other weights.

    With the bytes that each takes in an archive. A checkpoint goes when its run is finished.
    """
    under_way = [run for run in runs if run.key not in finished]
    paths = [_weights(run, store) for run in runs if run.key in needed]
    paths += [store.folder(run) / "checkpoint.safetensors" for run in under_way]
    paths += [_weights(run, store) for run in runs if run.key in finished - needed]
    for path in paths:
        with suppress(FileNotFoundError):
            yield path, path.stat().st_size + OVERHEAD


def _write(target: Path, paths: list[Path], root: Path, mode: str) -> None:
    """An archive of files, each under its place in ``root``; all or nothing."""
    half = target.with_name(f".{target.name}")
    try:
        with tarfile.open(half, mode) as archive:
            for path in paths:
                # Opened first: training replaces checkpoints meanwhile, and removes them at last.
                with suppress(FileNotFoundError), path.open("rb") as file:
                    name = str(path.relative_to(root))
                    archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)
        half.replace(target)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
