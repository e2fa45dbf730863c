"""The scoreboard as a page: every primary comparison of every tier, a row each."""

import re

import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.claims import (
    NOT_MEASURED,
    counted,
    exploratory_counted,
    not_measured,
)
from mcmi_core.experiments.words import data_in_words, network_in_words
from mcmi_core.report.scoreboard import data_title
from mcmi_core.report.site.html_tables import Cell, interval_cells, sortable_table
from mcmi_core.report.site.record_pages import anchor
from mcmi_core.report.tables import n_text

_HEADER = ("claim", "tier", "data", "method", "difference", "95 % interval", "unit", "n", "verdict")
_HEADER += ("records", "against MLL", "95 % interval, MLL", "control", "networks", "paper")


def scoreboard_page(board: pd.DataFrame, made: pd.DataFrame) -> str:
    """The page, in MyST Markdown.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.
        made: of :func:`~mcmi_core.experiments.claims.exploratory`.
    """
    measured = board[board.verdict != NOT_MEASURED]
    table = sortable_table("comparisons", _HEADER, map(_row, measured.itertuples()))
    lines = [
        "---\nhide-toc: true\n---\n",
        "# Scoreboard\n",
        f"{counted(board)}. {exploratory_counted(made)}.\n",
        "A difference is positive where the claim holds. The control of MCMI is the same teacher, "
        "fine-tuned as long without CMI (λ = 0); beside it stands the difference to the MLL "
        "teacher. [The notebook](notebooks/99_claims.ipynb) says what a verdict means, and "
        "[the protocol](docs/protocol.md) what was named beforehand.\n",
        table,
        "## Not measured\n",
    ]
    lines += [f"- **{tier}**: {claims}" for tier, claims in not_measured(board).items()]
    return "\n".join(lines) + "\n"


def _row(row) -> tuple[Cell, ...]:
    difference = Interval(row.mean, row.low, row.high, row.n)
    has_mll = not pd.isna(row.mll_mean)
    beside = Interval(row.mll_mean, row.mll_low, row.mll_high, row.mll_n) if has_mll else None
    page = f"records/{row.profile}/{row.notebook}.html#{anchor(data_title(row.data))}"
    return (
        Cell(row.statement),
        Cell(row.tier),
        Cell(data_in_words(row.data)),
        Cell(row.treatment),
        *interval_cells(difference, row.unit),
        Cell(row.unit),
        Cell(n_text(row.n, row.mll_n, row.asked), row.n),
        Cell(row.verdict),
        Cell(row.notebook.partition("_")[0], link=page),
        *interval_cells(beside, row.unit),
        Cell(row.control),
        Cell(re.sub(r"[^\s/→]+", lambda name: network_in_words(name[0]), row.networks)),
        Cell(row.paper),
    )
