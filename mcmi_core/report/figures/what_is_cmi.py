"""00 · Outputs as points of a triangle, and what teachers say of single images."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.what_is_cmi import CONTROL
from mcmi_core.report.plots import WIDEST, method_style, plot_picture
from mcmi_core.runs.config import UNTREATED

_CORNERS = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
_MARKERS = ("o", "s", "^")
_COLUMNS = 3
_TOP = 5

NEAR = 0.95
"""Probability of a class from which on a mark counts as in its corner."""


def draw_triangles(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], cmi_nats: Mapping[str, float]
) -> Figure:
    """One triangle per teacher: its outputs, and the centroid of each class.

    Args:
        points: by title, (N, 3) outputs and (N,) classes.
        cmi_nats: by title, for the heading.
    """
    columns = min(_COLUMNS, len(points))
    rows = -(-len(points) // columns)
    size = (WIDEST / _COLUMNS * columns, 2.9 * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, (title, (outputs, labels)) in zip(panels.flat, points.items(), strict=False):
        plot_triangle(axes, outputs, labels)
        near = (outputs.max(axis=1) > NEAR).mean()
        text = f"{title}\nCMI {cmi_nats[title]:.3f} nats, {near:.0%} in a corner"
        axes.set_title(text, fontsize="medium")
    return figure


def draw_one(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], cmi_nats: Mapping[str, float], title: str
) -> Figure:
    """One of the triangles of :func:`draw_triangles`, larger."""
    figure = draw_triangles({title: points[title]}, cmi_nats)
    figure.set_size_inches(4.5, 4.3)
    return figure


def plot_triangle(axes: Axes, outputs: np.ndarray, labels: np.ndarray) -> None:
    """Draw outputs of three classes as points of a triangle, and each class's centroid, hollow.

    A corner is all probability for one class; the middle is a third for each.

    Args:
        axes: where.
        outputs: (N, 3) probabilities.
        labels: (N,) true classes, which give colour and marker.
    """
    outline = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(*outline.T, color="0.6", linewidth=1, zorder=1)
    for label, color in zip(range(3), sns.color_palette("colorblind"), strict=False):
        style = {"color": color, "marker": _MARKERS[label], "edgecolor": "white"}
        members = outputs[labels == label]
        axes.scatter(*(members @ _CORNERS).T, s=22, alpha=0.6, linewidth=0.3, zorder=2, **style)
        centroid = members.mean(axis=0) @ _CORNERS
        hollow = {"marker": _MARKERS[label], "facecolor": "none", "edgecolor": "black"}
        axes.scatter(*centroid, s=130, linewidth=1.6, zorder=3, **hollow)
    for label, (x, y) in enumerate(_CORNERS):
        place = {"va": "bottom" if y > 0 else "top", "ha": "center"}
        axes.text(x, y + (0.05 if y > 0 else -0.05), f"class {label}", fontsize="small", **place)
    axes.set(xlim=(-0.15, 1.15), ylim=(-0.15, 1.05), aspect="equal")
    axes.axis("off")


def draw_photographs(table: pd.DataFrame) -> Figure:
    """Some images, and beside each the probabilities of the five classes that lead on average.

    Args:
        table: of :meth:`~mcmi_core.experiments.what_is_cmi.WhatIsCmi.photograph_table`.
    """
    labels = list(table.label.unique())
    images = sorted(table.image.unique())
    size = (WIDEST, 0.5 + 1.05 * len(images))
    figure, panels = plt.subplots(
        len(images),
        1 + len(labels),
        figsize=size,
        width_ratios=(1,) + (3,) * len(labels),
        squeeze=False,
        sharex="col",
    )
    for line, image in zip(panels, images, strict=True):
        rows = table[table.image == image].set_index("label")
        plot_picture(line[0], rows.picture.iloc[0])
        line[0].set_ylabel(rows.class_name.iloc[0], fontsize="small")
        mean = sum(rows.probabilities) / len(rows)
        leading = mean.sort_values(ascending=False).index[:_TOP]
        for axes, label in zip(line[1:], labels, strict=True):
            if label in rows.index:
                _plot_classes(
                    axes, rows.probabilities[label][leading], method_style(label)["color"]
                )
        for axes in line[2:]:
            axes.set_yticklabels([])
    for axes, label in zip(panels[0, 1:], labels, strict=True):
        axes.set_title(_teacher(label), fontsize="medium")
    for axes in panels[-1, 1:]:
        axes.set(xlabel="probability", xticks=(0, 0.5, 1))
    return figure


def _teacher(label: str) -> str:
    return CONTROL if label == UNTREATED else label


def _plot_classes(axes: Axes, probabilities: pd.Series, color: object) -> None:
    """Each class's probability, from top to bottom, with its value."""
    axes.barh(range(len(probabilities)), probabilities, color=color, alpha=0.8)
    for place, probability in enumerate(probabilities):
        value = f"{probability:.3f}" if probability >= 0.001 else "< 0.001"
        axes.text(probability + 0.03, place, value, va="center", fontsize="x-small")
    axes.set_yticks(range(len(probabilities)), probabilities.index, fontsize="x-small")
    axes.set(xlim=(0, 1.35), ylim=(len(probabilities) - 0.5, -0.5))
    axes.grid(False)
