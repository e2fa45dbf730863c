import matplotlib.pyplot as plt
import pandas as pd

from mcmi_core.report.figures.quickstart import draw_quickstart

LABELS = ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.4")


def test_teachers_beside_their_students():
    rows = [
        {
            "label": label,
            "seed": seed,
            "train_cmi_nats": place + seed / 10,
            "test_accuracy_percent": 50 + 10 * place + seed,
        }
        for place, label in enumerate((*LABELS, "from scratch"))
        for seed in (0, 1)
    ]
    students = pd.DataFrame(rows)
    teachers = students[students.label != "from scratch"]
    figure = draw_quickstart(teachers, students, few=0.05)
    left, right = figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == list(LABELS)
    assert [text.get_text() for text in right.get_xticklabels()] == [*LABELS, "from scratch"]
    assert right.get_title() == "Student, 5% of the data"
    assert [list(line.get_ydata()) for line in left.lines[:2]] == [[0, 1, 2], [0.1, 1.1, 2.1]]
    assert [list(line.get_ydata()) for line in right.lines[:2]] == [
        [50, 60, 70, 80],
        [51, 61, 71, 81],
    ]
    plt.close(figure)
