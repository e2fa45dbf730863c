"""00 · What each teacher tells beyond the label, and how good its few-shot student is."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.report.plots import plot_pairs


def draw_quickstart(teachers: pd.DataFrame, students: pd.DataFrame, *, few: float) -> Figure:
    """Left the teachers' CMI, right their students' accuracy; a line for each seed.

    Args:
        teachers: one row per teacher, with ``label``, ``seed`` and ``train_cmi_nats``.
        students: one row per student, with ``label``, ``seed`` and ``test_accuracy_percent``.
        few: fraction of the training data that students see.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(4, 5))
    plot_pairs(left, teachers, "train_cmi_nats")
    left.set(title="Teacher", ylabel="CMI on training data, nats")
    plot_pairs(right, students, "test_accuracy_percent")
    right.set(title=f"Student, {few:.0%} of the data", ylabel="Test accuracy, %")
    for axes in (left, right):
        axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=20, ha="right")
    return figure
