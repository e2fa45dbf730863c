"""06, 07 · The gain by the MCMI teacher, framework by framework."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.experiments.comparison import pair_name
from mcmi_core.experiments.pair import Pair
from mcmi_core.report.plots import plot_gains


def draw_gains(
    comparison: pd.DataFrame, pairs: Sequence[Pair], *, quantity: str = "Gain", width: float = 4.5
) -> Figure:
    """One panel per pair, one line per framework.

    Args:
        comparison: of :func:`~mcmi_core.experiments.comparison.compare_teachers`.
        pairs: one per panel.
        quantity: that is gained, for the horizontal axis: ``Top-1 gain``.
        width: of a panel, inches.
    """
    frameworks = comparison.framework.nunique()
    size = (width * len(pairs), max(2.2, 1.2 + 0.28 * frameworks))
    figure, panels = plt.subplots(1, len(pairs), figsize=size, squeeze=False)
    for axes, pair in zip(panels[0], pairs, strict=True):
        rows = comparison[comparison.pair == pair_name(pair)]
        plot_gains(axes, rows, label=f"MCMI {pair.centroids}")
        title = f"{pair_name(pair)}, λ = {pair.lam}"
        axes.set(title=title, xlabel=f"{quantity} by the MCMI teacher, points")
    return figure
