import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.lambda_and_centroids import draw_lambda_and_centroids

METRICS = ["train_ll_nats", "train_cmi_nats", "raised_percent", "test_accuracy_gain"]
METRICS += ["student_accuracy_gain"]
MISSING = float("nan")


def interval(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


@pytest.fixture
def figure():
    mpl.use("agg")
    rows = {
        ("MLL", 0.0): [interval(-0.5), interval(0.2), MISSING, interval(1.5), interval(1)],
        ("fine-tuned", 0.0): [interval(-0.3), interval(0.1), MISSING, MISSING, MISSING],
        ("fixed", 0.4): [interval(-2), interval(-2), interval(20), interval(-2), interval(-2)],
        ("tracked", 0.4): [interval(1), interval(1), interval(20), interval(1), interval(1)],
        ("tracked", 0.7): [interval(4), interval(4), interval(40), interval(4), MISSING],
        ("from scratch", 0.0): [*[MISSING] * 4, interval(-7)],
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["policy", "λ"])
    summary = pd.DataFrame(list(rows.values()), index, METRICS, dtype=object)
    collapsed = pd.DataFrame({0.4: [0, 0], 0.7: [3, 0]}, index=["fixed", "tracked"])
    figure = draw_lambda_and_centroids(summary, collapsed)
    yield figure
    plt.close(figure)


def test_a_panel_for_each_metric(figure):
    assert [axes.get_title() for axes in figure.axes] == [
        "Images on which MCMI can raise\na wrong class at its start, %",
        "Teacher LL, nats",
        "Teacher CMI, nats",
        "Teacher: gain over λ = 0, points",
        "Student: gain over λ = 0, points",
    ]
    assert {axes.get_xlabel() for axes in figure.axes} == {"λ"}


def test_lines_of_controls_and_of_fine_tuning_alone_over_which_a_gain_is_zero(figure):
    levels = [
        {
            line.get_label(): line.get_ydata()[0]
            for line in axes.lines
            if line.get_label() in ("MLL", "fine-tuned λ=0", "from scratch")
        }
        for axes in figure.axes[1:]
    ]
    assert levels == [
        {"MLL": -0.5, "fine-tuned λ=0": -0.3},
        {"MLL": 0.2, "fine-tuned λ=0": 0.1},
        {"MLL": 1.5, "fine-tuned λ=0": 0},
        {"MLL": 1, "fine-tuned λ=0": 0},  # and no line so far below as that of no teacher
    ]


def test_curves_of_what_is_left(figure):
    first, last = figure.axes[1], figure.axes[-1]
    fixed, tracked = (container[0] for container in first.containers)
    assert fixed.get_xydata().tolist() == [[0.4, -2]]
    assert tracked.get_xydata().tolist() == [[0.4, 1], [0.7, 4]]
    assert last.containers[1][0].get_xydata().tolist() == [[0.4, 1]]


def test_the_share_at_the_start_is_one_curve_for_both_policies(figure):
    (curve,) = figure.axes[0].containers
    assert curve[0].get_xydata().tolist() == [[0.4, 20], [0.7, 40]]


def test_a_triangle_instead_of_a_gain_far_below():
    rows = {
        ("tracked", 0.4): interval(1),
        ("fixed", 0.3): interval(1),
        ("fixed", 0.4): interval(-16),
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["policy", "λ"])
    summary = pd.DataFrame({name: pd.Series(list(rows.values()), index) for name in METRICS})
    collapsed = pd.DataFrame({0.3: [0, 0], 0.4: [0, 0]}, index=["fixed", "tracked"])
    figure = draw_lambda_and_centroids(summary, collapsed)
    last = figure.axes[-1]
    triangles = [list(line.get_xdata()) for line in last.lines if line.get_marker() == "v"]
    assert triangles == [[0.4], []]
    assert last.containers[0][0].get_xydata().tolist() == [[0.3, 1]]
    assert "gain below -8 points" in [text.get_text() for text in figure.legends[0].get_texts()]
    plt.close(figure)


def test_a_cross_where_it_collapsed(figure):
    for axes in figure.axes[1:]:
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        assert [list(line.get_xdata()) for line in crosses] == [[0.7], []]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("collapsed", "MLL", "fine-tuned λ=0", "MCMI fixed", "MCMI tracked")
    ]
