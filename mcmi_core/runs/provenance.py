"""Where a result came from: versions, hardware, commit."""

import platform
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from mcmi_core import __version__
from mcmi_core.base.paths import PROJECT


def describe(device: torch.device) -> dict[str, str | int]:
    """Versions, hardware, commit and date, as a record states them."""
    return {
        "mcmi_core": __version__,
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "python": platform.python_version(),
        "hardware": hardware(device),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def hardware(device: torch.device) -> str:
    """Name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor()


@cache
def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    named = cpuinfo.exists() and re.search(r"^model name\s*: *(.+)", cpuinfo.read_text(), re.M)
    return named[1] if named else platform.processor() or platform.machine()


@cache
def commit() -> str:
    """Short commit of the project, ``+`` appended when files differ from it; or ``unknown``."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "mcmi_core") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
