"""13 · What teachers change of both sides of Proposition 1, by the bits of a feature."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import plot_intervals

_SIDES = {
    "output_nats": "what the output tells,\nI(X; Ŷ | Y)",
    "feature_nats": "what the feature tells,\nI(X; f | Y)",
}
_APART, _ASIDE = 2, 0.16
"""Between the most bits and the place of features that are not quantised, and between teachers, in
bits."""


def draw_proposition_1(over_the_control: pd.DataFrame, *, control: str, ceiling: float) -> Figure:
    """A row per side, a panel per layer: differences from the control, nats.

    The last place, ``all``, is that of features as they are. There the output's side is that of the
    network itself, the same for all layers, and the feature's side is the ceiling for all teachers.

    Args:
        over_the_control: of :meth:`~mcmi_core.experiments.proposition_1.Proposition1.\
over_the_control`: intervals ``output_nats`` and ``feature_nats`` by ``label``, ``layer`` and
            ``bits``, which are infinite for features as they are.
        control: what is at zero.
        ceiling: the most that a feature can tell, nats.
    """
    layers = over_the_control.index.unique("layer")
    figure, panels = plt.subplots(
        len(_SIDES), len(layers), figsize=(9, 6.4), sharex=True, sharey=True, squeeze=False
    )
    bits = sorted(over_the_control.index.unique("bits"))[:-1]
    for row, (side, words) in zip(panels, _SIDES.items(), strict=True):
        for axes, layer in zip(row, layers, strict=True):
            _draw_layer(axes, over_the_control[side].xs(layer, level="layer"), max(bits) + _APART)
        row[0].set_ylabel(f"{words}:\nnats above {method_in_words(control)}", fontsize="medium")
    for axes, layer in zip(panels[0], layers, strict=True):
        axes.set_title(f"f = {layer}")
    places = [*bits, max(bits) + _APART], [*(f"{number:g}" for number in bits), "all"]
    for axes in panels[-1]:
        axes.set(xlabel="bits of the feature")
        axes.set_xticks(*places)
    handles, names = panels[0, 0].get_legend_handles_labels()
    shown = dict(zip(names, handles, strict=True))  # the place "all" repeats them
    title = f"The feature's side cannot exceed log n = {ceiling:.2f} nats, n images of a class"
    figure.legend(
        shown.values(), shown, loc="outside upper center", ncols=3, title=title, fontsize="small"
    )
    return figure


def _draw_layer(axes: Axes, intervals: pd.Series, at: float) -> None:
    """Teachers stand beside each other; a curve over the bits, and a point for ``all``."""
    axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    labels = intervals.index.unique("label")
    for number, label in enumerate(labels):
        aside = _ASIDE * (number - (len(labels) - 1) / 2)
        curve = intervals[label]
        few = curve[np.isfinite(curve.index)]
        moved = pd.Series(few.to_list(), few.index + aside, dtype=object)
        plot_intervals(axes, moved, label=label)
        whole = pd.Series([curve[np.inf]], [at + aside], dtype=object)
        plot_intervals(axes, whole, label=label)
