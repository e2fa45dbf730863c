"""Class by class: what was omitted is marked, and every number is where it belongs."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from mcmi_core.report import class_plots


@pytest.fixture
def axes():
    mpl.use("agg")
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_a_confusion_matrix_has_true_classes_in_rows_and_frames_the_omitted(axes):
    matrix = pd.DataFrame([[90.0, 10, 0], [20, 80, 0], [70, 25, 5]])
    class_plots.plot_confusion(axes, matrix, omitted=(2,))
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == ["90", "10", "0", "20", "80", "0", "70", "25", "5"]  # row by row
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "1", "2*"]
    assert axes.yaxis_inverted()
    assert [frame.get_bbox().bounds for frame in axes.patches] == [(0, 2, 3, 1)]
    assert axes.collections[0].get_clim() == (0, 100)  # matrices can be compared


def test_a_large_confusion_matrix_shows_colours_only(axes):
    class_plots.plot_confusion(axes, pd.DataFrame(0.0, index=range(20), columns=range(20)))
    assert not axes.texts and not axes.patches


def test_a_feature_map_draws_omitted_classes_last_and_in_black(axes):
    table = pd.DataFrame(
        {
            "horizontal": [0.0, 1, 2, 3],
            "vertical": [4.0, 5, 6, 7],
            "class_index": [1.0, 0, 1, 2],
        }
    )
    class_plots.plot_feature_map(axes, table, omitted=(1,))
    places = [cloud.get_offsets().tolist() for cloud in axes.collections]
    assert places == [[[1, 5]], [[3, 7]], [[0, 4], [2, 6]]]  # classes 0 and 2, then 1
    colors = [tuple(cloud.get_facecolor()[0][:3]) for cloud in axes.collections]
    assert [color == to_rgb("black") for color in colors] == [False, False, True]
    assert len(set(colors)) == 3
