"""MLL against MCMI teachers, framework by framework: the numbers of the paper's Tables 1 and 2."""

import pandas as pd

from mcmi_core.base.statistics import Interval, paired_difference

SETTING = ["pair", "framework"]
"""Columns that make a row of the table."""


def compare_teachers(students: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Students of MLL and of MCMI teachers: mean, standard deviation and paired gain.

    A run that collapsed, that its distiller could not start, or whose teacher collapsed has no
    metric. It is counted in ``status``, and means are over the seeds that are left: read them with
    that in mind.

    Args:
        students: one row per run, with columns ``pair``, ``framework``, ``label`` (its teacher's:
            ``MLL`` or ``MCMI ...``), ``seed``, ``status`` and ``metric``.
        metric: column to compare, such as ``test_accuracy_percent``.

    Returns:
        One row per pair and framework, in order of appearance: those two, ``mll_mean``,
        ``mll_sd``, ``mcmi_mean``, ``mcmi_sd`` (sample standard deviation over seeds),
        ``gain_mean``, ``gain_low``, ``gain_high`` (MCMI − MLL, paired by seed, 95 % t-interval),
        ``n`` (seeds with both) and ``status``: ``done``, or how many runs are not, and why. What
        too few seeds cannot tell is NaN.

    Raises:
        ValueError: a teacher that is neither, or two runs for one seed and teacher.
    """
    teacher = students.label.str.partition(" ")[0]
    if unknown := sorted(set(teacher) - {"MLL", "MCMI"}):
        raise ValueError(f"teachers must be MLL or MCMI, got {', '.join(unknown)}")
    if metric not in students:  # no run has it
        students = students.assign(**{metric: float("nan")})
    groups = students.assign(teacher=teacher).groupby(SETTING, sort=False)
    rows = []
    for setting, group in groups:
        wide = group.pivot(index="seed", columns="teacher", values=metric)
        wide = wide.reindex(columns=["MLL", "MCMI"]).astype(float)
        both = wide.dropna()
        gain = Interval(*[float("nan")] * 3, len(both))
        if len(both) >= 2:
            gain = paired_difference(both["MCMI"], both["MLL"])
        rows.append(
            {
                **dict(zip(SETTING, setting, strict=True)),
                **{f"{name.lower()}_mean": wide[name].mean() for name in wide},
                **{f"{name.lower()}_sd": wide[name].std() for name in wide},
                **{f"gain_{part}": getattr(gain, part) for part in ("mean", "low", "high")},
                "n": gain.n,
                "status": _status(group.status),
            }
        )
    return pd.DataFrame(rows)


def _status(statuses: pd.Series) -> str:
    counts = statuses[statuses != "done"].value_counts()
    return "; ".join(f"{n} of {len(statuses)} {name}" for name, n in counts.items()) or "done"
