"""08 · Accuracy against the fraction of the data that a student sees, ours above the authors'."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals


def draw_few_shot(accuracy: pd.Series, authors: pd.Series, *, ours_on: str) -> Figure:
    """One column per framework; in the upper row ours, in the lower one the authors'.

    A curve for each teacher, and one for students without a teacher.

    Args:
        accuracy: percent, an interval by ``distiller``, ``fraction`` and ``label``.
        authors: likewise.
        ours_on: data and epoch of ours, for the title.
    """
    names = accuracy.index.unique("distiller")
    ticks = sorted({*accuracy.index.unique("fraction"), *authors.index.unique("fraction")})
    size = (2.4 + 4.8 * len(names), 7)  # the legend stands beside the panels
    figure, panels = plt.subplots(2, len(names), figsize=size, sharex=True, squeeze=False)
    rows = (
        (accuracy, f"ours: {ours_on}"),
        (authors, "authors': CIFAR-100, best epoch on test"),
    )
    for line, (source, title) in zip(panels, rows, strict=True):
        methods = {}
        for axes, name in zip(line, names, strict=True):
            for label in source[name].index.unique("label"):
                intervals = source[name].xs(label, level="label").sort_index()
                plot_intervals(axes, intervals, label=label)
            axes.set(title=f"{name.upper()}, {title}", xscale="log")
            axes.title.set_fontsize("small")
            axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks], fontsize="small")
            axes.set_xticks([], minor=True)
            methods |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        line[0].set_ylabel("Student's accuracy, %")
        # Beside the panels: six curves leave no place between them.
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "fontsize": "small"}
        line[-1].legend(methods.values(), methods.keys(), **place)
    panels[1, 0].set_xlabel("Training data that the student sees, %")
    return figure
