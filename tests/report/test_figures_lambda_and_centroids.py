import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.lambda_and_centroids import draw_lambda_and_centroids

METRICS = ["train_ll_nats", "train_cmi_nats", "test_accuracy_gain", "student_accuracy_gain"]
MISSING = float("nan")


@pytest.fixture
def figure():
    mpl.use("agg")
    index = pd.MultiIndex.from_tuples(
        [("MLL", 0.0), ("fixed", 0.4), ("tracked", 0.4), ("tracked", 0.7)], names=["policy", "λ"]
    )
    rows = [
        [Interval(-0.5, -1, 0, 3), Interval(0.2, 0.1, 0.3, 3), MISSING, MISSING],
        [Interval(-2, -3, -1, 3)] * 4,
        [Interval(1, 0, 2, 3)] * 4,
        [Interval(4, 3, 5, 3)] * 3 + [MISSING],
    ]
    summary = pd.DataFrame(rows, index, METRICS, dtype=object)
    collapsed = pd.DataFrame({0.4: [0, 0], 0.7: [3, 0]}, index=["fixed", "tracked"])
    figure = draw_lambda_and_centroids(summary, collapsed)
    yield figure
    plt.close(figure)


def test_a_panel_for_each_metric_and_a_line_for_mll(figure):
    assert [axes.get_title() for axes in figure.axes] == [
        "Teacher LL, nats",
        "Teacher CMI, nats",
        "Teacher: gain over MLL, points",
        "Student: gain over MLL's, points",
    ]
    assert {axes.get_xlabel() for axes in figure.axes} == {"λ"}
    assert [axes.lines[-1].get_ydata()[0] for axes in figure.axes] == [-0.5, 0.2, 0, 0]


def test_curves_of_what_is_left(figure):
    first, last = figure.axes[0], figure.axes[-1]
    fixed, tracked = (container[0] for container in first.containers)
    assert fixed.get_xydata().tolist() == [[0.4, -2]]
    assert tracked.get_xydata().tolist() == [[0.4, 1], [0.7, 4]]
    assert last.containers[1][0].get_xydata().tolist() == [[0.4, 1]]


def test_a_cross_where_it_collapsed(figure):
    for axes in figure.axes:
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        assert [list(line.get_xdata()) for line in crosses] == [[0.7], []]
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()].count("collapsed") == 1
