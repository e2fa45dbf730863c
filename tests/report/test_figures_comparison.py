"""06, 07: a panel per pair, a line per framework."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.experiments.pair import Pair
from mcmi_core.report.figures.comparison import draw_gains

PAIRS = (
    Pair(data="oracle", teacher="a", student="b", lam=0.2),
    Pair(data="oracle", teacher="c", student="b", lam=0.4, centroids="tracked"),
)
NAN = float("nan")
COMPARISON = pd.DataFrame(
    {
        "pair": ["a → b", "a → b", "c → b", "c → b"],
        "framework": ["kd", "at"] * 2,
        "gain_mean": [1.0, 2.0, 3.0, NAN],
        "gain_low": [0.5, 1.0, 2.0, NAN],
        "gain_high": [1.5, 3.0, 4.0, NAN],
    }
)


@pytest.fixture
def figure():
    yield draw_gains(COMPARISON, PAIRS, quantity="Top-1 gain", width=3)
    plt.close("all")


def test_panels_are_pairs(figure):
    first, second = figure.axes
    assert first.get_title() == "a → b, λ = 0.2"
    assert second.get_title() == "c → b, λ = 0.4"
    assert first.get_xlabel() == "Top-1 gain by the MCMI teacher, points"
    assert list(figure.get_size_inches()) == [6, 2.2]


def test_gains_are_drawn_framework_by_framework(figure):
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["kd", "at"]
    points = [line for line in first.lines if len(line.get_xdata()) == 2]
    assert any(list(line.get_xdata()) == [1, 2] for line in points)
    assert second.get_legend() is not None and first.get_legend() is None  # a cross: no result
