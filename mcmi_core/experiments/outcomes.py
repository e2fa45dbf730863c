"""What became of runs, in words; the numbers of a table are of those that are done."""

from collections.abc import Collection

import pandas as pd


def outcome(statuses: pd.Series) -> str:
    """``done``, or how many runs are not, and why: ``2 of 10 collapsed``."""
    counts = statuses[statuses != "done"].value_counts()
    return "; ".join(f"{n} of {len(statuses)} {name}" for name, n in counts.items()) or "done"


def outcome_by(table: pd.DataFrame, by: str) -> pd.Series:
    """The :func:`outcome` of each setting, in order of appearance.

    Args:
        table: one row per run, with column ``status``.
        by: column whose values make a setting.
    """
    return table.groupby(by, sort=False).status.agg(outcome).rename("runs")


def seeds_text(statuses: pd.Series, seeds: Collection[int]) -> str:
    """``n = 3 seeds`` if all runs are done; ``n ≤ 3 seeds`` if some lack a run."""
    return f"n {'=' if (statuses == 'done').all() else '≤'} {len(seeds)} seeds"
