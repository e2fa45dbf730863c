"""The forest plot: each primary comparison once, in units of its interval's half width."""

import matplotlib as mpl
import pandas as pd
import pytest
from made_up_board import MEASURED, NOT_MEASURED, board
from matplotlib import pyplot as plt

from mcmi_core.report import plots
from mcmi_core.report.figures.claims import draw_claims


@pytest.fixture(autouse=True)
def style():
    mpl.use("agg")
    with mpl.rc_context():
        plots.use_house_style()
        yield
        plt.close("all")


def points(axes, filled: bool) -> list[tuple[str, float, float]]:
    """Marker, value and place of the differences to the control (filled), or to MLL."""
    found = []
    for line in axes.lines:
        if line.get_marker() != "None":
            hollow = line.get_markerfacecolor() == "white"
            if hollow != filled:
                [[value, place]] = line.get_xydata().tolist()
                found.append((line.get_marker(), value, place))
    return found


def test_a_panel_per_tier_with_a_point_per_comparison():
    figure = draw_claims(board())
    known, photographs = figure.axes
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["truth known", "photographs, CPU"]
    fixed, tracked = (plots.method_style(f"MCMI {p}")["marker"] for p in ("fixed", "tracked"))
    assert points(known, filled=True) == [(fixed, 2, -0.22), (tracked, -2, 0.22)]
    hollow = 2 / 2.25
    assert points(known, filled=False) == [
        (fixed, pytest.approx(hollow), -0.22),
        (tracked, pytest.approx(hollow), 0.22),
    ]
    assert points(photographs, filled=True) == [(fixed, 2, -0.22), (fixed, 2, 0.22), ("o", 2, 1)]
    assert len(points(photographs, filled=False)) == 2  # none without MCMI


def test_claims_from_top_to_bottom_measured_or_not():
    figure = draw_claims(board())
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["P(y|x) is better", "CMI falls"]
    assert axes.get_ylim() == (1.5, -0.5)


def test_extreme_values_stay_on_the_axis():
    extreme = MEASURED | {"mean": 100.0, "high": 100.1, "mll_mean": -5.0, "mll_high": -5.0}
    [axes] = draw_claims(pd.DataFrame([extreme])).axes
    assert [value for _, value, _ in points(axes, filled=True)] == [25]
    assert [value for _, value, _ in points(axes, filled=False)] == [-25]


def test_a_tier_without_measurements_has_no_panel():
    other = NOT_MEASURED | {"tier": "the paper's data"}
    titles = [axes.get_title() for axes in draw_claims(pd.DataFrame([MEASURED, other])).axes]
    assert titles == ["truth known"]
    [empty] = draw_claims(pd.DataFrame([other])).axes
    assert [text.get_text() for text in empty.get_yticklabels()] == ["CMI falls"]
