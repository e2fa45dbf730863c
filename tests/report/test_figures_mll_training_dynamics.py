import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mcmi_core.report.figures.mll_training_dynamics import draw_training_dynamics

BOTH = ["mlp:width=8 on oracle", "resnet20 on digits"]


@pytest.mark.parametrize("names", [BOTH[:1], BOTH])
def test_one_column_per_teacher_with_its_milestones(names):
    mpl.use("agg")
    rows = []
    for place, name in enumerate(names):
        for seed in (0, 1):
            for epoch in (1, 2, 3):
                row = {"teacher": name, "seed": seed, "epoch": epoch}
                row |= {"train_ll_nats": -epoch - seed, "train_cmi_nats": place + seed}
                rows.append(row | {"train_accuracy_percent": 50 + 10 * epoch + seed})
    milestones = {BOTH[0]: (2, 3), BOTH[1]: (1,)}
    figure = draw_training_dynamics(pd.DataFrame(rows), milestones, dict.fromkeys(BOTH, 2))
    columns = zip(figure.axes[: len(names)], figure.axes[len(names) :], names, strict=True)
    for place, (above, below, name) in enumerate(columns):
        *seeds, mean = below.lines[:3]
        assert [list(line.get_ydata()) for line in seeds] == [[1, 2, 3], [2, 3, 4]]
        assert list(mean.get_ydata()) == [1.5, 2.5, 3.5]  # −LL
        assert below.get_yscale() == "log"
        assert list(above.lines[2].get_ydata()) == [place + 0.5] * 3
        assert above.get_ylim()[0] == 0
        assert mean.get_marker() == "o"  # where it was evaluated
        assert below.yaxis.get_major_formatter()(0.1) == "0.1"
        marks = {":": list(milestones[name]), "--": [2]}
        for style, epochs in marks.items():
            marked = [line for line in above.lines if line.get_linestyle() == style]
            assert [line.get_xdata()[0] for line in marked] == epochs
        assert [text.get_text() for text in above.texts] == [
            "learning rate drops",
            "early moment: 70 %\ntraining accuracy",
        ]
    titles = [" ".join(axes.get_title().split()) for axes in figure.axes[: len(names)]]
    assert (
        titles == ["ten Gaussians: MLP, 8 wide", "scikit-learn's digits: ResNet-20"][: len(names)]
    )
    plt.close(figure)


def test_a_schedule_without_drops_has_no_words_for_them():
    row = {"train_ll_nats": -1, "train_cmi_nats": 1, "train_accuracy_percent": 50}
    history = pd.DataFrame([{"teacher": BOTH[0], "seed": 0, "epoch": e} | row for e in (1, 2)])
    figure = draw_training_dynamics(history, {BOTH[0]: ()}, {BOTH[0]: 1})
    assert len(figure.axes[0].texts) == 1
    plt.close(figure)
