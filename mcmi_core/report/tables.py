"""Tables as a notebook shows them: intervals, comparisons and findings as text."""

from collections.abc import Sequence
from itertools import product

import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.finding import Finding, adjusted_verdicts, exploratory_counts
from mcmi_core.experiments.framework_table import CONTROLS, KINDS, SETTING, gain_of
from mcmi_core.experiments.pair import FROM_SCRATCH, POLICIES
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import save_text

NO_BREAK = "\N{NO-BREAK SPACE}"


def readable_findings(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per finding: its difference with interval, n, and verdict.

    What all rows share is not repeated in them: the unit, if there is one, stands in the column's
    name; the control has a column where it varies and not every claim names it, else it is for the
    text around the table (:func:`shared_control`), as are data and replicate. The difference to the
    MLL teacher has a column where there is one.

    Args:
        findings: of one experiment, all the exploratory ones among them: verdicts on these are
            adjusted for their number (:func:`~mcmi_core.experiments.finding.adjusted_verdicts`).

    Returns:
        Text, by claim, in words; it is true if the difference is positive.
    """
    units = {finding.unit for finding in findings}
    [unit] = units if len(units) == 1 else [None]
    named = f", {unit}" if unit else ""
    columns = {
        f"difference{named} [95 %]": [
            _difference(each.difference, each.unit, unit) for each in findings
        ],
        "n": [_n(each) for each in findings],
    }
    if findings and shared_control(findings) is None and not all(map(_names_control, findings)):
        columns["against"] = [method_in_words(each.control) for each in findings]
    if any(each.against_mll is not None for each in findings):
        columns[f"against MLL{named} [95 %]"] = [
            "–" if each.against_mll is None else _difference(each.against_mll, each.unit, unit)
            for each in findings
        ]
    columns["verdict"] = adjusted_verdicts(findings)
    table = pd.DataFrame(columns, index=[method_in_words(each.claim) for each in findings])
    return table.rename_axis(columns="claim")  # over the claims, in the same line as the columns


def shared_control(findings: Sequence[Finding]) -> str | None:
    """The control of all these findings; None: they have several, or there are none."""
    controls = {finding.control for finding in findings}
    return controls.pop() if len(controls) == 1 else None


def _names_control(finding: Finding) -> bool:
    name = "no teacher" if finding.control == FROM_SCRATCH else finding.control
    return name in finding.claim


def _difference(difference: Interval, unit: str, shared: str | None) -> str:
    """A difference as text that stays on one line, with its unit if its table names none."""
    text = difference_text(difference, unit)
    if shared is not None:
        text = text.removesuffix(f" {shared}")
    number, bracket, rest = text.partition("]")
    return number.replace(" ", NO_BREAK) + bracket + rest


def _n(finding: Finding) -> str:
    return n_text(finding.difference.n, getattr(finding.against_mll, "n", None), finding.asked)


def n_text(n: float, mll_n: float | None, asked: float) -> str:
    """``5``; ``5 / 4`` where the difference to MLL has another number; ``2 of 5`` where runs lack.

    Args:
        n: replicates of the difference to the control.
        mll_n: of the difference to MLL; None or NaN: there is none.
        asked: that were asked for.
    """
    same = mll_n is None or pd.isna(mll_n) or mll_n == n
    text = f"{n:.0f}" if same else f"{n:.0f} / {mll_n:.0f}"
    return text if n == asked else f"{text} of {asked:.0f}"


def difference_text(difference: Interval, unit: str) -> str:
    """``+1.23 [-0.50, +2.97] points``; three decimals of nats, whose differences are smaller."""
    decimals = 3 if unit.startswith("nats") else 2
    return f"{difference:+.{decimals}f} {unit}"


def count_text(findings: Sequence[Finding]) -> str:
    """``2 primary comparisons, 14 exploratory: 5 exclude zero, 3 after Holm's adjustment``.

    Between the two, if there are such: ``2 decided in other notebooks``.

    Args:
        findings: all of one experiment.
    """
    primary = sum(finding.primary for finding in findings)
    elsewhere = sum(finding.decided_in is not None for finding in findings)
    counts = exploratory_counts(findings)
    return (
        f"{primary} primary comparison{'' if primary == 1 else 's'}, "
        + (f"{elsewhere} decided in other notebooks, " if elsewhere else "")
        + f"{counts['exploratory']} exploratory: {counts['exclude_zero']} exclude zero, "
        f"{counts['after_holm']} after Holm's adjustment"
    )


def readable(comparison: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """A comparison as text: ``mean ± sd`` of each kind of teacher's students, and MCMI's gains.

    Args:
        comparison: of :meth:`~mcmi_core.experiments.comparison.Comparison.compared`; columns before
            ``pair`` and ``framework`` stay as they are.
        digits: behind the decimal point.
    """

    def number(value: float, sign: str = "") -> str:
        return "–" if pd.isna(value) else f"{value:{sign}.{digits}f}"

    def spread(row: pd.Series, name: str) -> str:
        return f"{number(row[f'{name}_mean'])} ± {number(row[f'{name}_sd'])}"

    def gain(row: pd.Series, policy: str, control: str) -> str:
        mean, low, high, _ = gain_of(row, policy, control)
        return f"{number(mean, '+')} [{number(low, '+')}, {number(high, '+')}]"

    def seeds(row: pd.Series) -> str:
        return " / ".join(str(gain_of(row, policy, "untreated").n) for policy in policies)

    def status(row: pd.Series) -> str:
        return row.status if row.trains else f"{row.status}; below from scratch"

    kinds = {kind: name for kind, name in KINDS.items() if f"{kind}_mean" in comparison}
    policies = [kind for kind in kinds if kind in POLICIES]
    columns = {}
    for kind, name in {"scratch": "from scratch", **kinds}.items():
        columns[f"{name}, %"] = comparison.apply(spread, axis="columns", name=kind)
    for policy, control in product(policies, CONTROLS):
        texts = comparison.apply(gain, axis="columns", policy=policy, control=control)
        columns[f"{policy} − {'λ=0' if control == 'untreated' else 'MLL'}, points"] = texts
    columns["n"] = comparison.apply(seeds, axis="columns")
    columns["status"] = comparison.apply(status, axis="columns")
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


def readable_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Intervals as text, ``1.23 [1.00, 1.46]``, and in column ``n`` how many seeds the first is of.

    Args:
        table: of :class:`Interval`; what cannot be had is NaN, and becomes ``–``.
    """
    n = [row.dropna().iloc[0].n for _, row in table.iterrows()]
    return table.map("{:.2f}".format, na_action="ignore").fillna("–").assign(n=n)


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
