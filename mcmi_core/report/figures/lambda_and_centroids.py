"""09 · What λ and the centroid policy do to the teacher and its student, and where it collapses."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.lambda_and_centroids import UNTREATED
from mcmi_core.report.plots import SMALLEST, WIDEST, method_style, plot_intervals

RAISED = "raised_percent"
QUANTITIES = {
    RAISED: "Images with a wrong\nclass raised, %",
    "train_ll_nats": "Teacher's LL, nats",
    "train_cmi_nats": "Teacher's CMI, nats",
    "test_accuracy_gain": "Teacher's gain\nover λ = 0, points",
    "student_accuracy_gain": "Student's gain\nover λ = 0, points",
}
_SHIFT = {"fixed": -0.008, "tracked": 0.008}
"""Of a policy from λ, so that error bars stand side by side."""
_FLOOR = -8.0
"""Points. A gain below is a number at the bottom of its panel, so that the others can be told
apart; LL and CMI, in nats, are never as low."""
_CONTROLS = {"MLL": "--", UNTREATED: ":"}
"""Rows that are the same at every λ, and the line that shows their level. Students without a
teacher are in the table alone: so far below that the others could not be told apart."""


def draw_lambda_and_centroids(
    summary: pd.DataFrame, collapsed: pd.DataFrame, *, seeds: int
) -> Figure:
    """One panel for each of ``QUANTITIES`` against λ.

    Where teachers collapsed, it is written at that λ, in the policy's colour.

    Args:
        summary: of :meth:`~mcmi_core.experiments.lambda_and_centroids.LambdaAndCentroids.summary`.
        collapsed: number of teachers that collapsed: a row per policy, a column per λ.
        seeds: teachers of each setting.
    """
    first, ll, cmi, teacher, student = QUANTITIES
    figure, panels = plt.subplot_mosaic(
        [[first, first], [ll, cmi], [teacher, student]],
        figsize=(WIDEST, 8.4),
        height_ratios=(2, 3, 3),
    )
    _draw_raised(panels[first], summary[first])
    for metric, axes in panels.items():
        if metric != RAISED:
            _draw_policies(axes, summary[metric])
            _draw_controls(axes, summary[metric])
            _write_collapsed(axes, summary[metric], collapsed, seeds)
        axes.set_ylabel(QUANTITIES[metric], fontsize="small")
        axes.set_xlabel("λ")
        axes.tick_params(labelsize="small")
    handles = panels[ll].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, fontsize="small", frameon=False)
    return figure


def _draw_raised(axes: Axes, column: pd.Series) -> None:
    """One curve: both policies start from the MLL teacher, so the share depends on λ alone."""
    shares = column.dropna().groupby("λ").last()
    axes.plot(shares.index, [share.mean for share in shares], color="0.3", marker="o")
    for lam, share in shares.items():
        place = {"xytext": (0, 5), "textcoords": "offset points"}
        text = f"{share.mean:.1f} %"
        axes.annotate(text, (lam, share.mean), fontsize=SMALLEST, ha="center", va="bottom", **place)
    axes.set_xticks(shares.index, [f"{lam:g}" for lam in shares.index])
    axes.set_ylim(bottom=-2, top=axes.get_ylim()[1] * 1.15)


def _draw_policies(axes: Axes, column: pd.Series) -> None:
    policy_of = column.index.get_level_values("policy")
    for policy, shift in _SHIFT.items():
        intervals = column[policy_of == policy].droplevel("policy").dropna()
        below = intervals.map(lambda interval: interval.mean < _FLOOR).astype(bool)
        drawn, low = intervals[~below], intervals[below]
        drawn.index += shift
        plot_intervals(axes, drawn, label=f"MCMI {policy}")
        for lam, interval in low.items():
            _write(axes, lam + 3 * shift, f"↓ {interval.mean:.1f}", policy, bottom=True)


def _draw_controls(axes: Axes, column: pd.Series) -> None:
    """Levels of MLL and of fine-tuning alone (of a gain, which is over it, zero)."""
    for policy, line in _CONTROLS.items():
        own = [level for level in column.get(policy, []) if isinstance(level, Interval)]
        if policy == UNTREATED or own:
            level = own[0].mean if own else 0
            name = "fine-tuned λ=0" if policy == UNTREATED else policy
            axes.axhline(level, color="0.4", linestyle=line, label=name)


def _write_collapsed(axes: Axes, column: pd.Series, collapsed: pd.DataFrame, seeds: int) -> None:
    """Upright at each λ where teachers collapsed: at the bottom, or above a curve that is there."""
    middle = sum(axes.get_ylim()) / 2
    axes.set_xlim(right=max(axes.get_xlim()[1], collapsed.columns.max() + 0.05))
    for policy, counts in collapsed.iterrows():
        for lam, count in counts[counts > 0].items():
            text = "collapsed" if count == seeds else f"{count} of {seeds} collapsed"
            here = [level for level in column.xs(lam, level="λ") if isinstance(level, Interval)]
            bottom = all(level.mean > middle for level in here)
            _write(axes, lam + _SHIFT[policy], text, policy, bottom=bottom)


def _write(axes: Axes, lam: float, text: str, policy: str, *, bottom: bool) -> None:
    axes.text(
        lam,
        0.03 if bottom else 0.97,
        text,
        transform=axes.get_xaxis_transform(),
        color=method_style(f"MCMI {policy}")["color"],
        fontsize=SMALLEST,
        rotation=90,
        ha="center",
        va="bottom" if bottom else "top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
