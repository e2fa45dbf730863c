"""Work on several processes of this machine that share a run, as torchrun would start them."""

import multiprocessing
import os
import socket
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import torch

from mcmi_core.base import processes

MOST = 3


def on_processes(number: int, work: Callable, *arguments: Any) -> list[Any]:
    """What ``work(*arguments)`` returns in each of some processes; an error of the first of them.

    Warnings are errors there, as they are here.
    """
    port = _free_port()
    futures = [
        _pool().submit(_join_and_work, rank, number, port, work, arguments)
        for rank in range(number)
    ]
    return [future.result(timeout=300) for future in futures]


@cache
def _pool() -> ProcessPoolExecutor:
    """Kept, as to import torch takes seconds. Each has one piece of work: all wait for the last."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mcmi_core.runs.trainer", "torch.distributed.nn.functional"])
    return ProcessPoolExecutor(MOST, context)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _join_and_work(rank: int, number: int, port: int, work: Callable, arguments: tuple) -> Any:
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    with warnings.catch_warnings(action="error"):
        processes.join()
        try:
            return work(*arguments)
        finally:
            processes.leave()
