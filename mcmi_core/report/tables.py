"""Tables as a notebook shows them: intervals, comparisons and findings as text."""

from collections.abc import Iterable

import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.comparison import SETTING
from mcmi_core.experiments.finding import Finding
from mcmi_core.report.plots import save_text


def readable_findings(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding: the claim, its difference with unit and interval, n and verdict.

    What all findings of a table share (data, replicate) is for the text around it.
    """
    claim = "claim, true if the difference is positive"
    columns = [claim, "difference [95 %]", "n", "control", "verdict", "kind"]
    rows = []
    for finding in findings:
        decimals = 3 if finding.unit == "nats" else 2
        rows.append(
            (
                finding.claim,
                f"{finding.difference:+.{decimals}f} {finding.unit}",
                finding.difference.n,
                finding.control,
                finding.verdict,
                "primary" if finding.primary else "exploratory",
            )
        )
    return pd.DataFrame(rows, columns=columns).set_index(claim)


def readable(comparison: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """A comparison as text: ``mean ± sd`` of both teachers' students, and the gain's interval.

    Args:
        comparison: of :func:`~mcmi_core.experiments.comparison.compare_teachers`; columns before
            ``pair`` and ``framework`` stay as they are.
        digits: behind the decimal point.
    """

    def number(value: float, sign: str = "") -> str:
        return "–" if pd.isna(value) else f"{value:{sign}.{digits}f}"

    def spread(row: pd.Series, name: str) -> str:
        return f"{number(row[f'{name}_mean'])} ± {number(row[f'{name}_sd'])}"

    def gain(row: pd.Series) -> str:
        low, high = number(row.gain_low, "+"), number(row.gain_high, "+")
        return f"{number(row.gain_mean, '+')} [{low}, {high}]"

    columns = {
        "MLL, %": comparison.apply(spread, axis="columns", name="mll"),
        "MCMI, %": comparison.apply(spread, axis="columns", name="mcmi"),
        "gain, points": comparison.apply(gain, axis="columns"),
        "n": comparison.n,
        "status": comparison.status,
    }
    setting = comparison.loc[:, : SETTING[-1]]
    return pd.concat([setting, pd.DataFrame(columns)], axis="columns")


def interval_columns(intervals: pd.Series, name: str | None = None) -> pd.DataFrame:
    """A series of intervals as columns ``mean``, ``low``, ``high``, ``n``, its index before them.

    Args:
        intervals: :class:`Interval` by any index with names.
        name: of a first column that holds it in every row, under ``metric``; None: no such column.
    """
    columns = pd.DataFrame(intervals.tolist(), intervals.index, Interval._fields).reset_index()
    if name is not None:
        columns.insert(0, "metric", name)
    return columns


def save_latex(table: pd.DataFrame, name: str, caption: str) -> None:
    """Save a table of text as ``NAME.tex``, for ``booktabs``, beside the figures' csv.

    Args:
        table: without index; special characters are escaped.
        name: file name without ending.
        caption: data, recipe, n: what the table cannot say itself.

    Raises:
        StoreError: the folder cannot be written.
    """
    text = table.to_latex(index=False, escape=True, caption=caption, label=f"tab:{name}")
    save_text(text, f"{name}.tex")
