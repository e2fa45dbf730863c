"""A teacher's logits on every variant of its students' images, computed once for all of them.

Small images have V variants (:mod:`mcmi_core.data.augmentation`), so of N images a teacher computes
logits for at most V · N inputs, however many epochs and students ask. They lie beside its weights:

store/ID/logits-FINGERPRINT-DEVICE.float32         (V, N, C) for the split with that fingerprint
store/ID/logits-FINGERPRINT-DEVICE.float32.crc32   a checksum of each variant, 4 bytes

where DEVICE says what last digits depend on: ``cuda``, or ``cpu`` and the number of threads.

That is 4 · V · N · C bytes: 3.2 GB for CIFAR-100, a twentieth of it for a student of 5 %. Beyond a
limit (:data:`SHARE_OF_DISK`) the files that were not used for the longest time are deleted, and
computed again when a student needs them.

Each student that begins compares all of them with their checksums, half a second for a gigabyte and
what the disk takes to read it. That is little, as it will look at each of them. Damaged ones are
computed again.
"""

import logging
import math
import os
import shutil
import time
import zlib
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import torch
from filelock import Timeout
from torch import Tensor, nn

from mcmi_core.base.device import free_memory
from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import exists, locked
from mcmi_core.base.progress import progress_bar
from mcmi_core.base.tensor_files import map_tensor
from mcmi_core.components import DISTILLERS
from mcmi_core.data.augmentation import num_variants
from mcmi_core.data.split import Dataset, Split
from mcmi_core.measures.evaluation import predict_logits
from mcmi_core.runs.config import BayesTeacher, Run, Student, Teacher, TeacherHeads
from mcmi_core.runs.store import Store

SHARE_OF_DISK = 0.5
"""The most that all teachers' logits may take of the disk space that is free without them."""

MOST_AHEAD = 86_400
"""Seconds that a file's time may be ahead of the clock: beyond, it was set wrongly and says
nothing."""

logger = logging.getLogger(__name__)

_on_device: WeakValueDictionary[tuple[Path, torch.device], Tensor] = WeakValueDictionary()
"""Logits on a GPU that runs under way hold: students of one teacher share them."""


def pays_for_one_student(dataset: Dataset, split: Split, looks: int) -> bool:
    """Whether a teacher computes less if it computes the logits of every variant once.

    That is, whether V · N is at most the number of images that a single student looks at. With the
    32 x 32 pixels of CIFAR, V = 162. So it pays in the paper's 240 epochs, and for few-shot
    students, who see the same images more often.

    Only a run's configuration and data decide, and not which logits exist already: last digits
    depend on which images share a batch, so runs with equal keys would differ in their results.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: what the student trains on, N samples.
        looks: epochs times samples in an epoch.
    """
    if dataset.augmentation == "resized_crop":  # variants without number
        return False
    return num_variants(dataset.augmentation, dataset.stored_size) * len(split) <= looks


def remembers(run: Run, dataset: Dataset, split: Split, epoch_length: int) -> bool:
    """Whether a run is a student that remembers what its teacher says, instead of asking each time.

    Args:
        run: whatever is trained.
        dataset: its data set.
        split: what it trains on, N samples.
        epoch_length: samples in an epoch.
    """
    return (
        isinstance(run, Student)
        and not DISTILLERS.load(run.distiller.name).uses_features
        and pays_for_one_student(dataset, split, run.recipe.epochs * epoch_length)
    )


def teacher_logits(
    teacher: Teacher | BayesTeacher | TeacherHeads | Student,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    store: Store,
    device: torch.device,
) -> Tensor:
    """The teacher's logits on every variant of every sample of a split.

    Of several processes that ask at once, one computes and the others wait. Interrupted, it goes
    on after the last whole variant.

    Args:
        teacher: a finished run.
        model: its network, on ``device``.
        dataset: the data set that ``split`` belongs to; its variants are numbered.
        split: of N samples.
        store: where the teacher's run is, and its logits will be.
        device: where to compute.

    Returns:
        (V, N, C) float32, on ``device`` if they take at most half of its free memory, else mapped
        from the disk. Without augmentation, V = 1, of the model's own type and in no file: to
        compute them takes no longer than to find them.

    Raises:
        StoreError: they are too large for the disk, or cannot be read or written.
    """
    variants = num_variants(dataset.augmentation, dataset.stored_size)
    if variants == 1:
        return predict_logits(model, dataset, split, device)[None]
    where = "cuda" if device.type == "cuda" else f"cpu{torch.get_num_threads()}"
    path = store.folder(teacher) / f"logits-{split.fingerprint()}-{where}.float32"
    shape = (variants, len(split), dataset.num_classes)
    with locked(_lock_of(path)):
        if missing := _missing_variants(path, shape, store):
            with progress_bar(total=len(missing), unit="logits variant") as bar:
                for variant in missing:
                    _append(path, predict_logits(model, dataset, split, device, variant))
                    bar.update()
        os.utime(path)
        logits = map_tensor(path, np.float32, shape)
    return _shared(path, logits, device)


