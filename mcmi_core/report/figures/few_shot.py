"""08 · The gain against the fraction of the data that a student sees, ours and the authors'."""

from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.few_shot import FEW
from mcmi_core.experiments.words import framework_in_words
from mcmi_core.report.plots import WIDEST, method_style

APART = 0.13
"""Between the places of two series at one fraction; fractions are 1 apart."""
FILLED = {"markersize": 7}
OPEN = {"markersize": 7, "markerfacecolor": "white"}
AUTHORS = OPEN | {"color": "black", "marker": "D"}


def draw_few_shot(
    gain: pd.Series, gain_over_mll: pd.Series, authors: pd.Series, *, data: str
) -> Figure:
    """One panel per framework: MCMI's gain over the control and over MLL, and the authors'.

    Filled: over the control, since that decides. Open: over MLL, as in the paper. Fractions stand
    side by side, equally far apart, and no lines join them: there may be nothing between.

    Args:
        gain: over the student of the control, points: an interval by ``distiller``, ``fraction``
            and ``label``. Drawn of MCMI alone: the truth, and no teacher at all, are so far away
            that MCMI's gains could not be told from zero.
        gain_over_mll: over MLL's student, likewise.
        authors: their gain over MLL, an interval by ``distiller`` and ``fraction``; drawn at the
            fractions that we have, too.
        data: in words, for the titles.
    """
    names = sorted(gain.index.unique("distiller"), key=lambda name: name != "kd")
    fractions = sorted(gain.index.unique("fraction"))
    width = WIDEST if len(fractions) > 1 else WIDEST / 2
    figure, panels = plt.subplots(
        len(names), 1, figsize=(width, 1 + 3 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    for axes, name in zip(panels.flat, names, strict=True):
        series = [*_ours(gain, gain_over_mll, name), _theirs(authors, name)]
        seeds = [interval.n for _, intervals, _ in series[:-1] for interval in intervals]
        for place, (label, intervals, style) in enumerate(series):
            there = intervals[intervals.index.isin(fractions)]
            places = [fractions.index(fraction) for fraction in there.index]
            shift = APART * (place - (len(series) - 1) / 2)
            _draw(axes, there, [each + shift for each in places], label=label, **style)
            if place < len(series) - 1:
                _mark_fewer(axes, there, [each + shift for each in places], max(seeds))
        axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
        for place in range(1, len(fractions)):
            axes.axvline(place - 0.5, color="0.85", linewidth=1, zorder=0)
        axes.grid(False, axis="x")
        title = f"{data}: students by {framework_in_words(name)}"
        axes.set_title(fill(title, round(11 * width)), fontsize="small", loc="left")
        axes.set_ylabel("Student's gain, points")
    axes.set_xlim(-0.5, len(fractions) - 0.5)
    axes.set_xticks(range(len(fractions)), [f"{100 * fraction:g} %" for fraction in fractions])
    axes.set_xlabel("Training data that the student sees")
    # One column over the control, with the authors', and one over MLL.
    legend = zip(*panels[0, 0].get_legend_handles_labels(), strict=True)
    handles, labels = zip(
        *sorted(legend, key=lambda each: each[1].endswith("over MLL")), strict=True
    )
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=2 if len(fractions) > 1 else 1,
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


def _draw(axes: Axes, intervals: pd.Series, places: list[float], **style) -> None:
    axes.errorbar(
        places,
        [interval.mean for interval in intervals],
        yerr=[each.high - each.mean if each.n > FEW else float("nan") for each in intervals],
        capsize=3,
        linestyle="",
        **style,
    )


def _mark_fewer(axes: Axes, intervals: pd.Series, places: list[float], most: int) -> None:
    """Above what is of fewer seeds than others, how many are left."""
    for place, interval in zip(places, intervals, strict=True):
        if interval.n < most:
            style = {"ha": "center", "va": "bottom", "fontsize": 8, "color": "0.3"}
            above = {"xytext": (0, 6), "textcoords": "offset points"}
            top = interval.high if interval.n > FEW else interval.mean
            axes.annotate(f"n = {interval.n} of {most}", (place, top), **above, **style)
