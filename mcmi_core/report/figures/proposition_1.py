"""13 · Both sides of Proposition 1 against the bits that features are quantised to."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_intervals


def draw_proposition_1(quantised: pd.DataFrame) -> Figure:
    """One panel per layer: solid what the output tells, dashed what the feature tells.

    Args:
        quantised: ``output_nats`` and ``feature_nats``, intervals by ``label``, ``layer``,
            ``bits``.
    """
    layers = quantised.index.unique("layer")
    size = (4.2 * len(layers), 3.6)
    figure, panels = plt.subplots(1, len(layers), figsize=size, sharey=True, squeeze=False)
    for axes, layer in zip(panels[0], layers, strict=True):
        rows = quantised.xs(layer, level="layer")
        for label in rows.index.unique("label"):
            plot_intervals(axes, rows.output_nats[label], label=label)
            plot_intervals(axes, rows.feature_nats[label], label=label)
            axes.containers[-1].lines[0].set_linestyle("--")
        axes.set(title=f"f = {layer}", xlabel="Bits of the feature")
    panels[0, 0].set_ylabel("nats")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    panels[0, 0].legend(
        handles[::2],  # a label's solid line; its dashed one has the same colour
        labels[::2],
        title="solid: I(X; Ŷ | Y)\ndashed: I(X; f | Y)",
        title_fontsize="small",
        fontsize="small",
    )
    return figure
