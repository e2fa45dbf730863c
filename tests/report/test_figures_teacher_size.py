import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.teacher_size import TITLES, draw_teacher_size


def test_three_panels_with_a_curve_for_each_method():
    mpl.use("agg")
    labels = ("MLL", "MCMI tracked λ=0.7")
    index = pd.MultiIndex.from_product([(1000, 20_000), labels], names=["parameters", "label"])
    columns = {}
    for place, metric in enumerate([*TITLES, "test_accuracy_percent"]):
        means = [10 * place + row for row in range(4)]
        columns[metric] = pd.Series([Interval(m, m - 1, m + 1, 3) for m in means], index)
    index = pd.MultiIndex.from_product([["any"], ["from scratch", "true BCPD"]], names=index.names)
    beside = pd.DataFrame([[Interval(80, 79, 81, 3)] * len(TITLES)] * 2, index, list(TITLES))
    beside.loc[("any", "from scratch"), list(TITLES)[1:]] = None
    figure = draw_teacher_size(pd.concat([pd.DataFrame(columns), beside]))
    assert [axes.get_title() for axes in figure.axes] == list(TITLES.values())
    for place, axes in enumerate(figure.axes):
        assert axes.get_xlabel() == "Parameters of the teacher"
        assert axes.get_xscale() == "log"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1,000", "20,000"]
        curves = {}
        for container in axes.containers:
            line = container.lines[0]
            curves[container.get_label()] = line.get_xydata().tolist()
        mcmi, mll = curves["MCMI tracked λ=0.7"], curves["MLL"]
        assert set(curves) == set(labels)
        lines = {line.get_label(): line.get_ydata()[0] for line in axes.lines}
        assert lines["true BCPD"] == 80
        assert ("from scratch" in lines) == (place == 0)
        assert mll == [[1000, 10 * place], [20_000, 10 * place + 2]]
        assert mcmi == [[1000, 10 * place + 1], [20_000, 10 * place + 3]]
    assert figure.axes[0].get_legend() is not None
    plt.close(figure)
