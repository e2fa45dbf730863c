"""Data sets, one file each.

A data set is two splits with their class names, normalisation, augmentation and, where it is known,
the true posterior.
"""

from functools import lru_cache
from typing import Any

from mcmi_core.base.registry import Component
from mcmi_core.components import DATASETS
from mcmi_core.data.split import Dataset, Split


def load_dataset(data: str | Component, **options: Any) -> Dataset:
    """A data set, loaded once per process; the last few stay in memory.

    Args:
        data: ``"digits"``, or with options: ``"oracle:classes=4,seed=1"``.
        options: further ones: ``load_dataset("imagefolder", folder="/any, path")``.

    Raises:
        ValueError: unknown name or option, or a value out of range.
        DataError: its files are missing, incomplete or damaged, and cannot be downloaded.
    """
    component = Component.model_validate(data)
    given = Component(name=component.name, **component.options | options)
    return _load(DATASETS.complete(given))


@lru_cache(maxsize=4)
def _load(data: Component) -> Dataset:
    return DATASETS.build(data)


__all__ = ["DATASETS", "Dataset", "Split", "load_dataset"]
