"""08 · Accuracy and gain against the fraction of the data that a student sees, and the authors'."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals

MARGIN = 1.25
"""Factor by which the axis of fractions goes on beyond the outer ones, also where there is one."""
APART = 1.03
"""Factor between the places of two teachers at one fraction: error bars stand side by side."""


def draw_few_shot(
    accuracy: pd.Series, gain: pd.Series, authors: pd.Series, *, ours_on: str
) -> Figure:
    """One column per framework; our accuracy, our gain over the control, the authors' accuracy.

    A curve for each teacher, and of accuracy one for students without a teacher.

    Args:
        accuracy: percent, an interval by ``distiller``, ``fraction`` and ``label``.
        gain: over the student of the control, points, likewise. Drawn of MLL and MCMI alone: others
            are so far away that these could not be told apart.
        authors: percent, likewise.
        ours_on: data and epoch of ours, for the title.
    """
    names = accuracy.index.unique("distiller")
    ticks = sorted({*accuracy.index.unique("fraction"), *authors.index.unique("fraction")})
    size = (2.4 + 4.8 * len(names), 10)  # the legend stands beside the panels
    figure, panels = plt.subplots(3, len(names), figsize=size, sharex=True, squeeze=False)
    close = gain[gain.index.get_level_values("label").str.startswith(("MLL", "MCMI"))]
    rows = (
        (accuracy, f"ours: {ours_on}", "Student's accuracy, %"),
        (close, f"ours: {ours_on}", "Gain over λ=0, points"),
        (authors, "authors': CIFAR-100, best epoch on test", "Student's accuracy, %"),
    )
    for line, (source, title, quantity) in zip(panels, rows, strict=True):
        methods = {}
        for axes, name in zip(line, names, strict=True):
            axes.set(xscale="log", xlim=(ticks[0] / MARGIN, ticks[-1] * MARGIN))
            labels = source[name].index.unique("label")
            for position, label in enumerate(labels):
                intervals = source[name].xs(label, level="label").sort_index()
                intervals.index *= APART ** (position - (len(labels) - 1) / 2)
                plot_intervals(axes, intervals, label=label)
            axes.set_title(f"{name.upper()}, {title}", fontsize="small")
            axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks], fontsize="small")
            axes.set_xticks([], minor=True)
            methods |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        line[0].set_ylabel(quantity)
        # Beside the panels: six curves leave no place between them.
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "fontsize": "small"}
        line[-1].legend(methods.values(), methods.keys(), **place)
    for axes in panels[1]:
        axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    panels[2, 0].set_xlabel("Training data that the student sees, %")
    return figure
