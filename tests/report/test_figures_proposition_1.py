import math

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.proposition_1 import draw_proposition_1

LABELS, LAYERS = ("MLL", "MCMI tracked λ=0.7"), ("hidden 1", "logits")
SIDES = ["output_nats", "feature_nats"]


def intervals(*means):
    return [Interval(mean, mean, mean, 3) for mean in means]


@pytest.fixture
def figure():
    mpl.use("agg")
    rows, last = {}, {}
    for label in LABELS:
        for layer in LAYERS:
            last[label, layer] = intervals(0.05, math.log(40))
            for bits in (1.0, 4.0):
                rows[label, layer, bits] = intervals(bits / 10, bits / 2)
    index = pd.MultiIndex.from_tuples(rows, names=["label", "layer", "bits"])
    quantised = pd.DataFrame(list(rows.values()), index, SIDES)
    index = pd.MultiIndex.from_tuples(last, names=["label", "layer"])
    figure = draw_proposition_1(quantised, pd.DataFrame(list(last.values()), index, SIDES))
    yield figure
    plt.close(figure)


def test_one_panel_per_layer_and_two_lines_per_teacher(figure):
    hidden, logits = figure.axes
    assert [hidden.get_title(), logits.get_title()] == ["f = hidden 1", "f = logits"]
    curves = [each.lines[0] for each in logits.containers if len(each.lines[0].get_xdata()) > 1]
    assert [curve.get_linestyle() for curve in curves] == ["-", "--", "-", "--"]
    assert [list(curve.get_ydata()) for curve in curves[:2]] == [[0.1, 0.4], [0.5, 2.0]]


def test_features_as_they_are_stand_apart_at_the_ceiling(figure):
    axes = figure.axes[1]
    alone = [each.lines[0] for each in axes.containers if len(each.lines[0].get_xdata()) == 1]
    assert [list(line.get_ydata()) for line in alone[:2]] == [[0.05], [math.log(40)]]
    places = [line.get_xdata()[0] for line in alone]
    assert places == pytest.approx([5.93, 5.93, 6.07, 6.07])  # teachers beside each other
    assert axes.get_xticks()[-1] == 6
    assert axes.get_xticklabels()[-1].get_text() == "all"
    [ceiling] = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert ceiling.get_ydata()[0] == math.log(40)


def test_teachers_and_sides_are_explained(figure):
    [legend] = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[:-1] == [*LABELS, "I(X; Ŷ | Y): the output", "I(X; f | Y): the feature"]
    assert texts[-1] == "log 40 = 3.69 nats: the most with 40 images a class"
