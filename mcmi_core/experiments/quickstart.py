"""00 · One teacher, fine-tuned by MCMI: does it teach better?

Per seed: an MLL teacher, the MCMI teacher fine-tuned from it, and a student of each on a few
per cent of the training data.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Run, Student, Teacher

ACCURACY = "test_accuracy_percent"


@dataclass(frozen=True, kw_only=True)
class Quickstart(Experiment):
    """An MLL and an MCMI teacher, and a few-shot student of each."""

    name: ClassVar[str] = "00_quickstart"

    pair: Pair
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    def teachers(self) -> list[Teacher]:
        """MLL and MCMI, seed by seed."""
        teachers = []
        for seed in self.seeds:
            teachers += [self.pair.mll(seed), self.pair.mcmi(seed)]
        return teachers

    def students(self) -> list[Student]:
        """One of each teacher, in the same order."""
        return [
            self.pair.distill(teacher, teacher.seed, fraction=self.few)
            for teacher in self.teachers()
        ]

    def runs(self) -> list[Run]:
        """Students bring their teachers with them."""
        return [*self.teachers(), *self.students()]

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher that is done."""
        table = lab.collect(self.teachers(), [ACCURACY, "train_cmi_nats"])
        return table[table.status == "done"]

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done, with its teacher's ``train_cmi_nats``."""
        table = lab.collect(self.students(), [ACCURACY])
        table = table.assign(train_cmi_nats=self.teacher_table(lab).train_cmi_nats)
        return table[table.status == "done"]

    def findings(self, lab: Lab) -> list[Finding]:
        """The student's gain; and whether the MCMI teacher itself is less accurate (primary)."""
        mll, mcmi = self.pair.mll(0).label, self.pair.mcmi(0).label
        own, students = self.teacher_table(lab), self.student_table(lab)
        loss = gains(own.assign(loss=-own[ACCURACY]), "loss", control=mll)
        gain = gains(students, ACCURACY, control=mll)
        findings = []
        if mcmi in loss:
            findings.append(
                finding(
                    lab,
                    self.pair,
                    "the MCMI teacher itself is less accurate than MLL",
                    loss[mcmi],
                    quantity="teacher's test accuracy, MLL − MCMI",
                    networks=self.pair.teacher,
                    primary=True,
                )
            )
        if mcmi in gain:
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"with {self.few:.0%} of the data, MCMI's student beats MLL's",
                    gain[mcmi],
                    quantity="student's test accuracy",
                    few_samples=True,
                )
            )
        return findings
