"""Where a result came from: versions, hardware, commit."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mcmi_core import __version__
from mcmi_core.base import processes
from mcmi_core.base.paths import PROJECT

CHANGE_LAST_DIGITS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
)
"""Environment variables that choose other kernels than the hardware would."""

WITHOUT_MENTION = {"settings": "none", "processes": 1}
"""What is meant where a provenance does not say it."""


def describe(device: torch.device) -> dict[str, str | int]:
    """Versions, hardware, commit and date, as a record states them.

    And, where any is set, the variables of :data:`CHANGE_LAST_DIGITS`, as ``settings``; and, if
    there are several, the ``processes`` that share a run.
    """
    several = {"processes": processes.number()} if processes.number() > 1 else {}
    chosen = [f"{name}={os.environ[name]}" for name in CHANGE_LAST_DIGITS if name in os.environ]
    return (
        ({"settings": " ".join(chosen)} if chosen else {})
        | several
        | {
            "mcmi_core": __version__,
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
            "python": platform.python_version(),
            "hardware": hardware(device),
            "threads": torch.get_num_threads(),
            "commit": commit(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        }
    )


def joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a run that an earlier process began and this one goes on with.

    Args:
        before: of the earlier part; empty if there was none.
        now: of this process.

    Returns:
        ``now``, and ``"A, then B"`` where the two differ, but for the date.
    """
    if not before:
        return dict(now)
    both = {"date": now["date"]}
    for name in now.keys() | (WITHOUT_MENTION.keys() & before.keys()):
        unsaid = WITHOUT_MENTION.get(name, "none")
        earlier, value = (about.get(name, unsaid) for about in (before, now))
        if name == "date":
            continue
        same = earlier == value or str(earlier).endswith(f", then {value}")
        both[name] = earlier if same else f"{earlier}, then {value}"
    return both


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
    if not (PROJECT / ".git").exists():  # git would take the commit of whatever repository is above
        return "unknown"
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "mcmi_core") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
