"""A teacher's logits on every variant of its students' images, computed once for all of them.

Small images have V variants (:mod:`mcmi_core.data.augmentation`), so a teacher of N of them has
only V · N answers to give, however many epochs and students ask. They lie beside its weights:

store/ID/logits-FINGERPRINT.float32   (V, N, C) for the split with that fingerprint

They take 4 · V · N · C bytes, 3.2 GB for CIFAR-100, and can be deleted whenever no run is under
way: a student that needs them has them computed again.
"""

import math
import shutil
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from mcmi_core.data.augmentation import num_variants
from mcmi_core.data.split import Dataset, Split
from mcmi_core.device import free_memory
from mcmi_core.errors import StoreError
from mcmi_core.evaluation import predict_logits
from mcmi_core.files import map_tensor
from mcmi_core.runs import BayesTeacher, Teacher, TeacherHeads
from mcmi_core.store import Store


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
        StoreError: the disk has no room for them, or the file is damaged.
    """
    variants = num_variants(dataset.augmentation, dataset.stored_size)
    if variants == 1:
        return predict_logits(model, dataset, split, device)[None]
    path = store.folder(teacher) / f"logits-{split.fingerprint()}.float32"
    shape = (variants, len(split), dataset.num_classes)
    with FileLock(f"{path}.lock"):
        for variant in _missing_variants(path, shape):
            _append(path, predict_logits(model, dataset, split, device, variant))
        logits = map_tensor(path, np.float32, shape)
    fits = 2 * logits.nbytes <= free_memory(device)
    return logits.to(device) if fits else logits


def _missing_variants(path: Path, shape: tuple[int, ...]) -> range:
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
    free = shutil.disk_usage(path.parent).free
    if whole - there > free:
        raise StoreError(
            f"{path} needs {whole - there:,} bytes of disk, and there are {free:,}; delete such "
            "files of teachers whose students are finished, or name another place in MCMI_STORE"
        )
    if there % one:
        with open(path, "ab") as file:
            file.truncate(there - there % one)
    return range(there // one, shape[0])


def _append(path: Path, logits: Tensor) -> None:
    try:
        with open(path, "ab") as file:
            file.write(logits.float().cpu().numpy().data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
