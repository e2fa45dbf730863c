"""00b · One teacher, fine-tuned by MCMI: does it teach better?

Per seed: an MLL teacher, the MCMI teachers fine-tuned from it, their control fine-tuned without CMI
(λ = 0), and a student of each on a few per cent of the training data; and one without a teacher.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, summarise
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair, name_from_scratch
from mcmi_core.runs.config import Run, Student, Teacher

ACCURACY = "test_accuracy_percent"


@dataclass(frozen=True, kw_only=True)
class Quickstart(Experiment):
    """The teachers that a pair can train, and a few-shot student of each."""

    name: ClassVar[str] = "00b_quickstart"

    pair: Pair
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    def teachers(self) -> list[Teacher]:
        """Seed by seed: MLL, fine-tuned with λ = 0, MCMI."""
        return [teacher for seed in self.seeds for teacher in self.pair.trained_teachers(seed)]

    def students(self) -> list[Student | Teacher]:
        """Seed by seed: one of each teacher, in the same order, and one from scratch."""
        students = []
        for seed in self.seeds:
            for teacher in self.pair.trained_teachers(seed):
                students.append(self.pair.distill(teacher, seed, fraction=self.few))
            students.append(self.pair.student_from_scratch(seed, fraction=self.few))
        return students

    def runs(self) -> list[Run]:
        """Students bring their teachers with them."""
        return [*self.teachers(), *self.students()]

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher that is done."""
        table = lab.collect(self.teachers(), [ACCURACY, "train_cmi_nats"])
        return table[table.status == "done"]

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done, with its teacher's ``train_cmi_nats``, if any."""
        cmi = self.teacher_table(lab).set_index("key").train_cmi_nats
        table = name_from_scratch(lab.collect(self.students(), [ACCURACY]))
        table = table.drop(columns="train_cmi_nats", errors="ignore").join(cmi, on="parent_key")
        return table[table.status == "done"]

    def numbers(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done, for a figure.

        Columns: ``label``, ``seed``, ``test_accuracy_percent``; ``gain_over_fine_tuned_points``,
        what that is above the student of the control (λ = 0) with the same seed, NaN for the
        control itself; and ``train_cmi_nats`` of its teacher.
        """
        table = self.student_table(lab)
        untreated = self.pair.untreated(0).label
        control = table[table.label == untreated].set_index("seed")[ACCURACY]
        gain = (table[ACCURACY] - table.seed.map(control)).mask(table.label == untreated)
        table = table.assign(gain_over_fine_tuned_points=gain)
        columns = ["label", "seed", ACCURACY, "gain_over_fine_tuned_points", "train_cmi_nats"]
        return table[columns]

    def teacher_summary(self, lab: Lab) -> pd.DataFrame:
        """The teachers' accuracy, LL and CMI: intervals over seeds, one row per ``label``."""
        metrics = [ACCURACY, "train_ll_nats", "train_cmi_nats"]
        return summarise(self.teacher_table(lab), ["label"], metrics)

    def student_summary(self, lab: Lab) -> pd.DataFrame:
        """The students' accuracy, and its gain over the control's: intervals, by ``label``."""
        table = self.student_table(lab)
        accuracy = summarise(table, ["label"], [ACCURACY])
        gain = gains(table, ACCURACY, self.pair.untreated(0).label)
        return accuracy.join(gain.rename("gain_over_fine_tuned_points"))

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the students of each teacher; ``not run`` where it collapsed."""
        return outcome_by(name_from_scratch(lab.collect(self.students())), "label")

    def findings(self, lab: Lab) -> list[Finding]:
        """Is the MCMI teacher itself less accurate (primary)? Is its student ahead?

        The latter is decided in notebook 08, which asks it at more fractions.
        """
        teachers = self.teacher_table(lab)
        less_accurate = compared_with_controls(
            lab,
            self.pair,
            teachers.assign(error=100 - teachers[ACCURACY]),
            "error",
            "the teacher {treatment} itself is less accurate than {control}",
            quantity="teacher's test error",
            asked=len(self.seeds),
            networks=self.pair.teacher,
            decides="teacher_accuracy",
        )
        students_gain = compared_with_controls(
            lab,
            self.pair,
            self.student_table(lab),
            ACCURACY,
            f"{self.few:.0%} of the data: the student of {{treatment}} beats that of {{control}}",
            quantity="student's test accuracy",
            asked=len(self.seeds),
            few_samples=True,
            decided_in="08_few_shot",
        )
        return [*less_accurate, *students_gain]
