import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.report.figures.mll_training_dynamics import draw_training_dynamics


@pytest.mark.parametrize("names", [["a on oracle"], ["a on oracle", "b on digits"]])
def test_one_panel_per_teacher_with_its_milestones(names):
    mpl.use("agg")
    rows = []
    for place, name in enumerate(names):
        for seed in (0, 1):
            for epoch in (1, 2, 3):
                row = {"teacher": name, "seed": seed, "epoch": epoch}
                rows.append(row | {"train_ll_nats": -epoch - seed, "train_cmi_nats": place + seed})
    milestones = {"a on oracle": (2, 3), "b on digits": (1,)}
    figure = draw_training_dynamics(pd.DataFrame(rows), milestones)
    panels = figure.axes[: len(names)]
    assert [axes.get_title() for axes in panels] == names
    for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
        ll, *dotted = axes.lines
        assert list(ll.get_ydata()) == [-1.5, -2.5, -3.5]
        assert tuple(line.get_xdata()[0] for line in dotted) == milestones[name]
        (cmi,) = figure.axes[len(names) + place].lines
        assert list(cmi.get_ydata()) == [place + 0.5] * 3
    plt.close(figure)
