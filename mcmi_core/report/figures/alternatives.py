"""10 · What students gain by each way to soften a teacher, and which teachers they gain from."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.report.plots import plot_intervals, plot_methods

_QUANTITIES = {
    "cmi_nats": "Teacher CMI, nats",
    "entropy_nats": "Teacher entropy H(Ŷ|X), nats",
    "bcpd_kl_nats": "mean KL(P* ‖ teacher), nats",
}


def draw_alternatives(summary: pd.DataFrame, chosen: pd.Series) -> Figure:
    """Left, each family's gain at its chosen setting; then the gain against the teacher's nats.

    Args:
        summary: of :meth:`~mcmi_core.experiments.alternatives.Alternatives.summary`; a panel for
            each quantity that it has. Students without a teacher, which has no quantities, are in
            the first panel alone.
        chosen: the method of each family that the first panel shows.
    """
    titles = {name: title for name, title in _QUANTITIES.items() if name in summary}
    width = 1 + len(titles)
    figure, panels = plt.subplots(1, width, figsize=(4.4 * width, 3.8))
    gains = summary.gain_points.droplevel("family")
    shown = [*chosen.drop("MLL"), *gains.index.intersection([FROM_SCRATCH])]
    plot_methods(panels[0], gains.loc[shown])
    panels[0].axvline(0, color="0.4", linestyle="--")
    panels[0].set(
        title="At the setting chosen on training data", xlabel="student's gain over MLL's, points"
    )
    for axes, (metric, title) in zip(panels[1:], titles.items(), strict=True):
        for family in chosen.index:
            intervals = summary.gain_points.loc[family]
            intervals.index = [interval.mean for interval in summary.loc[family, metric]]
            plot_intervals(axes, intervals.sort_index(), label=family)
        axes.axhline(0, color="0.4", linestyle="--")
        axes.set(xlabel=title, ylabel="student's gain over MLL's, points")
    names = panels[1].get_legend_handles_labels()
    figure.legend(*names, loc="outside right upper", fontsize="x-small")
    return figure
