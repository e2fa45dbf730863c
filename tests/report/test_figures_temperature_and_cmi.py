import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.temperature_and_cmi import draw_temperature_and_cmi

BOTH = ["mlp:width=8 → mlp:width=4 on oracle", "resnet20 → resnet8 on digits"]


def by_temperature(*means, pairs):
    index = pd.MultiIndex.from_product([pairs, (1.0, 4.0)], names=["pair", "temperature"])
    return pd.Series([Interval(mean, mean - 0.1, mean + 0.1, 3) for mean in means], index)


def test_one_column_per_pair_that_has_students():
    mpl.use("agg")
    cmi = by_temperature(0.2, 0.4, 0.6, 0.3, pairs=BOTH)
    figure = draw_temperature_and_cmi(cmi, by_temperature(60, 61, 70, 72, pairs=BOTH))
    left, right, below_left, below_right = figure.axes
    assert "".join(left.get_title().split()) == "tenGaussians:MLP,8wide→MLP,4wide"
    assert right.get_title().endswith("ResNet-20 → ResNet-8")
    points = below_right.lines[0]
    assert list(points.get_xdata()) == [1, 4]
    assert list(points.get_ydata()) == [70, 72]
    assert list(right.lines[0].get_ydata()) == [0.6, 0.3]
    for above, below, temperature in ((left, below_left, 4), (right, below_right, 1)):
        marked = [line for line in (*above.lines, *below.lines) if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in marked] == [temperature] * 2
        assert above.get_ylim()[0] == 0  # CMI is shown from 0
    assert [text.get_text() for text in below_right.get_xticklabels()] == ["1", "4"]
    assert "axis is cut" in below_left.get_ylabel()
    plt.close(figure)

    figure = draw_temperature_and_cmi(cmi, by_temperature(70, 72, pairs=BOTH[1:]))
    assert len(figure.axes) == 2
    assert list(figure.axes[0].lines[0].get_ydata()) == pytest.approx([0.6, 0.3])
    plt.close(figure)


def test_without_students_the_panels_are_empty():
    none = by_temperature(pairs=[])
    figure = draw_temperature_and_cmi(none, none)
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]
    plt.close(figure)
