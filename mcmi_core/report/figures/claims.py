"""99 · Every primary comparison of the scoreboard: claims from top to bottom, a panel per tier."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.claims import NOT_MEASURED
from mcmi_core.report.plots import method_style

_KINDS = {
    "fixed": ("MCMI fixed: the paper's method", method_style("MCMI fixed")),
    "tracked": ("MCMI tracked: our variant", method_style("MCMI tracked")),
    "–": ("without MCMI", {"color": "black", "marker": "o"}),
}
_HOLLOW = {"markerfacecolor": "white", "markersize": 5}


def draw_claims(board: pd.DataFrame) -> Figure:
    """Differences in units of their interval's half width, so that all fit on one axis.

    Right of the grey band, the interval lies above zero; left of it, below. Filled: against the
    control; hollow, and joined to it: the same against the MLL teacher.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`. A tier in which nothing is
            measured has no panel.
    """
    measured = board[board.verdict != NOT_MEASURED]
    tiers = [tier for tier in board.tier.unique() if tier in set(measured.tier)]
    statements = list(board.statement.unique())
    size = (9, 0.45 * len(statements) + 1.5)
    figure, panels = plt.subplots(1, max(len(tiers), 1), figsize=size, sharey=True, squeeze=False)
    for axes, tier in zip(panels[0], tiers, strict=False):
        for position, statement in enumerate(statements):
            rows = measured[(measured.tier == tier) & (measured.statement == statement)]
            _draw_rows(axes, position, rows)
        axes.axvspan(-1, 1, color="0.9", zorder=0)
        axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks([-10, -1, 0, 1, 10], ["−10", "−1", "0", "1", "10"])
        axes.set_xlim(-30, 30)
        axes.set_title(tier, fontsize="small")
    first = panels[0, 0]
    names = [fill(statement, 44) for statement in statements]
    first.set_yticks(range(len(names)), names, fontsize="x-small")
    first.set_ylim(len(names) - 0.5, -0.5)
    _explain(figure)
    return figure


def _draw_rows(axes: Axes, position: int, rows: pd.DataFrame) -> None:
    """The comparisons of one claim, one below the other within its place."""
    offsets = np.linspace(-0.22, 0.22, len(rows)) if len(rows) > 1 else np.zeros(len(rows))
    for offset, (_, row) in zip(offsets, rows.iterrows(), strict=True):
        place, style = position + offset, _KINDS[row.policy][1]
        value = _half_widths(row["mean"], row.high)
        if pd.notna(row.mll_mean):
            beside = _half_widths(row.mll_mean, row.mll_high)
            axes.plot([value, beside], [place] * 2, color=style["color"], linewidth=1)
            axes.plot(beside, place, linestyle="", **style | _HOLLOW)
        axes.plot(value, place, linestyle="", markersize=6, **style)


def _half_widths(mean: float, high: float) -> float:
    """A mean in units of its interval's half width, within ±25, where the axis ends."""
    half = max(high - mean, 1e-12)  # replicates may all be equal
    return float(np.clip(mean / half, -25, 25))


def _explain(figure: Figure) -> None:
    """What the axis and the markers mean, below all panels."""
    figure.supxlabel(
        "Difference / half width of its 95 % interval (grey: the interval includes zero)",
        fontsize="small",
    )
    handles = [plt.Line2D([], [], linestyle="", label=text, **s) for text, s in _KINDS.values()]
    hollow = {"color": "0.4", "marker": "s"} | _HOLLOW
    handles.append(plt.Line2D([], [], linestyle="", label="the same against MLL", **hollow))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize="x-small")
