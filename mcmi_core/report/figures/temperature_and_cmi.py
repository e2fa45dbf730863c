"""01 · Student accuracy as bars and the teacher's CMI as a curve, against the temperature."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_bars_and_curve, title_panel


def draw_temperature_and_cmi(cmi: pd.Series, accuracy: pd.Series) -> Figure:
    """One panel per pair that has accuracies; an empty one if none has.

    Args:
        cmi: the teacher's, nats: an interval by ``pair`` and ``temperature``.
        accuracy: the student's, percent, likewise.
    """
    pairs = accuracy.index.unique("pair")
    columns = max(len(pairs), 1)
    figure, panels = plt.subplots(1, columns, figsize=(4.4 * columns, 3.6), squeeze=False)
    for axes, pair in zip(panels[0], pairs, strict=False):
        plot_bars_and_curve(axes, accuracy[pair], cmi[pair])
        title_panel(axes, pair)
    return figure
