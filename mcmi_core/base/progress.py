"""Progress bars with the time left, on standard error.

A process that trains for another one draws nothing, but sends what its bars say there, since two
bars on one line overwrite each other.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from tqdm import tqdm

SECONDS_BETWEEN = {"terminal": 0.5, "log": 30}
"""Of a bar's updates; in a log, each is a line of its own."""

BRIEF = "{n_fmt}/{total_fmt} {unit}s, {remaining} left"
"""What is sent of a bar."""

_receiver: SimpleNamespace | None = None
"""Where bars are written instead of standard error."""


def send_bars_to(send: Callable[[str], None] | None) -> None:
    """From now on, bars of this process are sent as short texts instead of drawn.

    Args:
        send: given such as ``"3/162 variants, 00:40 left"``, at most twice a second, and ``""`` at
            the end; None: bars are drawn again.
    """
    global _receiver
    _receiver = send and SimpleNamespace(write=lambda text: send(text.strip()), flush=lambda: None)


@contextmanager
def progress_bar(total: int, unit: str) -> Iterator[tqdm]:
    """A bar with the time left. In a log, nothing is written about what takes less than 30 seconds.

    Args:
        total: units of work.
        unit: their name, in the singular.
    """
    watched = _receiver or sys.stderr.isatty()
    with tqdm(
        total=total,
        unit=unit,
        file=_receiver or sys.stderr,
        bar_format=BRIEF if _receiver else None,
        mininterval=SECONDS_BETWEEN["terminal" if watched else "log"],
        miniters=0,  # the time decides, not the number of units
        delay=0 if watched else 1,  # with any, the bar is not drawn at its start
        leave=False,
    ) as bar:
        yield bar
