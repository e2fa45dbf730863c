"""What a worker of a cluster must have, looked at before anything is trained."""

import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.files import locked, make_folder

SAME = ("mcmi_core", "commit", "torch", "torchvision", "python")
"""What must be the same everywhere, for results to be the same wherever they were made."""


@contextmanager
def held_file(root: Path) -> Iterator[Path]:
    """A file in the store, locked by this process, by which others recognise the folder."""
    make_folder(root)
    path = root / f".check-{platform.node()}-{uuid.uuid4().hex}"
    try:
        with locked(path):
            yield path
    finally:
        path.unlink(missing_ok=True)


def check_here(held: str, device: str, datasets: list[str]) -> dict[str, Any]:
    """Whether runs could be made by this process.

    Args:
        held: path of a :func:`held_file` of another process.
        device: ``cuda`` or ``cpu``.
        datasets: that must be there.

    Returns:
        Versions and hardware, and ``problem``: what is missing, or "".
    """
    import torch

    from mcmi_core.runs import provenance

    has_card = torch.cuda.is_available()
    where = torch.device("cuda", 0) if device == "cuda" and has_card else torch.device("cpu")
    about = provenance.describe(where)
    problem = ""
    if device == "cuda" and not has_card:
        problem = "torch finds no CUDA GPU"
    else:
        try:
            _check_folder(Path(held))
            _check_data(datasets)
        except CompanionError as error:
            problem = str(error)
    return {name: about[name] for name in (*SAME, "hardware")} | {"problem": problem}


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
    own = held.with_name(f"{held.name}-{platform.node()}")
    with locked(own):  # whether files can be made here
        own.unlink()


def _check_data(datasets: list[str]) -> None:
    from mcmi_core.base.registry import Component
    from mcmi_core.components import DATASETS
    from mcmi_core.data import load_dataset

    for data in datasets:
        load_dataset(DATASETS.complete(Component.model_validate(data)))


def check_answers(answers: dict[str, dict[str, Any]]) -> None:
    """Require that all workers could train, and are alike.

    Args:
        answers: of :func:`check_here`, by worker; of this process too, if it is to be like them.

    Raises:
        CompanionError: names every worker that could not, or the versions that differ.
    """
    problems = [f"{worker}: {about['problem']}" for worker, about in answers.items()]
    problems = [text for text in problems if not text.endswith(": ")]
    if problems:
        raise CompanionError(f"{len(problems)} workers cannot train. {'; '.join(problems)}")
    for name in SAME:
        values = {about[name]: worker for worker, about in answers.items()}
        if len(values) > 1:
            told = ", ".join(f"{value} on {worker}" for value, worker in values.items())
            raise CompanionError(f"all must have the same {name}, but there are {told}")
