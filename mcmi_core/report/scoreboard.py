"""The scoreboard as text: the long form for its notebook, the short one for the page on results."""

from collections.abc import Callable, Sequence

import pandas as pd

from mcmi_core.base.registry import Component
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.claims import NOT_MEASURED, counted, exploratory_counted
from mcmi_core.experiments.pair import POLICIES
from mcmi_core.experiments.words import data_in_words, method_in_words, network_in_words
from mcmi_core.report.tables import difference_text, n_text, on_one_line
from mcmi_core.runs.config import UNTREATED


def readable_scoreboard(board: pd.DataFrame) -> pd.DataFrame:
    """One row per primary finding, by claim and tier. What it was measured on: :func:`measured_on`.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.

    Returns:
        Text, by claim and tier (with the data, where a tier has several sets): what is compared,
        with which control unless that is fine-tuning without CMI (λ = 0); the difference, in points
        where it names no unit, the same against the MLL teacher, n (``5 / 4`` where the difference
        to MLL has another, ``2 of 5`` where runs collapsed), and the verdict.
    """
    board = board[board.verdict != NOT_MEASURED]
    columns = {
        "compared": [_compared(*row) for row in board[["treatment", "control"]].to_numpy()],
        "difference [95 %]": board.apply(_difference, axis="columns"),
        "against MLL [95 %]": board.apply(_difference, axis="columns", prefix="mll_"),
        "n": board.apply(_n, axis="columns"),
        "verdict": board.verdict,
    }
    several = board.groupby(["statement", "tier"]).data.transform("nunique") > 1
    where = board.tier.mask(several, board.tier + ": " + board.data.map(data_in_words))
    index = pd.DataFrame({"claim": board.statement, "tier": where})
    table = pd.DataFrame(columns).set_index(pd.MultiIndex.from_frame(index))
    return table.astype(object).fillna("–")


def _compared(treatment: str, control: str) -> str:
    against = "" if control == UNTREATED else f" against {control}"
    return method_in_words(treatment.removeprefix("MCMI ") + against)


def markdown_comparisons(board: pd.DataFrame) -> str:
    """:func:`readable_scoreboard` as a Markdown table that is read at a glance.

    A claim and a tier stand in the first of their rows only; *holds* and *opposite* are bold.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`, or some of its rows.
    """
    table = readable_scoreboard(board)
    table["verdict"] = table.verdict.str.replace(r"^(holds|opposite)", r"**\1**", regex=True)
    names = table.index.to_frame(index=False)
    repeats = names.duplicated()
    names["tier"] = names.tier.mask(repeats, "")
    names["claim"] = names.claim.mask(names.claim.duplicated(), "").replace(
        ".+", r"**\g<0>**", regex=True
    )
    rows = pd.concat([names, table.reset_index(drop=True)], axis="columns")
    lines = ["| " + " | ".join(rows.columns) + " |", "|---" * len(rows.columns) + "|"]
    for row in rows.itertuples(index=False):
        lines.append(
            "| " + " | ".join(text.replace("|", "\\|").replace("P*", r"P\*") for text in row) + " |"
        )
    return "\n".join(lines) + "\n"


def claimed(board: pd.DataFrame) -> pd.DataFrame:
    """By claim: the paper's figure, the notebook that asks here, and in which tiers it did."""
    table = board.drop_duplicates("statement").set_index("statement")[["paper", "notebook"]]
    table = table.set_axis(["the paper's figure", "notebook"], axis="columns")
    for tier, rows in board.groupby("tier", sort=False):
        measured = set(rows.statement[rows.verdict != NOT_MEASURED])
        table[tier] = ["measured" if claim in measured else "–" for claim in table.index]
    return table.rename_axis(index=None, columns="claim")


def measured_on(board: pd.DataFrame) -> pd.DataFrame:
    """By notebook and tier: data, networks and epochs, and what an interval covers.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.
    """
    board = board[board.verdict != NOT_MEASURED]
    columns = {
        "data": board.data.map(data_in_words),
        "networks": board.networks.map(_networks_in_words),
        "epochs": board.recipe,
        "a replicate varies": board.replicate,
    }
    table = pd.DataFrame(columns).astype(object)
    table.index = pd.MultiIndex.from_frame(board[["notebook", "tier"]])
    return table[~table.reset_index().duplicated().to_numpy()].sort_index(
        level=0, sort_remaining=False
    )


