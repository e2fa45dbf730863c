import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.temperature_and_cmi import draw_temperature_and_cmi


def by_temperature(*means, pairs):
    index = pd.MultiIndex.from_product([pairs, (1.0, 4.0)], names=["pair", "temperature"])
    return pd.Series([Interval(mean, mean - 0.1, mean + 0.1, 3) for mean in means], index)


def test_one_panel_per_pair_that_has_students():
    mpl.use("agg")
    both = ["a → b on oracle", "c → d on digits"]
    cmi = by_temperature(0.2, 0.4, 0.6, 0.3, pairs=both)
    figure = draw_temperature_and_cmi(cmi, by_temperature(60, 61, 70, 72, pairs=both))
    left, right, *curves = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["a → b on oracle", "c → d on digits"]
    assert [bar.get_height() for bar in right.patches] == [70, 72]
    assert list(curves[1].lines[0].get_ydata()) == [0.6, 0.3]
    assert [text.get_text() for text in right.get_xticklabels()] == ["1", "4"]
    plt.close(figure)

    figure = draw_temperature_and_cmi(cmi, by_temperature(70, 72, pairs=both[1:]))
    assert len(figure.axes) == 2
    assert list(figure.axes[1].lines[0].get_ydata()) == pytest.approx([0.6, 0.3])
    plt.close(figure)
