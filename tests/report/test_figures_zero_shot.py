"""04: confusion matrices and what students recognise, from made-up tables."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.zero_shot import draw_confusion, draw_recognition

CONTROL, FIXED, TRACKED = "fine-tuned λ=0", "MCMI fixed λ=0.4", "MCMI tracked λ=0.7"
LABELS = ["MLL", CONTROL, FIXED, TRACKED, "true BCPD", "MLL masked", "from scratch"]
NAMES = [*LABELS[:5], "MLL masked (cannot know)", "from scratch (cannot know)"]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def confusion(labels=(CONTROL, FIXED, TRACKED)):
    index = pd.MultiIndex.from_product(
        [["1", "1+0"], labels, [0, 1], [0, 1]],
        names=["omitted", "label", "true_class", "predicted_class"],
    )
    return pd.Series([float(n * n) for n in range(len(index))], index)


def draw(percent, omitted=(1,)):
    treatments = (FIXED, TRACKED)
    figure = draw_confusion(
        percent, omitted, control=CONTROL, treatments=treatments, data="cifar10"
    )
    return figure, figure.axes[:6]  # a seventh is the scale


def cells(axes):
    return axes.collections[0].get_array().ravel().tolist()


def test_matrices_of_control_and_mcmi_above_their_differences():
    figure, (control, fixed, tracked, _where, less_fixed, less_tracked) = draw(confusion())
    assert figure.get_suptitle().endswith("\nautomobile omitted: percent of each true class")
    assert control.get_title() == f"student of {CONTROL}"
    assert tracked.get_title() == f"student of {TRACKED}"
    assert less_fixed.get_title() == f"{FIXED}\nless the control, points"
    names = [label.get_text() for label in control.get_yticklabels()]
    assert names == ["airplane", "automobile*"]  # the omitted class is starred
    assert cells(control) == [0, 1, 4, 9]
    assert cells(fixed) == [16, 25, 36, 49]
    assert cells(less_fixed) == [16, 24, 32, 40]
    assert cells(less_tracked) == [64, 80, 96, 112]
    assert {axes.get_xlabel() for axes in (control, fixed, less_tracked)} == {"Predicted class"}
    assert less_fixed.get_ylabel() == "True class (* omitted)"
    assert "blank" in figure.axes[6].get_xlabel()


def test_where_images_of_the_omitted_classes_go():
    _, (_, _, _, where, *_) = draw(confusion())
    assert where.get_title() == "Predictions for automobile"
    assert [list(line.get_xdata()) for line in where.lines] == [[4, 9], [36, 49], [100, 121]]
    legend = [text.get_text() for text in where.get_legend().get_texts()]
    assert legend == [CONTROL, FIXED, TRACKED]
    _, (*_, where, _, _) = draw(confusion(), omitted=(1, 0))  # of two classes, their mean
    assert list(where.lines[0].get_xdata()) == [(144 + 196) / 2, (169 + 225) / 2]


def test_panels_whose_runs_collapsed_stay_empty():
    _, panels = draw(confusion(labels=(CONTROL, TRACKED)))
    filled = [len(axes.collections) for axes in panels]
    assert filled == [1, 0, 1, 0, 0, 1]


def around(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


def summary(without=()):
    """Precision is missing for those who take nothing for an omitted class."""
    rows = []
    for omitted in ("1", "1+0"):
        for position, label in enumerate(LABELS):
            lost = label in without
            row = {"omitted": omitted, "label": label}
            row["status"] = "3 of 3 not run" if lost else "done"
            means = {
                "accuracy_percent": 10.0 * position,
                "test_accuracy_percent": 60.0 + position,
                "probability_percent": 1.0 * position,
                "frequency_percent": 7.0,
                "precision_percent": None if position > 4 else 80.0 + position,
            }
            for metric, mean in means.items():
                row[metric] = None if lost or mean is None else around(mean)
            rows.append(row)
    return pd.DataFrame(rows).set_index(["omitted", "label", "status"])


def means(axes):
    """Mean by position from the top."""
    marks = [container.lines[0] for container in axes.containers]
    return {mark.get_ydata()[0]: mark.get_xdata()[0] for mark in marks}


def test_methods_share_their_rows_over_all_metrics():
    panels = draw_recognition(summary(), control=CONTROL, data="oracle").axes
    assert len(panels) == 2 * 4
    assert [axes.get_title(loc="left") for axes in panels[::4]] == [
        "class 1 omitted",
        "classes 1, 0 omitted",
    ]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == NAMES
    recognised, precision, overall, belief = panels[:4]
    places = range(len(LABELS))
    assert means(recognised) == {place: 10 * place for place in places}
    assert means(precision) == {place: 80 + place for place in range(5)}
    assert means(overall) == {place: 60 + place for place in places}
    assert means(belief) == {place: place for place in places}
    assert {axes.get_ylim() for axes in panels} == {(6.5, -0.5)}  # from the top


def test_only_belief_has_a_band_where_classes_occur():
    bands = []
    for axes in draw_recognition(summary(), control=CONTROL, data="oracle").axes[:4]:
        bands.append([line for line in axes.lines if line.get_linewidth() == 5])
    assert [len(lines) for lines in bands] == [0, 0, 0, 1]
    assert bands[3][0].get_xdata()[0] == 7


def test_students_whose_teachers_collapsed_leave_their_row_empty():
    panels = draw_recognition(summary(without=[FIXED]), control=CONTROL, data="oracle").axes
    assert set(means(panels[0])) == set(range(len(LABELS))) - {LABELS.index(FIXED)}


def test_a_line_at_the_control_and_the_share_in_words():
    panels = draw_recognition(summary(), control=CONTROL, data="oracle").axes
    dashed = [
        [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
        for axes in panels[:4]
    ]
    assert dashed == [[10], [81], [61], [1]]
    assert panels[3].get_title(loc="right") == "true share, 7 %"


def test_error_bars_end_at_0_and_who_cannot_know_is_open():
    axes = draw_recognition(summary(), control=CONTROL, data="oracle").axes[0]
    [bars] = axes.containers[0].lines[2]
    assert bars.get_segments()[0][:, 0].tolist() == [0, 1]  # 0 ± 1
    faces = [container.lines[0].get_markerfacecolor() for container in axes.containers]
    assert [face == "white" for face in faces] == [False] * 5 + [True] * 2
