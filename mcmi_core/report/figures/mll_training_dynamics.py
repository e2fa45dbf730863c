"""02 · CMI and LL against the epoch."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_history, title_panel


def draw_training_dynamics(
    history: pd.DataFrame, milestones: Mapping[str, tuple[int, ...]]
) -> Figure:
    """One panel per teacher: mean over seeds, their range as a band.

    Args:
        history: one row per ``teacher``, ``seed`` and ``epoch``, with ``train_ll_nats`` and
            ``train_cmi_nats``.
        milestones: epochs that get a dotted line, by teacher.
    """
    names = history.teacher.unique()
    size = (5.2 * len(names), 3.6)
    figure, panels = plt.subplots(1, len(names), figsize=size, squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        plot_history(axes, history[history.teacher == name], "train_ll_nats", "train_cmi_nats")
        for milestone in milestones[name]:
            axes.axvline(milestone, color="0.6", linestyle=":", linewidth=1)
        title_panel(axes, name)
    return figure