def _shared(path: Path, logits: Tensor, device: torch.device) -> Tensor:
    """The logits on a device, if they fit there; all runs that hold them hold the same."""
    if device.type == "cpu":
        return logits
    there = _on_device.get((path, device))
    if there is None:
        if 2 * logits.nbytes > free_memory(device):
            return logits
        there = _on_device[path, device] = logits.to(device)
    return there


def _missing_variants(path: Path, shape: tuple[int, ...], store: Store) -> range:
    """The variants that the file lacks; what was written in part, or is damaged, is cut off.

    The file is only appended to, and so are its checksums, each after its variant.
    """
    whole, one = (np.float32().itemsize * math.prod(sizes) for sizes in (shape, shape[1:]))
    checksums = _checksums_of(path)
    try:
        was_there = exists(path)
        there = path.stat().st_size if was_there else 0
        sums = np.fromfile(checksums, "<u4") if exists(checksums) else np.empty(0, "<u4")
        sound = _sound_variants(path, one, sums[: shape[0]]) if there else 0
        # Whoever was killed has left at most one variant without its checksum.
        if was_there and (sound < len(sums) or there > min(whole, (sound + 1) * one)):
            logger.warning("%s is damaged, or of an earlier version; it is computed again", path)
            if there >= whole:  # others may have mapped it, and go on with what they have
                path.unlink()
                sound = 0
        for file, length in ((path, sound * one), (checksums, sound * sums.itemsize)):
            if exists(file) and file.stat().st_size > length:
                os.truncate(file, length)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if sound < shape[0]:
        _make_room(store, whole - sound * one)
    return range(sound, shape[0])


def _sound_variants(path: Path, size: int, checksums: np.ndarray) -> int:
    """How many variants from the first on are what was written.

    Args:
        path: of the file.
        size: bytes of a variant.
        checksums: of the variants.
    """
    with open(path, "rb") as file:
        for number, checksum in enumerate(checksums):
            variant = file.read(size)
            if len(variant) < size or zlib.crc32(variant) != checksum:
                return number
    return len(checksums)


def _make_room(store: Store, needed: int) -> None:
    """Delete logits, the longest unused first, until ``needed`` more bytes are within the limit.

    A process that has mapped a deleted file keeps its numbers as long as it lives.
    """
    with locked(store.root / "logits.lock"):
        files = sorted(store.root.glob("*/logits-*.float32"), key=_last_use)
        taken = sum(file.stat().st_size for file in files)
        allowed = int(SHARE_OF_DISK * (shutil.disk_usage(store.root).free + taken))
        for file in files:
            if taken + needed <= allowed:
                break
            size = file.stat().st_size
            try:
                with locked(_lock_of(file), wait=False):
                    file.unlink()
                    _checksums_of(file).unlink(missing_ok=True)
            except Timeout:  # it is just being computed
                continue
            taken -= size
    if taken + needed > allowed:
        raise StoreError(
            f"a teacher's logits need {needed:,} bytes of disk beside {taken:,} that others are "
            f"writing, and may take {allowed:,}, half of what is free in {store.root}; make room "
            "or name another place in MCMI_STORE"
        )


def _last_use(path: Path) -> float:
    """Seconds since 1970; 0 if that is far ahead, so that such a file is the first to go."""
    used = path.stat().st_mtime
    return used if used < time.time() + MOST_AHEAD else 0


def _checksums_of(path: Path) -> Path:
    return Path(f"{path}.crc32")


def _lock_of(path: Path) -> Path:
    return Path(f"{path}.lock")


def _append(path: Path, logits: Tensor) -> None:
    variant = logits.float().cpu().numpy().data
    checksum = np.array(zlib.crc32(variant), "<u4").tobytes()
    try:
        for target, content in ((path, variant), (_checksums_of(path), checksum)):
            with open(target, "ab") as file:
                file.write(content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
