import math

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.proposition_1 import draw_proposition_1

LABELS, LAYERS = ("MLL", "MCMI tracked λ=0.7"), ("hidden 1", "logits")


@pytest.fixture
def figure():
    """Of the output's side a tenth of the bits, of the feature's as much below the control."""
    mpl.use("agg")
    rows = {}
    for label in LABELS:
        for layer in LAYERS:
            for bits, nats in ((1.0, 0.1), (4.0, 0.4), (math.inf, 0.7)):
                rows[label, layer, bits] = [Interval(m, m - 0.2, m + 0.2, 3) for m in (nats, -nats)]
    index = pd.MultiIndex.from_tuples(rows, names=["label", "layer", "bits"])
    table = pd.DataFrame(list(rows.values()), index, ["output_nats", "feature_nats"])
    figure = draw_proposition_1(table, control="fine-tuned λ=0", ceiling=math.log(40))
    yield figure
    plt.close(figure)


def test_a_row_per_side_and_a_panel_per_layer(figure):
    output, output_logits, feature, _ = figure.axes
    assert [output.get_title(), output_logits.get_title()] == ["f = hidden 1", "f = logits"]
    assert "I(X; Ŷ | Y)" in output.get_ylabel() and "I(X; f | Y)" in feature.get_ylabel()
    assert "above fine-tuned λ=0" in output.get_ylabel()
    for axes, sign in ((output, 1), (feature, -1)):
        curves = [each.lines[0] for each in axes.containers if len(each.lines[0].get_xdata()) > 1]
        assert [list(curve.get_ydata()) for curve in curves] == [[sign * 0.1, sign * 0.4]] * 2


def test_differences_of_all_panels_can_be_compared(figure):
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert {axes.get_yscale() for axes in figure.axes} == {"linear"}
    assert all(list(axes.lines[0].get_ydata()) == [0, 0] for axes in figure.axes)


def test_features_as_they_are_stand_apart(figure):
    axes = figure.axes[1]
    alone = [each.lines[0] for each in axes.containers if len(each.lines[0].get_xdata()) == 1]
    assert [list(line.get_ydata()) for line in alone] == [[0.7], [0.7]]
    places = [line.get_xdata()[0] for line in alone]
    assert places == pytest.approx([5.92, 6.08])  # teachers beside each other
    assert figure.axes[-1].get_xticks()[-1] == 6
    assert figure.axes[-1].get_xticklabels()[-1].get_text() == "all"


def test_teachers_are_named_once_and_the_ceiling_is_said(figure):
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(LABELS)
    assert "log n = 3.69 nats" in legend.get_title().get_text()
