"""10 · What students gain by each way to soften a teacher, and which teachers they gain from."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import method_style, plot_methods

_GAIN = "student's gain over MLL's, points"
_QUANTITIES = {"cmi_nats": "CMI of the teacher, nats", "entropy_nats": "entropy H(Ŷ|X), nats"}
_CLOSENESS = "bcpd_kl_nats"
_LEFT = "label smoothing"
"""Family whose settings stand left of its points, as the entropy bonus is often close by."""


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
    first.set(title="Each way at the setting chosen on training data", xlabel=_GAIN)
    panels = below.subplots(1, len(_QUANTITIES), sharey=True)
    for axes, (metric, words) in zip(panels, _QUANTITIES.items(), strict=True):
        _draw_kinds(axes, summary, metric, chosen.index)
        axes.set_xlabel(words)
    panels[0].set_ylabel(_GAIN)
    handles, names = panels[0].get_legend_handles_labels()
    below.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    return figure


def draw_closeness(summary: pd.DataFrame, families: pd.Index) -> Figure:
    """Students' gain against their teacher's distance from the truth, which must be known.

    Args:
        summary: as of :func:`draw_alternatives`, with ``bcpd_kl_nats``.
        families: that are shown, the truth among them.
    """
    figure, axes = plt.subplots(figsize=(9, 5))
    _draw_kinds(axes, summary, _CLOSENESS, families)
    axes.set(
        title="Does the teacher that is closer to the truth have the better student?",
        xlabel="mean KL(P* ‖ teacher) on training inputs, nats (left: closer to the truth)",
        ylabel=_GAIN,
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=5, fontsize="small")
    return figure


def _draw_kinds(axes: Axes, summary: pd.DataFrame, metric: str, families: pd.Index) -> None:
    """A point for each kind of teacher, with both intervals; its setting, if there are several."""
    axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    axes.margins(x=0.1)
    for family in families:
        kinds = summary.loc[[family], [metric, "gain_points"]].droplevel("family")
        x, y = kinds[metric], kinds.gain_points
        axes.errorbar(
            [interval.mean for interval in x],
            [interval.mean for interval in y],
            xerr=[interval.high - interval.mean for interval in x],
            yerr=[interval.high - interval.mean for interval in y],
            linestyle="",
            label=family,
            **method_style(family),
        )
        left = family == _LEFT
        beside = {"xytext": (-5 if left else 5, 4), "textcoords": "offset points"}
        beside |= {"ha": "right" if left else "left", "color": method_style(family)["color"]}
        for method in kinds.index if len(kinds) > 1 else []:
            setting = method_in_words(method).removeprefix(family).strip(" ,")
            axes.annotate(setting, (x[method].mean, y[method].mean), fontsize="x-small", **beside)
