"""08 · Accuracy against the fraction of the data that a student sees, ours above the authors'."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals


def draw_few_shot(accuracy: pd.Series, authors: pd.Series, *, ours_on: str) -> Figure:
    """One column per framework; in the upper row ours, in the lower one the authors'.

    Args:
        accuracy: percent, an interval by ``distiller``, ``fraction`` and ``label``.
        authors: likewise.
        ours_on: data and epoch of ours, for the title.
    """
    names = accuracy.index.unique("distiller")
    ticks = sorted({*accuracy.index.unique("fraction"), *authors.index.unique("fraction")})
    size = (4.8 * len(names), 7)
    figure, panels = plt.subplots(2, len(names), figsize=size, sharex=True, squeeze=False)
    rows = (
        (accuracy, f"ours: {ours_on}"),
        (authors, "authors': CIFAR-100, best epoch on test"),
    )
    for line, (source, title) in zip(panels, rows, strict=True):
        for axes, name in zip(line, names, strict=True):
            for label, intervals in source[name].unstack("fraction").iterrows():
                plot_intervals(axes, intervals.dropna(), label=label)
            axes.set(title=f"{name.upper()}, {title}", xscale="log")
            axes.title.set_fontsize("small")
            axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
            axes.set_ylabel("Student's accuracy, %")
            axes.legend(fontsize="small")
    panels[1, 0].set_xlabel("Training data that the student sees, %")
    return figure
