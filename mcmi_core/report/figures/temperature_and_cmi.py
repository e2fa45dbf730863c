"""01 · The teacher's CMI above the student's accuracy, against the temperature."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import pair_in_words
from mcmi_core.report.plots import WIDEST, title_panel


def draw_temperature_and_cmi(cmi: pd.Series, accuracy: pd.Series) -> Figure:
    """One column per pair that has accuracies; empty panels if none has.

    A dotted line through both panels marks the temperature with the largest mean CMI.

    Args:
        cmi: the teacher's, nats: an interval by ``pair`` and ``temperature``.
        accuracy: the student's, percent, likewise.
    """
    pairs = accuracy.index.unique("pair")
    columns = max(len(pairs), 1)
    size = (min(5.6 * columns, WIDEST), 5)
    figure, panels = plt.subplots(2, columns, figsize=size, sharex="col", squeeze=False)
    for (above, below), pair in zip(panels.T, pairs, strict=False):
        _points(above, cmi[pair], color="C3", marker="o")
        _points(below, accuracy[pair], color="C0", marker="s")
        largest = cmi[pair].map(lambda interval: interval.mean).idxmax()
        for axes in (above, below):
            axes.axvline(largest, color="0.3", linestyle=":", linewidth=1.5, zorder=0)
        above.set_ylim(bottom=0)
        above.annotate(" largest CMI", (largest, 0), (0, 6), textcoords="offset points", fontsize=9)
        title_panel(above, pair_in_words(pair), width=70 if columns == 1 else 28)
        _label_temperatures(below, accuracy[pair].index)
    panels[0, 0].set_ylabel("Teacher's CMI on\ntraining data, nats")
    panels[1, 0].set_ylabel("Student's accuracy,\n% (axis is cut)")
    figure.align_ylabels()
    return figure


def _points(axes: Axes, intervals: pd.Series, **style) -> None:
    """Joined by a thin line, which guides the eye: between temperatures nothing was measured."""
    axes.errorbar(
        intervals.index,
        [interval.mean for interval in intervals],
        yerr=[interval.high - interval.mean for interval in intervals],
        capsize=4,
        linewidth=1,
        elinewidth=2,
        **style,
    )
    axes.margins(y=0.15)


def _label_temperatures(axes: Axes, temperatures: pd.Index) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(temperatures, [f"{temperature:g}" for temperature in temperatures])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.08)
    axes.set_xlabel("Temperature T of teacher and student (log scale)")
