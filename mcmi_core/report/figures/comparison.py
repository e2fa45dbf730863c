"""06, 07 · The gain by MCMI teachers over fine-tuning alone, framework by framework."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.comparison import pair_name
from mcmi_core.experiments.framework_table import KINDS
from mcmi_core.experiments.pair import POLICIES, Pair
from mcmi_core.report.plots import method_style

_SHIFT = {"fixed": -0.15, "tracked": 0.15}
"""Of a policy's point from its framework's line, so that the two do not hide each other."""


def draw_gains(
    comparison: pd.DataFrame, pairs: Sequence[Pair], *, quantity: str = "Gain", width: float = 5
) -> Figure:
    """One panel per pair, one line per framework, on it a point for each kind of MCMI.

    The gain is over the same teacher fine-tuned without CMI (λ = 0). A framework that does not
    train, because its students of MLL are below students from scratch, is in parentheses.

    Args:
        comparison: of :meth:`~mcmi_core.experiments.comparison.Comparison.compared`.
        pairs: one per panel.
        quantity: that is gained, for the horizontal axis: ``Top-1 gain``.
        width: of a panel, inches.
    """
    frameworks = comparison.framework.nunique()
    size = (width * len(pairs), max(2.4, 1.4 + 0.34 * frameworks))
    figure, panels = plt.subplots(1, len(pairs), figsize=size, squeeze=False)
    for axes, pair in zip(panels[0], pairs, strict=True):
        rows = comparison[comparison.pair == pair_name(pair)]
        _draw_pair(axes, rows.reset_index(drop=True))
        axes.set(title=pair_name(pair), xlabel=f"{quantity} over fine-tuning alone, points")
    return figure


def _draw_pair(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axvline(0, color="0.4", linestyle="--")
    lost = []
    for policy in POLICIES:
        gain = f"{policy}_over_untreated"
        if f"{gain}_mean" not in rows or not rows[f"{policy}_mean"].notna().any():
            continue
        axes.errorbar(
            rows[f"{gain}_mean"],
            rows.index + _SHIFT[policy],
            xerr=rows[f"{gain}_high"] - rows[f"{gain}_mean"],
            label=KINDS[policy],
            linestyle="",
            capsize=3,
            **method_style(KINDS[policy]),
        )
        lost += [at + _SHIFT[policy] for at in rows.index[rows[f"{gain}_mean"].isna()]]
    if lost:
        axes.plot([0] * len(lost), lost, "x", color="black", label="no result")
    names = rows.framework.where(rows.trains, "(" + rows.framework + ")")
    axes.set_yticks(rows.index, names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.legend(fontsize="small")
