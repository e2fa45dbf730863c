"""A Sphinx extension: ``|x|`` in a docstring is an absolute value, not a substitution."""

import re

from sphinx.application import Sphinx

_LITERAL = re.compile(r"(``.*?``)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Escape bars before docstrings are parsed."""
    app.connect("autodoc-process-docstring", _escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _escape(app, what, name, thing, options, lines: list[str]) -> None:
    lines[:] = map(escape_bars, lines)


def escape_bars(line: str) -> str:
    """A line with its bars escaped, but for those in literals."""
    parts = _LITERAL.split(line)
    return "".join(part if part.startswith("``") else part.replace("|", "\\|") for part in parts)
