"""10 · What students gain by each way to soften a teacher, and which teachers they gain from."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import method_style, plot_methods

_GAIN = "student's gain over MLL's, points"
_QUANTITIES = {"cmi_nats": "CMI of the teacher, nats", "entropy_nats": "entropy H(Ŷ|X), nats"}
_CLOSENESS = "bcpd_kl_nats"
_SYMBOLS = {"label smoothing": "ε", "entropy bonus": "β", "temperature": "T"}
"""Of a family's setting; others are words."""
_BESIDE = [(7, 5), (-7, 5), (7, -5), (-7, -5), (0, 14), (0, -14), (12, 12), (-12, 12), (0, 24)]
_BESIDE += [(12, -12), (-12, -12), (0, -24)]
"""Where a label may stand, in points from what it names, best first."""
_SIDES = {1: "left", 0: "center", -1: "right"}
_CLEAR = 4
"""Pixels around a point that are its own."""


def draw_alternatives(summary: pd.DataFrame, chosen: pd.Series) -> Figure:
    """Above, each family's gain at its chosen setting; below, all gains against teachers' nats.

    Args:
        summary: of :meth:`~mcmi_core.experiments.alternatives.Alternatives.summary`. Students
            without a teacher are in the first panel alone.
        chosen: the method of each family that the first panel shows.
    """
    gains = summary.gain_points.droplevel("family")
    shown = [*chosen.drop("MLL"), *gains.index.intersection([FROM_SCRATCH])]
    figure = plt.figure(figsize=(9, 0.32 * len(shown) + 5.2))
    above, below = figure.subfigures(2, 1, height_ratios=(0.32 * len(shown) + 1, 4.2))
    first = above.subplots()
    plot_methods(first, gains.loc[shown])
    first.axvline(0, color="0.4", linestyle="--")
    several = gains.index.size > len(shown) + 1  # and MLL
    which = "at the setting chosen on training data" if several else "with its only setting"
    first.set(title=f"Each way {which}", xlabel=_GAIN)
    panels = below.subplots(1, len(_QUANTITIES), sharey=True)
    for axes, (metric, words) in zip(panels, _QUANTITIES.items(), strict=True):
        _draw_kinds(axes, summary, metric, chosen.index)
        axes.set_xlabel(words)
    panels[0].set_ylabel(_GAIN)
    handles, names = panels[0].get_legend_handles_labels()
    below.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    _name_settings(figure, panels, summary, _QUANTITIES, chosen.index)
    return figure


def draw_closeness(summary: pd.DataFrame, closeness: pd.Series) -> Figure:
    """Students' gain against their teacher's distance from the truth, which must be known.

    Args:
        summary: as of :func:`draw_alternatives`, with ``bcpd_kl_nats``.
        closeness: r of :meth:`~mcmi_core.experiments.alternatives.Alternatives.closeness`.
    """
    figure, axes = plt.subplots(figsize=(9, 5))
    families = summary.index.unique("family").drop(FROM_SCRATCH, errors="ignore")
    _draw_kinds(axes, summary, _CLOSENESS, families)
    axes.set(
        title="Does the teacher that is closer to the truth have the better student?",
        xlabel="mean KL(P* ‖ teacher) on training inputs, nats (left: closer to the truth)",
        ylabel=_GAIN,
    )
    lines = [f"{kinds}: r = {interval:.2f}" for kinds, interval in closeness.items()]
    text = "gain with closeness, kinds of teachers:\n" + "\n".join(lines)
    axes.text(0.98, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize="small")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=5, fontsize="small")
    _name_settings(figure, [axes], summary, [_CLOSENESS], families)
    return figure


def _draw_kinds(axes: Axes, summary: pd.DataFrame, metric: str, families: pd.Index) -> None:
    """A point for each kind of teacher, with both intervals; its setting, if there are several."""
    axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    axes.margins(x=0.17)
    for family in families:
        kinds = summary.loc[[family], [metric, "gain_points"]].droplevel("family")
        x, y = kinds[metric], kinds.gain_points
        axes.errorbar(
            [interval.mean for interval in x],
            [interval.mean for interval in y],
            xerr=[interval.high - interval.mean for interval in x],
            yerr=[interval.high - interval.mean for interval in y],
            linestyle="",
            label=f"{family} {_SYMBOLS.get(family, '')}".strip(),
            **method_style(family),
        )


def _name_settings(
    figure: Figure,
    panels: Iterable[Axes],
    summary: pd.DataFrame,
    metrics: Iterable[str],
    families: pd.Index,
) -> None:
    """The setting beside each point of a family that has several, clear of points and labels."""
    figure.draw_without_rendering()  # only then is it known where a point is
    for axes, metric in zip(panels, metrics, strict=True):
        taken = [box for each in axes.containers for box in _boxes(each)]
        for family in families:
            kinds = summary.loc[[family], [metric, "gain_points"]].droplevel("family")
            for method in kinds.index if len(kinds) > 1 else []:
                setting = method_in_words(method).removeprefix(family).strip(" ,")
                at = (kinds[metric][method].mean, kinds.gain_points[method].mean)
                color = method_style(family)["color"]
                text = f"{_SYMBOLS[family]} = {setting}" if family in _SYMBOLS else setting
                taken.append(_place(axes, text, at, taken, color))


def _place(axes: Axes, text: str, at: tuple[float, float], taken: list[Bbox], color: str) -> Bbox:
    """Write a text near a point, at the first place that is free or else the one least taken."""
    label = axes.annotate(
        text, at, (0, 0), textcoords="offset points", va="center", color=color, fontsize="x-small"
    )
    best = None
    for number, (x, y) in enumerate(_BESIDE):
        label.set(position=(x, y), ha=_SIDES[np.sign(x)])
        box = label.get_window_extent()
        inside = _area(Bbox.intersection(box, axes.bbox))
        overlap = sum(_area(Bbox.intersection(box, other)) for other in taken)
        cost = (round(overlap + _area(box) - inside, 3), number)
        best = min(best or (cost, box), (cost, box), key=lambda each: each[0])
    (_, number), box = best
    x, y = _BESIDE[number]
    label.set(position=(x, y), ha=_SIDES[np.sign(x)])
    return box


def _boxes(container: ErrorbarContainer) -> list[Bbox]:
    """Of a family's markers and of both its error bars, in pixels."""
    points, _, bars = container.lines
    half = points.get_markersize() * points.figure.dpi / 72 / 2 + _CLEAR
    centres = points.axes.transData.transform(points.get_xydata())
    boxes = [Bbox([centre - half, centre + half]) for centre in centres]
    for bar in bars:
        for segment in bar.get_segments():
            ends = points.axes.transData.transform(segment)
            boxes.append(Bbox([ends.min(0) - 1, ends.max(0) + 1]))
    return boxes


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else box.width * box.height
