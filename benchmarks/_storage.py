"""What a graph of runs leaves on the disk, for schedule.py: from formulas and real files."""

from collections.abc import Iterable
from functools import cache

from _durations import DATA, Images

from mcmi_core.base.paths import PROJECT
from mcmi_core.components import DISTILLERS
from mcmi_core.data.augmentation import num_variants, stored_size
from mcmi_core.models import create_model
from mcmi_core.runs.config import Run, Student

FILES_OF_A_RUN = 3
"""record.json, weights.safetensors, lock; and its folder."""

FILES_OF_LOGITS = 3
"""Of one teacher: the logits, their checksums, lock."""


def storage_row(name: str, runs: Iterable[Run]) -> tuple:
    """Of runs of one data set: files, and bytes by kind, as a row of a table."""
    runs = list(runs)
    [data] = {run.data.name for run in runs}
    images = DATA[data]
    weights = [weight_bytes(str(run.model), images) for run in runs]
    telling = {run.parent.key for run in runs if remembers(run, data)}
    return (
        name,
        f"{len(runs):,}",
        f"{FILES_OF_A_RUN * len(runs) + FILES_OF_LOGITS * len(telling):,}",
        f"{sum(weights) / 1e9:.1f}",
        f"{2 * max(weights) / 1e6:.0f}",
        f"{len(runs) * record_bytes() / 1e6:.0f}",
        f"{len(telling)} · {logits_bytes(data) / 1e9:.2f} = "
        f"{len(telling) * logits_bytes(data) / 1e9:.0f}"
        if telling
        else "none",
        f"{pixel_bytes(data) / 1e9:.1f}",
    )


@cache
def weight_bytes(model: str, images: Images) -> int:
    """Of a network's tensors, as weights.safetensors holds them."""
    size = {"num_classes": images.classes, "in_channels": 3, "image_size": images.pixels}
    tensors = create_model(model, **size).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@cache
def record_bytes() -> int:
    """Of the largest record of a training on a GPU: 240 epochs."""
    return max(path.stat().st_size for path in (PROJECT / "records/gpu").glob("teacher-*.json"))


def remembers(run: Run, data: str) -> bool:
    """Whether it learns from remembered logits; never with random resized crops."""
    return (
        data == "cifar100"
        and isinstance(run, Student)
        and not DISTILLERS.load(run.distiller.name).uses_features
        and num_variants("crop_flip", DATA[data].pixels) <= run.epochs
    )


def logits_bytes(data: str) -> int:
    """Of one teacher: 4 · V · N · C."""
    images = DATA[data]
    return 4 * num_variants("crop_flip", images.pixels) * images.train * images.classes


def pixel_bytes(data: str) -> int:
    """Of the decoded images of both splits."""
    images = DATA[data]
    kind = "crop_flip" if images.pixels < 128 else "resized_crop"
    return (images.train + images.test) * 3 * stored_size(kind, images.pixels) ** 2
