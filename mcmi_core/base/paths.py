"""Where things live: in the clone that this package is part of, else in the working directory.

Environment variables are read when a path is asked for, never at import.
"""

import os
from pathlib import Path

from mcmi_core.base.errors import CompanionError

PROJECT = Path(__file__).resolve().parents[2]
"""The folder that holds the package: the clone, or where a wheel was installed."""

IN_CLONE = (PROJECT / "requirements.lock").is_file()
"""Whether that is a clone, with notebooks, records, figures and weights."""


def require_clone(what: str) -> None:
    """Require notebooks, records and figures, which are no part of a wheel.

    Raises:
        CompanionError: the package was installed without them; ``what`` begins the message.
    """
    if not IN_CLONE:
        raise CompanionError(
            f"{what} needs a clone of the repository, and mcmi_core is installed without one, in "
            f"{PROJECT}: pip install --editable CLONE"
        )


def _root(variable: str, default: str) -> Path:
    named = os.environ.get(variable) or (str(PROJECT / default) if IN_CLONE else default)
    return Path(os.path.realpath(os.path.expanduser(named)))  # pathlib's raise where these do not


def data_root() -> Path:
    """Folder that holds the data sets (``MCMI_DATA``, else ``data/``)."""
    return _root("MCMI_DATA", "data")


def store_root() -> Path:
    """Folder of weights, checkpoints and fresh records (``MCMI_STORE``, else ``store/``)."""
    return _root("MCMI_STORE", "store")


def records_root() -> Path:
    """Folder of the records that a replay reads (``MCMI_RECORDS``, else ``records/``)."""
    return _root("MCMI_RECORDS", "records")


def cache_root() -> Path:
    """Folder of what can be derived again, such as decoded images (``MCMI_CACHE``)."""
    return _root("MCMI_CACHE", ".cache")


def output_root() -> Path:
    """Folder for figures (``MCMI_OUTPUT``)."""
    return _root("MCMI_OUTPUT", "build/interactive")


def cluster_scheduler() -> str:
    """Scheduler of the cluster to train on (``MCMI_CLUSTER``): an address or a file; "": none."""
    return os.environ.get("MCMI_CLUSTER", "")