def _networks_in_words(networks: str) -> str:
    """Of several teachers, too, which stand before one arrow."""
    parts = [part.split(" / ") for part in networks.split(" → ")]
    return " → ".join(" / ".join(map(network_in_words, part)) for part in parts)


def markdown_claims(
    board: pd.DataFrame,
    notebooks: str,
    tiers: Sequence[str] = (),
    cell: Callable[[pd.DataFrame], str] | None = None,
) -> str:
    """One row per claim and one column per tier, as a Markdown table.

    Unless ``cell`` writes it otherwise, a cell has a line for the paper's method (``fixed``) and
    one for our variant (``tracked``), each with its λ, its control where that is not the teacher
    fine-tuned with λ = 0, verdict, difference, in points where it names no unit, and n; where a
    tier has several data sets, a line for each of them.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.
        notebooks: their folder, as seen from the page.
        tiers: with a column; none: all that the board has.
        cell: the text of a claim's findings in one tier.
    """
    tiers, write = tiers or list(board.tier.unique()), cell or _cell
    lines = ["| claim | paper | " + " | ".join(tiers) + " |", "|---|---|" + "---|" * len(tiers)]
    for (statement, paper), rows in board.groupby(["statement", "paper"], sort=False):
        notebook = rows.notebook.iloc[0]
        link = f"[{notebook.partition('_')[0]}]({notebooks}/{notebook}.ipynb)"
        cells = [write(rows[rows.tier == tier]) for tier in tiers]
        texts = (f"{statement} ({link})", paper, *cells)
        escaped = [text.replace("|", "\\|") for text in texts]
        lines.append("| " + " | ".join(escaped) + " |")
    return "\n".join(lines) + "\n"


def markdown_scoreboard(board: pd.DataFrame, made: pd.DataFrame) -> str:
    """The table of :func:`markdown_claims` as seen from ``docs``, and lines that count.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`.
        made: of :func:`~mcmi_core.experiments.claims.exploratory`.
    """
    about = (
        f"{counted(board)}. {exploratory_counted(made)}. Unless a cell names another, MCMI's "
        'control is the same teacher, fine-tuned as long without CMI (λ = 0); "MLL" in a verdict '
        "is the difference to the MLL teacher."
    )
    if (board.asked > board.n).any():
        about += " n=2 of 5: five seeds were asked for, with three of them a run collapsed."
    return f"{markdown_claims(board, '../notebooks')}\n{about}\n"


def _cell(rows: pd.DataFrame) -> str:
    """The findings of a claim in one tier, a line each."""
    measured = rows[rows.verdict != NOT_MEASURED]
    titles = measured.data.map(data_title)
    lines = []
    for (_, row), title in zip(measured.iterrows(), titles, strict=True):
        on = f"{title}, " if titles.nunique() > 1 else ""
        digits, unit = (1, "") if row.unit == "points" else (2, f" {row.unit}")
        difference = f"{_interval(row):+.{digits}f}{unit}, n={_n(row)}"
        compared = row.treatment.removeprefix("MCMI ")
        is_slope = row.unit != "points"  # over teacher size, which has no control
        if row.policy in POLICIES and row.control != UNTREATED and not is_slope:
            compared += f" against {method_in_words(row.control)}"
        lines.append(f"{on}{compared}: **{row.verdict}** {difference}")
    return "<br>".join(lines) or "–"


def data_title(data: str) -> str:
    """The data set in a word: the folder of images, or its name."""
    component = Component.model_validate(data)
    return component.options.get("folder", component.name)


def _interval(row: pd.Series, prefix: str = "") -> Interval:
    return Interval(*(row[f"{prefix}{part}"] for part in Interval._fields))


def _n(row: pd.Series) -> str | None:
    return None if pd.isna(row.n) else n_text(row.n, row.mll_n, row.asked)


def _difference(row: pd.Series, prefix: str = "") -> str | None:
    if pd.isna(row[f"{prefix}mean"]):
        return None
    return on_one_line(difference_text(_interval(row, prefix), row.unit).removesuffix(" points"))
