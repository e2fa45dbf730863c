import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.proposition_1 import draw_proposition_1


def test_one_panel_per_layer_and_two_lines_per_teacher():
    rows = {}
    for label in ("MLL", "MCMI tracked λ=0.7"):
        for layer in ("hidden 1", "logits"):
            for bits in (1.0, 4.0):
                output, feature = bits / 10, bits / 2
                rows[label, layer, bits] = [
                    Interval(mean, mean, mean, 3) for mean in (output, feature)
                ]
    index = pd.MultiIndex.from_tuples(rows, names=["label", "layer", "bits"])
    table = pd.DataFrame(list(rows.values()), index, ["output_nats", "feature_nats"])
    figure = draw_proposition_1(table)
    hidden, logits = figure.axes
    assert [hidden.get_title(), logits.get_title()] == ["f = hidden 1", "f = logits"]
    assert logits.get_xlabel() == "Bits of the feature"
    curves = [container.lines[0] for container in logits.containers]
    assert [curve.get_linestyle() for curve in curves] == ["-", "--", "-", "--"]
    assert [list(curve.get_ydata()) for curve in curves[:2]] == [[0.1, 0.4], [0.5, 2.0]]
    names = [text.get_text() for text in hidden.get_legend().get_texts()]
    assert names == ["MLL", "MCMI tracked λ=0.7"]
