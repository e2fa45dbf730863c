"""04 · Classes that a student never saw: where they go, how much it recognises and believes."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.zero_shot import set_text
from mcmi_core.report.class_plots import plot_confusion, plot_feature_map
from mcmi_core.report.plots import plot_intervals


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


def draw_recognition(summary: pd.DataFrame, lambda_of: Mapping[str, float]) -> Figure:
    """Accuracy on omitted classes, and below it the belief in them, against λ.

    Args:
        summary: ``accuracy_percent``, ``probability_percent`` and ``frequency_percent``,
            intervals by ``omitted``, ``label`` and ``status``.
        lambda_of: λ of the MCMI teachers by label; policies that vary it become curves.
    """
    summary = summary.droplevel("status")
    sets = summary.index.unique("omitted")
    rows = {"accuracy_percent": "Accuracy, %", "probability_percent": "Mean P_x[k], %"}
    size = (3.6 * len(sets) + 1.4, 3.2 * len(rows))
    shape = {"figsize": size, "sharey": "row", "squeeze": False}
    figure, panels = plt.subplots(len(rows), len(sets), **shape)
    for line, (metric, title) in zip(panels, rows.items(), strict=True):
        line[0].set_ylabel(f"{title}, omitted classes")
        for axes, omitted in zip(line, sets, strict=True):
            _draw_against_lambda(axes, summary.loc[omitted, metric].dropna(), lambda_of)
            axes.set(title=f"omitted: {omitted}", xlabel="λ")
            if metric == "probability_percent":
                occurs = summary.loc[omitted, "frequency_percent"].dropna().iloc[0].mean
                axes.axhline(occurs, color="0.85", linewidth=5, zorder=0, label="frequency")
        line[-1].legend(fontsize="x-small", loc="lower right")
        line[0].set_ylim(bottom=0)
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


def _draw_against_lambda(axes: Axes, values: pd.Series, lambda_of: Mapping[str, float]) -> None:
    """A curve per policy; the students of MLL and of the truth as lines across."""
    for policy in dict.fromkeys(label.rpartition(" ")[0] for label in lambda_of):
        labels = [label for label in lambda_of if label.startswith(f"{policy} ")]
        curve = values[values.index.intersection(labels)].rename(lambda_of)
        plot_intervals(axes, curve, label=policy)
    for label, style in (("MLL", "--"), ("true BCPD", ":")):
        if label in values:
            axes.axhline(values[label].mean, color="0.4", linestyle=style, label=label)
