import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.teacher_size import QUANTITIES, draw_teacher_size

LABELS = ("MLL", "MCMI tracked λ=0.7")


@pytest.fixture
def panels():
    """Of two sizes: metric by metric the means 0, 10, 20, and one more for each row."""
    mpl.use("agg")
    index = pd.MultiIndex.from_product([(1000, 20_300), LABELS], names=["parameters", "label"])
    columns = {}
    for place, metric in enumerate([*QUANTITIES, "test_accuracy_percent"]):
        means = [10 * place + row for row in range(4)]
        columns[metric] = pd.Series([Interval(m, m - 1, m + 1, 3) for m in means], index)
    index = pd.MultiIndex.from_product([["any"], ["from scratch", "true BCPD"]], names=index.names)
    levels = [[2.5, None, None], [80, 9.5, 19.5]]
    rows = [[each and Interval(each, each - 1, each + 1, 3) for each in row] for row in levels]
    beside = pd.DataFrame(rows, index, list(QUANTITIES))
    figure = draw_teacher_size(pd.concat([pd.DataFrame(columns), beside]))
    yield figure.axes
    plt.close(figure)


def test_a_panel_for_each_quantity_with_sizes_in_words(panels):
    assert [axes.get_ylabel() for axes in panels] == list(QUANTITIES.values())
    for axes in panels:
        assert axes.get_xlabel() == "Parameters of the teacher"
        assert axes.get_xscale() == "log"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1k", "20k"]


def test_a_curve_for_each_method_side_by_side(panels):
    for place, axes in enumerate(panels):
        mll, mcmi = (container.lines[0].get_xydata().T for container in axes.containers)
        assert mll[1].tolist() == [10 * place, 10 * place + 2]
        assert mcmi[1].tolist() == [10 * place + 1, 10 * place + 3]
        assert np.all(mll[0] < mcmi[0])
        assert np.sqrt(mll[0] * mcmi[0]) == pytest.approx([1000, 20_300])  # around the size


def test_what_has_no_size_is_a_line_with_its_name_or_far_away_a_note(panels):
    student, *teachers = panels
    assert [text.get_text() for text in student.texts] == ["from scratch", "true BCPD: 80.0 ↑"]
    for axes in teachers:
        assert [text.get_text() for text in axes.texts] == ["true BCPD"]
    levels = [
        [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
        for axes in panels
    ]
    assert levels == [[2.5], [9.5], [19.5]]
    assert student.get_ylim()[1] < 10


def test_the_legend_is_above_the_panels(panels):
    figure = panels[0].figure
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(LABELS)
    figure.draw_without_rendering()
    assert legend.get_window_extent().y0 >= panels[0].get_window_extent().y1
