"""11 · Does it help a student without labels, and with two classes only?

Students with few samples, with few labels and with no label, of a pair's teachers, which saw all
labels; and few-shot students of the teachers of another pair, on two overlapping Gaussians. Beside
them students without a teacher, where all that they see has labels.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, paired_difference, summarise, within_seed_intervals
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import FROM_SCRATCH, Pair, name_from_scratch
from mcmi_core.runs.config import BayesTeacher, Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
BINARY_LEVELS = ["train_ll_nats", "train_cmi_nats", "train_bcpd_kl_nats", ACCURACY]
ROUNDING = 1e-6
"""Nats by which sums in float32 may miss a bound."""


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedAndBinary(Experiment):
    """All teachers of a pair, by how many labels a student has; and with two classes."""

    name: ClassVar[str] = "11_semi_supervised_and_binary"

    pair: Pair
    seeds: tuple[int, ...]
    binary_pair: Pair
    """Of data with two classes and a known posterior."""
    binary_seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that has labels, or that a student sees."""

    def regimes(self, seed: int) -> dict[str, tuple[float, str]]:
        """What a student is given: the fraction of the samples that it sees, and its distiller.

        The few labels are those of the few samples.
        """
        few = f"{self.few:.0%}"
        semi_supervised = f"semi_kd:labelled_fraction={self.few},seed={seed}"
        return {
            f"{few} of samples, labelled": (self.few, "kd"),
            f"all samples, {few} labelled": (1.0, semi_supervised),
            "all samples, no label": (1.0, "kd:cross_entropy_weight=0"),
            "all samples, labelled": (1.0, "kd"),
        }

    def students(self) -> dict[str, list[Student | Teacher]]:
        """By regime, seed by seed: one of each teacher, then, with labels only, one without."""
        students = {regime: [] for regime in self.regimes(0)}
        for seed in self.seeds:
            for regime, (fraction, distiller) in self.regimes(seed).items():
                for teacher in self.pair.teachers(seed):
                    student = self.pair.distill(
                        teacher, seed, distiller=distiller, fraction=fraction
                    )
                    students[regime].append(student)
                if distiller == "kd":
                    alone = self.pair.student_from_scratch(seed, fraction=fraction)
                    students[regime].append(alone)
        return students

    def binary_teachers(self) -> list[tuple[int, Teacher | BayesTeacher]]:
        """With two classes, seed by seed: all teachers of the pair, each with its seed."""
        return [
            (seed, teacher)
            for seed in self.binary_seeds
            for teacher in self.binary_pair.teachers(seed)
        ]

    def binary_students(self) -> list[Student | Teacher]:
        """A few-shot student of each, in the same order; then one without a teacher per seed."""
        pair, few = self.binary_pair, self.few
        students = []
        for seed, teacher in self.binary_teachers():
            students.append(pair.distill(teacher, seed, fraction=few))
        for seed in self.binary_seeds:
            students.append(pair.student_from_scratch(seed, fraction=few))
        return students

    def runs(self) -> list[Run]:
        """Students of both parts bring their teachers with them."""
        students = [student for group in self.students().values() for student in group]
        teachers = [teacher for _, teacher in self.binary_teachers()]
        return [*students, *teachers, *self.binary_students()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, with column ``regime``; what did not finish has no accuracy."""
        tables = []
        for regime, students in self.students().items():
            tables.append(lab.collect(students, [ACCURACY]).assign(regime=regime))
        table = name_from_scratch(pd.concat(tables, ignore_index=True))
        table.loc[table.status != "done", ACCURACY] = float("nan")
        return table

    def accuracy(self, lab: Lab) -> pd.DataFrame:
        """Test accuracy, percent: an interval by ``regime`` and, as columns, teacher.

        Differences between seeds are removed, which needs every student of a seed. Teachers without
        two whole seeds are left out, and then seeds that lack a student.
        """
        students = self.table(lab)
        wide = students.pivot(index="seed", columns=["label", "regime"], values=ACCURACY)
        labels = [name for name in students.label.unique() if len(wide[name].dropna()) >= 2]
        seeds = wide[labels].dropna().index
        regimes = pd.Index(self.regimes(0), name="regime")
        if len(seeds) < 2:
            return pd.DataFrame(index=regimes)
        left = students[students.label.isin(labels) & students.seed.isin(seeds)]
        setting = pd.Series(list(zip(left.regime, left.label, strict=True)), left.index)
        intervals = within_seed_intervals(left.assign(setting=setting), "setting", ACCURACY)
        return intervals.unstack().reindex(index=regimes, columns=labels)

    @property
    def control(self) -> str:
        """Label of the teacher that others are compared with: fine-tuned without CMI."""
        return self.pair.untreated(0).label

    def gain(self, lab: Lab, *, over_mll: bool = False) -> pd.DataFrame:
        """Gain in test accuracy, points: intervals by ``regime`` and, as columns, teacher.

        Args:
            lab: that has the records.
            over_mll: whether it is over MLL's student, as in the paper; otherwise it is over the
                control's.
        """
        table = self.table(lab)
        control = "MLL" if over_mll else self.control
        gain = gains(table, ACCURACY, control=control, by=["regime"]).unstack("label")
        labels = [label for label in table.label.unique() if label in gain]
        return gain.reindex(index=pd.Index(self.regimes(0), name="regime"), columns=labels)

    def students_as_text(self, lab: Lab) -> dict[str, pd.DataFrame]:
        """:meth:`accuracy` and both :meth:`gain` as text, by heading; empty where there is none."""
        tables = {
            "accuracy, %": (self.accuracy(lab), "{:.1f}"),
            "gain over the control, points": (self.gain(lab), "{:+.1f}"),
            "gain over MLL, points": (self.gain(lab, over_mll=True), "{:+.1f}"),
        }
        return {
            heading: table.map(digits.format, na_action="ignore").fillna("")
            for heading, (table, digits) in tables.items()
        }

    def outcomes(self, lab: Lab) -> pd.Series:
        """Of both parts: what became of the students of each teacher, by data and teacher."""
        parts = {
            self.pair.data_in_words: self.table(lab),
            self.binary_pair.data_in_words: self.binary_table(lab),
        }
        outcomes = {data: outcome_by(table, "label") for data, table in parts.items()}
        return pd.concat(outcomes, names=["data", "teacher"])

    def binary_table(self, lab: Lab) -> pd.DataFrame:
        """With two classes: one row per student, with its teacher.

        Returns:
            ``label`` (the teacher's, or ``from scratch``), ``seed``, ``status`` (the student's),
            :data:`BINARY_LEVELS` of the teacher, if there is one, and
            ``student_accuracy_percent``, on test. Where the student did not finish, there are no
            numbers.

        Raises:
            ValueError: a teacher's CMI is negative or above log 2, or the truth's KL is not 0.
        """
        teachers = lab.collect([teacher for _, teacher in self.binary_teachers()], BINARY_LEVELS)
        students = name_from_scratch(lab.collect(self.binary_students(), [ACCURACY]))
        table = students[["label", "seed", "status"]].join(teachers[BINARY_LEVELS])
        table["student_accuracy_percent"] = students[ACCURACY]
        metrics = [*BINARY_LEVELS, "student_accuracy_percent"]
        table.loc[table.status != "done", metrics] = float("nan")
        _check_two_classes(table, self.binary_pair.bayes(0).label)
        return table

    def binary_summary(self, lab: Lab) -> pd.DataFrame:
        """With two classes: an interval by ``label`` over the seeds that are left.

        Returns:
            :data:`BINARY_LEVELS` (missing without a teacher), ``student_accuracy_percent`` and,
            paired by seed, ``student_gain_over_control_points`` and ``student_gain_points``, which
            is over MLL's student; each missing for what it is over.
        """
        table = self.binary_table(lab)
        done = table[table.status == "done"]
        taught = done[done.label != FROM_SCRATCH]
        summary = summarise(done, ["label"], ["student_accuracy_percent"])
        summary = summarise(taught, ["label"], BINARY_LEVELS).join(summary, how="right")
        over = {"student_gain_over_control_points": self.control, "student_gain_points": "MLL"}
        for name, control in over.items():
            gain = gains(done, "student_accuracy_percent", control=control)
            summary[name] = gain.reindex(summary.index)
        return summary

    def numbers(self, lab: Lab) -> pd.Series:
        """All that is shown: an interval by ``experiment``, ``setting`` and ``label``.

        Of the experiment ``two classes`` the setting is a metric, of the other one the regime.
        """
        tables = {
            "student_accuracy_percent by data": self.accuracy(lab).stack().dropna(),
            "gain over the control, points, by data": self.gain(lab).stack().dropna(),
            "two classes": self.binary_summary(lab).stack().dropna().swaplevel(),
        }
        return pd.concat(tables, names=["experiment", "setting", "label"])

    def findings(self, lab: Lab) -> list[Finding]:
        """By regime, between regimes, and with two classes; nothing is decided here.

        With all labels, of few or of all samples, it is a primary comparison of notebook 08.
        """
        findings, table = [], self.table(lab)
        few, _, _, everything = self.regimes(0)
        for regime, rows in table.groupby("regime", sort=False):
            findings += compared_with_controls(
                lab,
                self.pair,
                rows,
                ACCURACY,
                f"{regime}: the student of {{treatment}} beats that of {{control}}",
                quantity="student's test accuracy",
                asked=len(self.seeds),
                few_samples=regime in self._of_few(),
                decided_in="08_few_shot" if regime in (few, everything) else None,
            )
        return [*findings, *self._what_helps(lab), *self._with_two_classes(lab)]

    def _of_few(self) -> list[str]:
        """Regimes whose few samples or labels every seed draws."""
        return list(self.regimes(0))[:2]

    def _what_helps(self, lab: Lab) -> list[Finding]:
        """Unlabelled samples beside few labelled ones; labels where there are all samples."""
        findings, students = [], self.table(lab)
        few, few_labels, no_label, everything = self.regimes(0)
        questions = (
            (few_labels, few, "unlabelled samples help"),
            (everything, no_label, "labels help"),
        )
        teachers = by_label(self.pair.teachers(0))
        for label, rows in students.groupby("label", sort=False):
            wide = rows.pivot(index="seed", columns="regime", values=ACCURACY)
            for more, less, what in questions:
                both = wide.reindex(columns=[more, less]).dropna()
                if len(both) < 2:
                    continue
                findings.append(
                    finding(
                        lab,
                        self.pair,
                        f"{what} the student of {label}",
                        paired_difference(both[more], both[less]),
                        quantity="student's test accuracy",
                        asked=len(self.seeds),
                        teacher=teachers[label],
                        treatment=more,
                        control=less,
                        few_samples=less in self._of_few(),
                    )
                )
        return findings

    def _with_two_classes(self, lab: Lab) -> list[Finding]:
        """Gains of students; and which networks are closer to the truth."""
        table, pair = self.binary_table(lab), self.binary_pair
        students = compared_with_controls(
            lab,
            pair,
            table,
            "student_accuracy_percent",
            "two classes: the student of {treatment} beats that of {control}",
            quantity="student's test accuracy",
            asked=len(self.binary_seeds),
            few_samples=True,
        )
        networks = table[table.label != pair.bayes(0).label]
        teachers = compared_with_controls(
            lab,
            pair,
            networks.assign(closeness=-networks.train_bcpd_kl_nats),
            "closeness",
            "two classes: {treatment} is closer to P* than {control}",
            quantity="− KL(P* ‖ P) of the teacher on training inputs",
            asked=len(self.binary_seeds),
            unit="nats",
            networks=pair.teacher,
        )
        return [*students, *teachers]


def _check_two_classes(table: pd.DataFrame, truth: str) -> None:
    """Raise ValueError for a CMI that two classes cannot have, or a truth that is not the truth."""
    cmi = table.train_cmi_nats.dropna()
    if wrong := cmi[~cmi.between(-ROUNDING, math.log(2) + ROUNDING)].tolist():
        raise ValueError(f"with two classes CMI is between 0 and log 2 = 0.693 nats, got {wrong}")
    divergence = table.train_bcpd_kl_nats[table.label == truth].dropna()
    if wrong := divergence[divergence.abs() > ROUNDING].tolist():
        raise ValueError(f"the truth's KL(P* ‖ P) must be 0 nats, got {wrong}")
