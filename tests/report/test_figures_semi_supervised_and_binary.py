import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.semi_supervised_and_binary import draw_semi_supervised_and_binary

LABELS = ["MLL", "MCMI tracked λ=0.7", "true BCPD", "from scratch"]
REGIMES = ["5% of samples, labelled", "all samples, no label"]
MISSING = float("nan")


def interval(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


@pytest.fixture
def figure():
    mpl.use("agg")
    columns = {
        "MLL": [interval(1), interval(0.5)],
        LABELS[1]: [interval(4), interval(0.2)],
        "from scratch": [interval(-8), MISSING],
    }
    gain_of_ten = pd.DataFrame(columns, REGIMES)
    closeness = [interval(0.8), interval(0.5), interval(0), MISSING]
    gain = [MISSING, interval(2), interval(6), interval(-9)]
    binary = pd.DataFrame(
        {"train_bcpd_kl_nats": closeness, "student_gain_over_control_points": gain},
        LABELS,
        dtype=object,
    )
    figure = draw_semi_supervised_and_binary(gain_of_ten, binary, control="MLL", few=0.05)
    yield figure
    plt.close(figure)


def test_a_row_for_what_the_student_is_given_with_a_point_per_teacher(figure):
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == REGIMES
    drawn = {each.get_label(): each.lines[0].get_xydata() for each in axes.containers}
    assert list(drawn) == [LABELS[0], LABELS[1], "from scratch"]
    assert drawn["MLL"].tolist() == [[1, pytest.approx(-0.13)], [0.5, pytest.approx(0.87)]]
    assert drawn[LABELS[1]].tolist() == [[4, pytest.approx(0)], [0.2, pytest.approx(1)]]
    assert drawn["from scratch"].tolist() == [[-8, pytest.approx(0.13)]]
    assert {each.lines[0].get_linestyle() for each in axes.containers} == {"None"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "MLL (the control)",
        *drawn,
    ]
    assert "points over the student of MLL" in axes.get_xlabel()


def test_two_classes_with_the_same_rows_and_none_where_there_is_nothing(figure):
    closeness, gain = figure.axes[1:]
    assert [text.get_text() for text in closeness.get_yticklabels()] == LABELS
    assert closeness.get_ylim() == gain.get_ylim() == (3.5, -0.5)
    places = {
        axes: [each[0].get_ydata()[0] for each in axes.containers] for axes in (closeness, gain)
    }
    assert places[closeness] == [0, 1, 2]
    assert places[gain] == [1, 2, 3]
    assert [container[0].get_xdata()[0] for container in gain.containers] == [2, 6, -9]
    assert [0, 0] in [list(line.get_xydata()[0]) for line in gain.lines]  # the control, hollow
    assert gain.get_title() == "Two classes: its student on 5%"


def test_a_line_is_where_the_control_is_and_nowhere_else(figure):
    """The legend says so; of the teacher's distance from the truth, zero is the truth."""
    dashed = [[line for line in axes.lines if line.get_linestyle() == "--"] for axes in figure.axes]
    assert [len(lines) for lines in dashed] == [1, 0, 1]
    assert all(set(line.get_xdata()) == {0} for lines in dashed for line in lines)
