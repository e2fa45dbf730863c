"""Progress bars on the terminal, in a log, and from inside a notebook."""

import os
import sys

import pytest

from mcmi_core.base.progress import progress_bar


@pytest.fixture(autouse=True)
def no_file_named(monkeypatch):
    monkeypatch.delenv("MCMI_PROGRESS", raising=False)


def test_bar_goes_to_stderr(capsys):
    with progress_bar(total=4, unit="epoch") as bar:
        bar.update(3)
        bar.refresh()
        assert (bar.total, bar.n) == (4, 3)
    output, errors = capsys.readouterr()
    assert output == ""
    assert "0/4" in errors and "3/4" in errors and "epoch" in errors
    print("still open", file=sys.stderr)
    assert "still open" in capsys.readouterr().err


def test_bar_goes_to_the_named_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "progress"
    monkeypatch.setenv("MCMI_PROGRESS", str(path))
    monkeypatch.setenv("MCMI_NOTEBOOK", "00_quickstart")
    with progress_bar(total=4, unit="image") as bar:
        bar.update(2)
        bar.refresh()
    assert "2/4" in path.read_text() and "image" in path.read_text()
    assert "00_quickstart: " in path.read_text()
    assert bar.fp.closed
    assert capsys.readouterr() == ("", "")


def test_file_is_closed_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_PROGRESS", str(tmp_path / "progress"))
    with pytest.raises(KeyboardInterrupt), progress_bar(total=4, unit="epoch") as bar:
        raise KeyboardInterrupt
    assert bar.fp.closed


def test_an_empty_name_is_no_file(monkeypatch, capsys):
    monkeypatch.setenv("MCMI_PROGRESS", "")
    with progress_bar(total=4, unit="epoch"):
        pass
    assert "0/4" in capsys.readouterr().err


def test_a_terminal_gets_a_lively_bar_and_a_log_a_slow_one(tmp_path, monkeypatch):
    terminal, screen = os.openpty()
    try:
        monkeypatch.setenv("MCMI_PROGRESS", os.ttyname(screen))
        with progress_bar(total=4, unit="epoch") as bar:
            assert bar.mininterval == 0.5
    finally:
        os.close(terminal)
        os.close(screen)
    monkeypatch.setenv("MCMI_PROGRESS", str(tmp_path / "log"))
    with progress_bar(total=4, unit="epoch") as bar:
        assert bar.mininterval == 30


def test_a_finished_bar_leaves_the_screen(tmp_path, monkeypatch):
    path = tmp_path / "progress"
    monkeypatch.setenv("MCMI_PROGRESS", str(path))
    with progress_bar(total=2, unit="epoch") as bar:
        bar.update(2)
    *_, last_line, end = path.read_bytes().decode().split("\r")
    assert last_line.strip() == "" and end == ""
