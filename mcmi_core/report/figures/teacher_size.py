"""05 · Student accuracy, teacher CMI and teacher LL against the teacher's number of parameters."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.experiments.teacher_size import ANY_SIZE
from mcmi_core.report.plots import method_style, plot_intervals

TITLES = {
    "student_accuracy_percent": "Student's test accuracy, %",
    "train_cmi_nats": "Teacher's CMI, nats",
    "train_ll_nats": "Teacher's LL, nats",
}


def draw_teacher_size(summary: pd.DataFrame) -> Figure:
    """One panel for each of ``TITLES``, one curve per method.

    What has no size, the truth and the student from scratch, is a horizontal line at its mean.

    Args:
        summary: of :meth:`~mcmi_core.experiments.teacher_size.TeacherSize.summary`.
    """
    without_size = summary.index.get_level_values("parameters") == ANY_SIZE
    by_size, beside = summary[~without_size], summary[without_size].droplevel("parameters")
    sizes = list(by_size.index.unique("parameters"))
    figure, panels = plt.subplots(1, len(TITLES), figsize=(13, 3.6))
    for axes, (metric, title) in zip(panels, TITLES.items(), strict=True):
        for label, intervals in by_size[metric].unstack("parameters").iterrows():
            plot_intervals(axes, intervals.dropna(), label=label)
        for label, interval in beside[metric].dropna().items():
            color = method_style(label)["color"]
            axes.axhline(interval.mean, color=color, linestyle="--", label=label)
        axes.set(title=title, xlabel="Parameters of the teacher", xscale="log")
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="x", labelrotation=20)
    panels[0].legend(fontsize="small")
    return figure
