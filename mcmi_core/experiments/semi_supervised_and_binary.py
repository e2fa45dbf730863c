"""11 · Does it help a student without labels, and with two classes only?

Students with few samples, with few labels and with no label, of teachers that were trained with all
labels; and, on two overlapping Gaussians, few-shot students of MLL, MCMI and the true posterior.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, paired_difference, summarise, within_seed_intervals
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
TRUTH = "true BCPD"
BINARY_LEVELS = ["train_ll_nats", "train_cmi_nats", "train_bcpd_kl_nats", ACCURACY]
ROUNDING = 1e-6
"""Nats by which sums in float32 may miss a bound."""


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedAndBinary(Experiment):
    """MLL against MCMI teachers, by how many labels a student has; and with two classes."""

    name: ClassVar[str] = "11_semi_supervised_and_binary"

    pair: Pair
    seeds: tuple[int, ...]
    binary_pair: Pair
    """Of data with two classes and a known posterior."""
    binary_lambdas: tuple[float, ...]
    binary_seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that has labels, or that a student sees."""

    def regimes(self, seed: int) -> Mapping[str, tuple[float, str]]:
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

    def students(self) -> dict[str, list[Student]]:
        """By regime: seed by seed, MLL's before MCMI's."""
        students = {regime: [] for regime in self.regimes(0)}
        for seed in self.seeds:
            for teacher in (self.pair.mll(seed), self.pair.mcmi(seed)):
                for regime, (fraction, distiller) in self.regimes(seed).items():
                    student = self.pair.distill(
                        teacher, seed, distiller=distiller, fraction=fraction
                    )
                    students[regime].append(student)
        return students

    def binary_teachers(self) -> list[tuple[int, Teacher | BayesTeacher]]:
        """With two classes, seed by seed: MLL, MCMI of every λ, the truth; each with its seed."""
        teachers = []
        for seed in self.binary_seeds:
            teachers.append((seed, self.binary_pair.mll(seed)))
            for lam in self.binary_lambdas:
                teachers.append((seed, self.binary_pair.mcmi(seed, lam=lam)))
            teachers.append((seed, self.binary_pair.bayes(seed)))
        return teachers

    def binary_students(self) -> list[Student]:
        """A few-shot student of each, in the same order."""
        return [
            self.binary_pair.distill(teacher, seed, fraction=self.few)
            for seed, teacher in self.binary_teachers()
        ]

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
        table = pd.concat(tables, ignore_index=True)
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

    def gain(self, lab: Lab) -> pd.Series:
        """Gain of MCMI's student over MLL's, points: an interval by ``regime``."""
        gain = gains(self.table(lab), ACCURACY, control="MLL", by=["regime"])
        gain = gain.droplevel("label")
        return gain.reindex([regime for regime in self.regimes(0) if regime in gain])

    def outcomes(self, lab: Lab) -> pd.Series:
        """Of both parts: what became of the students of each teacher, by data and teacher."""
        parts = {self.pair.data: self.table(lab), self.binary_pair.data: self.binary_table(lab)}
        outcomes = {data: outcome_by(table, "label") for data, table in parts.items()}
        return pd.concat(outcomes, names=["data", "teacher"])

    def binary_table(self, lab: Lab) -> pd.DataFrame:
        """With two classes: one row per teacher, with its student.

        Returns:
            ``label`` (the teacher's), ``seed``, ``status`` (the student's), :data:`BINARY_LEVELS`
            of the teacher, and ``student_accuracy_percent``, on test. Where the student did not
            finish, there are no numbers.

        Raises:
            ValueError: a teacher's CMI is negative or above log 2, or the truth's KL is not 0.
        """
        plan = self.binary_teachers()
        teachers = lab.collect([teacher for _, teacher in plan], BINARY_LEVELS)
        students = lab.collect(self.binary_students(), [ACCURACY])
        table = teachers[["label", *BINARY_LEVELS]].assign(
            seed=students.seed,
            status=students.status,
            student_accuracy_percent=students[ACCURACY],
        )
        metrics = [*BINARY_LEVELS, "student_accuracy_percent"]
        table.loc[table.status != "done", metrics] = float("nan")
        _check_two_classes(table)
        return table

    def binary_summary(self, lab: Lab) -> pd.DataFrame:
        """With two classes: an interval by ``label`` over the seeds that are left.

        Returns:
            :data:`BINARY_LEVELS`, ``student_accuracy_percent``, and ``student_gain_points`` over
            MLL's student, paired by seed (NaN for MLL itself).
        """
        table = self.binary_table(lab)
        done = table[table.status == "done"]
        metrics = [*BINARY_LEVELS, "student_accuracy_percent"]
        summary = summarise(done, ["label"], metrics)
        gain = gains(done, "student_accuracy_percent", control="MLL")
        return summary.assign(student_gain_points=gain.reindex(summary.index))

    def numbers(self, lab: Lab) -> pd.Series:
        """All that is shown: an interval by ``experiment``, ``setting`` and ``label``.

        Of the experiment ``two classes`` the setting is a metric, of the other one the regime.
        """
        tables = {
            "student_accuracy_percent by data": self.accuracy(lab).stack(),
            "two classes": self.binary_summary(lab).stack().dropna().swaplevel(),
        }
        return pd.concat(tables, names=["experiment", "setting", "label"])

    def findings(self, lab: Lab) -> list[Finding]:
        """By regime, between regimes, and with two classes; all exploratory."""
        findings, few = [], self._of_few()
        for regime, difference in self.gain(lab).items():
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{regime}: MCMI's student beats MLL's",
                    difference,
                    quantity="student's test accuracy",
                    few_samples=regime in few,
                )
            )
        return [*findings, *self._what_helps(lab), *self._binary_findings(lab)]

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
        teachers = by_label((self.pair.mll(0), self.pair.mcmi(0)))
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
                        teacher=teachers[label],
                        treatment=more,
                        control=less,
                        few_samples=less in self._of_few(),
                    )
                )
        return findings

    def _binary_findings(self, lab: Lab) -> list[Finding]:
        """Gains of students; and which teachers are closer to the truth, itself left out."""
        table, pair, findings = self.binary_table(lab), self.binary_pair, []
        gain = gains(table, "student_accuracy_percent", control="MLL")
        teachers = by_label(teacher for _, teacher in self.binary_teachers())
        for label, difference in gain.items():
            networks = f"{label} → {pair.student}" if label == TRUTH else None
            findings.append(
                finding(
                    lab,
                    pair,
                    f"two classes: students of {label} beat MLL's",
                    difference,
                    quantity="student's test accuracy",
                    teacher=teachers[label],
                    networks=networks,
                    few_samples=True,
                )
            )
        closeness = table.assign(closeness=-table.train_bcpd_kl_nats)
        for label, nearer in gains(closeness, "closeness", control="MLL").items():
            if label == TRUTH:
                continue
            findings.append(
                finding(
                    lab,
                    pair,
                    f"two classes: {label} is closer to P* than MLL",
                    nearer,
                    quantity="teacher's mean KL(P* ‖ P) on training data, MLL − MCMI",
                    unit="nats",
                    teacher=teachers[label],
                    networks=pair.teacher,
                )
            )
        return findings


def _check_two_classes(table: pd.DataFrame) -> None:
    """Raise ValueError for a CMI that two classes cannot have, or a truth that is not the truth."""
    cmi = table.train_cmi_nats.dropna()
    if wrong := cmi[~cmi.between(-ROUNDING, math.log(2) + ROUNDING)].tolist():
        raise ValueError(f"with two classes CMI is between 0 and log 2 = 0.693 nats, got {wrong}")
    divergence = table.train_bcpd_kl_nats[table.label == TRUTH].dropna()
    if wrong := divergence[divergence.abs() > ROUNDING].tolist():
        raise ValueError(f"the truth's KL(P* ‖ P) must be 0 nats, got {wrong}")
