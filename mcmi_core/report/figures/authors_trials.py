"""15 · The authors' trials: gains by the fraction of the data, and by the way a cell is chosen."""

from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.authors_trials import PAIR, WORST
from mcmi_core.experiments.words import framework_in_words, network_in_words

_MARKERS = ("o", "s", "^", "D", "v")
"""Of the pairs, in order of appearance."""
_WIDE = (WORST, "λ = 0.8 for all pairs")
"""Ways whose intervals would squeeze all others: not drawn."""
_FEW_SHOT_STYLES = (("#7f4f24", "P", "-"), ("#5c6b73", "X", "--"))
"""Of the frameworks: colour, marker and line, none of which is a pair's."""


def draw_authors_trials(few_shot: pd.DataFrame, ways: pd.DataFrame, left: pd.DataFrame) -> Figure:
    """Left: few-shot gains with intervals. Right: what is left of the gain of the λ sweep.

    Args:
        few_shot: of :func:`~mcmi_core.experiments.authors_trials.few_shot_gains`.
        ways: of :func:`~mcmi_core.experiments.authors_trials.ways_to_choose` and, beside them, of
            :func:`~mcmi_core.experiments.authors_trials.one_lambda_for_all`.
        left: of :func:`~mcmi_core.experiments.authors_trials.remaining`, for these ways. The worst
            cell and λ = 0.8 for all pairs would stretch the axis: they are left to the tables.
    """
    figure, (by_fraction, by_way) = plt.subplots(
        1, 2, figsize=(9, 5.6), width_ratios=(2, 3), layout="constrained"
    )
    _draw_few_shot(by_fraction, few_shot)
    _draw_ways(by_way, ways, left.drop(index=list(_WIDE), errors="ignore"))
    for axes in (by_fraction, by_way):
        axes.title.set_fontsize("small")
        axes.xaxis.label.set_fontsize("small")
        axes.tick_params(labelsize="x-small")
    return figure


def _draw_few_shot(axes: Axes, gains: pd.DataFrame) -> None:
    """Gain against the fraction of the data; open where there is one trial each, no interval."""
    for place, (distiller, rows) in enumerate(gains.groupby("distiller", sort=False)):
        tested, single = rows[rows.low.notna()], rows[rows.low.isna()]
        color, marker, line = _FEW_SHOT_STYLES[place]
        aside = 1.06**place  # so that intervals at one fraction do not hide each other
        axes.errorbar(
            tested.fraction * aside,
            tested.gain,
            yerr=tested.high - tested.gain,
            color=color,
            marker=marker,
            linestyle=line,
            capsize=3,
            label=framework_in_words(distiller),
        )
        axes.plot(
            single.fraction * aside,
            single.gain,
            color=color,
            marker=marker,
            linestyle="",
            fillstyle="none",
            label=f"{framework_in_words(distiller)}, one trial each" if len(single) else None,
        )
    ticks = sorted(gains.fraction.unique())
    axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    axes.set(xscale="log", title="Few-shot: ResNet-56 → ResNet-20, λ = 0.15")
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Training data that the student sees, %")
    axes.set_ylabel("Gain of MCMI's student over MLL's, points", fontsize="small")
    axes.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.45, -0.14), ncols=2)


def _draw_ways(axes: Axes, ways: pd.DataFrame, left: pd.DataFrame) -> None:
    """Mean gain by way to choose: a small marker per pair, the mean with its interval in black."""
    pairs = ways[list(left.index)].groupby(level=PAIR, sort=False).mean()
    places = range(len(left))
    for place, ((teacher, student), means) in enumerate(pairs.iterrows()):
        axes.plot(
            means,
            [at - 0.35 + 0.07 * place for at in places],  # none hides another
            linestyle="",
            color=f"C{place}",
            marker=_MARKERS[place],
            markersize=5,
            label=f"{network_in_words(teacher)} → {network_in_words(student)}",
        )
    axes.errorbar(
        [interval.mean for interval in left.pairs],
        [at + 0.1 for at in places],
        xerr=[interval.high - interval.mean for interval in left.pairs],
        linestyle="",
        color="black",
        marker="|",
        markersize=10,
        capsize=3,
        label=f"mean of {len(pairs)} pairs, 95 %",
    )
    axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
    axes.set_yticks(places, [fill(way, 24) for way in left.index])
    axes.set_ylim(len(left) - 0.5, -0.6)
    axes.set_title(
        f"λ sweep: {len(ways)} rows of pair × framework\n"
        "(λ = 0.8 for all pairs, and the worst cell: in the tables)"
    )
    axes.set_xlabel("Gain over the published MLL student, points")
    axes.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.3, -0.14), ncols=2)
