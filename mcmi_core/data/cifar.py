"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), downloaded and checked by torchvision.

Their files are pickles, which could run code. Nothing is unpacked from an archive, and none of its
files is read, before its checksum is found to be that in torchvision's source.
"""

import re
from contextlib import suppress
from pathlib import Path

import torch

from mcmi_core.base.archives import files_in
from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.files import locked, write_atomically
from mcmi_core.base.paths import data_root
from mcmi_core.data.split import Dataset, Split

STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""Channel means and deviations customary in this literature. CIFAR-10's deviations are averages of
those within single images, which are smaller than the deviation of all pixels."""

MOST_UNPACKED = 2**28
"""Bytes of one archive, unpacked: a third more than either has."""


def cifar10() -> Dataset:
    """50,000 training and 10,000 test images of 10 classes, 32x32, RGB."""
    return _cifar("cifar10")


def cifar100() -> Dataset:
    """50,000 training and 10,000 test images of 100 classes, 32x32, RGB."""
    return _cifar("cifar100")


def _cifar(name: str) -> Dataset:
    from torchvision import datasets  # takes seconds, so only where it is used

    root, factory = data_root(), getattr(datasets, name.upper())
    try:
        parts = _read(root, factory)
    except RuntimeError:  # missing, or not what its checksum says
        parts = _download(name, root, factory)
    images = [torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in parts]
    train, test = map(Split, images, (torch.tensor(part.targets) for part in parts))
    mean, std = STATISTICS[name]
    names = tuple(parts[0].classes)
    return Dataset(name, train, test, names, mean=mean, std=std, augmentation="crop_flip")


def _read(root: Path, factory: type) -> list:
    """Both splits; RuntimeError if a file is missing or another than its checksum says."""
    return [factory(root, train=train) for train in (True, False)]


def _download(name: str, root: Path, factory: type) -> list:
    """Both splits; if several processes need them at once, one downloads."""
    from torchvision.datasets.utils import download_url

    try:
        with locked(root / f".{name}.lock"):
            with suppress(RuntimeError):  # another process has downloaded it meanwhile
                return _read(root, factory)
            download_url(factory.url, root, factory.filename, factory.tgz_md5)
            names = re.compile(rf"{re.escape(factory.base_folder)}/[\w.~-]+")
            for file, content in files_in(root / factory.filename, names, MOST_UNPACKED):
                write_atomically(root / file, content, durable=False)
            return _read(root, factory)
    except (OSError, RuntimeError, StoreError) as error:
        if damaged := _damaged(root, factory):
            raise DataError(
                f"{name} in {root} is damaged and cannot be downloaded again ({error}): "
                f"{', '.join(damaged)}. Delete the folder {factory.base_folder}, and put a whole "
                f"{factory.filename} beside it: that is unpacked"
            ) from error
        raise DataError(
            f"{name} is not in {root} and cannot be downloaded ({error}). On a machine with a "
            f"network, fetch {factory.filename}, then put it there or name its folder in MCMI_DATA"
        ) from error


def _damaged(root: Path, factory: type) -> list[str]:
    """Files of a data set that are there and have another checksum than they should, by name."""
    from torchvision.datasets.utils import check_integrity

    listed = [*factory.train_list, *factory.test_list]
    listed.append((factory.meta["filename"], factory.meta["md5"]))
    checksums = {f"{factory.base_folder}/{name}": md5 for name, md5 in listed}
    checksums[factory.filename] = factory.tgz_md5
    return [
        name
        for name, md5 in checksums.items()
        if (root / name).exists() and not check_integrity(root / name, md5)
    ]
