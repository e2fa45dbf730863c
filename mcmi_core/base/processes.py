"""One run on several processes, as torchrun starts them: who this one is, and what all have in sum.

A process that was not asked to :func:`join` is alone: it is the first of one, and its sums are its
own. So a program that uses torch.distributed for its own purposes is not waited for.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.messages import without_breaks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import Store

LONGEST_WAIT = timedelta(minutes=30)
"""For the others in the middle of the work; then one of them counts as lost. torchrun ends all as
soon as one has died, so this concerns those that hang."""

WITHOUT_LIMIT = timedelta(days=365)
"""For the first process, which may wait for a lock; and for data that another machine decodes."""

_store: "Store | None" = None
"""Texts that processes leave for each other; None before :func:`join`."""
_rank, _number = 0, 1
_exchanges = 0
"""How often texts were exchanged; the same in all processes."""
_counts = True
"""Whether this process has samples of its own in the present step."""


def launched() -> bool:
    """Whether torchrun started this process as one of several.

    RANK and WORLD_SIZE alone are set by others too, such as Kubernetes' operators for PyTorch.
    """
    started = {"TORCHELASTIC_RUN_ID", "RANK"} <= os.environ.keys()
    return started and int(os.environ.get("WORLD_SIZE", "1")) > 1


def join() -> None:
    """Wait for the other processes; from here on, sums are those of all.

    Sums go through NCCL between GPUs, of which each process has its own, and through gloo between
    CPUs.
    """
    global _store, _rank, _number, _exchanges
    import torch
    from torch import distributed

    from mcmi_core.base.device import default_device

    device = default_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    shared, _rank, _number = next(distributed.rendezvous("env://", timeout=LONGEST_WAIT))
    _store, _exchanges = distributed.PrefixStore("mcmi", shared), 0
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.PrefixStore("sums", _store),
        rank=_rank,
        world_size=_number,
        timeout=LONGEST_WAIT,
    )


def leave() -> None:
    """Be alone again, the first process last, which may keep the texts that others still read.

    Does nothing without :func:`join`.
    """
    global _store, _rank, _number
    if _store is None:
        return
    from torch import distributed

    _store.set(f"left/{_rank}", "")
    if is_first():
        _store.wait([f"left/{other}" for other in range(_number)], WITHOUT_LIMIT)
    distributed.destroy_process_group()
    _store, _rank, _number = None, 0, 1


def rank() -> int:
    """Which process this is, from 0."""
    return _rank


def number() -> int:
    """How many processes share a run."""
    return _number


def is_first() -> bool:
    """Whether this process writes what one has to write for all."""
    return _rank == 0


def sum_over_processes(tensor: "Tensor") -> "Tensor":
    """The sum of the processes' tensors, the same bits in each of them; differentiable.

    All of them have to call it, in the same order.
    """
    if _number == 1:
        return tensor
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(tensor if _counts else 0 * tensor)


@contextmanager
def without_samples() -> Iterator[None]:
    """Within, this process adds zeros to every sum: what it computes belongs to another one."""
    global _counts
    _counts = False
    try:
        yield
    finally:
        _counts = True


def from_first(find: Callable[[], Any]) -> Any:
    """What a call returns in the first process, which alone makes it; JSON-able. All wait for it.

    Raises:
        CompanionError: the call raised one; in the first process, its own.
    """
    if _number == 1:
        return find()
    key = _next_key()
    if not is_first():
        answer = _read(key)
        if "error" in answer:
            raise CompanionError(answer["error"])
        return answer["found"]
    try:
        found = find()
    except CompanionError as error:
        _store.set(key, json.dumps({"error": str(error)}))
        raise
    _store.set(key, json.dumps({"found": found}))
    return found


def check_same(what: str, value: str | int) -> None:
    """Wait for all processes, and require that they have the same.

    Raises:
        CompanionError: one has something else than the first.
    """
    if _number == 1:
        return
    key = _next_key()
    _store.set(f"{key}/{_rank}", json.dumps(value))
    values = [_read(f"{key}/{other}") for other in range(_number)]
    for other, its_value in enumerate(values):
        if its_value != values[0]:
            raise CompanionError(
                f"{what} is {values[0]} for process 0 and {its_value} for process {other}; all "
                "processes need the same MCMI_STORE and MCMI_DATA"
            )


def _next_key() -> str:
    global _exchanges
    _exchanges += 1
    return str(_exchanges)


def _read(key: str) -> Any:
    _store.wait([key], WITHOUT_LIMIT)
    return json.loads(_store.get(key))


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process alone speak, and of those that fail the one that does so first.

    Raises:
        SystemExit: another process was lost.
    """
    if not launched():
        yield
        return
    own, silence = (sys.stdout, sys.stderr), open(os.devnull, "w")  # noqa: SIM115
    if os.environ["RANK"] != "0":
        sys.stdout = sys.stderr = silence
    try:
        yield
        leave()
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:  # so ends a command that succeeds
            leave()
            raise
        sys.stdout, sys.stderr = own if _fails_first() else (silence, silence)
        if _is_lost_connection(error):
            reason = without_breaks(error)
            sys.exit(
                f"mcmi: another process of this run died or hangs ({reason}); the same command "
                "goes on from the last checkpoint"
            )
        raise


def _fails_first() -> bool:
    if _store is None:
        return os.environ["RANK"] == "0"
    try:
        return _store.add("failed", 1) == 1
    except RuntimeError:  # who kept the texts is gone, and cannot have said why
        return True


def _is_lost_connection(error: BaseException) -> bool:
    """Whether a sum, or a text, of another process did not come."""
    if not isinstance(error, RuntimeError) or _store is None:
        return False
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo" in str(error)
