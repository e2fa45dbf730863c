"""05 · Student accuracy, teacher CMI and teacher LL against the teacher's number of parameters."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals

TITLES = {
    "student_accuracy_percent": "Student's test accuracy, %",
    "train_cmi_nats": "Teacher's CMI, nats",
    "train_ll_nats": "Teacher's LL, nats",
}


def draw_teacher_size(summary: pd.DataFrame) -> Figure:
    """One panel for each of ``TITLES``, one curve per method.

    Args:
        summary: intervals by ``parameters`` and ``label``, with the columns of ``TITLES``.
    """
    sizes = list(summary.index.unique("parameters"))
    figure, panels = plt.subplots(1, len(TITLES), figsize=(13, 3.6))
    for axes, (metric, title) in zip(panels, TITLES.items(), strict=True):
        for label, intervals in summary[metric].unstack("parameters").iterrows():
            plot_intervals(axes, intervals.dropna(), label=label)
        axes.set(title=title, xlabel="Parameters of the teacher", xscale="log")
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="x", labelrotation=20)
    panels[0].legend(fontsize="small")
    return figure
