"""06: a panel per pair, a line per framework, a point for each kind of MCMI."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.experiments.pair import Pair
from mcmi_core.report.figures.comparison import draw_gains

PAIRS = (
    Pair(data="oracle", teacher="resnet56", student="resnet20", lam=0.2, tracked_lam=0.7),
    Pair(data="oracle", teacher="vgg13", student="vgg8", lam=0.4),
)
NAN = float("nan")
COMPARISON = pd.DataFrame(
    {
        "pair": ["resnet56 → resnet20"] * 4 + ["vgg13 → vgg8"] * 2,
        "framework": ["kd", "at", "reviewkd", "mean of 2", "kd", "at"],
        "trains": [True, False, True, True, True, True],
        "mll_mean": [60.0, 26.44, 60, 60, 60, 60],
        "scratch_mean": [50.0, 50, 50, 50, 50, 50],
        "fixed_mean": [60.0, 61, 61, 60.5, 62, NAN],
        "fixed_over_untreated_mean": [1.0, 2.0, 2.0, 1.5, 3.0, NAN],
        "fixed_over_untreated_low": [0.0, -9.0, 1.0, 1.0, 2.0, NAN],
        "fixed_over_untreated_high": [2.0, 13.0, 3.0, 2.0, 4.0, NAN],
        "tracked_mean": [60.0, 61, 61, 60.5, NAN, NAN],
        "tracked_over_untreated_mean": [5.0, 6.0, 5.5, 5.25, NAN, NAN],
        "tracked_over_untreated_low": [4.0, 5.0, 4.5, 5.0, NAN, NAN],
        "tracked_over_untreated_high": [6.0, 7.0, 6.5, 5.5, NAN, NAN],
    }
)


@pytest.fixture
def figure():
    mpl.use("agg")
    yield draw_gains(COMPARISON, PAIRS)
    plt.close("all")


def points(axes):
    return {each.get_label(): each[0].get_xydata().tolist() for each in axes.containers}


def test_panels_are_pairs_in_words_and_fit_a_page(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["ResNet-56 → ResNet-20", "VGG-13 → VGG-8"]
    assert figure.axes[0].get_xlabel() == "Student's gain over the control (fine-tuned λ=0), points"
    assert figure.get_figwidth() == 9


def test_three_pairs_fit_a_page(figure):
    three = draw_gains(COMPARISON, [*PAIRS, PAIRS[0]])
    assert len(three.axes) == 3
    assert three.get_figwidth() == 9


def test_frameworks_are_sorted_then_their_mean_then_in_brackets_what_does_not_train(figure):
    first, second = figure.axes
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["ReviewKD", "KD", "mean of 2", "(AT: 26.4 %)"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["KD", "AT"]
    (note,) = (text.get_text() for text in first.texts)
    assert "below students from scratch, 50.0 %" in note.replace("\n", " ")


def test_one_legend_for_all_panels(figure):
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["MCMI fixed", "MCMI tracked λ=0.7"]
    assert not any(axes.get_legend() for axes in figure.axes)


def test_a_point_for_each_kind_of_mcmi_side_by_side(figure):
    assert points(figure.axes[0]) == {
        "MCMI fixed": [[2, -0.15], [1, 0.85], [1.5, 1.85], [2, 3.85]],
        "MCMI tracked": [[5.5, 0.15], [5, 1.15], [5.25, 2.15], [6, 4.15]],
    }


def test_an_interval_of_what_does_not_train_stretches_no_axis_and_has_arrows(figure):
    low, high = figure.axes[0].get_xlim()
    assert -1 < low < 0 and 7 < high < 8
    arrows = [
        (line.get_marker(), line.get_xydata().tolist())
        for line in figure.axes[0].lines
        if line.get_marker() in ("<", ">") and len(line.get_xdata())
    ]
    assert arrows == [("<", [[low, 3.85]]), (">", [[high, 3.85]])]


def test_without_an_interval_there_is_a_figure(figure):
    """Of one seed, or where nothing is done."""
    gains = [name for name in COMPARISON if "over_untreated" in name]
    one_seed = COMPARISON.assign(**dict.fromkeys(gains, NAN))
    assert len(draw_gains(one_seed, PAIRS).axes) == 2
    nothing = one_seed.assign(fixed_mean=NAN, tracked_mean=NAN, trains=False)
    assert len(draw_gains(nothing, PAIRS).axes) == 2


def test_no_result_is_written_and_nothing_where_there_is_no_teacher(figure):
    second = figure.axes[1]
    (text,) = second.texts
    assert (text.get_text().strip(), text.get_position()[1]) == ("no result", 0.85)
    assert list(points(second)) == ["MCMI fixed"]
