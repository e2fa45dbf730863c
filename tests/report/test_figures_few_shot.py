import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.few_shot import draw_few_shot

FIXED, TRACKED = "MCMI fixed λ=0.4", "MCMI tracked λ=0.7"


def intervals(*rows, names=("distiller", "fraction", "label")) -> pd.Series:
    index = pd.MultiIndex.from_tuples([row[:-1] for row in rows], names=names)
    return pd.Series([Interval(row[-1], row[-1] - 1, row[-1] + 1, 3) for row in rows], index)


AUTHORS = intervals(
    *(("kd", 0.05, 5.7), ("kd", 0.5, 0.6), ("crd", 0.5, 0.2)), names=("distiller", "fraction")
)
THEIRS = "the authors' MCMI over their MLL, CIFAR-100"


@pytest.fixture
def figure():
    gain = intervals(
        *(("kd", 0.05, "MLL", -1), ("kd", 0.05, FIXED, 1), ("crd", 0.05, FIXED, 0)),
        *(("kd", 0.05, TRACKED, 3), ("kd", 0.1, TRACKED, 2)),
        *(("kd", 0.05, "true BCPD", 9), ("kd", 0.05, "from scratch", -21)),
    )
    over_mll = intervals(
        *(("kd", 0.05, FIXED, 2), ("crd", 0.05, FIXED, -1)),
        *(("kd", 0.05, TRACKED, 4), ("kd", 0.1, TRACKED, 2.5)),
    )
    yield draw_few_shot(gain, over_mll, AUTHORS, data="photographs")
    plt.close("all")


def curves(axes):
    return {each.get_label(): each.lines[0] for each in axes.containers}


def test_a_panel_per_framework_below_each_other_on_the_same_axes(figure):
    kd, crd = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        *("photographs: students by KD", "photographs: students by CRD")
    ]
    assert figure.get_figwidth() == 9
    assert kd.get_xlim() == crd.get_xlim() and kd.get_ylim() == crd.get_ylim()
    assert [label.get_text() for label in crd.get_xticklabels()] == ["5 %", "10 %"]


def test_mcmi_alone_over_the_control_filled_and_over_mll_open(figure):
    kd = curves(figure.axes[0])
    assert list(kd) == [
        *(f"{label}, over {over}" for label in (FIXED, TRACKED) for over in ("the control", "MLL")),
        THEIRS,
    ]
    assert list(kd[f"{TRACKED}, over the control"].get_ydata()) == [3, 2]
    assert list(kd[f"{TRACKED}, over MLL"].get_ydata()) == [4, 2.5]
    assert kd[f"{TRACKED}, over the control"].get_markerfacecolor() != "white"
    assert kd[f"{TRACKED}, over MLL"].get_markerfacecolor() == "white"
    assert list(kd[THEIRS].get_ydata()) == [5.7]  # theirs at 50 % has none of ours beside it
    assert list(curves(figure.axes[1])[THEIRS].get_ydata()) == []


def test_series_stand_side_by_side_around_the_fraction_without_lines(figure):
    lines = curves(figure.axes[0]).values()
    places = [line.get_xdata()[0] for line in lines]
    assert np.all(np.diff(places) > 0)
    assert places[2] == pytest.approx(0)
    assert min(places) > -0.5 and max(places) < 0.5  # within the fraction's own strip
    assert {line.get_linestyle() for line in lines} == {"None"}


def test_one_fraction_and_no_authors_are_drawn_without_a_warning():
    for name in ("kd", "dkd"):
        one = intervals((name, 0.1, FIXED, 10))
        figure = draw_few_shot(one, one, AUTHORS, data="photographs")
        assert figure.axes[0].get_xlim() == (-0.5, 0.5)
        assert figure.get_figwidth() < 9
    plt.close("all")


def test_what_is_of_fewer_seeds_than_the_others_says_so_and_of_two_seeds_has_no_bar():
    gain = intervals(("kd", 0.1, FIXED, 1), ("kd", 0.1, TRACKED, 2))
    gain["kd", 0.1, TRACKED] = Interval(2, 1, 3, 2)
    figure = draw_few_shot(gain, gain, AUTHORS, data="photographs")
    assert [text.get_text() for text in figure.axes[0].texts] == ["n = 2 of 3"] * 2
    bars = [each.lines[2][0].get_segments() for each in figure.axes[0].containers[:4]]
    assert [np.size(each) for each in bars] == [4, 4, 0, 0]  # both ends, or nothing
    plt.close("all")


def test_of_mcmi_that_collapsed_everywhere_only_the_authors_are_drawn():
    gain = intervals(("kd", 0.05, "MLL", -1))
    kd = draw_few_shot(gain, gain, AUTHORS, data="photographs").axes[0]
    assert list(curves(kd)) == [THEIRS]
    plt.close("all")
