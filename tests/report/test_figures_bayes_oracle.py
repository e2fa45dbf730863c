import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.bayes_oracle import draw_bayes_oracle

LABELS = ["MLL", "fine-tuned λ=0", "MCMI fixed λ=0.4", "true BCPD", "from scratch"]


def interval(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


@pytest.fixture
def figure():
    mpl.use("agg")
    means = {"train_bcpd_kl_nats": (4, 5, 3, -1e-9), "test_bcpd_kl_nats": (2, 2.5, 2, 0)}
    distances = pd.DataFrame(
        {name: pd.Series(map(interval, row), LABELS[:4]) for name, row in means.items()}
    )
    gain = pd.DataFrame(
        {
            1.0: [interval(0.5), None, interval(1), interval(4), None],
            0.05: [interval(1), None, interval(5), interval(9), interval(-9)],
        },
        index=LABELS,
        dtype=object,
    )
    figure = draw_bayes_oracle(distances, gain)
    figure.draw_without_rendering()
    yield figure
    plt.close(figure)


def drawn(axes) -> list[tuple[float, float]]:
    """Value and row of each interval."""
    return [tuple(container.lines[0].get_xydata()[0]) for container in axes.containers]


def test_teachers_on_training_and_on_new_inputs(figure):
    train, test = figure.axes[:2]
    assert train.get_title().endswith("on its training inputs")
    assert test.get_title().endswith("on new inputs")
    assert drawn(train) == [(4, 0), (5, 1), (3, 2), (pytest.approx(0, abs=1e-8), 3)]
    assert drawn(test) == [(2, 0), (2.5, 1), (2, 2), (0, 3)]
    assert [text.get_text() for text in train.texts] == [
        "4.00",
        "5.00",
        "3.00",
        "0.00",
        "no teacher",
    ]
    assert train.texts[-1].get_position()[1] == 4


def test_students_gain_over_the_control_which_is_at_zero(figure):
    everything, few = figure.axes[2:]
    assert everything.get_title().endswith("with all the data")
    assert few.get_title().endswith("with 5 % of the data")
    assert drawn(few) == [(1, 0), (5, 2), (9, 3), (-9, 4)]
    assert drawn(everything) == [(0.5, 0), (1, 2), (4, 3)]
    for axes in (everything, few):
        assert axes.lines[-2].get_xydata().tolist() == [[0, 1]]
        assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [0]


def test_rows_are_the_same_in_all_panels_and_named_once(figure):
    train, test, everything, few = figure.axes
    names = ["MLL\n(ordinary training)", "fine-tuned λ=0\n(the control)"]
    names += ["MCMI fixed λ=0.4\n(the paper's method)", "true BCPD\n(the truth P* itself)"]
    names += ["from scratch\n(no teacher)"]
    for axes in (train, everything):
        assert [text.get_text() for text in axes.get_yticklabels()] == names
    assert {axes.get_ylim() for axes in figure.axes} == {(4.5, -0.7)}
    assert train.get_xlim() == test.get_xlim()
    assert everything.get_xlim()[1] < 6 < 9 < few.get_xlim()[1]  # gains of 4 to 5, and of 9 to 10
