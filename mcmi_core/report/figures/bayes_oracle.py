"""12 · How far teachers are from the truth, and what their students gain."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_methods


def draw_bayes_oracle(distance: pd.Series, gain: pd.DataFrame) -> Figure:
    """One panel for the teachers, and one per fraction of the data for their students.

    Args:
        distance: mean KL(P* ‖ teacher) on training inputs, nats: an interval by label.
        gain: of the students over that of λ = 0, points: intervals by label, a column per fraction.
    """
    count = 1 + len(gain.columns)
    figure, panels = plt.subplots(1, count, figsize=(13 / 3 * count, 3.4))
    plot_methods(panels[0], distance)
    panels[0].set(title="Teacher's distance from the truth", xlabel="mean KL(P* ‖ teacher), nats")
    for axes, (fraction, intervals) in zip(panels[1:], gain.items(), strict=True):
        plot_methods(axes, intervals.dropna())
        axes.axvline(0, color="0.4", linestyle="--")
        axes.set(title=f"Student, {fraction:.0%} of the data", xlabel="gain over λ = 0, points")
    return figure
