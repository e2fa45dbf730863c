"""How a command ends: an error that a user can act on is one line, and exit status 1.

Texts of others that it quotes cannot command the terminal. Of several processes, one speaks.
"""

import logging
import os
import re
import sys
from collections.abc import Callable

import typer
from pydantic import ValidationError

from mcmi_core.base import processes
from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.messages import in_a_line, quoted, shortened
from mcmi_core.base.terminal import log_lines, visible

UsageError = typer.BadParameter.__base__
"""The class of all errors in arguments; typer has no public name for it."""


def run_command(command: Callable[..., int | None]) -> None:
    """Run a command line and exit.

    Args:
        command: a typer application; called with ``standalone_mode=False``.

    Raises:
        SystemExit: always, but for a bug: with 0; with one line and 1; with 75 (``EX_TEMPFAIL``) if
            a deadline came first; and Ctrl-C ends with 130.
    """
    try:
        with processes.one_voice():
            _run(command)
    except SystemExit as stop:
        sys.exit(visible(stop.code) if isinstance(stop.code, str) else stop.code)


def _run(command: Callable[..., int | None]) -> None:
    log_lines()
    logging.getLogger("mcmi_core").setLevel(logging.INFO)  # what images were taken, once
    try:
        status = command(standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group's help was asked for
            error.show()
            sys.exit(error.exit_code)
        sys.exit(f"mcmi: {_misused(error)}")
    except ValidationError as error:
        sys.exit(f"mcmi: {in_a_line(error)}")
    except OutOfTime as error:
        print(f"mcmi: {error}; the same command goes on", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    except (CompanionError, ValueError) as error:
        sys.exit(f"mcmi: {error}")
    except OSError as error:
        if error.filename is None:  # of no file or folder, so nothing that a user can see to
            raise
        sys.exit(f"mcmi: {error.filename}: {error.strerror}")
    except (MemoryError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if isinstance(error, RuntimeError) and not re.search("out of memory|allocate", reason):
            raise
        sys.exit(f"mcmi: too large for the memory of this machine: {reason or 'no more is free'}")
    if status == 130:  # what typer makes of Ctrl-C
        message = "mcmi: interrupted; the same command goes on from the last checkpoint"
        print(message, file=sys.stderr, flush=True)
        os._exit(130)  # at once: notebooks are executed in threads, which would be waited for
    sys.exit(status or 0)


def _misused(error: Exception) -> str:
    """What is wrong with the arguments, in a line."""
    message = shortened(error.format_message().rstrip(".").replace("Value error, ", ""))
    if commands := getattr(error.ctx and error.ctx.command, "commands", None):
        message += f"; choose from {', '.join(commands)}"
    if isinstance(error.__cause__, ValidationError):  # of a value, which the message lacks
        message += f", got {quoted(error.__cause__.errors()[0]['input'])}"
    command = error.ctx.command_path if error.ctx else "mcmi"
    return f"{message}; `{command} --help` says more"
