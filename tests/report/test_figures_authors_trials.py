import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_hex

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.authors_trials import BEST, MEAN, WAYS, WORST
from mcmi_core.report.figures.authors_trials import draw_authors_trials
from mcmi_core.report.plots import use_house_style

FEW_SHOT = pd.DataFrame(
    [
        ("kd", 0.01, 3.0, None, None),
        ("kd", 0.05, 6.0, 5.0, 7.0),
        ("crd", 0.05, 2.0, 1.0, 3.0),
        ("crd", 0.75, -1.0, -3.0, 1.0),
    ],
    columns=["distiller", "fraction", "gain", "low", "high"],
)
INDEX = pd.MultiIndex.from_tuples(
    [("a", "x", "kd"), ("a", "x", "at"), ("b", "x", "kd")],
    names=["teacher", "student", "distiller"],
)
SAME = ("λ = 0.2 for all pairs", "λ = 0.8 for all pairs")
GAINS = pd.DataFrame({way: [1.0, 3.0, -1.0] for way in (*WAYS, *SAME)}, INDEX)
LEFT = pd.DataFrame({"pairs": [Interval(0.5, -1, 2, 2)] * len(GAINS.T)}, index=GAINS.columns)


def test_few_shot_gains_beside_what_is_left_of_the_sweep():
    figure = draw_authors_trials(FEW_SHOT, GAINS, LEFT)
    figure.draw_without_rendering()
    few_shot, sweep = figure.axes
    drawn = dict(zip(*reversed(few_shot.get_legend_handles_labels()), strict=True))
    assert set(drawn) == {"KD", "CRD", "KD, one trial each"}
    assert list(drawn["KD"].lines[0].get_xydata().ravel()) == [0.05, 6]
    assert list(drawn["KD, one trial each"].get_xydata().ravel()) == [0.01, 3]
    assert [label.get_text() for label in few_shot.get_xticklabels()] == ["1", "5", "75"]

    drawn = dict(zip(*reversed(sweep.get_legend_handles_labels()), strict=True))
    assert set(drawn) == {"a → x", "b → x", "mean of 2 pairs, 95 %"}
    assert set(drawn["a → x"].get_xdata()) == {2}  # the mean of 1 and 3
    names = [label.get_text().replace("\n", " ") for label in sweep.get_yticklabels()]
    assert names == [*(way for way in WAYS if way != WORST), SAME[0]]
    assert names[0] == BEST
    assert MEAN in names
    assert sweep.get_title().startswith("λ sweep: 3 rows of pair × framework\n")
    heights = [set(drawn[name].get_ydata()) for name in ("a → x", "b → x")]
    assert not heights[0] & heights[1]
    plt.close(figure)


def test_no_framework_looks_like_a_pair():
    figure = draw_authors_trials(FEW_SHOT, GAINS, LEFT)
    few_shot, sweep = figure.axes
    frameworks, pairs = (
        {(to_hex(line.get_color()), line.get_marker()) for line in axes.lines if line.get_marker()}
        for axes in (few_shot, sweep)
    )
    for kind in (0, 1):  # colour, marker
        looks = [{look[kind] for look in of_axes} for of_axes in (frameworks, pairs)]
        assert looks[0] & looks[1] <= {"#666666", "None", "_"}  # lines at 0, and caps
    plt.close(figure)


def test_it_fits_a_page_and_can_be_read():
    with plt.rc_context():
        use_house_style()
        figure = draw_authors_trials(FEW_SHOT, GAINS, LEFT)
        figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= 9
    texts = []
    for axes in figure.axes:
        texts += [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.get_legend().get_texts()]
    assert min(text.get_fontsize() for text in texts) >= 8  # points
    plt.close(figure)
