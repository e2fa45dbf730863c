"""The scoreboard in short: every claim with its verdicts in words, for the page on the paper."""

import pandas as pd

from mcmi_core.experiments.claims import NOT_MEASURED
from mcmi_core.experiments.pair import POLICIES
from mcmi_core.report.scoreboard import data_title, markdown_claims


def markdown_verdicts(board: pd.DataFrame, notebooks: str) -> str:
    """One row per claim as a Markdown table: what the paper reports, and a verdict for each tier.

    A cell has a line for each data set and each kind of MCMI (``fixed``, ``tracked``); a claim
    without MCMI has the verdict alone. A tier in which nothing is measured has no column; a line
    below the table names it.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.
        notebooks: their folder, as seen from the page.
    """
    tiers = list(board[board.verdict != NOT_MEASURED].tier.unique())
    empty = [tier for tier in board.tier.unique() if tier not in tiers]
    about = f"\nNot measured yet: {', '.join(empty)}.\n" if empty else ""
    return markdown_claims(board, notebooks, tiers, _cell) + about


def _cell(rows: pd.DataFrame) -> str:
    """The verdicts on a claim in one tier, a line each."""
    rows = rows[rows.verdict != NOT_MEASURED]
    titles = rows.data.map(data_title)
    lines = []
    for (_, row), title in zip(rows.iterrows(), titles, strict=True):
        on = f"{title}, " if titles.nunique() > 1 else ""
        method = f"{row.policy}: " if row.policy in POLICIES else ""
        lacking = f" ({row.n:g} of {row.asked:g} seeds)" if row.asked > row.n else ""
        lines.append(f"{on}{method}**{row.verdict}**{lacking}")
    return "<br>".join(lines) or "–"
