"""What messages say about a bad value: the value, in short, and what may have been meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

from pydantic import ValidationError

LONGEST = 80
"""Characters of a value that a message quotes; of a longer one, its beginning and its end."""

NAMED = 5
"""Of many things, such as damaged images, that a message names; the others it counts."""

SAYS_WHAT_IT_GOT = ("value_error", "missing", "union_tag_invalid")
"""Kinds of pydantic's problems whose message quotes the value, or that have none."""

_short = Repr()
_short.maxstring = _short.maxother = LONGEST


def quoted(value: object) -> str:
    """A value as Python writes it, so without control characters, and not too long."""
    return _short.repr(value)


def shortened(text: str) -> str:
    """Text of others that may quote a long value: without its middle, if it is long."""
    return text if len(text) <= 3 * LONGEST else f"{text[:LONGEST]}...{text[-LONGEST:]}"


def without_breaks(message: object) -> str:
    """A message, of others too, such as an error's, in one line."""
    return " ".join(str(message).split())


def some(things: Iterable[object], separator: str = ", ") -> str:
    """The first few of several, and how many more there are: ``a, b, c, d, e, and 12 more``."""
    texts = [str(thing) for thing in things]
    more = [f"and {len(texts) - NAMED:,} more"] if len(texts) > NAMED else []
    return separator.join(texts[:NAMED] + more)


def meant(name: object, known: Iterable[str]) -> str:
    """``; did you mean vgg8?``, if one of the known names is like an unknown one; else nothing."""
    near = get_close_matches(str(name)[:LONGEST], known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def problems(error: ValidationError) -> list[tuple[str, str]]:
    """Everything that pydantic found wrong: where, and a line that says what would do, got what."""
    found = []
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] not in SAYS_WHAT_IT_GOT:
            message += f", got {quoted(problem['input'])}"
        found.append((".".join(map(str, problem["loc"])), message))
    return found


def in_a_line(error: ValidationError) -> str:
    """All of :func:`problems`."""
    return "; ".join(f"{where}: {what}" if where else what for where, what in problems(error))
