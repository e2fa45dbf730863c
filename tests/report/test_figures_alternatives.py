import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.alternatives import draw_alternatives

CHOSEN = pd.Series({"MLL": "MLL", "MCMI tracked": "MCMI tracked λ=0.7", "MSE": "MSE"})


def summary(**columns):
    index = pd.MultiIndex.from_tuples(
        [
            ("MLL", "MLL"),
            ("MCMI tracked", "MCMI tracked λ=1"),
            ("MCMI tracked", "MCMI tracked λ=0.7"),
            ("MSE", "MSE"),
        ],
        names=["family", "method"],
    )
    table = pd.DataFrame(index=index)
    for name, means in columns.items():
        table[name] = pd.Series([Interval(m, m - 1, m + 1, 3) for m in means], index, dtype=object)
    return table


@pytest.fixture
def draw():
    mpl.use("agg")
    yield draw_alternatives
    plt.close("all")


def test_the_chosen_settings_and_a_panel_for_each_quantity(draw):
    table = summary(cmi_nats=(0, 6, 3, 2), entropy_nats=(1, 2, 3, 4), gain_points=(0, 4.5, 4, 2.5))
    figure = draw(table, CHOSEN)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "student's gain over MLL's, points",
        "Teacher CMI, nats",
        "Teacher entropy H(Ŷ|X), nats",
    ]
    methods = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert methods == ["MCMI tracked λ=0.7", "MSE"]
    means = [container[0].get_xdata()[0] for container in figure.axes[0].containers]
    assert means == [4, 2.5]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["MLL", "MCMI tracked", "MSE"]


def test_settings_of_a_family_are_joined_in_order_of_the_quantity(draw):
    table = summary(cmi_nats=(0, 6, 3, 2), gain_points=(0, 4.5, 4, 2.5))
    curve = draw(table, CHOSEN).axes[1].containers[1][0]
    assert curve.get_xydata().tolist() == [[3, 4], [6, 4.5]]


def test_no_teacher_has_a_gain_and_no_quantity(draw):
    table = summary(cmi_nats=(0, 6, 3, 2), gain_points=(0, 4.5, 4, 2.5))
    index = pd.MultiIndex.from_tuples([("from scratch",) * 2], names=["family", "method"])
    alone = pd.DataFrame({"gain_points": [Interval(-9, -10, -8, 3)]}, index)
    figure = draw(pd.concat([table, alone]), CHOSEN)
    gains, cmi = figure.axes
    labels = [text.get_text() for text in gains.get_yticklabels()]
    assert labels == ["MCMI tracked λ=0.7", "MSE", "from scratch"]
    assert gains.containers[-1][0].get_xdata()[0] == -9
    assert len(cmi.containers) == 3


def test_where_the_truth_is_known_distance_to_it_has_a_panel(draw):
    table = summary(cmi_nats=(0, 6, 3, 2), bcpd_kl_nats=(3, 2, 1, 2), gain_points=(0, 4.5, 4, 2))
    assert draw(table, CHOSEN).axes[-1].get_xlabel() == "mean KL(P* ‖ teacher), nats"
