import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.report.figures.temperature_and_cmi import draw_temperature_and_cmi

BOTH = ["mlp:width=8 → mlp:width=4 on oracle", "resnet20 → resnet8 on digits"]


def numbers(*means, gain=2.0):
    """CMI at T = 1 and 4 of each pair, and a gain at T = 4; a seed adds a tenth to both."""
    rows = []
    for place, cmi in enumerate(means):
        pair, t = BOTH[place // 2], (1.0, 4.0)[place % 2]
        for seed in (0, 1):
            row = {"pair": pair, "seed": seed, "temperature": t, "cmi_nats": cmi + seed / 10}
            rows.append(row | {"gain_points": 0.0 if t == 1 else gain + seed / 10})
    return pd.DataFrame(rows)


def test_one_column_per_pair_that_has_students():
    mpl.use("agg")
    figure = draw_temperature_and_cmi(numbers(0.2, 0.4, 0.6, 0.3))
    left, right, below_left, below_right = figure.axes
    assert "".join(left.get_title().split()) == "tenGaussians:MLP,8wide→MLP,4wide"
    assert right.get_title().endswith("ResNet-20 → ResNet-8")
    points = below_right.containers[0].lines[0]
    assert list(points.get_xdata()) == [1, 4]
    assert list(points.get_ydata()) == pytest.approx([0, 2.05])
    assert list(right.containers[0].lines[0].get_ydata()) == pytest.approx([0.65, 0.35])
    for above, below, temperature in ((left, below_left, 4), (right, below_right, 1)):
        marked = [line for line in (*above.lines, *below.lines) if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in marked] == [temperature] * 2
        assert above.get_ylim()[0] == 0  # CMI is shown from 0
    assert [text.get_text() for text in below_right.get_xticklabels()] == ["1", "4"]
    assert list(below_right.collections[0].get_offsets()[:, 1]) == pytest.approx([0, 0, 2, 2.1])
    plt.close(figure)


def test_the_gains_of_a_single_pair_stand_in_digits_as_well():
    figure = draw_temperature_and_cmi(numbers(0.2, 0.4))
    assert [text.get_text() for text in figure.axes[1].texts] == [
        "0 (by definition)",
        "+2.05 [+1.41, +2.69]",  # ± 12.7 · 0.05
    ]
    below = figure.axes[1]
    for text in below.texts:  # on white, above the dotted line
        assert text.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
        assert all(text.get_zorder() > line.get_zorder() for line in below.lines)
    plt.close(figure)


def test_a_pair_without_students_has_no_column():
    table = numbers(0.2, 0.4, 0.6, 0.3)
    table.loc[table.pair == BOTH[0], "gain_points"] = np.nan
    figure = draw_temperature_and_cmi(table)
    assert len(figure.axes) == 2
    assert list(figure.axes[0].containers[0].lines[0].get_ydata()) == pytest.approx([0.65, 0.35])
    plt.close(figure)


def test_without_students_the_panels_are_empty():
    figure = draw_temperature_and_cmi(numbers(0.2, 0.4, gain=np.nan).query("temperature > 1"))
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]
    plt.close(figure)
