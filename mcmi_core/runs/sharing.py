"""A run that several processes share: which can be, and what the first of them does for all.

Only the first locks a run's folder and writes to it; the others learn from it whether the run is
finished, and read the same weights and checkpoints.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mcmi_core.base import processes
from mcmi_core.base.errors import CompanionError
from mcmi_core.components import DISTILLERS
from mcmi_core.runs.config import Run, Student
from mcmi_core.runs.records import Record
from mcmi_core.runs.store import Store


def check_shareable(run: Run) -> None:
    """Require that a batch can be divided among the processes that there are.

    Raises:
        CompanionError: it cannot, as the distiller looks at a batch, or at a memory, as a whole.
    """
    if processes.number() == 1 or not isinstance(run, Student):
        return
    if not DISTILLERS.load(run.distiller.name).shareable:
        able = [name for name in DISTILLERS if DISTILLERS.load(name).shareable]
        raise CompanionError(
            f"distiller {run.distiller.name!r} compares the samples of a batch with one another or "
            f"with a memory, so {processes.number()} processes cannot share a batch; train it in "
            f"one process, or choose from {', '.join(able)}"
        )


def finished(run: Run, store: Store) -> Record | None:
    """The record of a run that the first process finds; None also where it is damaged.

    Raises:
        CompanionError: the record cannot be read or was edited.
    """
    if processes.number() == 1:
        return store.finished(run)
    text = processes.from_first(lambda: (found := store.finished(run)) and found.to_json())
    return Record.model_validate_json(text) if text else None


@contextmanager
def lock(run: Run, store: Store, wait: bool) -> Iterator[None]:
    """:meth:`Store.lock <mcmi_core.runs.store.Store.lock>`, held by the first process for all."""
    if not processes.is_first():
        yield
        return
    with store.lock(run, wait):
        yield
