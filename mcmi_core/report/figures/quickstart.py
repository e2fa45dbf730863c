"""00b · What each teacher tells beyond the label, how good its few-shot student is, who gains."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import mean_interval
from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.report.plots import method_style

_ROLES = {
    "fine-tuned": "the control",
    "MCMI fixed": "the paper's method",
    "MCMI tracked": "our variant",
    FROM_SCRATCH: "no teacher",
}


def draw_quickstart(students: pd.DataFrame, *, few: float, title: str) -> Figure:
    """One row per method; a small point per seed, a large one for the mean with its interval.

    Left the teacher's CMI, in the middle the student's accuracy, right its gain over the control's
    student of the same seed.

    Args:
        students: one row per student, with ``label``, ``train_cmi_nats`` of its teacher,
            ``test_accuracy_percent`` and ``gain_over_fine_tuned_points``.
        few: fraction of the training data that students see.
        title: data and networks, in words.
    """
    figure, panels = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, width_ratios=(3, 3, 4))
    left, middle, right = panels
    _points(left, students, "train_cmi_nats")
    _points(middle, students, "test_accuracy_percent")
    _points(right, students, "gain_over_fine_tuned_points", decimals=1)
    _control_at_zero(right, students)
    right.axvline(0, color="0.3", linewidth=1, zorder=0)
    left.set_xlim(left=-0.05 * left.get_xlim()[1])  # a point near 0 stays whole
    right.margins(x=0.2)
    labels = students.label.unique()
    left.set_yticks(range(len(labels)), map(_with_its_role, labels), fontsize=9)
    left.set_ylim(len(labels) - 0.5, -0.6)
    for axes, name, unit in (
        (left, "Teacher: CMI", "nats, on its training data"),
        (middle, f"Its student on {100 * few:g} % of the data", "test accuracy, % (axis is cut)"),
        (
            right,
            "Gain over the control's student",
            "difference in accuracy, points (paired by seed)",
        ),
    ):
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(unit, fontsize=9)
        axes.tick_params(axis="x", labelsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def _points(axes: Axes, students: pd.DataFrame, metric: str, decimals: int | None = None) -> None:
    """Of every method that has the metric; with ``decimals``, the interval in digits as well."""
    for place, (label, rows) in enumerate(students.groupby("label", sort=False)):
        values, style = rows[metric].dropna(), method_style(label)
        axes.scatter(values, [place] * len(values), s=14, color=style["color"], alpha=0.4, zorder=2)
        if len(values) < 2:
            continue
        interval = mean_interval(values)
        error = interval.high - interval.mean
        axes.errorbar(interval.mean, place, xerr=error, capsize=3, markersize=8, **style)
        if decimals is not None:
            _say(axes, f"{interval:+.{decimals}f}", interval.mean, place)


def _control_at_zero(axes: Axes, students: pd.DataFrame) -> None:
    """Its gain over itself, where others have one."""
    if students.gain_over_fine_tuned_points.isna().all():
        return
    for place, label in enumerate(students.label.unique()):
        if label.startswith("fine-tuned"):
            axes.plot(0, place, markersize=8, linestyle="none", **method_style(label))
            _say(axes, "0 (by definition)", 0, place)


def _say(axes: Axes, text: str, x: float, place: int) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.text(x, place - 0.2, text, fontsize=8, ha="center", bbox=box)


def _with_its_role(label: str) -> str:
    """``MCMI fixed λ=0.25`` and below it what it is here."""
    for name, role in _ROLES.items():
        if label.startswith(name):
            return f"{label}\n({role})"
    return label
