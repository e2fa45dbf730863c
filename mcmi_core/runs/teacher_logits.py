"""A teacher's logits on every variant of its students' images, computed once for all of them.

Small images have V variants (:mod:`mcmi_core.data.augmentation`), so about N of them a teacher has
only V · N things to say, however many epochs and students ask. They lie beside its weights:

store/ID/logits-FINGERPRINT.float32   (V, N, C) for the split with that fingerprint

That is 4 · V · N · C bytes: 3.2 GB for CIFAR-100, a twentieth of it for a student of 5 %. So there
is a limit (:data:`SHARE_OF_DISK`), beyond which those that are the longest unused are deleted. A
student that needs them later has them computed again.
"""

import math
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from mcmi_core.base.device import free_memory
from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import map_tensor
from mcmi_core.data.augmentation import num_variants
from mcmi_core.data.split import Dataset, Split
from mcmi_core.distillers import DISTILLERS
from mcmi_core.measures.evaluation import predict_logits
from mcmi_core.runs import BayesTeacher, Run, Student, Teacher, TeacherHeads
from mcmi_core.runs.store import Store

SHARE_OF_DISK = 0.5
"""Of what is free, or would be without logits: the most that those of all teachers may take."""

BATCH_SIZE = {"cpu": 64, "cuda": 512}
"""Images at once: a CPU takes twice as long for each of 512, whose maps its caches cannot hold."""


def pays_for_one_student(dataset: Dataset, split: Split, looks: int) -> bool:
    """Whether a teacher has less to compute if it is asked about every variant, once.

    That is, whether V · N is at most the number of images that a single student looks at. With the
    32 x 32 pixels of CIFAR, V = 162: it is for the paper's 240 epochs, and for few-shot students,
    who see the same images more often.

    Nothing but a run's configuration and data decides, least of all what has been computed
    already. Last digits depend on which images share a batch, so runs with equal keys would
    otherwise differ in their results.

    Args:
        dataset: the data set that ``split`` belongs to.
        split: what the student trains on, N samples.
        looks: epochs times samples in an epoch.
    """
    if dataset.augmentation == "resized_crop":  # variants without number
        return False
    return num_variants(dataset.augmentation, dataset.stored_size) * len(split) <= looks


def remembered_shape(
    run: Run, dataset: Dataset, split: Split, epoch_length: int
) -> tuple[int, int, int] | None:
    """(V, N, C) of the logits that a student remembers; None if its teacher runs in every step.

    Args:
        run: whatever is trained.
        dataset: its data set.
        split: what it trains on, N samples.
        epoch_length: samples in an epoch.
    """
    if (
        not isinstance(run, Student)
        or DISTILLERS[run.distiller.name].uses_features
        or not pays_for_one_student(dataset, split, run.recipe.epochs * epoch_length)
    ):
        return None
    variants = num_variants(dataset.augmentation, dataset.stored_size)
    return variants, len(split), dataset.num_classes


def teacher_logits(
    teacher: Teacher | BayesTeacher | TeacherHeads,
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
        StoreError: they are too large for the disk, or the file is damaged.
    """
    variants = num_variants(dataset.augmentation, dataset.stored_size)
    if variants == 1:
        return predict_logits(model, dataset, split, device)[None]
    path = store.folder(teacher) / f"logits-{split.fingerprint()}.float32"
    shape = (variants, len(split), dataset.num_classes)
    with FileLock(f"{path}.lock"):
        for variant in _missing_variants(path, shape, store):
            batch_size = BATCH_SIZE[device.type]
            _append(path, predict_logits(model, dataset, split, device, variant, batch_size))
        os.utime(path)
        logits = map_tensor(path, np.float32, shape)
    fits = 2 * logits.nbytes <= free_memory(device)
    return logits.to(device) if fits else logits


def _missing_variants(path: Path, shape: tuple[int, ...], store: Store) -> range:
    """Those that the file still lacks, after what it holds of an interrupted one was cut off.

    It only ever grows, so its length says how much of it is there.
    """
    whole, one = (np.float32().itemsize * math.prod(sizes) for sizes in (shape, shape[1:]))
    there = path.stat().st_size if path.exists() else 0
    if there > whole:
        raise StoreError(
            f"{path} is damaged ({there:,} bytes, and {whole:,} were to be written); delete it, "
            "and what it held is computed again"
        )
    if there < whole:
        _make_room(store, whole - there)
    if there % one:
        with open(path, "ab") as file:
            file.truncate(there - there % one)
    return range(there // one, shape[0])


def _make_room(store: Store, needed: int) -> None:
    """Delete logits until ``needed`` bytes of others may follow, the longest unused first.

    Whoever reads them still has them, as long as its process lives.
    """
    with FileLock(store.root / "logits.lock"):
        files = sorted(store.root.glob("*/logits-*.float32"), key=lambda file: file.stat().st_mtime)
        taken = sum(file.stat().st_size for file in files)
        allowed = int(SHARE_OF_DISK * (shutil.disk_usage(store.root).free + taken))
        for file in files:
            if taken + needed <= allowed:
                break
            size = file.stat().st_size
            try:
                with FileLock(f"{file}.lock", blocking=False):
                    file.unlink()
            except Timeout:  # it is just being computed
                continue
            taken -= size
    if taken + needed > allowed:
        raise StoreError(
            f"a teacher's logits need {needed:,} bytes of disk beside {taken:,} that others are "
            f"writing, and may take {allowed:,}, half of what is free in {store.root}; make room "
            "or name another place in MCMI_STORE"
        )


def _append(path: Path, logits: Tensor) -> None:
    try:
        with open(path, "ab") as file:
            file.write(logits.float().cpu().numpy().data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
