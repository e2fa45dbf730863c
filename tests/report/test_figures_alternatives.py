from itertools import combinations, pairwise

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.alternatives import draw_alternatives, draw_closeness
from mcmi_core.report.plots import method_style

CHOSEN = pd.Series({"MLL": "MLL", "early stopping": "early stopping epoch=10", "MSE": "MSE"})
METHODS = [
    ("MLL", "MLL"),
    ("early stopping", "early stopping epoch=10"),
    ("early stopping", "early stopping epoch=25"),
    ("MSE", "MSE"),
]
QUANTITIES = {"cmi_nats": (0, 6, 3, 2), "entropy_nats": (1, 2, 3, 4), "bcpd_kl_nats": (3, 2, 1, 2)}
GAINS = (0, 4, 4.5, 2.5)
CLOSENESS = pd.Series({"all but P* (4)": Interval(-0.25, -0.9, 0.7, 4)}, dtype=object)


@pytest.fixture(autouse=True)
def closed():
    mpl.use("agg")
    yield
    plt.close("all")


def summary(**columns):
    index = pd.MultiIndex.from_tuples(METHODS, names=["family", "method"])
    table = pd.DataFrame(index=index)
    for name, means in columns.items():
        table[name] = pd.Series([Interval(m, m - 1, m + 1, 3) for m in means], index, dtype=object)
    return table


def points(axes) -> dict[str, list]:
    return {each.get_label(): each.lines[0].get_xydata().tolist() for each in axes.containers}


def test_gains_at_the_chosen_settings_above_and_against_teachers_below():
    figure = draw_alternatives(summary(**QUANTITIES, gain_points=GAINS), CHOSEN)
    gains, cmi, entropy = figure.axes
    names = [text.get_text() for text in gains.get_yticklabels()]
    assert names == ["early stopping, epoch 10", "MSE"]
    assert [container[0].get_xdata()[0] for container in gains.containers] == [4, 2.5]
    assert cmi.get_xlabel() == "CMI of the teacher, nats"
    assert points(cmi) == {"MLL": [[0, 0]], "early stopping": [[6, 4], [3, 4.5]], "MSE": [[2, 2.5]]}
    assert points(entropy)["MSE"] == [[4, 2.5]]
    assert cmi.get_ylim() == entropy.get_ylim()


def test_closeness_has_a_figure_of_its_own():
    [axes] = draw_closeness(summary(**QUANTITIES, gain_points=GAINS), CLOSENESS).axes
    assert points(axes)["early stopping"] == [[2, 4], [1, 4.5]]
    assert "KL(P* ‖ teacher)" in axes.get_xlabel()
    assert "all but P* (4): r = -0.25 [-0.90, 0.70]" in axes.texts[0].get_text()


def test_no_line_joins_settings_which_are_named_where_there_are_several():
    [axes] = draw_closeness(summary(**QUANTITIES, gain_points=GAINS), CLOSENESS).axes
    assert {container.lines[0].get_linestyle() for container in axes.containers} == {"None"}
    assert [text.get_text() for text in axes.texts[1:]] == ["epoch 10", "epoch 25"]


def test_names_of_settings_hide_nothing_and_no_other_name():
    """Of points that nearly coincide, too."""
    index = pd.MultiIndex.from_tuples(
        [("MLL", "MLL"), *(("early stopping", f"early stopping epoch={n}") for n in (10, 25, 30))],
        names=["family", "method"],
    )
    table = pd.DataFrame(index=index)
    for name, means in (("bcpd_kl_nats", (0, 1, 1.02, 1.01)), ("gain_points", (0, 1, 1.02, 1.05))):
        intervals = [Interval(m, m - 0.01, m + 0.01, 3) for m in means]
        table[name] = pd.Series(intervals, index, dtype=object)
    [axes] = draw_closeness(table, CLOSENESS).axes
    boxes = [text.get_window_extent() for text in axes.texts[1:]]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    at = axes.transData.transform([(1, 1), (1.02, 1.02), (1.01, 1.05)])
    assert not any(box.contains(*point) for box in boxes for point in at)


def test_a_title_says_whether_a_setting_was_chosen():
    table = summary(**QUANTITIES, gain_points=GAINS)
    assert "chosen on training data" in draw_alternatives(table, CHOSEN).axes[0].get_title()
    single = table.drop(index="early stopping epoch=25", level="method")
    assert draw_alternatives(single, CHOSEN).axes[0].get_title() == "Each way with its only setting"


def test_no_teacher_has_a_gain_and_no_quantity():
    table = summary(**QUANTITIES, gain_points=GAINS)
    index = pd.MultiIndex.from_tuples([("from scratch",) * 2], names=["family", "method"])
    alone = pd.DataFrame({"gain_points": [Interval(-9, -10, -8, 3)]}, index)
    gains, cmi, _ = draw_alternatives(pd.concat([table, alone]), CHOSEN).axes
    assert [text.get_text() for text in gains.get_yticklabels()][-1] == "from scratch"
    assert gains.containers[-1][0].get_xdata()[0] == -9
    assert len(cmi.containers) == 3


def test_warm_colours_are_told_apart():
    """In lightness, too: some readers see no other difference."""
    ways = ("MCMI tracked", "early stopping", "temperature")
    lightness = sorted(
        sum(
            part * weight
            for part, weight in zip(
                mpl.colors.to_rgb(method_style(way)["color"]), (0.3, 0.6, 0.1), strict=True
            )
        )
        for way in ways
    )
    assert min(b - a for a, b in pairwise(lightness)) > 0.1
