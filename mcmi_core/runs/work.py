"""What a process that trains for others does: make the records of a group of runs."""

from collections.abc import Callable

import torch

from mcmi_core.base.errors import ParentDamaged
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.on_card import execute_on_card
from mcmi_core.runs.queue import Group, Queue
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure_together


def work(
    group: Group, store: Store, device: torch.device, on_epoch: Callable[[], None]
) -> list[Outcome]:
    """Make the records of runs that build on finished ones, side by side.

    What fails together is tried again one by one: a group may be too large for the memory, and one
    bad run is to stop no other.

    Args:
        group: on a CPU of one :func:`~mcmi_core.runs.stacking.axis`, or a single run.
        store: where results are kept.
        device: where to train.
        on_epoch: called after every epoch, on a CPU.

    Returns:
        What became of each, in the order of ``group``.
    """
    if device.type == "cuda":
        queue = Queue(group, store)
        execute_on_card(queue, store, device, streams=len(group))
        outcomes = [queue.outcome(run) for run in group]
        for place, (run, outcome) in enumerate(zip(group, outcomes, strict=True)):
            if outcome.failure and not outcome.failure.parent_damaged and len(group) > 1:
                outcomes[place] = work((run,), store, device, on_epoch)[0]
        return outcomes
    try:
        records = ensure_together(list(group), store, device, on_epoch)
        return [Outcome(record.key, record.status == "done") for record in records]
    except Exception as error:  # of these runs alone; kept, and said at the end
        if len(group) == 1 or isinstance(error, ParentDamaged):
            return [Outcome(run.key, failure=Failure.of(run, error)) for run in group]
    return [outcome for run in group for outcome in work((run,), store, device, on_epoch)]
