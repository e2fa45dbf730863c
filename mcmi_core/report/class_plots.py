"""Figures of what happens class by class: confusion matrices and maps of features."""

from collections.abc import Collection

import numpy as np
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
    mesh = axes.pcolormesh(matrix, cmap="Blues", vmin=0, vmax=100)
    if len(matrix) <= _ANNOTATED:
        for (row, column), percent in np.ndenumerate(matrix):
            place, dark = (column + 0.5, row + 0.5), mesh.norm(percent) > 0.5
            style = {"ha": "center", "va": "center", "fontsize": "x-small"}
            axes.text(*place, f"{percent:.0f}", color="white" if dark else "0.15", **style)
    axes.set(xlim=(0, matrix.shape[1]), ylim=(len(names), 0), aspect="equal")
    axes.set_xticks(np.arange(matrix.shape[1]) + 0.5, names)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.tick_params(length=0)
    for row, label in enumerate(matrix.index):
        if label in omitted:
            frame = Rectangle((0, row), matrix.shape[1], 1, fill=False, edgecolor=_OMITTED)
            axes.add_patch(frame).set_clip_on(False)
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
