"""12 · How far teachers are from the truth, and what their students gain."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import method_style
from mcmi_core.runs.config import UNTREATED

_ROLES = {
    "MLL": "ordinary training",
    UNTREATED: "the control",
    "MCMI fixed": "the paper's method",
    "MCMI tracked": "our variant",
    "true BCPD": "the truth P* itself",
    FROM_SCRATCH: "no teacher",
}
"""Below a method's name; the λ in the name does not matter."""
_INPUTS = {"train_bcpd_kl_nats": "on its training inputs", "test_bcpd_kl_nats": "on new inputs"}


def draw_bayes_oracle(distances: pd.DataFrame, gain: pd.DataFrame) -> Figure:
    """Above, teachers on training and on new inputs; below, a panel per fraction of the data.

    All panels have the same rows, so that a teacher is found above its student. Teachers share an
    axis; students do not: those with few examples would squeeze the others to a point.

    Args:
        distances: ``train_bcpd_kl_nats`` and ``test_bcpd_kl_nats``, the mean KL(P* ‖ teacher), as
            intervals by label.
        gain: of the students over that of λ = 0, points: intervals by label, a column per fraction.
    """
    figure, panels = plt.subplots(2, 2, figsize=(9, 7.6), sharey=True)
    panels[0, 1].sharex(panels[0, 0])
    for axes, (column, inputs) in zip(panels[0], _INPUTS.items(), strict=True):
        _draw_rows(axes, distances[column].reindex(gain.index), "{:.2f}")
        for place in [n for n, label in enumerate(gain.index) if label not in distances.index]:
            row = axes.get_yaxis_transform()
            said = {"ha": "center", "va": "center", "fontsize": "small", "color": "0.4"}
            axes.text(0.5, place, "no teacher", transform=row, **said)
        axes.set_title(f"Teacher's distance from the truth,\n{inputs}", fontsize="medium")
        axes.set_xlabel("mean KL(P* ‖ teacher), nats (0: the truth)")
    for axes, (fraction, intervals) in zip(panels[1], gain.items(), strict=True):
        _draw_rows(axes, intervals, "{:+.1f}")
        axes.plot(0, gain.index.get_loc(UNTREATED), fillstyle="none", **method_style(UNTREATED))
        axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
        seen = "all the data" if fraction == 1 else f"{100 * fraction:g} % of the data"
        axes.set_title(f"Its student's gain,\nwith {seen}", fontsize="medium")
        axes.set_xlabel("accuracy, points over the control's")
    panels[0, 0].set_yticks(range(len(gain)), [_name(label) for label in gain.index])
    panels[0, 0].set_ylim(len(gain) - 0.5, -0.7)
    return figure


def _draw_rows(axes: Axes, intervals: pd.Series, digits: str) -> None:
    """An interval per label from top to bottom, its mean written above; some may be missing."""
    for place, (label, interval) in enumerate(intervals.items()):
        if not isinstance(interval, Interval):
            continue
        error = interval.high - interval.mean
        axes.errorbar(interval.mean, place, xerr=error, capsize=3, **method_style(label))
        text = digits.format(round(interval.mean, 6) + 0.0)  # + 0 makes a 0 of −0
        above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
        number = axes.annotate(text, (interval.mean, place), fontsize="small", **above)
        number.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.margins(x=0.1)


def _name(label: str) -> str:
    """A method, and in the next line what it is."""
    role = next(role for name, role in _ROLES.items() if f"{label} ".startswith(f"{name} "))
    return f"{method_in_words(label)}\n({role})"
