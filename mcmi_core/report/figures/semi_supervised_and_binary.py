"""11 · Students' gain by how many labels they have, and teachers and students with two classes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import method_style

_STEP = 0.13
"""Between the teachers of one row, which would hide each other."""


def draw_semi_supervised_and_binary(
    gain: pd.DataFrame, binary: pd.DataFrame, *, control: str, few: float
) -> Figure:
    """Above, a row for what the student is given and a point per teacher; below, two classes.

    Args:
        gain: over the control, points, an interval by regime and, as columns, teacher; may be
            missing.
        binary: of :meth:`~mcmi_core.experiments.semi_supervised_and_binary.\
SemiSupervisedAndBinary.binary_summary`.
        control: label of what is at zero.
        few: fraction of the data that students of two classes see.
    """
    figure = plt.figure(figsize=(9, 8))
    above, below = figure.subfigures(2, 1, height_ratios=(4.6, 3.4))
    unlabelled = above.subplots()
    zero = {"color": "0.4", "linestyle": "--", "linewidth": 1}
    above_control = f"accuracy, points over the student of {method_in_words(control)}"
    unlabelled.axvline(0, label=f"{method_in_words(control)} (the control)", **zero)
    _draw_regimes(unlabelled, gain)
    unlabelled.set(title="Ten classes: what the student is given", xlabel=above_control)
    unlabelled.legend(
        loc="upper center",
        bbox_to_anchor=(0.4, -0.17),
        ncols=3,
        fontsize="small",
        title="taught by",
    )
    closeness, student = below.subplots(1, 2, sharey=True)
    _draw_methods(closeness, binary.train_bcpd_kl_nats)
    _draw_methods(student, binary.student_gain_over_control_points)
    if control in binary.index:
        at_zero = {"fillstyle": "none", "linestyle": "", **method_style(control)}
        student.plot(0, binary.index.get_loc(control), **at_zero)
    closeness.set_yticks(range(len(binary)), map(method_in_words, binary.index))
    closeness.set_ylim(len(binary) - 0.5, -0.5)
    closeness.set(title="Two classes: the teacher", xlabel="mean KL(P* ‖ teacher), nats (0: truth)")
    student.set(title=f"Two classes: its student on {few:.0%}", xlabel="points over the control's")
    student.axvline(0, **zero)  # the control; on the left 0 is the truth, a row of its own
    return figure


def _draw_regimes(axes: Axes, gain: pd.DataFrame) -> None:
    first = -_STEP * (len(gain.columns) - 1) / 2
    for number, label in enumerate(gain):
        intervals = gain[label].reset_index(drop=True).dropna()
        axes.errorbar(
            [interval.mean for interval in intervals],
            intervals.index + first + number * _STEP,
            xerr=[interval.high - interval.mean for interval in intervals],
            linestyle="",
            capsize=2,
            label=method_in_words(label),
            **method_style(label),
        )
    axes.set_yticks(range(len(gain)), gain.index)
    axes.set_ylim(len(gain) - 0.5, -0.5)


def _draw_methods(axes: Axes, intervals: pd.Series) -> None:
    """A row per method, empty where there is nothing to compare."""
    for place, (label, interval) in enumerate(intervals.items()):
        if isinstance(interval, Interval):
            error = interval.high - interval.mean
            axes.errorbar(interval.mean, place, xerr=error, capsize=3, **method_style(label))
