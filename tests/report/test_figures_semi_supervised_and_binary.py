import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.semi_supervised_and_binary import draw_semi_supervised_and_binary

LABELS = ["MLL", "MCMI tracked λ=0.7", "true BCPD", "from scratch"]
MISSING = float("nan")


def interval(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


@pytest.fixture
def figure():
    mpl.use("agg")
    regimes = ["5% of samples, labelled", "all samples, no label"]
    columns = {
        "MLL": [interval(60), interval(66)],
        LABELS[1]: [interval(64), interval(67)],
        "from scratch": [interval(50), MISSING],
    }
    accuracy = pd.DataFrame(columns, regimes)
    closeness = [interval(0.8), interval(0.5), interval(0), MISSING]
    gain = [MISSING, interval(2), interval(6), interval(-9)]
    binary = pd.DataFrame(
        {"train_bcpd_kl_nats": closeness, "student_gain_points": gain}, LABELS, dtype=object
    )
    figure = draw_semi_supervised_and_binary(accuracy, binary, few=0.05)
    yield figure
    plt.close(figure)


def test_a_curve_for_each_teacher_over_what_the_student_is_given(figure):
    axes = figure.axes[0]
    curves = [container[0].get_xydata().tolist() for container in axes.containers]
    assert curves == [[[0, 60], [1, 66]], [[0, 64], [1, 67]], [[0, 50]]]
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert ticks == ["5% of samples,\nlabelled", "all samples,\nno label"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        *LABELS[:2],
        "from scratch",
    ]


def test_two_classes_without_what_there_cannot_be(figure):
    closeness, gain = figure.axes[1:]
    assert [text.get_text() for text in closeness.get_yticklabels()] == LABELS[:3]
    assert [text.get_text() for text in gain.get_yticklabels()] == LABELS[1:]
    assert [container[0].get_xdata()[0] for container in gain.containers] == [2, 6, -9]
    assert gain.get_title() == "Two classes, student on 5%"
    assert gain.get_xlabel() == "gain over MLL's, points"
    assert closeness.get_xlabel() == "mean KL(P* ‖ teacher), nats"
