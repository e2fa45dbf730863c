"""Figures of what happens class by class: confusion matrices and their differences."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

_ANNOTATED = 12
"""Cells of a larger matrix have no room for a number."""
NOISE = 2
"""Points of a difference below which a cell stays blank: as much may come from seed to seed."""


def plot_confusion(axes: Axes, matrix: pd.DataFrame, omitted: Collection = ()) -> None:
    """Draw a confusion matrix; rows of omitted classes are framed and starred.

    Args:
        axes: where.
        matrix: percent of the samples of each true class (rows) by predicted class (columns).
        omitted: rows of classes that the student never saw.
    """
    _plot_cells(axes, matrix, omitted, "{:.0f}", cmap="Blues", vmin=0, vmax=100)


def plot_difference(axes: Axes, difference: pd.DataFrame, omitted: Collection = ()) -> None:
    """Draw the difference of two confusion matrices: red where there is more, blue where less.

    Args:
        axes: where.
        difference: in points, as :func:`plot_confusion` takes a matrix; dark from 50 on, and blank
            below :data:`NOISE`.
        omitted: rows of classes that the student never saw.
    """
    shown = difference.where(difference.abs() >= NOISE, 0)
    _plot_cells(axes, shown, omitted, "{:.0f}", cmap="RdBu_r", vmin=-50, vmax=50)


def _plot_cells(axes: Axes, matrix: pd.DataFrame, omitted: Collection, text: str, **colors) -> None:
    """Cells with their number; what is rounded to 0 is left out, so that the rest is seen."""
    names = [f"{label}*" if label in omitted else f"{label}" for label in matrix.index]
    mesh = axes.pcolormesh(matrix, **colors)
    if len(matrix) <= _ANNOTATED:
        for (row, column), value in np.ndenumerate(matrix):
            if round(value) == 0:
                continue
            red, green, blue, _ = mesh.cmap(mesh.norm(value))
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.6
            style = {"ha": "center", "va": "center", "fontsize": 8}
            place = (column + 0.5, row + 0.5)
            axes.text(*place, text.format(value), color="white" if dark else "0.15", **style)
    axes.set(xlim=(0, matrix.shape[1]), ylim=(len(names), 0), aspect="equal")
    axes.set_xticks(np.arange(matrix.shape[1]) + 0.5, names)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.tick_params(length=0, labelsize=8)
    for row, label in enumerate(matrix.index):
        if label in omitted:
            frame = Rectangle((0, row), matrix.shape[1], 1, fill=False, edgecolor="black")
            axes.add_patch(frame).set_clip_on(False)
    axes.grid(False)
