"""Figures of what happens class by class: confusion matrices and maps of features."""

from collections.abc import Collection

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

_OMITTED = "black"
_ANNOTATED = 12
"""Cells of a larger matrix have no room for a number."""


def plot_confusion(axes: Axes, matrix: pd.DataFrame, omitted: Collection[int] = ()) -> None:
    """Draw a confusion matrix; rows of omitted classes are framed and starred.

    Args:
        axes: where.
        matrix: percent of the samples of each true class (rows) by predicted class (columns).
        omitted: classes that the student never saw.
    """
    names = [f"{label}*" if label in omitted else f"{label}" for label in matrix.index]
    sns.heatmap(
        matrix,
        ax=axes,
        cmap="Blues",
        vmin=0,
        vmax=100,
        square=True,
        cbar=False,
        annot=len(matrix) <= _ANNOTATED,
        fmt=".0f",
        annot_kws={"fontsize": "x-small"},
        xticklabels=names,
        yticklabels=names,
    )
    for row, label in enumerate(matrix.index):
        if label in omitted:
            frame = Rectangle((0, row), matrix.shape[1], 1, fill=False, edgecolor=_OMITTED)
            axes.add_patch(frame).set_clip_on(False)
    axes.tick_params(axis="y", rotation=0)
    axes.grid(False)
    axes.set(xlabel="Predicted class", ylabel="True class (* omitted)")


def plot_feature_map(axes: Axes, table: pd.DataFrame, omitted: Collection[int] = ()) -> None:
    """Draw every sample as the number of its class, omitted classes larger and in black.

    Args:
        axes: where.
        table: one row per sample with ``horizontal``, ``vertical`` and ``class_index``.
        omitted: classes that the student never saw.
    """
    classes = sorted(table.class_index.unique())
    colors = dict(zip(classes, sns.color_palette("colorblind", len(classes)), strict=True))
    for label in sorted(classes, key=lambda label: label in omitted):  # omitted ones on top
        rows = table[table.class_index == label]
        unseen = label in omitted
        axes.scatter(
            rows.horizontal,
            rows.vertical,
            s=45 if unseen else 22,
            marker=f"${label:g}$",
            color=_OMITTED if unseen else colors[label],
            linewidth=0.3,
        )
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
