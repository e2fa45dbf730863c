"""06, 07: a panel per pair, a line per framework, a point for each kind of MCMI."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.experiments.pair import Pair
from mcmi_core.report.figures.comparison import draw_gains

PAIRS = (
    Pair(data="oracle", teacher="a", student="b", lam=0.2, tracked_lam=0.7),
    Pair(data="oracle", teacher="c", student="b", lam=0.4),
)
NAN = float("nan")
COMPARISON = pd.DataFrame(
    {
        "pair": ["a → b", "a → b", "c → b", "c → b"],
        "framework": ["kd", "at"] * 2,
        "trains": [True, False, True, True],
        "fixed_mean": [60.0, 61, 62, NAN],
        "fixed_over_untreated_mean": [1.0, 2.0, 3.0, NAN],
        "fixed_over_untreated_high": [1.5, 3.0, 4.0, NAN],
        "tracked_mean": [60.0, 61, NAN, NAN],
        "tracked_over_untreated_mean": [5.0, 6.0, NAN, NAN],
        "tracked_over_untreated_high": [6, 7.0, NAN, NAN],
    }
)


@pytest.fixture
def figure():
    mpl.use("agg")
    yield draw_gains(COMPARISON, PAIRS, quantity="Top-1 gain", width=3)
    plt.close("all")


def points(axes):
    return {each.get_label(): each[0].get_xydata().tolist() for each in axes.containers}


def test_panels_are_pairs(figure):
    assert [axes.get_title() for axes in figure.axes] == ["a → b", "c → b"]
    assert figure.axes[0].get_xlabel() == "Top-1 gain over fine-tuning alone, points"
    assert list(figure.get_size_inches()) == [6, 2.4]


def test_a_point_for_each_kind_of_mcmi_side_by_side(figure):
    assert points(figure.axes[0]) == {
        "MCMI fixed": [[1, -0.15], [2, 0.85]],
        "MCMI tracked": [[5, 0.15], [6, 1.15]],
    }


def test_a_framework_that_does_not_train_is_in_parentheses(figure):
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["kd", "(at)"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["kd", "at"]


def test_a_cross_where_there_is_no_result_and_nothing_where_there_is_no_teacher(figure):
    first, second = figure.axes
    crosses = [line for line in second.lines if line.get_label() == "no result"]
    assert [line.get_xydata().tolist() for line in crosses] == [[[0, 0.85]]]
    assert list(points(second)) == ["MCMI fixed"]
    assert "no result" not in [text.get_text() for text in first.get_legend().get_texts()]
