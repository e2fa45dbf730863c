"""13 · Both sides of Proposition 1 against the bits that features are quantised to."""

import math

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import method_style, plot_intervals

_SIDES = {
    "output_nats": ("-", "I(X; Ŷ | Y): the output"),
    "feature_nats": ("--", "I(X; f | Y): the feature"),
}
"""How a side is drawn, and what it is."""
_APART, _ASIDE = 2, 0.14
"""Between the most bits and the place of features that are not quantised, and between teachers, in
bits."""
_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3)


def draw_proposition_1(quantised: pd.DataFrame, unquantised: pd.DataFrame) -> Figure:
    """One panel per layer: solid what the output tells, dashed what the feature tells.

    The last place is that of features as they are, all of which differ: they tell which image it
    is, log n nats for n images of a class, and no feature can tell more.

    Args:
        quantised: ``output_nats`` and ``feature_nats``, intervals by ``label``, ``layer``,
            ``bits``.
        unquantised: the same by ``label`` and ``layer``.
    """
    layers = quantised.index.unique("layer")
    bits = [float(number) for number in quantised.index.unique("bits")]
    most = max(interval.mean for interval in unquantised.feature_nats)
    figure, panels = plt.subplots(1, len(layers), figsize=(9, 5), sharey=True, squeeze=False)
    for axes, layer in zip(panels[0], layers, strict=True):
        rows, last = quantised.xs(layer, level="layer"), unquantised.xs(layer, level="layer")
        _draw_layer(axes, rows, last, at=max(bits) + _APART)
        axes.axhline(most, color="0.4", linestyle=":", linewidth=1.5)
        axes.set_xticks([*bits, max(bits) + _APART], [*(f"{number:g}" for number in bits), "all"])
        axes.set(title=f"f = {layer}", xlabel="bits of the feature")
    panels[0, 0].set(ylabel="nats", yscale="log")
    panels[0, 0].set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    panels[0, 0].set_ylim(top=1.6 * most)
    _explain(figure, quantised.index.unique("label"), most)
    return figure


def _draw_layer(axes: Axes, rows: pd.DataFrame, last: pd.DataFrame, *, at: float) -> None:
    """Teachers stand beside each other, as their values are often equal."""
    labels = rows.index.unique("label")
    for number, label in enumerate(labels):
        aside = _ASIDE * (number - (len(labels) - 1) / 2)
        for side, (style, _) in _SIDES.items():
            intervals = rows[side][label]
            moved = pd.Series(intervals.to_list(), intervals.index + aside)
            plot_intervals(axes, moved, label=label)
            axes.containers[-1].lines[0].set_linestyle(style)
            plot_intervals(axes, pd.Series([last[side][label]], [at + aside]), label=label)


def _explain(figure: Figure, labels: pd.Index, most: float) -> None:
    """Teachers by colour and marker, sides by the kind of line; above the panels."""
    handles = [
        plt.Line2D([], [], linestyle="", label=method_in_words(label), **method_style(label))
        for label in labels
    ]
    for style, text in _SIDES.values():
        handles.append(plt.Line2D([], [], linestyle=style, color="0.3", label=text))
    images = round(math.exp(most))
    text = f"log {images} = {most:.2f} nats: the most with {images} images a class"
    handles.append(plt.Line2D([], [], linestyle=":", color="0.4", label=text))
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize="small")
