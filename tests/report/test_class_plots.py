"""Class by class: what was omitted is marked, and every number is where it belongs."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.report import class_plots


@pytest.fixture
def axes():
    mpl.use("agg")
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_a_confusion_matrix_has_true_classes_in_rows_and_frames_the_omitted(axes):
    matrix = pd.DataFrame([[90.0, 10, 0.5], [20, 80, 0], [70, 25, 5]])
    class_plots.plot_confusion(axes, matrix, omitted=(2,))
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == ["90", "10", "20", "80", "70", "25", "5"]  # row by row, without zeros
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "1", "2*"]
    assert axes.yaxis_inverted()
    assert [frame.get_bbox().bounds for frame in axes.patches] == [(0, 2, 3, 1)]
    assert axes.collections[0].get_clim() == (0, 100)  # matrices can be compared


def test_a_large_confusion_matrix_shows_colours_only(axes):
    class_plots.plot_confusion(axes, pd.DataFrame(90.0, index=range(20), columns=range(20)))
    assert not axes.texts and not axes.patches


def test_a_difference_has_signs_and_no_colour_at_0(axes):
    class_plots.plot_difference(axes, pd.DataFrame([[3.0, -3.0], [1.9, 40.0]]), omitted=(0,))
    assert [text.get_text() for text in axes.texts] == ["3", "-3", "40"]  # 1.9 is noise
    assert axes.collections[0].get_array().ravel().tolist() == [3, -3, 0, 40]
    mesh = axes.collections[0]
    assert max(mesh.cmap(mesh.norm(0))) - min(mesh.cmap(mesh.norm(0))[:3]) < 0.05
    assert axes.texts[2].get_color() == "white"  # on dark red


def test_a_number_on_red_is_white(axes):
    class_plots.plot_difference(axes, pd.DataFrame([[28.0]]))
    assert axes.texts[0].get_color() == "white"
