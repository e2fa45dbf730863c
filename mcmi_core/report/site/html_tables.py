"""Tables as HTML that sort and can be filtered (``docs/static/tables.js``)."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from mcmi_core.base.statistics import Interval

_LONG = 40
"""Characters of a text that is given a wide column."""


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    value: float | None = None
    """What its column is sorted by, if that is not the text."""
    link: str | None = None
    """Where it leads, relative to the page."""


def sortable_table(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], ids: Sequence[str] = ()
) -> str:
    """A table as a block of MyST Markdown.

    Args:
        name: what its rows are, for the label of its filter: ``findings``.
        header: one text a column.
        rows: cells by row.
        ids: an anchor for each row; none by default.
    """
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in header)
    lines = [
        f"<div class='wide' role='region' tabindex='0' aria-label='{escape(name)}'>",
        f"<table class='sortable' data-name='{escape(name)}'><thead><tr>{head}</tr></thead><tbody>",
    ]
    for place, row in enumerate(rows):
        anchor = f" id='{escape(ids[place])}'" if ids else ""
        lines.append(f"<tr{anchor}>" + "".join(map(_cell, row)) + "</tr>")
    lines.append("</tbody></table></div>")
    return raw_html("\n".join(lines))


def raw_html(text: str) -> str:
    """A block of MyST Markdown that is this HTML. No backtick in what it quotes ends the block."""
    return "`````{raw} html\n" + text.replace("`", "&#96;") + "\n`````\n"


def interval_cells(difference: Interval | None, unit: str) -> tuple[Cell, Cell]:
    """A difference, sorted by its mean, and its 95 % interval, sorted by the lower end."""
    if difference is None:
        return Cell("–"), Cell("–")
    digits = 3 if unit.startswith("nats") else 2
    mean = f"{difference.mean:+.{digits}f}"
    bounds = f"[{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"
    return Cell(mean, difference.mean), Cell(bounds, difference.low)


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.link is not None:
        text = f"<a href='{escape(cell.link)}'>{text}</a>"
    value = "" if cell.value is None else f" data-value='{cell.value:.9g}'"
    long = " class='long'" if len(cell.text) > _LONG else ""
    return f"<td{long}{value}>{text}</td>"
