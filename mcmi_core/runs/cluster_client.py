"""A client of a Dask cluster that is running; or, in a line, why there is none."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.extras import require_extra
from mcmi_core.base.messages import quoted, without_breaks

require_extra("cluster", "--cluster", "distributed")
from distributed import Client, Security, rpc  # noqa: E402
from distributed.comm import get_address_host_port  # noqa: E402
from distributed.utils import LoopRunner  # noqa: E402

CONNECT_SECONDS = 30
"""To wait for a scheduler to answer."""

TLS_SETTING = "DASK_DISTRIBUTED__COMM__TLS__"
"""How the variables begin that name certificates."""

LOGS = ("distributed", "distributed.client")
"""Dask's loggers that tell of connections; each has a level of its own."""


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of a running cluster.

    Args:
        scheduler: its address, ``tcp://host:8786``, or the path of the file that
            ``dask scheduler --scheduler-file`` writes.

    Raises:
        CompanionError: it is neither, or no scheduler answers there.
    """
    address = _address(scheduler)
    with _without_dasks_log():
        try:
            LoopRunner().run_sync(_look_for_scheduler, address)
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # of any kind: a port may belong to anything
            reason = without_breaks(error) or f"no answer in {CONNECT_SECONDS} s"
            message = f"no Dask scheduler answers at {quoted(scheduler)}: {reason}"
            raise CompanionError(message) from None
        with client:
            yield client


def _address(scheduler: str) -> str:
    """The address that is given, or named by the file that is given.

    Raises:
        CompanionError: it has no scheme that Dask knows, no host or no port.
    """
    address: Any = scheduler
    names = ""
    if "://" not in scheduler and Path(scheduler).is_file():
        address = _named_in(Path(scheduler))
        names = f", which names {quoted(address)}"
    try:
        host, port = get_address_host_port(address, strict=True)
    except (TypeError, ValueError):
        host, port = "", 0
    if not host or not 0 < port < 2**16:
        raise CompanionError(
            f"no cluster at {quoted(scheduler)}{names}; give the address of a Dask scheduler, such "
            "as tcp://host:8786, or the file that `dask scheduler --scheduler-file` writes"
        )
    return address


def _named_in(file: Path) -> Any:
    """What a scheduler's file gives as its address; None if it gives none.

    Raises:
        CompanionError: it cannot be read.
    """
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CompanionError(f"no cluster at {str(file)!r}: {without_breaks(error)}") from None
    return about.get("address") if isinstance(about, dict) else None


async def _look_for_scheduler(address: str) -> None:
    """Look who answers, before a client is made: one that cannot connect is waited for at exit.

    Raises:
        Exception: whatever Dask raises, ValueError and OSError among it: it is no scheduler.
    """
    arguments = _connection_arguments(address)
    async with rpc(address, connection_args=arguments, timeout=CONNECT_SECONDS) as found:
        kind = (await asyncio.wait_for(found.identity(), CONNECT_SECONDS))["type"]
    if kind != "Scheduler":
        raise ValueError(f"it is the address of a {kind}")


def _connection_arguments(address: str) -> dict[str, Any]:
    """How Dask's settings say to connect.

    Raises:
        OSError: a certificate is missing or cannot be read; quotes these settings.
    """
    security = Security()
    files = {
        "CA_FILE": security.tls_ca_file,
        "CLIENT__CERT": security.tls_client_cert,
        "CLIENT__KEY": security.tls_client_key,
    }
    try:
        arguments = security.get_connection_args("client")
        if address.startswith("tls://") and not arguments["ssl_context"]:
            raise FileNotFoundError("TLS needs certificates")
    except OSError as error:
        settings = (f"{TLS_SETTING}{name}={quoted(file)}" for name, file in files.items())
        raise OSError(f"{error}: {' '.join(settings)}") from None
    return arguments


@contextmanager
def _without_dasks_log() -> Iterator[None]:
    """Silence Dask's tracebacks about connections: what they mean is raised here, in a line."""
    levels = {log: log.level for log in map(logging.getLogger, LOGS)}
    try:
        for log in levels:
            log.setLevel(logging.CRITICAL)
        yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)
