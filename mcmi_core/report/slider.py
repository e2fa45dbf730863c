"""A slider that a reader moves in JupyterLab: a picture for each of its places."""

from collections.abc import Mapping

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.core.pylabtools import print_figure
from IPython.display import display

from mcmi_core.report.figures.what_is_cmi import draw_one


def slide_triangles(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], cmi_nats: Mapping[str, float]
) -> None:
    """Display a slider over titles, and below it the triangle of the title where it stands.

    Args:
        points: by title, (N, 3) outputs and (N,) classes, from left to right.
        cmi_nats: by title, for the heading.

    Raises:
        ValueError: no points.
    """
    if not points:
        raise ValueError("a slider needs at least one place, got none")
    titles = list(points)
    slider = ipywidgets.SelectionSlider(
        options=titles,
        value=titles[len(titles) // 2],
        layout=ipywidgets.Layout(width="500px", margin="0 0 0 12px"),
    )

    def picture(title: str) -> bytes:
        figure = draw_one(points, cmi_nats, title)
        png = print_figure(figure)
        plt.close(figure)
        return png

    # An image, as an ipywidgets.Output may hang: nbclient (0.11), which executes notebooks, answers
    # an Output on the socket that brings it the end of the cell, and can miss that end.
    shown = ipywidgets.Image()
    ipywidgets.dlink((slider, "value"), (shown, "value"), picture)
    display(ipywidgets.VBox([slider, shown]))
