"""04: confusion matrices, accuracy against λ and maps of features, from made-up tables."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.zero_shot import draw_confusion, draw_features, draw_recognition

SETS = ((1,), (1, 0))
SHOWN = ("MLL", "MCMI tracked λ=0.7")
LAMBDA_OF = {"MCMI fixed λ=0.4": 0.4, "MCMI tracked λ=0.7": 0.7, "MCMI tracked λ=1": 1.0}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def confusion(labels=SHOWN):
    index = pd.MultiIndex.from_product(
        [["1", "1+0"], labels, [0, 1], [0, 1]],
        names=["omitted", "label", "true_class", "predicted_class"],
    )
    return pd.Series(range(len(index)), index).astype(float)


def around(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


def summary(without=()):
    rows = []
    for omitted in ("1", "1+0"):
        for position, label in enumerate(("MLL", *LAMBDA_OF, "true BCPD", "MLL masked")):
            lost = label in without
            rows.append(
                {
                    "omitted": omitted,
                    "label": label,
                    "status": "3 of 3 not run" if lost else "done",
                    "accuracy_percent": None if lost else around(10.0 * position),
                    "probability_percent": None if lost else around(1.0 * position),
                    "frequency_percent": None if lost else around(7.0),
                }
            )
    return pd.DataFrame(rows).set_index(["omitted", "label", "status"])


def curve(axes, label):
    """Positions and heights of a method's curve."""
    container = next(each for each in axes.containers if each.get_label() == label)
    line = container.lines[0]
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_confusion_has_a_column_per_set_and_a_row_per_teacher():
    panels = draw_confusion(confusion(), SETS, SHOWN).axes
    titles = [axes.get_title() for axes in panels]
    assert titles == ["student of MLL"] * 2 + ["student of MCMI tracked λ=0.7"] * 2
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["0", "1*"]  # the omitted class is starred
    assert [label.get_text() for label in panels[1].get_yticklabels()] == ["0*", "1*"]
    assert panels[2].collections[0].get_array().ravel().tolist() == [4, 5, 6, 7]  # set 1, MCMI


def test_a_panel_whose_runs_collapsed_stays_empty():
    panels = draw_confusion(confusion(labels=("MLL",)), SETS, SHOWN).axes
    assert [len(axes.collections) for axes in panels] == [1, 1, 0, 0]


def test_curves_against_lambda_and_lines_across():
    accuracy, _, belief, _ = draw_recognition(summary(), LAMBDA_OF).axes
    assert accuracy.get_title() == "omitted: 1"
    assert accuracy.get_ylabel() == "Accuracy, %, omitted classes"
    assert curve(accuracy, "MCMI fixed") == [(0.4, 10)]
    assert curve(accuracy, "MCMI tracked") == [(0.7, 20), (1, 30)]
    assert curve(belief, "MCMI tracked") == [(0.7, 2), (1, 3)]
    across = {line.get_label(): line.get_ydata()[0] for line in belief.lines}
    assert (across["MLL"], across["true BCPD"], across["frequency"]) == (0, 4, 7)
    assert "frequency" not in {line.get_label() for line in accuracy.lines}


def test_a_collapsed_lambda_is_left_out_of_its_curve():
    accuracy, *_ = draw_recognition(summary(without=["MCMI tracked λ=1"]), LAMBDA_OF).axes
    assert curve(accuracy, "MCMI tracked") == [(0.7, 20)]


def test_a_policy_that_collapsed_everywhere_leaves_an_empty_curve():
    accuracy, *_ = draw_recognition(summary(without=["MCMI fixed λ=0.4"]), LAMBDA_OF).axes
    assert curve(accuracy, "MCMI fixed") == []


def test_features_of_each_teacher():
    points = pd.DataFrame(
        {"label": ["MLL"] * 2 + [SHOWN[1]], "class_index": [0, 1, 1]}
        | {"horizontal": [1.0, 2.0, 3.0], "vertical": [4.0, 5.0, 6.0]}
    )
    left, right = draw_features(points, (1,), SHOWN).axes
    assert (left.get_title(), right.get_title()) == tuple(f"student of {name}" for name in SHOWN)
    assert [collection.get_offsets().tolist() for collection in left.collections] == [
        [[1, 4]],
        [[2, 5]],  # the omitted class on top
    ]
    assert len(right.collections) == 1
