"""05 · Student accuracy, teacher CMI and teacher LL against the teacher's number of parameters."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.teacher_size import ANY_SIZE, CMI, LL, STUDENT
from mcmi_core.experiments.words import count_in_words
from mcmi_core.report.plots import method_style, plot_intervals

QUANTITIES = {
    STUDENT: "Student's test accuracy, %\n(axis cut)",
    CMI: "Teacher's CMI, nats",
    LL: "Teacher's LL, nats",
}
"""What the panels show: the student's above, its teacher's below."""
APART = 1.07
"""Factor between the places of two methods at one size: error bars stand side by side."""


def draw_teacher_size(summary: pd.DataFrame) -> Figure:
    """One panel for each of ``QUANTITIES``, one curve per method, side by side at each size.

    What has no size, the truth and the student from scratch, is a horizontal line at its mean, with
    its name on it; a line so far away that the methods could not be told apart is a note instead.

    Args:
        summary: of :meth:`~mcmi_core.experiments.teacher_size.TeacherSize.summary`.
    """
    without_size = summary.index.get_level_values("parameters") == ANY_SIZE
    by_size, beside = summary[~without_size], summary[without_size].droplevel("parameters")
    figure, panels = plt.subplot_mosaic(
        [[STUDENT, STUDENT], [CMI, LL]], figsize=(9, 7), height_ratios=(4, 3)
    )
    for metric, axes in panels.items():
        _draw_methods(axes, by_size[metric])
        _draw_levels(axes, beside[metric].dropna())
        axes.set_ylabel(QUANTITIES[metric])
        axes.set_xlabel("Parameters of the teacher")
    handles = panels[STUDENT].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, fontsize="small", frameon=False)
    return figure


def _draw_methods(axes: Axes, column: pd.Series) -> None:
    sizes = list(column.index.unique("parameters"))
    labels = list(column.index.unique("label"))
    for place, label in enumerate(labels):
        intervals = column.xs(label, level="label").dropna()
        intervals.index *= APART ** (place - (len(labels) - 1) / 2)
        plot_intervals(axes, intervals, label=label)
    axes.set(xscale="log", xlim=(sizes[0] / 1.4, sizes[-1] * 2))  # on the right names of levels
    axes.set_xticks(sizes, [count_in_words(size) for size in sizes])
    axes.set_xticks([], minor=True)


def _draw_levels(axes: Axes, levels: pd.Series) -> None:
    low, high = axes.get_ylim()
    for label, interval in levels.items():
        color = method_style(label)["color"]
        text, height = label, interval.mean
        if not low - (high - low) / 2 < height < high + (high - low) / 2:
            text = f"{label}: {height:.1f} {'↑' if height > high else '↓'}"
            height = high if height > high else low
        else:
            axes.axhline(height, linestyle="--", linewidth=1.5, color=color)
        axes.annotate(
            text,
            (1, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-2, 2),
            textcoords="offset points",
            fontsize="small",
            ha="right",
            va="bottom",
            color=color,
        )
