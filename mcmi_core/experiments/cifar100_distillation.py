"""06 · Does MCMI help in every distillation framework? (Table 1)

For every pair, framework and seed: a student of each kind of teacher, MLL, fine-tuned without CMI
(λ = 0), MCMI; for every pair, students from scratch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.experiments.comparison import ACCURACY, BEST_ON_TEST, Comparison
from mcmi_core.experiments.framework_table import SETTING
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.reference import authors_best, published
from mcmi_core.experiments.words import framework_in_words, pair_in_words


@dataclass(frozen=True, kw_only=True)
class Cifar100Distillation(Comparison):
    """Does MCMI help in every distillation framework? (Table 1)"""

    name: ClassVar[str] = "06_cifar100_distillation"
    teacher_metrics: ClassVar[tuple[str, ...]] = (ACCURACY, "train_cmi_nats", "train_ll_nats")
    mean_decides: ClassVar[str | None] = "frameworks"
    framework_decides: ClassVar[Mapping[str, str]] = {"dkd": "dkd"}

    def best_on_test(self, lab: Lab) -> pd.DataFrame:
        """Test accuracy of the best epoch, SELECTED ON TEST: see :meth:`with_mean`."""
        return self.with_mean(lab, BEST_ON_TEST)

    def losses(self, lab: Lab, framework: str) -> pd.DataFrame:
        """What a framework's students minimise, epoch by epoch, mean over all of them.

        Returns:
            By ``epoch``: ``cross-entropy``, and ``imitation``, the framework's own loss with its
            weight.
        """
        students = [
            run for run in self.runs() if run.stage == "student" and run.distiller.name == framework
        ]
        parts = {"loss_cross_entropy": "cross-entropy", f"loss_{framework}": "imitation"}
        history = lab.collect_histories(students, list(parts))
        return history.groupby("epoch")[list(parts)].mean().rename(columns=parts)

    def numbers(self, lab: Lab) -> pd.DataFrame:
        """The last epoch, the best one, and what is published about pair and framework.

        Returns:
            Columns of :meth:`with_mean`; those of :meth:`best_on_test` as ``selected_on_test_...``;
            and those of :func:`literature` as ``cifar100_...``, missing where nothing is published.
        """
        selected = self.best_on_test(lab).drop(columns=["status", "trains"]).set_index(SETTING)
        columns = ["published_percent", "authors_lam", "authors_percent", "cells"]
        known = literature().set_index(SETTING)[columns]
        numbers = self.with_mean(lab).join(selected.add_prefix("selected_on_test_"), on=SETTING)
        return numbers.join(known.add_prefix("cifar100_"), on=SETTING)


def literature() -> pd.DataFrame:
    """Accuracies on CIFAR-100 that are published, and the best that the MCMI authors' trials have.

    Returns:
        One row per pair and framework: ``pair``, ``framework`` (or ``teacher``, the teacher
        itself, and ``student``, from scratch), ``published_percent`` (of MLL teachers' students,
        last epoch, mean of 5), ``authors_lam``, ``authors_percent`` (the best of ``cells`` single
        trials, the best epoch SELECTED ON TEST) and others of
        :mod:`mcmi_core.experiments.reference`.
    """
    keys = ["teacher", "student", "distiller"]
    table = published("cifar100").merge(authors_best(), on=keys, how="outer")
    table["pair"] = table.teacher + " → " + table.student
    return table.rename(columns={"distiller": "framework"})


def readable_literature(frameworks: tuple[str, ...]) -> pd.DataFrame:
    """Published accuracies as text, in parentheses the MCMI authors'.

    Args:
        frameworks: columns, as far as there are figures, after ``teacher`` and ``student``.

    Returns:
        One row per ``pair``, in words.
    """
    table = literature()
    theirs = table.authors_percent.map(" ({:.1f})".format, na_action="ignore").fillna("")
    texts = table.published_percent.map("{:.1f}".format, na_action="ignore").fillna("–") + theirs
    wide = table.assign(text=texts).pivot(index="pair", columns="framework", values="text")
    order = ["teacher", "student", *(name for name in frameworks if name in wide)]
    wide = wide[order].fillna("–").rename(index=pair_in_words)
    return wide.rename(columns={name: framework_in_words(name) for name in order[2:]})
