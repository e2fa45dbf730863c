"""Progress bars that reach the person who waits.

A notebook that runs under ``make figures`` is captured, so bars inside it would end up in the
notebook and not on the screen. Its parent process therefore names a file to write them to, and
the notebook, as another may write there at the same time.
"""

import os
import sys
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(total: int, unit: str):
    """A bar with the time left, on the file named by ``MCMI_PROGRESS``, else on stderr.

    ``MCMI_NOTEBOOK`` is written before it.

    Args:
        total: units of work.
        unit: their name.
    """
    path, notebook = os.environ.get("MCMI_PROGRESS"), os.environ.get("MCMI_NOTEBOOK")
    stream = open(path, "w") if path else sys.stderr  # noqa: SIM115
    try:
        # Where nobody watches, as in a log, a line every half minute is enough.
        interval = 0.5 if stream.isatty() else 30
        settings = {"desc": notebook, "mininterval": interval, "leave": False}
        with tqdm(total=total, unit=unit, file=stream, **settings) as bar:
            yield bar
    finally:
        if path:
            stream.close()
