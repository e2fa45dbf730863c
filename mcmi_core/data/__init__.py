"""Data sets by name, one file each. To add one: write its file and add its line here.

A data set is two splits with their class names, normalisation, augmentation and, where it is known,
the true posterior.
"""

from functools import lru_cache

from mcmi_core.base.registry import Component, Registry
from mcmi_core.data.cifar import cifar10, cifar100
from mcmi_core.data.digits import digits
from mcmi_core.data.image_folder import image_folder
from mcmi_core.data.oracle import oracle
from mcmi_core.data.split import Dataset, Split

DATASETS = Registry(
    "data set",
    {
        "oracle": oracle,
        "digits": digits,
        "cifar10": cifar10,
        "cifar100": cifar100,
        "imagefolder": image_folder,
    },
)


def load_dataset(data: str | Component) -> Dataset:
    """A data set, loaded once per process; the last few stay in memory.

    Args:
        data: ``"digits"``, or with options: ``"oracle:classes=4,seed=1"``.

    Raises:
        ValueError: unknown name or option, or a value out of range.
        DataError: its files are missing, incomplete or damaged, and cannot be downloaded.
    """
    return _load(DATASETS.complete(Component.model_validate(data)))


@lru_cache(maxsize=4)
def _load(data: Component) -> Dataset:
    return DATASETS.build(data)


__all__ = ["DATASETS", "Dataset", "Split", "load_dataset"]
