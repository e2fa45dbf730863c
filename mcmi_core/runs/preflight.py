"""What a worker of a cluster must have, looked at before it trains anything."""

import platform
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from mcmi_core.base.errors import CompanionError, StoreError
from mcmi_core.base.files import locked, make_folder
from mcmi_core.base.registry import Component

SAME = ("mcmi_core", "commit", "torch", "torchvision", "python")
"""What must be the same everywhere, for results to be the same wherever they were made."""

LARGE_PIXELS = 128
"""Photographs from this side on are left to the runs that need them: to decode ImageNet takes hours
on each worker, and those of few experiments."""


@contextmanager
def held_file(root: Path) -> Iterator[Path]:
    """A file in the store, locked by this process, by which others recognise the folder.

    Those of processes that were killed are deleted.

    Raises:
        StoreError: it cannot be made.
    """
    make_folder(root)
    for old in root.glob(".check-*"):
        with suppress(Timeout, StoreError, OSError), locked(old, wait=False):
            old.unlink()
    path = root / f".check-{platform.node()}-{uuid.uuid4().hex}"
    try:
        with locked(path):
            yield path
    finally:
        path.unlink(missing_ok=True)


def to_check(datasets: Iterable[Component]) -> list[str]:
    """The data sets that workers are asked for before they train, each once."""
    small = {d for d in map(str, datasets) if _pixels(d) < LARGE_PIXELS}
    return sorted(small)


def _pixels(data: str) -> int:
    return int(Component.model_validate(data).options.get("image_size", 0))


def versions() -> dict[str, str]:
    """Of this process, for :data:`SAME`."""
    import torch

    from mcmi_core.runs import provenance

    about = provenance.describe(torch.device("cpu"))
    return {name: str(about[name]) for name in SAME}


def check_here(held: str, device: str, like: dict[str, str], datasets: list[str]) -> dict[str, Any]:
    """Whether runs could be made by this process.

    Args:
        held: path of a :func:`held_file` of the process that asks.
        device: ``cuda`` or ``cpu``.
        like: :func:`versions` of that process.
        datasets: that must be there.

    Returns:
        ``problem``: what is missing, or ""; ``data``: the fingerprint of each data set.
    """
    import torch

    from mcmi_core.data import load_dataset

    try:
        if device == "cuda" and not torch.cuda.is_available():
            raise CompanionError("torch finds no CUDA GPU")
        _check_versions(like)
        _check_folder(Path(held))
        found = {data: load_dataset(data).fingerprint() for data in datasets}
    except CompanionError as error:
        return {"problem": str(error)}
    return {"problem": "", "data": found}


def _check_versions(like: dict[str, str]) -> None:
    for name, here in versions().items():
        if here != like[name]:
            raise CompanionError(
                f"{name} is {here} there, and {like[name]} for whoever asks: results would differ"
            )


def _check_folder(held: Path) -> None:
    if not held.exists():
        raise CompanionError(
            f"{held.parent} is not the folder that it is here; workers need the same store, at the "
            "same path, on a file system that they share"
        )
    try:
        with locked(held, wait=False):
            raise CompanionError(
                f"the file system of {held.parent} does not let one machine see another's locks, "
                "so two could train one run; use one with locks (flock), such as NFS version 4"
            )
    except Timeout:
        pass
    own = held.with_name(f"{held.name}-{uuid.uuid4().hex}")
    with locked(own):  # whether files can be made here
        own.unlink(missing_ok=True)


def check_answers(answers: dict[str, dict[str, Any]]) -> None:
    """Require that all workers could train, on the same data.

    Args:
        answers: of :func:`check_here`, by worker.

    Raises:
        CompanionError: names every worker that could not, or two whose data differ.
    """
    problems = [f"{worker}: {about['problem']}" for worker, about in answers.items()]
    problems = [text for text in problems if not text.endswith(": ")]
    if problems:
        raise CompanionError(
            f"{len(problems)} of {len(answers)} workers cannot train: {'; '.join(problems)}"
        )
    first, expected = next(iter(answers.items()))
    for worker, about in answers.items():
        for data, fingerprint in about["data"].items():
            if fingerprint != expected["data"][data]:
                raise CompanionError(
                    f"data {data} has another content on {worker} than on {first}; all need the "
                    "same MCMI_DATA"
                )
