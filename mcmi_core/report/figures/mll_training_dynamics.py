"""02 · CMI above the log-likelihood, against the epoch."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import pair_in_words
from mcmi_core.report.plots import WIDEST, title_panel


def draw_training_dynamics(
    history: pd.DataFrame, milestones: Mapping[str, tuple[int, ...]], early: Mapping[str, int]
) -> Figure:
    """One column per teacher: CMI from 0 above, −LL on a logarithmic scale below.

    A thin line for each seed, a thick one for their mean, with a point where it was evaluated.

    Args:
        history: one row per ``teacher``, ``seed`` and ``epoch``, with ``train_ll_nats``,
            ``train_cmi_nats`` and ``train_accuracy_percent``.
        milestones: epochs after which the learning rate drops, by teacher.
        early: epoch of the early moment that is compared with the end, by teacher.
    """
    names = history.teacher.unique()
    size = (min(6.5 * len(names), WIDEST), 5.2)
    figure, panels = plt.subplots(2, len(names), figsize=size, sharex="col", squeeze=False)
    for (above, below), name in zip(panels.T, names, strict=True):
        rows = history[history.teacher == name]
        _lines(above, rows.assign(y=rows.train_cmi_nats), color="C3")
        _lines(below, rows.assign(y=-rows.train_ll_nats), color="black")
        above.set_ylim(0, 1.25 * above.get_ylim()[1])  # words stand above the curves
        below.set_yscale("log")
        below.yaxis.set_major_formatter("{x:g}")
        below.set_xlabel("Epoch of MLL training")
        _mark_drops((above, below), milestones[name])
        _mark_early((above, below), rows, early[name])
        title_panel(above, pair_in_words(name), width=70 if len(names) == 1 else 44)
    panels[0, 0].set_ylabel("CMI, nats\n(training data)")
    panels[1, 0].set_ylabel("−log-likelihood, nats\n(log scale; 0 is perfect)")
    figure.align_ylabels()
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, color: str) -> None:
    for _, seed in rows.groupby("seed"):
        axes.plot(seed.epoch, seed.y, color=color, linewidth=0.7, alpha=0.35)
    mean = rows.groupby("epoch").y.mean()
    axes.plot(mean.index, mean, color=color, linewidth=2, marker="o", markersize=4)


def _mark_drops(panels: tuple[Axes, Axes], epochs: tuple[int, ...]) -> None:
    """Dotted; in words at the first."""
    for axes in panels:
        for epoch in epochs:
            axes.axvline(epoch, color="0.4", linestyle=":", linewidth=1.2)
    if epochs:
        _say(panels[0], "learning rate drops", epochs[0])


def _mark_early(panels: tuple[Axes, Axes], rows: pd.DataFrame, epoch: int) -> None:
    """Dashed, with how much of its training data the network has learnt by then."""
    accuracy = rows.train_accuracy_percent[rows.epoch == epoch].mean()
    for axes in panels:
        axes.axvline(epoch, color="C0", linestyle="--", linewidth=1.2)
    _say(panels[0], f"early moment: {accuracy:.0f} %\ntraining accuracy", epoch, color="C0")


def _say(axes: Axes, text: str, epoch: int, color: str = "0.3") -> None:
    """To the right of a line, at the top of the panel."""
    axes.annotate(
        text,
        (epoch, 1),
        (4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=9,
        color=color,
        va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
