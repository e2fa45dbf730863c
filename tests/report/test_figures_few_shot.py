import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.few_shot import draw_few_shot


def accuracy(*rows) -> pd.Series:
    names = ["distiller", "fraction", "label"]
    index = pd.MultiIndex.from_tuples([row[:3] for row in rows], names=names)
    return pd.Series([Interval(row[3], row[3] - 1, row[3] + 1, 3) for row in rows], index)


def test_a_column_per_framework_our_accuracy_and_gain_above_the_authors():
    ours = accuracy(
        *(("kd", 0.1, "MLL", 63), ("kd", 0.05, "MLL", 60), ("crd", 0.05, "MLL", 53)),
        *(("kd", 0.05, "fine-tuned λ=0", 61), ("kd", 0.05, "MCMI fixed λ=0.4", 62)),
        *(("kd", 0.05, "MCMI tracked λ=0.7", 64), ("kd", 0.1, "MCMI tracked λ=0.7", 65)),
        *(("kd", 0.05, "true BCPD", 70), ("kd", 0.05, "from scratch", 40)),
    )
    authors = accuracy(("kd", 0.5, "MLL", 70), ("crd", 0.5, "MLL", 71))
    gain = accuracy(
        *(("kd", 0.05, "MLL", -1), ("kd", 0.05, "MCMI tracked λ=0.7", 3), ("crd", 0.05, "MLL", 0)),
        *(("kd", 0.05, "true BCPD", 9), ("kd", 0.05, "from scratch", -21)),
    )
    figure = draw_few_shot(ours, gain, authors, ours_on="oracle data")
    above, between, below = figure.axes[:2], figure.axes[2:4], figure.axes[4:]
    assert [axes.get_title() for axes in above] == [
        "KD, ours: oracle data",
        "CRD, ours: oracle data",
    ]
    assert below[0].get_title().startswith("KD, authors': CIFAR-100")
    kd = dict(zip(*reversed(above[0].get_legend_handles_labels()), strict=True))
    assert list(kd) == [
        "MLL",
        "fine-tuned λ=0",
        "MCMI fixed λ=0.4",
        "MCMI tracked λ=0.7",
        "true BCPD",
        "from scratch",
    ]
    assert between[0].get_ylabel() == "Gain over λ=0, points"
    assert between[0].get_legend_handles_labels()[1] == ["MLL", "MCMI tracked λ=0.7"]
    assert set(above[1].get_legend_handles_labels()[1]) == {"MLL"}
    places, means = kd["MLL"].lines[0].get_xydata().T
    assert list(means) == [60, 63]
    tracked, _ = kd["MCMI tracked λ=0.7"].lines[0].get_xydata().T
    assert np.all(places < tracked) and places == pytest.approx([0.05, 0.1], rel=0.1)
    assert places[1] / places[0] == pytest.approx(2)  # of fractions, as without the shift
    ticks = [label.get_text() for label in below[1].get_xticklabels()]
    assert ticks == ["5", "10", "50"]  # percent, ours and theirs
    plt.close(figure)


def test_one_fraction_is_drawn_without_a_warning():
    one = accuracy(("kd", 0.1, "MLL", 10), ("kd", 0.1, "MCMI fixed λ=0.15", 8))
    authors = accuracy(("kd", 0.05, "MLL", 52), ("kd", 0.75, "MLL", 70))
    figure = draw_few_shot(one, one, authors, ours_on="100 classes")
    low, high = figure.axes[0].get_xlim()
    assert low < 0.05 < 0.1 < 0.75 < high
    plt.close(figure)
