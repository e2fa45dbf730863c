"""06 · The gain by MCMI teachers over fine-tuning alone, framework by framework."""

from collections.abc import Iterator, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.comparison import pair_name
from mcmi_core.experiments.framework_table import KINDS
from mcmi_core.experiments.pair import POLICIES, Pair
from mcmi_core.experiments.words import framework_in_words
from mcmi_core.report.plots import SMALLEST, WIDEST, method_style

_SHIFT = {"fixed": -0.15, "tracked": 0.15}
"""Of a policy's point from its framework's line, so that the two do not hide each other."""
_LINE = 0.36
"""Inches for each line of a panel."""
_STRETCH = 1.5
"""An interval this many times as wide as any of those that train is not seen as a whole."""


def draw_gains(comparison: pd.DataFrame, pairs: Sequence[Pair]) -> Figure:
    """One panel per pair, one line per framework, on it a point for each kind of MCMI.

    The gain is over the same teacher fine-tuned without CMI (λ = 0). From top to bottom: the
    frameworks that train, sorted by their gain; their mean; and, in brackets, with the accuracy of
    MLL's students, those that do not train, which the panel explains. An arrow says that an
    interval goes on: one of the latter that is far wider than the others.

    Args:
        comparison: of :meth:`~mcmi_core.experiments.comparison.Comparison.with_mean`.
        pairs: one per panel.
    """
    across = min(2, len(pairs))
    down = -(-len(pairs) // across)
    lines = comparison.groupby("pair").size().max() + 1
    figure, panels = plt.subplots(
        down, across, figsize=(WIDEST, down * (1.1 + _LINE * lines)), squeeze=False
    )
    for axes, pair in zip(panels.flat, pairs, strict=False):
        rows = _arranged(comparison[comparison.pair == pair_name(pair)])
        _draw_gains(axes, rows)
        _set_limits(axes, rows)
        _name_lines(axes, rows, characters=110 if across == 1 else 54)
        axes.set_title(pair.networks_in_words, fontsize="medium", loc="left")
        axes.set_xlabel(
            "Student's gain over the control (fine-tuned λ=0), points", fontsize="small"
        )
    for axes in panels.flat[len(pairs) :]:
        axes.remove()
    legend = {}
    for axes in figure.axes:
        legend |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if legend:
        place = {"loc": "outside upper right", "ncols": 2, "frameon": False}
        names = [_with_lambda(name, pairs) for name in legend]
        figure.legend(legend.values(), names, fontsize="small", **place)
    return figure


def _with_lambda(kind: str, pairs: Sequence[Pair]) -> str:
    """The kind's name, with its λ if that is the same for all pairs that have one."""
    teachers = [teacher for pair in pairs for teacher in pair.mcmi_teachers(0)]
    labels = {teacher.label for teacher in teachers if teacher.label.startswith(kind)}
    return labels.pop() if len(labels) == 1 else kind


def _arranged(rows: pd.DataFrame) -> pd.DataFrame:
    """With the ``place`` of each row: those that train, the mean, a free line, the others.

    Sorted by the mean gain of both kinds of MCMI.
    """
    is_mean = rows.framework.str.startswith("mean of ")
    gains = rows.reindex(columns=[f"{policy}_over_untreated_mean" for policy in POLICIES])
    group = is_mean.astype(int).where(rows.trains, 2)
    rows = rows.assign(group=group, gain=gains.mean(axis=1))
    rows = rows.sort_values(["group", "gain"], ascending=[True, False], kind="stable")
    free = (rows.group == 2).astype(int).to_numpy()
    return rows.assign(place=range(len(rows)) + free)


def _gains(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Of each kind of MCMI that there is: ``mean``, ``low``, ``high`` and ``place``."""
    for policy in POLICIES:
        name = f"{policy}_over_untreated"
        if f"{name}_mean" in rows and rows[f"{policy}_mean"].notna().any():
            parts = {part: rows[f"{name}_{part}"] for part in ("mean", "low", "high")}
            yield policy, pd.DataFrame(parts).assign(place=rows.place + _SHIFT[policy])


def _draw_gains(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
    for place in rows.place[rows.group == 1]:
        axes.axhspan(place - 0.5, place + 0.5, color="0.93", zorder=0)
    for policy, gains in _gains(rows):
        style = method_style(KINDS[policy])
        axes.errorbar(
            gains["mean"],
            gains.place,
            xerr=gains.high - gains["mean"],
            label=KINDS[policy],
            linestyle="",
            capsize=3,
            **style,
        )
        for place in gains.place[gains["mean"].isna()]:
            axes.text(0, place, " no result", color=style["color"], fontsize=8, va="center")


def _set_limits(axes: Axes, rows: pd.DataFrame) -> None:
    """So that all means are seen, and all intervals but one too wide, which gets an arrow."""
    if not axes.containers:
        return
    gains = pd.concat([each.assign(group=rows.group) for _, each in _gains(rows)])
    width = gains.high - gains.low
    widest = width[gains.group < 2].max() if (gains.group < 2).any() else width.max()
    whole = gains[width <= _STRETCH * widest]
    seen = pd.concat([gains["mean"], whole.low, whole.high])
    if seen.isna().all():
        return
    low, high = seen.min(), seen.max()
    edge = (high - low) * 0.05
    axes.set_xlim(low - edge, high + edge)
    for policy, gains in _gains(rows):
        color = method_style(KINDS[policy])["color"]
        for marker, limit, beyond in (
            ("<", low - edge, gains.low < low - edge),
            (">", high + edge, gains.high > high + edge),
        ):
            for place in gains.place[beyond]:
                axes.plot(limit, place, marker, color=color, clip_on=False)


def _name_lines(axes: Axes, rows: pd.DataFrame, characters: int) -> None:
    """Names of frameworks; in the free line why some are in brackets."""
    names = rows.framework.map(framework_in_words)
    accuracy = rows.mll_mean.map("{:.1f} %".format)
    names = names.where(rows.group < 2, "(" + names + ": " + accuracy + ")")
    axes.set_yticks(rows.place, names)
    axes.set_ylim(rows.place.max() + 0.5, -0.5)
    axes.tick_params(labelsize="small")
    others = rows[rows.group == 2]
    if len(others):
        note = (
            "In brackets: MLL's students are below students from scratch, "
            f"{others.scratch_mean.iloc[0]:.1f} %; not in the mean."
        )
        axes.text(
            0.01,
            others.place.min() - 1,
            fill(note, characters),
            linespacing=1,
            transform=axes.get_yaxis_transform(),
            fontsize=SMALLEST,
            va="center",
            backgroundcolor="white",
        )
