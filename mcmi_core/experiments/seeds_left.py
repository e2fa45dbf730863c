"""Statistics over the seeds that are left where some runs collapsed.

A run that collapsed, or whose teacher did, has no metrics. The other seeds still count; a setting
with fewer than two of them has no interval and is left out. `outcome_by` says what is missing.
"""

import pandas as pd

from mcmi_core.base.statistics import paired_difference, summarise


def summarise_left(done: pd.DataFrame, by: list[str], metrics: list[str]) -> pd.DataFrame:
    """Mean and 95 % t-interval over seeds of several metrics, where two seeds are left.

    Args:
        done: one row per run that is done.
        by: columns whose values make a setting; the other rows of a setting are its seeds.
        metrics: columns to summarise.

    Returns:
        One row per setting with two seeds or more, in order of appearance; each metric as an
        :class:`~mcmi_core.base.statistics.Interval`.
    """
    seeds = done.groupby(by)[by[0]].transform("size")
    return summarise(done[seeds >= 2], by, metrics)


def gains_left(
    done: pd.DataFrame, metric: str, control: str, by: list[str] | None = None
) -> pd.Series:
    """Difference of each method to a control, over the seeds that are left for both.

    Args:
        done: one row per run that is done, with columns ``label`` (the method), ``seed`` and
            ``metric``.
        metric: the column to compare.
        control: label of the method to compare with.
        by: further columns that split the table into separate comparisons.

    Returns:
        :class:`~mcmi_core.base.statistics.Interval` of metric(method) − metric(control), indexed
        by ``by`` and ``label``, for each that two seeds or more are left for.
    """
    names = [*(by or []), "label"]
    differences = {}
    for setting, rows in done.groupby(by) if by else [((), done)]:
        wide = rows.pivot(index="seed", columns="label", values=metric)
        for label in wide.columns.drop(control, errors="ignore"):
            both = wide.reindex(columns=[control, label]).dropna()
            if len(both) >= 2:
                differences[(*setting, label)] = paired_difference(both[label], both[control])
    index = pd.MultiIndex.from_tuples(list(differences), names=names)
    index = index if by else index.get_level_values("label")
    return pd.Series(list(differences.values()), index, dtype=object)


def outcome_by(table: pd.DataFrame, by: str) -> pd.Series:
    """What became of the runs of each setting, in order of appearance.

    Args:
        table: one row per run, with column ``status``.
        by: column whose values make a setting.

    Returns:
        ``all done``, or what happened how often: ``2 of 5 collapsed``.
    """
    outcomes = {}
    for setting, statuses in table.groupby(by, sort=False).status:
        failed = statuses[statuses != "done"].value_counts()
        parts = [f"{count} of {len(statuses)} {status}" for status, count in failed.items()]
        outcomes[setting] = "; ".join(parts) or "all done"
    return pd.Series(outcomes, name="runs")
