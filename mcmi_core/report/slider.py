"""A slider that a reader moves in JupyterLab: a picture for each of its places."""

from collections.abc import Callable, Sequence

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure


def show_slider(places: Sequence[str], draw: Callable[..., Figure], *data: object) -> None:
    """Display a slider, and below it the figure of the place where it stands.

    Args:
        places: what it says at each, from left to right.
        draw: makes the figure of a place, called with ``data`` and the place. The figure is closed
            when it has been shown.
        data: what ``draw`` needs beside the place.

    Raises:
        ValueError: no places.
    """
    if not places:
        raise ValueError("a slider needs at least one place, got none")
    wide = ipywidgets.Layout(width="500px")
    slider = ipywidgets.SelectionSlider(options=places, layout=wide)

    def show(place: str) -> None:
        figure = draw(*data, place)
        display(figure)
        plt.close(figure)

    shown = ipywidgets.interactive_output(show, {"place": slider})
    display(ipywidgets.VBox([slider, shown]))
