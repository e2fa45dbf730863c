"""The scoreboard as text: for its notebook, and as the README's table."""

import pandas as pd

from mcmi_core.base.statistics import Interval


def readable_scoreboard(board: pd.DataFrame) -> pd.DataFrame:
    """One row per claim and primary finding, with all that a verdict depends on.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.

    Returns:
        Text, by what the paper says, its figure and the verdict: what is asked here, the
        difference with interval and unit, n, what a replicate varies, which teachers are compared,
        on what, and the notebook.
    """
    columns = {
        "asked here": board.claim.fillna("–"),
        "difference [95 %]": board.apply(_difference, axis="columns"),
        "n": board.n.map(lambda n: "–" if pd.isna(n) else f"{n:.0f}"),
        "replicate varies": board.replicate.fillna("–"),
        "compared": board.apply(_compared, axis="columns"),
        "measured on": board.apply(_measured_on, axis="columns"),
        "notebook": board.notebook,
    }
    index = board[["statement", "paper", "decision"]]
    index = index.set_axis(["what the paper says", "in", "verdict"], axis="columns")
    return pd.DataFrame(columns).set_index(pd.MultiIndex.from_frame(index))


def markdown_scoreboard(board: pd.DataFrame) -> str:
    """One row per claim as a Markdown table, its findings one below the other."""
    lines = ["| claim | paper | here | compared | measured on | verdict | decided in |"]
    lines.append("|---|" + "---|" * 6)
    for (statement, paper), rows in board.groupby(["statement", "paper"], sort=False):
        found = []
        for _, row in rows.dropna(subset=["mean"]).iterrows():
            found.append(f"{row.claim}: {_difference(row)}, n = {row.n:.0f}")
        decision, notebook = rows.iloc[0][["decision", "notebook"]]
        cells = (
            statement,
            paper,
            _lines(found),
            _lines(rows.apply(_compared, axis="columns")),
            _lines(rows.apply(_measured_on, axis="columns")),
            f"**{decision}**",
            f"[{notebook.partition('_')[0]}](notebooks/{notebook}.ipynb)",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _difference(row: pd.Series) -> str:
    if pd.isna(row["mean"]):
        return "–"
    return f"{Interval(row['mean'], row.low, row.high, row.n):+.2f} {row.unit}"


def _compared(row: pd.Series) -> str:
    """Treatment and control: ``MCMI tracked λ=0.7 against MLL``."""
    if pd.isna(row["mean"]):
        return "–"
    return f"{row.treatment} against {row.control}"


def _measured_on(row: pd.Series) -> str:
    if pd.isna(row["mean"]):
        return "–"
    return f"{row.networks} on {row.data}; {row.recipe}"


def _lines(texts) -> str:
    """Each text once, one below the other."""
    return "<br>".join(dict.fromkeys(texts)) or "–"
