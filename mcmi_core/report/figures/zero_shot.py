"""04 · Classes that a student never saw: where they go, how much it recognises and believes."""

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.experiments.zero_shot import set_text
from mcmi_core.report.class_plots import plot_confusion, plot_feature_map
from mcmi_core.report.plots import plot_methods


def draw_confusion(
    percent: pd.Series, omitted_sets: Sequence[Collection[int]], labels: Sequence[str]
) -> Figure:
    """Confusion matrices: a column per set of omitted classes, a row per teacher.

    Args:
        percent: of each true class, by ``omitted``, ``label``, ``true_class``,
            ``predicted_class``; a panel without numbers (all runs collapsed) stays empty.
        omitted_sets: classes that students never saw.
        labels: of the students' teachers.
    """
    matrices = {}
    for setting, cells in percent.groupby(["omitted", "label"]):
        matrices[setting] = cells.droplevel(["omitted", "label"]).unstack()
    size = (4 * len(omitted_sets), 4 * len(labels))
    figure, panels = plt.subplots(len(labels), len(omitted_sets), figsize=size, squeeze=False)
    for column, omitted in zip(panels.T, omitted_sets, strict=True):
        for axes, label in zip(column, labels, strict=True):
            if (set_text(omitted), label) in matrices:
                plot_confusion(axes, matrices[set_text(omitted), label], omitted)
            axes.set_title(f"student of {label}", fontsize="small")
    return figure


def draw_recognition(summary: pd.DataFrame) -> Figure:
    """A column per set of omitted classes; an interval for the students of each teacher.

    Above the accuracy on the omitted classes, in the middle that on all classes, below the belief
    in the omitted ones, with a band where a calibrated student would be.

    Args:
        summary: ``accuracy_percent``, ``test_accuracy_percent``, ``probability_percent`` and
            ``frequency_percent``, intervals by ``omitted``, ``label`` and ``status``.
    """
    summary = summary.droplevel("status")
    sets = summary.index.unique("omitted")
    rows = {
        "accuracy_percent": "accuracy on the omitted classes, %",
        "test_accuracy_percent": "accuracy on all classes, %",
        "probability_percent": "mean P_x[k] of the omitted classes k, %",
    }
    methods = summary.index.unique("label")
    size = (5.2 * len(sets), (0.28 * len(methods) + 1) * len(rows))
    figure, panels = plt.subplots(len(rows), len(sets), figsize=size, squeeze=False)
    for line, (metric, title) in zip(panels, rows.items(), strict=True):
        for axes, omitted in zip(line, sets, strict=True):
            values = summary.loc[omitted]
            plot_methods(axes, values[metric].dropna())
            axes.set_title(f"omitted: {omitted}", fontsize="small")
            axes.set_xlabel(title, fontsize="small")
            if metric == "probability_percent":
                occurs = values.frequency_percent.dropna().iloc[0].mean
                axes.axvline(occurs, color="0.85", linewidth=5, zorder=0)
    return figure


def draw_features(points: pd.DataFrame, omitted: Collection[int], labels: Sequence[str]) -> Figure:
    """Maps of features side by side, one per teacher.

    Args:
        points: ``label``, ``class_index``, ``horizontal``, ``vertical``: a row per sample.
        omitted: classes that the students never saw.
        labels: of the students' teachers.
    """
    figure, panels = plt.subplots(1, len(labels), figsize=(5 * len(labels), 4.6), squeeze=False)
    for axes, label in zip(panels[0], labels, strict=True):
        plot_feature_map(axes, points[points.label == label], omitted)
        axes.set_title(f"student of {label}")
    return figure
