"""03 · Eigen-CAMs of a few test images, and how much of the image the maps cover."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure, SubFigure

from mcmi_core.report.plots import plot_map, plot_pairs

TITLES = {
    "coverage_percent": "Coverage, %",
    "place_information_nats": "Place information, nats",
}


def draw_eigen_cam(pictures: pd.DataFrame, drawn: pd.DataFrame) -> Figure:
    """Left: pictures, and below them each teacher's maps; right: both numbers, by teacher.

    Args:
        pictures: one row per map, with ``label``, ``class_index``, ``picture`` and ``heat``; every
            teacher has maps of the same pictures.
        drawn: one row per teacher of the stage that is drawn, with ``label``, ``seed`` and the
            columns of ``TITLES``.
    """
    figure = plt.figure(figsize=(13, 0.85 * (1 + pictures.label.nunique())))
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
    _draw_maps(left, pictures)
    for axes, (metric, title) in zip(right.subplots(1, 2), TITLES.items(), strict=True):
        plot_pairs(axes, drawn, metric)
        axes.set_title(title, fontsize="small")
        axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=25, ha="right")
        axes.tick_params(axis="x", labelsize="x-small")
    return figure


def _draw_maps(figure: SubFigure, pictures: pd.DataFrame) -> None:
    teachers = dict(list(pictures.groupby("label", sort=False)))
    first = next(iter(teachers.values()))
    panels = figure.subplots(1 + len(teachers), len(first), squeeze=False)
    for axes, sample in zip(panels[0], first.itertuples(), strict=True):
        plot_map(axes, sample.picture)
        axes.set_title(sample.class_index, fontsize="x-small")
    for line, (label, samples) in zip(panels[1:], teachers.items(), strict=True):
        for axes, sample in zip(line, samples.itertuples(), strict=True):
            plot_map(axes, sample.picture, sample.heat)
        name = "\n".join(label.split())
        line[0].set_ylabel(name, fontsize="x-small", rotation=0, ha="right")
        line[0].yaxis.label.set_va("center")
