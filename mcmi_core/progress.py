"""Progress bars that reach the person who waits.

A notebook that runs under ``make figures`` is captured, so bars inside it would end up in the
notebook and not on the screen. Its parent process therefore names a file to write them to.
"""

import os
import sys
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(total: int, unit: str):
    """A bar with the time left, on the file named by ``MCMI_PROGRESS``, else on stderr.

    Args:
        total: units of work.
        unit: their name.
    """
    path = os.environ.get("MCMI_PROGRESS")
    stream = open(path, "w") if path else sys.stderr  # noqa: SIM115
    try:
        # Where nobody watches, as in a log, a line every half minute is enough.
        interval = 0.5 if stream.isatty() else 30
        with tqdm(total=total, unit=unit, file=stream, mininterval=interval, leave=False) as bar:
            yield bar
    finally:
        if path:
            stream.close()
