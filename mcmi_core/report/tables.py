"""Tables as a notebook shows them, in words: intervals, comparisons and findings as text."""

from collections.abc import Sequence
from itertools import product

import pandas as pd
from IPython.display import Markdown, display

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.finding import Finding, adjusted_verdicts, exploratory_counts
from mcmi_core.experiments.framework_table import CONTROLS, KINDS, SETTING, gain_of
from mcmi_core.experiments.pair import FROM_SCRATCH, POLICIES
from mcmi_core.experiments.words import framework_in_words, method_in_words, pair_in_words
from mcmi_core.report.plots import save_text

NO_BREAK = "\N{NO-BREAK SPACE}"

_NAMES = {
    "accuracy_percent": "accuracy, %",
    "bcpd_kl_nats": "KL to the true BCPD, nats",
    "calibration_error_percent": "calibration error, points",
    "choosing_percent": "accuracy on the training images held out, %",
    "cmi_nats": "CMI, nats",
    "coverage_gain_points": "coverage less the control's, points",
    "coverage_percent": "coverage, % of the picture",
    "distiller": "framework",
    "entropy_nats": "entropy, nats",
    "feature_nats": "I(X; f | Y), nats",
    "frequency_percent": "predictions of the omitted, %",
    "gain_over_fine_tuned_points": "gain over λ=0, points",
    "gain_over_mll_points": "gain over MLL, points",
    "gain_points": "gain over MLL, points",
    "gain_over_one_points": "student less that at T = 1, points",
    "gap_nats": "second less first, nats",
    "held_constant": "held constant",
    "label": "teacher",
    "largest_gain_points": "student at the largest CMI less this one, points",
    "ll_nats": "log-likelihood, nats",
    "omitted_accuracy_percent": "accuracy on the omitted, %",
    "output_nats": "I(X; Ŷ | Y), nats",
    "parameters": "weights",
    "place_information_gain_nats": "place information less the control's, nats",
    "place_information_nats": "place information, nats",
    "precision_percent": "precision on the omitted, %",
    "probability_percent": "mean probability of the omitted, %",
    "raised_percent": "training images with a wrong class raised, %",
    "seen_accuracy_percent": "accuracy on the classes shown, %",
    "sign_changes": "sign changes",
    "stage_index": "stage",
    "student_accuracy_gain": "student's gain over λ=0, points",
    "student_accuracy_gain_over_mll": "student's gain over MLL, points",
    "student_accuracy_percent": "student's accuracy, %",
    "student_gain_over_control_points": "student's gain over the control, points",
    "student_gain_points": "student's gain over MLL, points",
    "test_accuracy_gain": "gain in test accuracy over λ=0, points",
    "weakest_without": "weakest without",
}
"""Columns of tables, as a reader calls them. ``train_`` and ``test_`` before one add a word."""
_SPLITS = {"train": "training", "test": "test"}


def _teacher_in_words(teacher: str) -> str:
    """By its method, or its networks and data."""
    return method_in_words(pair_in_words(teacher))


_VALUES = {
    "distiller": framework_in_words,
    "framework": framework_in_words,
    "label": _teacher_in_words,
    "method": method_in_words,
    "pair": pair_in_words,
    "teacher": _teacher_in_words,
    "temperature": "{:g}".format,
}
"""Levels of an index, or columns, whose values are in code as well."""


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table for readers: columns and levels of the index in words, with units; methods, too.

    Args:
        table: with names as in csv files: ``train_cmi_nats`` becomes ``training CMI, nats``. Names
            of words stay; so do values, but for the names of methods and pairs.

    Raises:
        ValueError: a name in code (with ``_``) that has no words here.
    """
    named = table.copy()
    for name, words in _VALUES.items():
        if name in named.columns:
            named[name] = named[name].map(words)
        if name in named.index.names:
            level = name if named.index.nlevels > 1 else None
            named = named.rename(index=words, level=level)
        if name in named.columns.names:
            level = name if named.columns.nlevels > 1 else None
            named = named.rename(columns=words, level=level)
    named.index = named.index.set_names([_name_in_words(name) for name in named.index.names])
    names = [_name_in_words(name) for name in named.columns.names]
    return named.rename(columns=_name_in_words).rename_axis(columns=names)


_FORMATS = {"percent": "{:.1f}", "nats": "{:z.3f}"}
"""By the unit that a column's name ends with; nats differ by less."""


