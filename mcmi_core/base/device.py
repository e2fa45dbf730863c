"""Where to compute when nobody says, what fits there, and how weights lie in memory."""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from mcmi_core.base.errors import CompanionError

Module = TypeVar("Module", bound=nn.Module)


def default_device() -> torch.device:
    """The GPU if there is one, else the CPU. Each process that torchrun starts has its own GPU.

    Raises:
        CompanionError: torchrun started more processes on this machine than it has GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    place, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place and place >= there:
        raise CompanionError(
            f"process {place} of this machine has no GPU of its own, as there are {there}; give "
            f"torchrun --nproc-per-node {there}"
        )
    return torch.device("cuda", place)


def make_reproducible(device: torch.device) -> None:
    """Let a GPU compute float32 in float32, and the same steps to the same bits.

    PyTorch's defaults are TF32 for convolutions, which rounds their inputs to 11 bits, and whatever
    kernel is fastest, sums in varying order among them; with ``cudnn.benchmark``, whatever was
    fastest this time. On the CPU nothing needs to be changed.
    """
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Where there is no deterministic kernel, it warns; `mcmi sprint` says which methods repeat.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a search for bugs, not for bits


@contextmanager
def own_arithmetic(threads: int) -> Iterator[None]:
    """Compute as a run says, whatever its caller has set for other work; restored afterwards.

    Threads change the order of sums. ``torch.set_float32_matmul_precision("medium")``, which many a
    notebook sets, rounds the operands of matrix products to bf16, on some CPUs too; so does
    autocast that is on. Another default type would make other weights. The caller's random numbers
    (on the CPU) go on as if nothing had been computed.

    Args:
        threads: of operations on the CPU.
    """
    changes = [
        (torch.set_num_threads, torch.get_num_threads(), threads),
        (torch.set_default_dtype, torch.get_default_dtype(), torch.float32),
        (partial(torch.set_autocast_enabled, "cpu"), torch.is_autocast_enabled("cpu"), False),
        (partial(torch.set_autocast_enabled, "cuda"), torch.is_autocast_enabled("cuda"), False),
        (partial(setattr, torch.backends.mkldnn, "enabled"), torch.backends.mkldnn.enabled, True),
        *_of_precision(),
    ]
    if torch.get_default_device().type != "cpu":
        changes.append((torch.set_default_device, torch.get_default_device(), None))
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            for change, _, own in changes:
                change(own)
            yield
    finally:
        for change, before, _ in changes:
            change(before)


def _of_precision() -> list[tuple[Callable, str, str]]:
    """Setters of float32's precision, each with its present value and the exact one.

    PyTorch has an older and a newer way to set it. Once the newer one has been used, to read the
    older one is an error.
    """
    set_products = torch.set_float32_matmul_precision
    try:
        return [(set_products, torch.get_float32_matmul_precision(), "highest")]
    except RuntimeError:
        known = torch.backends
        kinds = (known, known.mkldnn, known.cudnn, known.cuda.matmul)
        kinds += (known.mkldnn.matmul, known.mkldnn.conv, known.mkldnn.rnn)
        kinds += (known.cudnn.conv, known.cudnn.rnn)
        name = "fp32_precision"
        return [(partial(setattr, kind, name), getattr(kind, name), "ieee") for kind in kinds]


def free_memory(device: torch.device) -> float:
    """Bytes that nobody uses on a device; without bound on the CPU, where files can be mapped."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def available_memory(device: torch.device) -> float:
    """Bytes that new tensors can take on a device; without bound where a CPU's system is silent."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    found = meminfo.exists() and re.search(r"^MemAvailable: *(\d+) kB", meminfo.read_text(), re.M)
    return 1024 * int(found[1]) if found else math.inf


def place(module: Module, device: torch.device, precision: str = "float32") -> Module:
    """Move a module to a device, its weights in the order that convolutions are fastest with.

    On the CPU that is channels last, and what a convolution returns follows its weights; networks
    without convolutions stay as they are. On a GPU it is what tensor cores read, so channels last
    for bf16; for float32 the order stays what it was.

    Args:
        module: changed in place; its numbers stay float32.
        device: where to.
        precision: ``float32`` or ``bf16``, of the steps that will run it.

    Returns:
        The module.
    """
    channels_last = device.type == "cpu" or (device.type == "cuda" and precision == "bf16")
    order = torch.channels_last if channels_last else torch.preserve_format
    return module.to(device, memory_format=order)
