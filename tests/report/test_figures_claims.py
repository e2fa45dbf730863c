"""The forest plot: each primary comparison once, as an effect with its interval and verdict."""

import matplotlib as mpl
import pandas as pd
import pytest
from made_up_board import MEASURED, NOT_MEASURED, TRACKED, board
from matplotlib import pyplot as plt

from mcmi_core.experiments.claims import CLAIMS
from mcmi_core.experiments.finding import FIRST_WORDS
from mcmi_core.report import plots
from mcmi_core.report.figures.claims import (
    _BELOW,
    _BESIDE_MLL,
    _LIES,
    _STYLES,
    STUDENTS,
    TEACHERS,
    draw_claims,
)


@pytest.fixture(autouse=True)
def style():
    mpl.use("agg")
    with mpl.rc_context():
        plots.use_house_style()
        yield
        plt.close("all")


def intervals(axes) -> list[tuple[float, ...]]:
    """Row, mean, low and high of each interval."""
    found = []
    for container in axes.containers:
        [[mean, row]] = container.lines[0].get_xydata().tolist()
        [[[low, _], [high, _]]] = container.lines[2][0].get_segments()
        found.append((row, mean, low, high))
    return found


def markers(axes) -> list[str]:
    return [container.lines[0].get_marker() for container in axes.containers]


def against_mll(axes) -> list[tuple[float, float]]:
    """Row, value, low and high of each thin interval."""
    own = [line for line in axes.lines if line.get_color() == _BESIDE_MLL["color"]]
    lows_and_highs, means = own[::2], own[1::2]
    return [
        (round(mean.get_ydata()[0] - _BELOW), *mean.get_xdata(), *interval.get_xdata())
        for interval, mean in zip(lows_and_highs, means, strict=True)
    ]


def row_names(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def claim_names(axes) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axes.texts if text.get_ha() == "right"]


def test_every_claim_is_in_one_block_of_one_figure():
    keys = [key for block in (*STUDENTS, *TEACHERS) for key in block.claims]
    assert sorted(keys) == sorted(claim.key for claim in CLAIMS)


def test_effects_with_intervals_in_a_column_per_tier():
    known, photographs = draw_claims(board(), STUDENTS).axes
    titles = [axes.get_title() for axes in (known, photographs)]
    assert titles == ["truth known\nn = 5", "photographs, CPU\nn = 5"]
    assert intervals(known) == [(0, 1, 0.5, 1.5), (1, -4, -6, -2)]
    assert against_mll(known) == [(0, 2, -0.25, 4.25), (1, 2, -0.25, 4.25)]
    assert known.get_xlim() == photographs.get_xlim()


def test_a_second_data_set_of_a_tier_has_rows_of_its_own():
    known, photographs = draw_claims(board(), STUDENTS).axes
    assert row_names(known) == ["fixed", "tracked"] * 2
    assert [row for row, *_ in intervals(photographs)] == [0, 2]
    assert claim_names(known) == ["KD, few examples", "the same: cats, dogs"]
    assert [text.get_text() for text in known.texts if text.get_ha() != "right"] == ["not measured"]


def test_a_claim_without_mcmi_has_one_row():
    [photographs] = draw_claims(board(), TEACHERS).axes
    assert claim_names(photographs) == ["CMI falls as MLL goes on"]
    assert intervals(photographs) == [(0, 0.125, 0.0625, 0.1875)]
    assert against_mll(photographs) == []
    assert row_names(photographs) == [""]


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("holds", "holds"),
        ("holds; against MLL open", "holds; not against MLL"),
        ("holds; worse than MLL", "holds; not against MLL"),
        ("negligible; better than MLL", "negligible"),
        ("open; worse than MLL", "open"),
        ("opposite; better than MLL", "opposite"),
    ],
)
def test_a_row_looks_like_its_verdict(verdict, kind):
    [axes] = draw_claims(pd.DataFrame([MEASURED | {"verdict": verdict}]), STUDENTS).axes
    marker = axes.containers[0].lines[0]
    assert marker.get_marker() == _STYLES[kind]["marker"]
    assert marker.get_color() == _STYLES[kind]["color"]
    assert marker.get_markerfacecolor() == _STYLES[kind].get(
        "markerfacecolor", _STYLES[kind]["color"]
    )


def test_no_verdict_is_told_by_its_colour_alone():
    looks = [(style["marker"], style.get("markerfacecolor")) for style in _STYLES.values()]
    assert len(set(looks)) == len(looks)
    assert {kind.partition(";")[0] for kind in _STYLES} == set(FIRST_WORDS)
    assert set(_LIES) == set(_STYLES)


def test_verdicts_are_explained():
    [legend] = draw_claims(board(), STUDENTS).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [*_LIES.values(), "thin, below it: difference to MLL"]


def test_what_is_compared_is_said_above():
    [legend] = draw_claims(board(), STUDENTS).legends
    assert "Difference to the control (the same teacher" in legend.get_title().get_text()


def test_a_row_with_another_number_of_replicates_says_so():
    rows = [MEASURED, TRACKED, MEASURED | {"key": "dkd", "n": 2.0, "policy": "tracked"}]
    [axes] = draw_claims(pd.DataFrame(rows), STUDENTS).axes
    assert axes.get_title() == "truth known\nn = 5"
    assert [text.get_text() for text in axes.texts if text.get_ha() != "right"] == ["n = 2 of 5"]
    kinds = MEASURED | {"key": "bcpd_predicts", "n": 13.0, "asked": 13.0, "policy": "–"}
    others = [MEASURED | {"key": "bcpd_test", "policy": name} for name in ("fixed", "tracked")]
    first, second = draw_claims(pd.DataFrame([*others, kinds]), TEACHERS).axes
    assert [text.get_text() for text in second.texts if text.get_ha() != "right"] == ["n = 13"]
    assert first.get_title() == "truth known\nn = 5"


def test_an_interval_need_not_be_symmetric():
    of_r = MEASURED | {"key": "bcpd_predicts", "mean": 0.5, "low": -0.1, "high": 0.8}
    [axes] = draw_claims(pd.DataFrame([of_r]), TEACHERS).axes
    assert intervals(axes) == [(0, 0.5, pytest.approx(-0.1), 0.8)]


def test_a_tier_without_measurements_has_no_column():
    other = NOT_MEASURED | {"tier": "the paper's data"}
    [axes] = draw_claims(pd.DataFrame([MEASURED, TRACKED, other]), STUDENTS).axes
    assert axes.get_title().startswith("truth known")
    [empty] = draw_claims(pd.DataFrame([other]), STUDENTS).axes
    assert intervals(empty) == []
