"""01 · The teacher's CMI above what its student gains over T = 1, against the temperature."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.base.statistics import mean_interval
from mcmi_core.experiments.words import pair_in_words
from mcmi_core.report.plots import WIDEST, title_panel


def draw_temperature_and_cmi(numbers: pd.DataFrame) -> Figure:
    """One column per pair that has gains of two seeds or more; empty panels if none has.

    A small point for each seed, a large one for their mean, with its interval. A dotted line
    through both panels marks the temperature with the largest mean CMI.

    Args:
        numbers: one row per ``pair``, ``seed`` and ``temperature``, with ``cmi_nats`` of the
            teacher, and ``gain_points`` of the student over that of the same seed at T = 1, or NaN.
    """
    seeds = numbers.dropna(subset="gain_points").groupby("pair", sort=False).seed.nunique()
    pairs = seeds.index[seeds >= 2]
    columns = max(len(pairs), 1)
    size = (min(6.5 * columns, WIDEST), 5.4)
    figure, panels = plt.subplots(2, columns, figsize=size, sharex="col", squeeze=False)
    for (above, below), pair in zip(panels.T, pairs, strict=False):
        rows = numbers[numbers.pair == pair]
        _points(above, rows, "cmi_nats", color="C3", marker="o")
        _points(below, rows, "gain_points", color="C0", marker="s")
        largest = rows.groupby("temperature").cmi_nats.mean().idxmax()
        for axes in (above, below):
            axes.axvline(largest, color="0.3", linestyle=":", linewidth=1.5, zorder=0)
        above.set_ylim(bottom=0)
        above.annotate(" largest CMI", (largest, 0), (0, 6), textcoords="offset points", fontsize=9)
        below.axhline(0, color="0.3", linewidth=1, zorder=0)
        if columns == 1:
            _in_digits(below, rows)
        title_panel(above, pair_in_words(pair), width=70 if columns == 1 else 28)
        _label_temperatures(below, rows.temperature.unique())
    panels[0, 0].set_ylabel("Teacher's CMI on\ntraining data, nats")
    panels[1, 0].set_ylabel("Student's accuracy less\nthat at T = 1, points")
    figure.align_ylabels()
    return figure


def _points(axes: Axes, rows: pd.DataFrame, column: str, **style) -> None:
    """Means are joined by a thin line, which guides the eye: between them nothing was measured."""
    rows = rows.dropna(subset=column)
    axes.scatter(rows.temperature, rows[column], s=14, color=style["color"], alpha=0.4)
    groups = {t: values for t, values in rows.groupby("temperature")[column] if len(values) >= 2}
    intervals = [mean_interval(values) for values in groups.values()]
    axes.errorbar(
        list(groups),
        [interval.mean for interval in intervals],
        yerr=[interval.high - interval.mean for interval in intervals],
        capsize=4,
        linewidth=1,
        elinewidth=2,
        **style,
    )
    axes.margins(y=0.15)


def _in_digits(axes: Axes, rows: pd.DataFrame) -> None:
    """The differences, in a row at the top of the panel.

    In a white box, so that neither the dotted line nor the grid strikes them through.
    """
    axes.margins(y=0.25)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    for t, values in rows.dropna(subset="gain_points").groupby("temperature").gain_points:
        by_definition = not values.any()
        if len(values) < 2:
            continue
        text = "0 (by definition)" if by_definition else f"{mean_interval(values):+.2f}"
        where = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "top"}
        axes.annotate(text, (t, 0.98), fontsize=8, bbox=box, **where)


def _label_temperatures(axes: Axes, temperatures: pd.Index) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(temperatures, [f"{temperature:g}" for temperature in temperatures])
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(temperatures) / 2**0.5, max(temperatures) * 2**0.5)
    axes.set_xlabel("Temperature T of teacher and student (log scale)")
