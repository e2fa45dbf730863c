"""Progress bars that reach the person who waits.

What a notebook writes to its standard error is stored in it. So when ``make figures`` executes one,
bars go to descriptor 2, which is still the terminal or log of the whole command: the kernel is
told so by ``MCMI_PROGRESS=terminal``. A process that trains for another one draws nothing, but
sends its progress there (:func:`send_bars_to`), since two bars on one line overwrite each other.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

from tqdm import tqdm

SECONDS_BETWEEN = {"terminal": 0.5, "log": 30}
"""Of a bar's updates; in a log, each is a line of its own."""

_send: Callable[[str], None] | None = None


def send_bars_to(send: Callable[[str], None] | None) -> None:
    """From now on, bars of this process are sent as short texts instead of drawn.

    Args:
        send: given such as ``"3/162 variants"``, at most twice a second, and ``""`` at the end;
            None: bars are drawn again.
    """
    global _send
    _send = send


@contextmanager
def progress_bar(total: int, unit: str):
    """A bar with the time left, on standard error (on descriptor 2 if ``MCMI_PROGRESS=terminal``).

    ``MCMI_NOTEBOOK`` is written before it. Outside a terminal, nothing is written about what takes
    less than half a minute.

    Args:
        total: units of work.
        unit: their name, in the singular.
    """
    if _send:
        yield _SentBar(total, unit, _send)
        _send("")
        return
    own = os.environ.get("MCMI_PROGRESS") == "terminal"
    stream = os.fdopen(os.dup(2), "w") if own else sys.stderr
    try:
        watched = stream.isatty()
        with tqdm(
            total=total,
            unit=unit,
            file=stream,
            desc=os.environ.get("MCMI_NOTEBOOK"),
            mininterval=SECONDS_BETWEEN["terminal" if watched else "log"],
            miniters=0,  # the time decides, not the number of units
            delay=0 if watched else 1,  # with any, the bar is not drawn at its start
            leave=False,
        ) as bar:
            yield bar
    finally:
        if own:
            stream.close()


class _SentBar:
    def __init__(self, total: int, unit: str, send: Callable[[str], None]) -> None:
        self.n, self.total, self.unit = 0, total, unit
        self._send, self._sent = send, time.monotonic()

    def update(self, n: int = 1) -> None:
        self.n += n
        if time.monotonic() >= self._sent + SECONDS_BETWEEN["terminal"]:
            self._sent = time.monotonic()
            self._send(f"{self.n}/{self.total} {self.unit}s")
