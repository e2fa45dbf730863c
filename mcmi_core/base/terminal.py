"""Texts that others have written, made harmless for a terminal."""

import logging
import unicodedata

INVISIBLE = ("Cc", "Cf", "Cs")
"""Unicode's categories of control characters, of those that turn or hide text, and of halves."""


def visible(text: str, kept: str = "\n\t") -> str:
    """A text in which nothing commands the terminal: ``\\x1b`` stands where an escape was.

    Control characters of a record, a file's name or a message could else erase what stands above,
    name a window or write from right to left.

    Args:
        text: of others.
        kept: control characters that stay, so lines and tabs.
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in INVISIBLE and character not in kept
        else character
        for character in text
    )


def printable(path: str) -> str:
    """A path or name in a line, with bytes that are no UTF-8 written as ``\\xe9``.

    So is what commands a terminal, as :func:`visible` does.
    """
    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return visible(text, kept="")


def log_lines() -> None:
    """Write what is logged to stderr, as lines that command no terminal: ``mcmi: ...``."""
    handler = logging.StreamHandler()
    handler.setFormatter(_VisibleLines("mcmi: %(message)s"))
    logging.basicConfig(handlers=[handler])


class _VisibleLines(logging.Formatter):
    """Lines of the log, which may quote names of files, as a terminal should see them."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))
