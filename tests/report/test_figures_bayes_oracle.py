import pandas as pd
import pytest

from mcmi_core.base.statistics import Interval
from mcmi_core.report.figures.bayes_oracle import draw_bayes_oracle


def interval(mean):
    return Interval(mean, mean - 1, mean + 1, 3)


def test_teachers_and_what_their_students_gain():
    distance = pd.Series({"MLL": interval(4), "MCMI fixed λ=0.4": interval(3)})
    gain = pd.DataFrame(
        {1.0: [None, interval(1), None], 0.05: [None, interval(5), interval(-9)]},
        index=[*distance.index, "from scratch"],
        dtype=object,
    )
    figure = draw_bayes_oracle(distance, gain)
    teachers, everything, few = figure.axes
    assert everything.get_title() == "Student, 100% of the data"
    assert few.get_title() == "Student, 5% of the data"
    assert everything.get_xlabel() == few.get_xlabel() == "gain over λ = 0, points"
    assert teachers.get_xlabel() == "mean KL(P* ‖ teacher), nats"
    assert [label.get_text() for label in teachers.get_yticklabels()] == list(distance.index)
    assert [label.get_text() for label in few.get_yticklabels()] == [
        "MCMI fixed λ=0.4",
        "from scratch",
    ]
    assert few.containers[0].lines[0].get_xdata()[0] == pytest.approx(5)
    assert [line.get_xdata()[0] for line in few.lines if line.get_linestyle() == "--"] == [0]