def summary_in_words(table: pd.DataFrame, *, points_digits: int = 1) -> pd.DataFrame:
    """:func:`in_words` of a table of intervals, with as many digits as their units deserve.

    Args:
        table: of :class:`Interval`, or numbers, in columns whose names end with their unit
            (``_percent``, ``_points``, ``_nats``); other columns stay. What is NaN becomes ``–``.
        points_digits: of points; two where differences are small.

    Raises:
        ValueError: a name in code that has no words.
    """
    texts = table.copy()
    formats = _FORMATS | {"points": f"{{:+.{points_digits}f}}"}
    for name in table.columns:
        unit = formats.get(str(name).rpartition("_")[2])
        if unit is not None:
            texts[name] = table[name].map(unit.format, na_action="ignore").fillna("–")
    return in_words(texts)


def _name_in_words(name: object) -> object:
    if name in _NAMES:
        return _NAMES[name]
    if not isinstance(name, str) or "_" not in name:
        return name
    split, _, rest = name.partition("_")
    if split in _SPLITS and rest == "top5_accuracy_percent":
        return f"{_SPLITS[split]} top-5 accuracy, %"
    if split in _SPLITS and rest in _NAMES:
        return f"{_SPLITS[split]} {_NAMES[rest]}"
    raise ValueError(f"no words for {name!r}; there are some for {', '.join(_NAMES)}")


def readable_findings(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per finding: its difference with interval, n, and verdict.

    What all rows share is not repeated in them: the unit, if there is one, stands in the column's
    name; the control has a column where it varies and not every claim names it, else it is for the
    text around the table (:func:`shared_control`), as are data and replicate. The difference to the
    MLL teacher has a column where there is one.

    Args:
        findings: of one experiment, all the exploratory ones among them: verdicts on these are
            adjusted for their number (:func:`~mcmi_core.experiments.finding.adjusted_verdicts`);
            one that this changes says ``(Holm)``.

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
    columns["verdict"] = [
        verdict if verdict == each.verdict else f"{verdict} (Holm)"
        for each, verdict in zip(findings, adjusted_verdicts(findings), strict=True)
    ]
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
    return on_one_line(text)


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


def on_one_line(difference: str) -> str:
    """A difference as text whose numbers no column breaks into two lines; its unit may be."""
    numbers, bracket, unit = difference.partition("]")
    return numbers.replace(" ", NO_BREAK) + bracket + unit


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
        numbers = [str(gain_of(row, policy, "untreated").n) for policy in policies]
        return " / ".join(numbers if len(set(numbers)) > 1 else numbers[:1])

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


def accuracies_and_gains(comparison: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """:func:`readable` as two tables in words: what students reach, and what MCMI's gain.

    The pair is in their index where there are several.

    Args:
        comparison: as of :func:`readable`.
    """
    table = in_words(readable(comparison))
    setting = [name for name in comparison if name in ("accuracy", *SETTING)]
    if comparison.pair.nunique() == 1:
        setting.remove("pair")
        table = table.drop(columns="pair")
    table = table.set_index(setting)
    return table.filter(regex="%|^status$"), table.filter(regex="points|^n$")


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


def readable_intervals(table: pd.DataFrame, percent_digits: int = 1) -> pd.DataFrame:
    """Intervals in words, ``1.2 [1.0, 1.5]``, and in column ``n`` how many seeds the first is of.

    Args:
        table: of :class:`Interval`, in columns whose names end with their unit, ``_percent`` or
            ``_nats``, which have three digits; what cannot be had is NaN, and becomes ``–``.
        percent_digits: of percent.

    Raises:
        ValueError: a name in code that has no words.
    """
    digits = {name: 3 if name.endswith("_nats") else percent_digits for name in table}
    texts = table.apply(
        lambda column: column.map(f"{{:z.{digits[column.name]}f}}".format, na_action="ignore")
    )
    n = [row.dropna().iloc[0].n for _, row in table.iterrows()]
    return in_words(texts.fillna("–").assign(n=n))


def save_latex(comparison: pd.DataFrame, name: str, caption: str) -> None:
    """Save a comparison in words as ``NAME.tex``, for ``booktabs``, beside the figures' csv.

    Args:
        comparison: as of :func:`readable`.
        name: file name without ending.
        caption: data, recipe, n: what the table cannot say itself.

    Raises:
        StoreError: the folder cannot be written.
    """
    table = in_words(readable(comparison))
    text = table.to_latex(index=False, escape=True, caption=caption, label=f"tab:{name}")
    save_text(text, f"{name}.tex")


def show_table(heading: str, table: pd.DataFrame) -> None:
    """Display a table below its heading."""
    display(Markdown(f"**{heading}**"), table)
