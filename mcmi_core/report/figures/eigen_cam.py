"""03 · Eigen-CAMs of a few test images, and whether MCMI's maps cover more of the image."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mcmi_core.base.statistics import gains
from mcmi_core.experiments.words import class_in_words
from mcmi_core.report.plots import method_style, plot_picture

TITLES = {
    "coverage_percent": "Coverage, points of the picture",
    "place_information_nats": "Place information, nats",
}


def draw_eigen_cam(
    pictures: pd.DataFrame, drawn: pd.DataFrame, *, data: str, control: str
) -> Figure:
    """Above, a picture a row and its map by each teacher; below, both numbers less the control's.

    Args:
        pictures: one row per map, with ``label``, ``class_index``, ``picture`` and ``heat``; every
            teacher has maps of the same pictures. The first of each class is drawn.
        drawn: one row per teacher of the stage that is drawn, with ``label``, ``seed`` and the
            columns of ``TITLES``.
        data: for the names of classes.
        control: label that others are compared with, seed by seed.
    """
    first = pictures[~pictures.duplicated(["label", "class_index"])]
    rows = first.class_index.nunique()
    figure = plt.figure(figsize=(9, 1.8 * rows + 3.1))
    above, below = figure.subfigures(2, 1, height_ratios=(1.8 * rows + 0.6, 2.5))
    _draw_maps(above, first, data, control)
    panels = below.subplots(1, 2, sharey=True)
    for axes, (metric, title) in zip(panels, TITLES.items(), strict=True):
        _draw_differences(axes, drawn, metric, control)
        axes.set_xlabel(title, fontsize=9)
        axes.tick_params(labelsize=9)
        axes.locator_params(axis="x", nbins=5)
    below.suptitle(
        f"Over all test images, less {control} (the control) of the same seed [95 % interval]",
        fontsize=10,
    )
    return figure


def _draw_maps(figure: SubFigure, pictures: pd.DataFrame, data: str, control: str) -> None:
    """Each map scaled by its own largest value, with its coverage, which has no scale, below."""
    teachers = dict(list(pictures.groupby("label", sort=False)))
    first = next(iter(teachers.values()))
    panels = figure.subplots(len(first), 1 + len(teachers), squeeze=False)
    for axes, sample in zip(panels[:, 0], first.itertuples(), strict=True):
        plot_picture(axes, sample.picture)
        axes.set_ylabel(class_in_words(data, sample.class_index), fontsize=10)
    panels[0, 0].set_title("test image", fontsize=9)
    for column, (label, samples) in zip(panels.T[1:], teachers.items(), strict=True):
        role = " (control)" if label == control else ""
        column[0].set_title(label.replace(" λ", "\nλ") + role, fontsize=9)
        for axes, sample in zip(column, samples.itertuples(), strict=True):
            drawn = axes.imshow(sample.heat, cmap="viridis", vmin=0, vmax=1)
            axes.set_xlabel(f"covers {_coverage_percent(sample.heat):.0f} %", fontsize=9)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    bar = figure.colorbar(drawn, ax=panels, shrink=0.8, pad=0.02)
    bar.set_label("map, divided by its own largest value", fontsize=9)
    bar.ax.tick_params(labelsize=9)


def _coverage_percent(heat: Sequence[Sequence[float]]) -> float:
    """As ``coverage`` in :mod:`mcmi_core.measures.eigen_cam`, which needs PyTorch; one map."""
    heat = np.asarray(heat)
    squares = heat.size * np.square(heat).sum()
    return 100 * heat.sum() ** 2 / squares if squares else 0.0


def _draw_differences(axes: Axes, drawn: pd.DataFrame, metric: str, control: str) -> None:
    """An interval for each teacher, and a small point for each seed."""
    wide = drawn.pivot(index="seed", columns="label", values=metric)
    differences = gains(drawn, metric, control)
    labels = [label for label in drawn.label.unique() if label != control]
    for place, label in enumerate(labels):
        points, style = wide[label] - wide[control], method_style(label)
        axes.scatter(points, [place] * len(points), s=14, color=style["color"], alpha=0.4)
        if label in differences:
            mean, _, high, _ = differences[label]
            axes.errorbar(mean, place, xerr=high - mean, capsize=3, markersize=8, **style)
    axes.axvline(0, color="0.3", linewidth=1, zorder=0)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
