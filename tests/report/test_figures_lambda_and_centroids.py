import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.lambda_and_centroids import CMI, QUANTITIES, draw_lambda_and_centroids

METRICS = ["train_ll_nats", CMI, "raised_percent", "test_accuracy_gain"]
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
        ("tracked", 0.7): [interval(4), interval(-4), interval(40), interval(4), MISSING],
        ("from scratch", 0.0): [*[MISSING] * 4, interval(-7)],
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["policy", "λ"])
    summary = pd.DataFrame(list(rows.values()), index, METRICS, dtype=object)
    collapsed = pd.DataFrame({0.4: [1, 0], 0.7: [3, 0]}, index=["fixed", "tracked"])
    figure = draw_lambda_and_centroids(summary, collapsed, 0 * collapsed, seeds=3)
    yield figure
    plt.close(figure)


def test_a_panel_for_each_quantity_on_a_page(figure):
    assert [axes.get_ylabel() for axes in figure.axes] == list(QUANTITIES.values())
    assert {axes.get_xlabel() for axes in figure.axes} == {"λ"}
    assert {axes.get_title() for axes in figure.axes} == {""}
    assert figure.get_figwidth() == 9


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


def test_curves_of_what_is_left_side_by_side(figure):
    first, last = figure.axes[1], figure.axes[-1]
    fixed, tracked = (container[0].get_xydata() for container in first.containers)
    assert fixed.tolist() == [[0.4 * 0.985, -2]]
    assert tracked.tolist() == [[0.4 * 1.015, 1], [0.7 * 1.015, 4]]
    assert last.containers[1][0].get_ydata().tolist() == [1]


def test_the_share_at_the_start_is_one_curve_with_its_numbers(figure):
    (curve,) = figure.axes[0].lines
    assert curve.get_xydata().tolist() == [[0.4, 20], [0.7, 40]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["20.0 %", "40.0 %"]


def test_collapsed_is_written_on_one_line_under_the_axis_at_its_lambda(figure):
    for axes in figure.axes[1:]:
        assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [
            *(("1 of 3 collapsed", 0.4), ("collapsed", 0.7))
        ]
        heights = {text.get_window_extent().y1 for text in axes.texts}
        assert len(heights) == 1
        assert max(heights) < axes.get_window_extent().y0
        assert "x" not in {line.get_marker() for line in axes.lines}
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0.4", "0.7"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("MLL", "fine-tuned λ=0", "MCMI fixed", "MCMI tracked")
    ]


def test_cmi_alone_is_on_a_logarithmic_axis(figure):
    scales = {axes.get_ylabel(): axes.get_yscale() for axes in figure.axes}
    assert scales == dict.fromkeys(QUANTITIES.values(), "linear") | {QUANTITIES[CMI]: "log"}


def test_a_setting_with_ruined_teachers_has_no_point_and_no_number():
    rows = {
        ("tracked", 0.4): interval(1),
        ("fixed", 0.3): interval(1),
        ("fixed", 0.4): interval(-16),
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["policy", "λ"])
    summary = pd.DataFrame({name: pd.Series(list(rows.values()), index) for name in METRICS})
    collapsed = pd.DataFrame({0.3: [0, 0], 0.4: [0, 0]}, index=["fixed", "tracked"])
    ruined = pd.DataFrame({0.3: [0, 0], 0.4: [2, 0]}, index=["fixed", "tracked"])
    summary.loc[("fixed", 0.4), "train_ll_nats"] = interval(-0.5)
    figure = draw_lambda_and_centroids(summary, collapsed, ruined, seeds=3)
    ll, last = figure.axes[1], figure.axes[-1]
    assert [text.get_text() for text in last.texts] == ["2 of 3 ruined"]
    assert [text.get_text() for text in ll.texts] == ["2 of 3 ruined"]
    assert ll.containers[0][0].get_xdata().tolist() == [0.3 * 0.985]
    assert {text.get_rotation() for text in last.texts} == {0}
    assert last.containers[0][0].get_ydata().tolist() == [1]
    assert last.get_ylim()[0] > -8
    plt.close(figure)
