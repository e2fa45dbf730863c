"""09 · What λ and the centroid policy do to the teacher and its student, and where it collapses."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.lambda_and_centroids import UNTREATED
from mcmi_core.report.plots import method_style, plot_intervals

_TITLES = {
    "raised_percent": "Images on which MCMI can raise\na wrong class at its start, %",
    "train_ll_nats": "Teacher LL, nats",
    "train_cmi_nats": "Teacher CMI, nats",
    "test_accuracy_gain": "Teacher: gain over λ = 0, points",
    "student_accuracy_gain": "Student: gain over λ = 0, points",
}
_CROSS_HEIGHTS = {"fixed": 0.02, "tracked": 0.08}
"""Of a panel: where a policy's crosses lie, so that they do not hide each other."""
_FLOOR = -8.0
"""Points. A gain below is a triangle at the bottom of its panel, so that the others can be told
apart; LL and CMI, in nats, are never as low."""
_CONTROLS = {"MLL": "--", UNTREATED: ":"}
"""Rows that are the same at every λ, and the line that shows their level. Students without a
teacher are in the table alone: so far below that the others could not be told apart."""


def draw_lambda_and_centroids(summary: pd.DataFrame, collapsed: pd.DataFrame) -> Figure:
    """One panel per metric against λ.

    At the bottom a cross where a seed's teacher collapsed, a triangle where a gain is far below.

    Args:
        summary: of :meth:`~mcmi_core.experiments.lambda_and_centroids.LambdaAndCentroids.summary`.
        collapsed: number of teachers that collapsed: a row per policy, a column per λ.
    """
    figure, panels = plt.subplots(2, 3, figsize=(11, 6.6))
    first, *others, free = panels.flat
    # Both policies start from the MLL teacher: the share depends on λ alone.
    shares = summary.raised_percent.dropna().groupby("λ").last()
    plot_intervals(first, shares, label="MLL")
    for axes, metric in zip(others, list(_TITLES)[1:], strict=True):
        _draw_policies(axes, summary[metric], collapsed)
        _draw_controls(axes, summary[metric])
    for axes, title in zip((first, *others), _TITLES.values(), strict=True):
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("λ")
    names = others[-1].get_legend_handles_labels()  # the only panel that has them all
    figure.legend(*names, loc="center", bbox_to_anchor=free.get_position())
    free.remove()
    return figure


def _draw_policies(axes: Axes, column: pd.Series, collapsed: pd.DataFrame) -> None:
    policy_of = column.index.get_level_values("policy")
    for policy, height in _CROSS_HEIGHTS.items():
        intervals = column[policy_of == policy].droplevel("policy").dropna()
        below = intervals.map(lambda interval: interval.mean < _FLOOR).astype(bool)
        plot_intervals(axes, intervals[~below], label=f"MCMI {policy}")
        lost = [lam for lam, count in collapsed.loc[policy].items() if count]
        for places, marker, name in (
            (lost, "x", "collapsed"),
            (list(below[below].index), "v", f"gain below {_FLOOR:g} points"),
        ):
            axes.plot(
                places,
                [height] * len(places),
                marker,
                transform=axes.get_xaxis_transform(),
                color=method_style(f"MCMI {policy}")["color"],
                label=name if places else None,
            )


def _draw_controls(axes: Axes, column: pd.Series) -> None:
    """Levels of MLL and of fine-tuning alone (of a gain, which is over it, zero)."""
    for policy, line in _CONTROLS.items():
        own = [level for level in column.get(policy, []) if isinstance(level, Interval)]
        if policy == UNTREATED or own:
            level = own[0].mean if own else 0
            name = "fine-tuned λ=0" if policy == UNTREATED else policy
            axes.axhline(level, color="0.4", linestyle=line, label=name)
