"""11 · Students by how many labels they have, and teachers and students with two classes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals, plot_methods


def draw_semi_supervised_and_binary(
    accuracy: pd.DataFrame, binary: pd.DataFrame, *, few: float
) -> Figure:
    """Left, a curve per teacher over what its student is given; then two panels of two classes.

    Args:
        accuracy: percent, an interval by regime and, as columns, teacher; may be missing.
        binary: of :meth:`~mcmi_core.experiments.semi_supervised_and_binary.\
SemiSupervisedAndBinary.binary_summary`.
        few: fraction of the data that students of two classes see.
    """
    figure, panels = plt.subplots(1, 3, figsize=(15, 4), width_ratios=(1.5, 1, 1))
    left, closeness, gain = panels
    for label in accuracy:
        plot_intervals(left, accuracy[label].reset_index(drop=True).dropna(), label=label)
    ticks = [regime.replace(", ", ",\n") for regime in accuracy.index]
    left.set_xticks(range(len(ticks)), ticks, fontsize="small")
    left.set(title="Unlabelled data", ylabel="student accuracy, %")
    left.margins(x=0.1)
    left.legend(title="teacher", fontsize="x-small", title_fontsize="small", ncols=2)
    plot_methods(closeness, binary.train_bcpd_kl_nats.dropna())
    plot_methods(gain, binary.student_gain_points.dropna())
    closeness.set(title="Two classes, teacher", xlabel="mean KL(P* ‖ teacher), nats")
    gain.set(title=f"Two classes, student on {few:.0%}", xlabel="gain over MLL's, points")
    for axes in (closeness, gain):
        axes.axvline(0, color="0.4", linestyle="--")
    return figure
