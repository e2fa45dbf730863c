"""Progress bars on the terminal, in a log, and from a worker."""

import os
import re
import select
import sys
import termios
import time
from contextlib import contextmanager, redirect_stderr

from mcmi_core.base import progress
from mcmi_core.base.progress import progress_bar, send_bars_to


@contextmanager
def a_terminal():
    """Reads what was drawn on a terminal that is standard error, as is descriptor 2."""
    reader, screen = os.openpty()
    termios.tcsetwinsize(screen, (24, 80))
    before = os.dup(2)

    def drawn(until=""):
        """What has been drawn since the last time, at least up to a text (or for ten seconds)."""
        text, end = "", time.monotonic() + 10
        while time.monotonic() < end:
            ready, _, _ = select.select([reader], [], [], 1)
            text += os.read(reader, 10_000).decode() if ready else ""
            if until in text:
                break
        return text

    os.dup2(screen, 2)
    try:
        with open(screen, "w") as stream, redirect_stderr(stream):
            yield drawn
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(reader)


def test_a_terminal_gets_a_lively_bar_that_leaves_it_at_the_end():
    with a_terminal() as terminal:
        with progress_bar(total=4, unit="epoch") as bar:
            assert "0/4" in terminal()
            bar.update(3)
            bar.refresh()
            assert (bar.total, bar.n, bar.mininterval) == (4, 3, 0.5)
            drawn = terminal()
            assert "3/4" in drawn and "epoch" in drawn
        *_, last_line, end = terminal().split("\r")
        assert last_line.strip() == "" and end == ""
        print("still open", file=sys.stderr, flush=True)
        assert terminal() == "still open\r\n"


def test_time_goes_on_where_nothing_gets_done(monkeypatch):
    with a_terminal() as terminal:
        monkeypatch.setitem(progress.SECONDS_BETWEEN, "terminal", 0.01)
        with progress_bar(total=4, unit="epoch") as bar:
            bar.update()
            terminal()
            time.sleep(0.02)
            bar.update(0)
            assert "1/4" in terminal()


def test_a_log_gets_a_line_in_half_a_minute(capsys, monkeypatch):
    with progress_bar(total=4, unit="epoch") as bar:
        bar.update(3)
        assert bar.mininterval == 30
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(progress.SECONDS_BETWEEN, "log", 0)
    with progress_bar(total=4, unit="epoch") as bar:
        bar.start_t -= 30
        bar.update(3)
    output, errors = capsys.readouterr()
    assert output == ""
    assert "3/4" in errors


def test_a_worker_sends_its_progress_and_draws_nothing(monkeypatch):
    with a_terminal() as terminal:
        sent = []
        monkeypatch.setattr(progress, "_receiver", None)
        send_bars_to(sent.append)
        with progress_bar(total=162, unit="variant") as bar:
            bar.update(2)  # too early to be worth telling
            bar.mininterval = 0
            bar.start_t -= 3
            bar.update()
        assert sent[0].startswith("0/162 variants, ")
        assert re.fullmatch(r"3/162 variants, \d\d:\d\d left", sent[1])
        assert sent[-1] == ""
        assert terminal() == ""
        send_bars_to(None)
        with progress_bar(total=4, unit="epoch"):
            assert "0/4" in terminal()
