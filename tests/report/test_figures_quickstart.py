import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from mcmi_core.report.figures.quickstart import draw_quickstart

LABELS = ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.4", "from scratch")
ROLES = ["MLL", "fine-tuned λ=0\n(the control)", "MCMI fixed λ=0.4\n(the paper's method)"]


def students(seeds=(0, 1)):
    rows = [
        {
            "label": label,
            "seed": seed,
            "train_cmi_nats": None if label == "from scratch" else place + seed / 10,
            "test_accuracy_percent": 50 + 10 * place + seed,
            "gain_over_fine_tuned_points": None if place == 1 else 10 * (place - 1),
        }
        for place, label in enumerate(LABELS)
        for seed in seeds
    ]
    return pd.DataFrame(rows)


def points(axes):
    """Of the seeds, by row."""
    scattered = [each for each in axes.collections if isinstance(each, PathCollection)]
    return [list(each.get_offsets()[:, 0]) for each in scattered]


def test_teachers_students_and_their_gains_share_rows():
    figure = draw_quickstart(students(), few=0.05, title="ten Gaussians")
    left, middle, right = figure.axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == [*ROLES, "from scratch\n(no teacher)"]
    assert figure.get_suptitle() == "ten Gaussians"
    assert middle.get_title() == "Its student on 5 % of the data"
    places = range(len(LABELS))
    assert [list(each.lines[0].get_ydata()) for each in left.containers] == [[0], [1], [2]]
    means = [each.lines[0].get_xdata()[0] for each in left.containers]
    assert means == pytest.approx([0.05, 1.05, 2.05])
    assert [each.lines[0].get_xdata()[0] for each in middle.containers] == [50.5, 60.5, 70.5, 80.5]
    assert [each.lines[0].get_xdata()[0] for each in right.containers] == [-10, 10, 20]
    assert points(middle) == [[50 + 10 * place, 51 + 10 * place] for place in places]
    assert [text.get_text() for text in right.texts] == [
        "-10.0 [-10.0, -10.0]",
        "+10.0 [+10.0, +10.0]",
        "+20.0 [+20.0, +20.0]",
        "0 (by definition)",
    ]
    [control] = [line for line in right.lines if line.get_marker() == "p"]
    assert list(control.get_xydata()[0]) == [0, 1]
    assert left.get_xlim()[0] < 0 < left.get_xlim()[1]
    plt.close(figure)


def test_a_single_seed_is_a_point_without_an_interval():
    figure = draw_quickstart(students((0,)), few=0.05, title="ten Gaussians")
    assert [len(axes.containers) for axes in figure.axes] == [0, 0, 0]
    assert points(figure.axes[1]) == [[50], [60], [70], [80]]
    plt.close(figure)
