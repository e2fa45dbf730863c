"""08 · The gain against the fraction of the data that a student sees, ours and the authors'."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import framework_in_words
from mcmi_core.report.plots import WIDEST, method_style

MARGIN = 1.15
"""Factor by which the axis of fractions goes on beyond the outer ones, also where there is one."""
APART = 1.025
"""Factor between the places of two series at one fraction: error bars stand side by side."""
FILLED = {"linestyle": "-", "markersize": 7}
OPEN = {"linestyle": "", "markersize": 7, "markerfacecolor": "white"}
AUTHORS = OPEN | {"color": "black", "marker": "D", "linestyle": ":"}


def draw_few_shot(gain: pd.Series, gain_over_mll: pd.Series, authors: pd.Series) -> Figure:
    """One panel per framework: MCMI's gain over the control and over MLL, and the authors'.

    Filled: over the control, joined by a line, since that decides. Open: over MLL, as in the paper.

    Args:
        gain: over the student of the control, points: an interval by ``distiller``, ``fraction``
            and ``label``. Drawn of MCMI alone: the truth, and no teacher at all, are so far away
            that MCMI's gains could not be told from zero.
        gain_over_mll: over MLL's student, likewise.
        authors: their gain over MLL, an interval by ``distiller`` and ``fraction``.
    """
    names = sorted(gain.index.unique("distiller"), key=lambda name: name != "kd")
    figure, panels = plt.subplots(
        len(names), 1, figsize=(WIDEST, 1 + 3 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    fractions = set()
    for axes, name in zip(panels.flat, names, strict=True):
        series = [*_ours(gain, gain_over_mll, name), _theirs(authors, name)]
        for place, (label, intervals, style) in enumerate(series):
            shift = APART ** (place - (len(series) - 1) / 2)
            _draw(axes, intervals, shift, label=label, **style)
            fractions.update(intervals.index)
        axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
        axes.set_title(f"Students by {framework_in_words(name)}", fontsize="medium", loc="left")
        axes.set_ylabel("Student's gain, points")
    ticks = sorted(fractions)
    axes.set(xscale="log", xlim=(ticks[0] / MARGIN, ticks[-1] * MARGIN))
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Training data that the student sees, %")
    # One column over the control, with the authors', and one over MLL.
    legend = zip(*panels[0, 0].get_legend_handles_labels(), strict=True)
    handles, labels = zip(
        *sorted(legend, key=lambda each: each[1].endswith("over MLL")), strict=True
    )
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=2,
        fontsize="small",
        frameon=False,
    )
    return figure


def _ours(gain: pd.Series, gain_over_mll: pd.Series, name: str) -> list:
    """Label, intervals by fraction, and style; of each kind of MCMI first over the control."""
    series = []
    for label in gain[name].index.unique("label"):
        if label.startswith("MCMI"):
            style = method_style(label)
            for over, source, kind in (
                ("the control", gain, FILLED),
                ("MLL", gain_over_mll, OPEN),
            ):
                intervals = source[name].xs(label, level="label").sort_index()
                series.append((f"{label}, over {over}", intervals, style | kind))
    return series


def _theirs(authors: pd.Series, name: str) -> tuple:
    intervals = authors[authors.index.get_level_values("distiller") == name]
    intervals = intervals.droplevel("distiller").sort_index()
    return "the authors' MCMI over their MLL, CIFAR-100", intervals, AUTHORS


def _draw(axes: Axes, intervals: pd.Series, shift: float, **style) -> None:
    axes.errorbar(
        intervals.index * shift,
        [interval.mean for interval in intervals],
        yerr=[interval.high - interval.mean for interval in intervals],
        capsize=3,
        **style,
    )
