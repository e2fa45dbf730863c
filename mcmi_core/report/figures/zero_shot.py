"""04 · Classes that a student never saw: where their images go, how much it recognises."""

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import (
    class_in_words,
    classes_in_words,
    data_in_words,
    method_in_words,
)
from mcmi_core.experiments.zero_shot import KNOW_NOTHING, set_text, within_percent
from mcmi_core.report.class_plots import NOISE, plot_confusion, plot_difference
from mcmi_core.report.plots import WIDEST, method_style

METRICS = {
    "accuracy_percent": "Accuracy on the\nomitted, %",
    "precision_percent": "Precision on the\nomitted, %",
    "test_accuracy_percent": "Accuracy on\nall classes, %",
    "probability_percent": "Mean probability of\nan omitted class, %",
}
"""Of :func:`draw_recognition`: columns and their titles."""


def draw_confusion(
    percent: pd.Series,
    omitted: Collection[int],
    *,
    control: str,
    treatments: Sequence[str],
    data: str,
) -> Figure:
    """Above, the matrices of students of the control and of MCMI; below, the differences.

    Lower left, the rows of the omitted classes (their mean), of all these students.

    Args:
        percent: of each true class, by ``omitted``, ``label``, ``true_class``,
            ``predicted_class``; a panel without numbers (all runs collapsed) stays empty.
        omitted: classes that these students never saw.
        control: label of the control.
        treatments: labels of what is compared with it.
        data: for the names of classes.
    """
    matrices = {}
    for (of, label), cells in percent.groupby(["omitted", "label"]):
        if of == set_text(omitted):
            matrix = cells.droplevel(["omitted", "label"]).unstack()
            names = [class_in_words(data, index) for index in matrix.index]
            matrices[label] = matrix.set_axis(names, axis=0).set_axis(names, axis=1)
    unseen = [class_in_words(data, index) for index in omitted]
    labels = (control, *treatments)
    size = (WIDEST, 8.4)
    figure, panels = plt.subplots(
        2, len(labels), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, label in zip(panels[0], labels, strict=True):
        if label in matrices:
            plot_confusion(axes, matrices[label], unseen)
        axes.set_title(f"student of {label}", fontsize=9)
        axes.set_xlabel("Predicted class", fontsize=9)
    for axes, label in zip(panels[1, 1:], treatments, strict=True):
        if {label, control} <= set(matrices):
            plot_difference(axes, matrices[label] - matrices[control], unseen)
        axes.set_title(f"{label}\nless the control, points", fontsize=9)
        axes.set_xlabel("Predicted class", fontsize=9)
    panels[0, 1].tick_params(axis="y", labelleft=True)  # the panel below makes room
    _label_differences(figure, panels[1, 1:])
    where = {label: matrices[label].loc[unseen].mean() for label in labels if label in matrices}
    _draw_where(panels[1, 0], pd.DataFrame(where))
    omitted_in_words = classes_in_words(data, omitted)
    panels[1, 0].set_title(f"Predictions for {omitted_in_words}", fontsize=9)
    panels[1, 0].set_xlabel("Percent of these images", fontsize=9)
    panels[0, 0].set_ylabel("True class (* omitted)", fontsize=9)
    panels[1, 0].set_ylabel("Predicted class", fontsize=9)
    for axes in (*panels[0], *panels[1, 1:]):
        axes.tick_params(axis="x", rotation=90)
    title = f"{data_in_words(data)}\n{omitted_in_words} omitted: percent of each true class"
    figure.suptitle(title, fontsize=10)
    figure.get_layout_engine().set(h_pad=0.1)  # inches; the titles must not touch
    return figure


def _label_differences(figure: Figure, panels: Sequence[Axes]) -> None:
    """Names of the rows, which are not those of the panel on the left, and a scale below."""
    panels[0].tick_params(axis="y", labelleft=True)
    panels[0].set_ylabel("True class (* omitted)", fontsize=9)
    drawn = [axes.collections[0] for axes in panels if axes.collections]
    if drawn:
        scale = figure.colorbar(drawn[0], ax=list(panels), location="bottom", shrink=0.6, aspect=40)
        scale.set_label(f"points; blank below {NOISE}", fontsize=8)
        scale.ax.tick_params(labelsize=8)


def _draw_where(axes: Axes, percent: pd.DataFrame) -> None:
    """A row per predicted class, a mark per method (columns), slightly apart."""
    for place, label in enumerate(percent):
        rows = np.arange(len(percent)) + 0.5 + 0.2 * (place - (len(percent.columns) - 1) / 2)
        style = method_style(label) | {"linestyle": "", "markersize": 5}
        axes.plot(percent[label], rows, label=label, **style)
    axes.set_xlim(left=-1)
    axes.tick_params(labelsize=8)
    if len(percent.columns):
        axes.legend(fontsize=8, handletextpad=0.2)


def draw_recognition(summary: pd.DataFrame, *, control: str, data: str) -> Figure:
    """A row of panels per set of omitted classes, a column per metric; methods share their rows.

    A dashed line is where the control is. In the last column, a band where a calibrated student
    would be: how often the classes occur. Open: who cannot know the classes. Intervals of percent
    end at 0 and 100.

    Args:
        summary: the columns of :data:`METRICS` and ``frequency_percent``, intervals by
            ``omitted``, ``label`` and ``status``.
        control: label of the control.
        data: for the names of classes.
    """
    summary = summary.droplevel("status")
    sets, methods = summary.index.unique("omitted"), list(summary.index.unique("label"))
    size = (WIDEST, (0.27 * len(methods) + 1.1) * len(sets) + 0.3)
    figure, panels = plt.subplots(
        len(sets), len(METRICS), figsize=size, sharex="col", sharey=True, squeeze=False
    )
    for line, omitted in zip(panels, sets, strict=True):
        values = summary.loc[omitted]
        for axes, (metric, title) in zip(line, METRICS.items(), strict=True):
            _draw_intervals(axes, values[metric].reindex(methods))
            reference = values[metric].get(control)
            if isinstance(reference, tuple):
                axes.axvline(reference.mean, color="0.5", linestyle="--", linewidth=1, zorder=0)
            axes.set_xlabel(title, fontsize=9)
            axes.tick_params(labelsize=9, labelbottom=True)
        occurs = values.frequency_percent.dropna()
        if len(occurs):
            share = occurs.iloc[0].mean
            line[-1].axvline(share, color="0.85", linewidth=5, zorder=0)
            words = f"true share, {share:.0f} %"
            line[-1].set_title(words, fontsize=8, color="0.35", loc="right")
        classes = classes_in_words(data, map(int, omitted.split("+")))
        line[0].set_title(f"{classes} omitted", fontsize=10, loc="left")
    panels[0, 0].set_yticks(range(len(methods)), map(_in_words, methods))
    panels[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    figure.suptitle(f"{data_in_words(data)}; dashed: student of {control}", fontsize=10)
    return figure


def _draw_intervals(axes: Axes, intervals: pd.Series) -> None:
    """One below the other; a row without an interval stays empty."""
    for position, (label, interval) in enumerate(intervals.items()):
        if isinstance(interval, tuple):
            ends = within_percent(interval)
            error = [[interval.mean - ends.low], [ends.high - interval.mean]]
            style = method_style(label)
            if label in KNOW_NOTHING:
                style |= {"markerfacecolor": "white"}
            axes.errorbar(interval.mean, position, xerr=error, capsize=3, **style)


def _in_words(label: str) -> str:
    """With a remark where a student can know nothing of the omitted classes."""
    return method_in_words(label) + (" (cannot know)" if label in KNOW_NOTHING else "")
