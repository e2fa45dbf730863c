"""04: confusion matrices, what students recognise and maps of features, from made-up tables."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.zero_shot import draw_confusion, draw_features, draw_recognition

SETS = ((1,), (1, 0))
SHOWN = ("MLL", "MCMI tracked λ=0.7")
LABELS = [
    "MLL",
    "fine-tuned λ=0",
    "MCMI fixed λ=0.4",
    "MCMI tracked λ=0.7",
    "true BCPD",
    "MLL masked",
    "from scratch",
]


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
        for position, label in enumerate(LABELS):
            lost = label in without
            rows.append(
                {
                    "omitted": omitted,
                    "label": label,
                    "status": "3 of 3 not run" if lost else "done",
                    "accuracy_percent": None if lost else around(10.0 * position),
                    "test_accuracy_percent": None if lost else around(60.0 + position),
                    "probability_percent": None if lost else around(1.0 * position),
                    "frequency_percent": None if lost else around(7.0),
                }
            )
    return pd.DataFrame(rows).set_index(["omitted", "label", "status"])


def means(axes):
    """Mean by method, from top to bottom."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    values = [container.lines[0].get_xdata()[0] for container in axes.containers]
    return dict(zip(names, values, strict=True))


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


def test_an_interval_for_each_teacher_by_set_and_metric():
    panels = draw_recognition(summary()).axes
    assert [axes.get_title() for axes in panels] == ["omitted: 1", "omitted: 1+0"] * 3
    assert [axes.get_xlabel() for axes in panels[::2]] == [
        "accuracy on the omitted classes, %",
        "accuracy on all classes, %",
        "mean P_x[k] of the omitted classes k, %",
    ]
    recognised, overall, belief = panels[::2]
    assert means(recognised) == {label: 10 * place for place, label in enumerate(LABELS)}
    assert means(overall) == {label: 60 + place for place, label in enumerate(LABELS)}
    assert means(belief) == {label: place for place, label in enumerate(LABELS)}


def test_only_belief_has_a_band_where_classes_occur():
    recognised, overall, belief = draw_recognition(summary()).axes[::2]
    across = [
        [line for line in axes.lines if line.get_linewidth() == 5]
        for axes in (recognised, overall, belief)
    ]
    assert [len(lines) for lines in across] == [0, 0, 1]
    assert across[2][0].get_xdata()[0] == 7


def test_students_whose_teachers_collapsed_are_left_out():
    recognised, *_ = draw_recognition(summary(without=["MCMI fixed λ=0.4"])).axes
    assert list(means(recognised)) == [name for name in LABELS if name != "MCMI fixed λ=0.4"]


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
