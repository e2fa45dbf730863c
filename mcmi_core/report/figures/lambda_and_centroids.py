"""09 · What λ and the centroid policy do to the teacher and its student, and where it collapses."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.lambda_and_centroids import UNTREATED
from mcmi_core.report.plots import SMALLEST, WIDEST, method_style, plot_intervals

RAISED = "raised_percent"
CMI = "train_cmi_nats"
QUANTITIES = {
    RAISED: "Images with a wrong\nclass raised, %",
    "train_ll_nats": "Teacher's LL, nats",
    CMI: "Teacher's CMI, nats",
    "test_accuracy_gain": "Teacher's gain\nover λ = 0, points",
    "student_accuracy_gain": "Student's gain\nover λ = 0, points",
}
_SHIFT = {"fixed": 0.985, "tracked": 1.015}
"""Factor of λ, by policy, so that error bars stand side by side on the logarithmic axis."""
_LINE = 10
"""Points, of a line under an axis."""
_CONTROLS = {"MLL": "--", UNTREATED: ":"}
"""Rows that are the same at every λ, and the line that shows their level. Students without a
teacher are in the table alone: so far below that the others could not be told apart."""


def draw_lambda_and_centroids(
    summary: pd.DataFrame, collapsed: pd.DataFrame, ruined: pd.DataFrame, *, seeds: int
) -> Figure:
    """One panel for each of ``QUANTITIES`` against λ.

    Where teachers collapsed or were ruined, it is written under that λ, in the policy's colour. A
    setting with ruined teachers has no point: its mean is far from all of them. CMI is on a
    logarithmic axis, because at small λ it is a hundredth of what it is at large ones.

    Args:
        summary: of :meth:`~mcmi_core.experiments.lambda_and_centroids.LambdaAndCentroids.summary`.
        collapsed: number of teachers that collapsed: a row per policy, a column per λ.
        ruined: number of those that did not, and were ruined, likewise.
        seeds: teachers of each setting.
    """
    first, ll, cmi, teacher, student = QUANTITIES
    figure, panels = plt.subplot_mosaic(
        [[first, first], [ll, cmi], [teacher, student]],
        figsize=(WIDEST, 8.4),
        height_ratios=(2, 3, 3),
    )
    failures = _failures(collapsed, ruined, seeds)
    _draw_raised(panels[first], summary[first])
    for metric, axes in panels.items():
        if metric != RAISED:
            _draw_policies(axes, summary[metric], ruined)
            _draw_controls(axes, summary[metric])
            _write_failures(axes, failures)
        axes.set_xscale("log")  # small λ lie close together
        axes.set_xlim(collapsed.columns.min() / 1.1, collapsed.columns.max() * 1.1)
        axes.set_xticks(collapsed.columns, [f"{lam:g}" for lam in collapsed])
        axes.minorticks_off()
        axes.set_ylabel(QUANTITIES[metric], fontsize="small")
        axes.set_xlabel("λ", labelpad=4 if metric == RAISED else 4 + _LINE * len(failures))
        axes.tick_params(labelsize="small")
    panels[cmi].set_yscale("log")
    panels[cmi].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[cmi].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[cmi].minorticks_off()
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
    axes.set_ylim(bottom=-2, top=axes.get_ylim()[1] * 1.15)


def _draw_policies(axes: Axes, column: pd.Series, ruined: pd.DataFrame) -> None:
    policy_of = column.index.get_level_values("policy")
    for policy, shift in _SHIFT.items():
        intervals = column[policy_of == policy].droplevel("policy").dropna()
        mixed = ruined.loc[policy].reindex(intervals.index, fill_value=0) > 0
        drawn = intervals[~mixed]
        drawn.index *= shift
        plot_intervals(axes, drawn, label=f"MCMI {policy}")


def _draw_controls(axes: Axes, column: pd.Series) -> None:
    """Levels of MLL and of fine-tuning alone (of a gain, which is over it, zero)."""
    for policy, line in _CONTROLS.items():
        own = [level for level in column.get(policy, []) if isinstance(level, Interval)]
        if policy == UNTREATED or own:
            level = own[0].mean if own else 0
            name = "fine-tuned λ=0" if policy == UNTREATED else policy
            axes.axhline(level, color="0.4", linestyle=line, label=name)


def _failures(collapsed: pd.DataFrame, ruined: pd.DataFrame, seeds: int) -> dict:
    """What is written under each λ, by policy; without the policies that always train."""
    words = {}
    for policy in collapsed.index:
        for lam in collapsed:
            parts = [
                f"{count} of {seeds} {what}" if count < seeds else what
                for count, what in (
                    (collapsed.loc[policy, lam], "collapsed"),
                    (ruined.loc[policy, lam], "ruined"),
                )
                if count
            ]
            if parts:
                words.setdefault(policy, {})[lam] = ", ".join(parts)
    return words


def _write_failures(axes: Axes, failures: dict) -> None:
    """One line under the axis for each policy: at the height of no data."""
    for line, (policy, words) in enumerate(failures.items()):
        for lam, text in words.items():
            axes.annotate(
                text,
                (lam, 0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, -19 - _LINE * line),
                textcoords="offset points",
                color=_colour(policy),
                fontsize=SMALLEST,
                ha="center",
                va="top",
            )


def _colour(policy: str) -> str:
    return method_style(f"MCMI {policy}")["color"]
