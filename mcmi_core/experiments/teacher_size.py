"""05 · Do larger teachers teach better? (Figure 5)

One small student; MLL teachers of growing size, and each of them fine-tuned by MCMI and, as a
control, without CMI (λ = 0); λ the same for every size. A trend is the slope of a straight line
through all sizes, one line per seed, per tenfold number of parameters. Beside them, of no size: the
student from scratch, and that of the truth, where it is known.
"""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd

from mcmi_core.base.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    slopes,
    summarise,
    within_seed_intervals,
)
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import FROM_SCRATCH, Pair, name_from_scratch
from mcmi_core.experiments.words import count_in_words, network_in_words
from mcmi_core.runs.config import Measurement, Run, Student, Teacher

STUDENT, CMI, LL = "student_accuracy_percent", "train_cmi_nats", "train_ll_nats"
METRICS = (STUDENT, CMI, LL, "test_accuracy_percent")
ANY_SIZE = "any"
"""Stands for the number of parameters where the teacher has none, or there is no teacher."""
TRENDS = {
    STUDENT: ("student's test accuracy", "points"),
    CMI: ("teacher's CMI on training data", "nats"),
    LL: ("teacher's LL on training data", "nats"),
}
"""What a trend is asked of, and the unit of its difference."""


@dataclass(frozen=True, kw_only=True)
class TeacherSize(Experiment):
    """Students of every kind of trained teacher, by the number of the teacher's parameters."""

    name: ClassVar[str] = "05_teacher_size"

    pairs: tuple[Pair, ...]
    """One student with teachers of growing size."""
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(students := {pair.student for pair in self.pairs}) > 1:
            raise ValueError(f"there must be one student, got {', '.join(sorted(students))}")
        labels = {" and ".join(by_label(pair.mcmi_teachers(0))) for pair in self.pairs}
        if len(labels) > 1:
            raise ValueError(
                f"MCMI must be the same at every size, got {'; '.join(sorted(labels))}"
            )

    def runs(self) -> list[Run]:
        """Sizes and students; students bring their teachers with them."""
        return [*self.sizes(), *self.students(), *self.beside()]

    def teachers(self) -> list[Teacher]:
        """MLL, its fine-tuning without CMI, and MCMI: size by size and seed by seed."""
        return [teacher for _, teacher in self._teachers()]

    def students(self) -> list[Student]:
        """One of each teacher, in the same order."""
        return [pair.distill(teacher, teacher.seed) for pair, teacher in self._teachers()]

    def beside(self) -> list[Student | Teacher]:
        """Seed by seed, the student from scratch and, where it is known, that of the truth."""
        pair, students = self.pairs[0], []
        for seed in self.seeds:
            students.append(pair.student_from_scratch(seed))
            if pair.posterior_is_known:
                students.append(pair.distill(pair.bayes(seed), seed))
        return students

    def sizes(self) -> list[Measurement]:
        """The number of parameters of each teacher, in the same order."""
        return [Measurement(of=teacher, what="network_size") for teacher in self.teachers()]

    def all_teachers(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, collapsed ones as well.

        Added columns: ``network``, ``student_accuracy_percent`` (its student's, last epoch, test
        split) and ``status``: its student's, as a student of a teacher that collapsed is not run.
        """
        students = lab.collect(self.students())
        return lab.collect(self.teachers(), METRICS[1:]).assign(
            network=[pair.teacher for pair, _ in self._teachers()],
            status=students.status,
            student_accuracy_percent=students.get("test_accuracy_percent", float("nan")),
        )

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, as :meth:`all_teachers`, with ``parameters`` and ``decades``.

        ``decades`` is log10 of the number of parameters. A size of which any run collapsed is left
        out for all methods, so that their trends are over the same sizes.
        """
        table = self.all_teachers(lab)
        whole = (table.status == "done").groupby(table.network).transform("all")
        sizes = lab.collect_results(self.sizes(), ["parameters"])
        sizes = sizes.set_index("parent_key").parameters
        table = table[whole]
        table = table.assign(parameters=table.key.map(sizes).astype(int))
        return table.assign(decades=np.log10(table.parameters))

    def beside_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student of :meth:`beside`: ``label``, ``seed``, ``status`` and ``METRICS``.

        The truth's metrics are its own; a student from scratch has no teacher to measure.
        """
        students = name_from_scratch(lab.collect(self.beside()))
        students[STUDENT] = students.get("test_accuracy_percent", float("nan"))
        students = students[["label", "seed", "status", STUDENT]]
        pair = self.pairs[0]
        if not pair.posterior_is_known:
            return students.assign(**dict.fromkeys(METRICS[1:], float("nan")))
        truth = lab.collect([pair.bayes(seed) for seed in self.seeds], METRICS[1:])
        truth = truth.assign(seed=self.seeds)[["label", "seed", *METRICS[1:]]]
        return students.merge(truth, how="left", on=["label", "seed"])

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all students are done, or how many are not and why, by ``teacher``."""
        by_size = outcome_by(self.all_teachers(lab), "network").rename(network_in_words)
        beside = outcome_by(self.beside_table(lab), "label")
        return pd.concat([by_size, beside]).rename_axis("teacher")

    def summary(self, lab: Lab) -> pd.DataFrame:
        """An interval over seeds for each of ``METRICS``, by ``parameters`` and ``label``.

        LL and CMI are the teacher's on the training data, in nats; accuracies are on the test
        split, in percent. The student's leaves out what a seed adds to all settings alike. The
        students of :meth:`beside` are the last rows, with :data:`ANY_SIZE` as ``parameters`` and
        NaN where there is no teacher to measure; those that lack a seed are left out. Empty if
        fewer than two seeds or no sizes are left.
        """
        table, by = self.table(lab), ["parameters", "label"]
        if table.seed.nunique() < 2:
            return summarise(table.iloc[:0], by, list(METRICS))
        beside = self.beside_table(lab).assign(parameters=ANY_SIZE)
        whole = (beside.status == "done").groupby(beside.label).transform("all")
        columns = [*by, "seed", *METRICS]
        rows = pd.concat([table[columns], beside.loc[whole, columns]], ignore_index=True)
        setting = rows.groupby(by, sort=False).ngroup()
        students = within_seed_intervals(rows.assign(setting=setting), "setting", STUDENT)
        students.index = pd.MultiIndex.from_frame(rows[by].drop_duplicates())
        teachers = summarise(rows[rows.label != FROM_SCRATCH], by, list(METRICS[1:]))
        return pd.concat([students.rename(STUDENT), teachers.reindex(students.index)], axis=1)

    def numbers(self, lab: Lab) -> pd.Series:
        """The same intervals one below the other, by ``parameters``, ``label`` and ``metric``."""
        columns = self.summary(lab).items()
        long = pd.concat(dict(columns), names=["metric"]).dropna()
        return long.reorder_levels(["parameters", "label", "metric"])

    def findings(self, lab: Lab) -> list[Finding]:
        """Trends with size, and the step to the largest teacher.

        Primary, for the paper's method and for ours: students of MCMI gain with its size; and more
        than those of the same teachers fine-tuned without CMI, with MLL's beside it.
        """
        table = self.table(lab)
        if table.parameters.nunique() < 2 or table.seed.nunique() < 2:
            return []
        return [
            *self._trends_of_mcmi(lab, table),
            *self._trends_without_cmi(lab, table),
            *self._last_steps(lab, table),
        ]

    def _trends_of_mcmi(self, lab: Lab, table: pd.DataFrame) -> list[Finding]:
        findings = []
        student, cmi = slopes(table, "decades", STUDENT), slopes(table, "decades", CMI)
        mll, untreated, *treated = by_label(self.pairs[0].trained_teachers(0))
        for label in treated:
            grows = self._trend(
                lab,
                table,
                STUDENT,
                label,
                f"students of {label} gain with the teacher's size",
                mean_interval(student[label]),
                decides="size_mcmi",
            )
            grows_more = self._trend(
                lab,
                table,
                STUDENT,
                label,
                f"size helps students of {label} more than those of {untreated}",
                paired_difference(student[label], student[untreated]),
                control=untreated,
                decides="size_more",
                against_mll=paired_difference(student[label], student[mll]),
            )
            falls_less = self._trend(
                lab,
                table,
                CMI,
                label,
                f"CMI of {label} falls less with size than that of {untreated}",
                paired_difference(cmi[label], cmi[untreated]),
                control=untreated,
                against_mll=paired_difference(cmi[label], cmi[mll]),
            )
            findings += [grows, grows_more, falls_less]
        return findings

    def _trends_without_cmi(self, lab: Lab, table: pd.DataFrame) -> list[Finding]:
        """The other half of the paper's figure: MLL teachers, and fine-tuning alone."""
        findings = []
        student, cmi, ll = (slopes(table, "decades", metric) for metric in (STUDENT, CMI, LL))
        for label in (self.pairs[0].mll(0).label, self.pairs[0].untreated(0).label):
            rows = [
                (STUDENT, f"students of {label} gain with the teacher's size", student[label]),
                (CMI, f"CMI of {label} falls with size", -cmi[label]),
                (LL, f"LL of {label} rises with size", ll[label]),
            ]
            for metric, claim, values in rows:
                trend = mean_interval(values)
                findings.append(self._trend(lab, table, metric, label, claim, trend))
        return findings

    def _trend(
        self,
        lab: Lab,
        table: pd.DataFrame,
        metric: str,
        label: str,
        claim: str,
        difference: Interval,
        *,
        control: str = "smaller teachers",
        **about,
    ) -> Finding:
        """About the teachers of a label, whose size grows."""
        quantity, unit = TRENDS[metric]
        return finding(
            lab,
            self.pairs[-1],
            claim,
            difference,
            quantity=f"trend of the {quantity} with the teacher's size",
            asked=len(self.seeds),
            unit=f"{unit} per tenfold size",
            teacher=by_label(self.pairs[0].mcmi_teachers(0)).get(label),
            treatment=label,
            control=control,
            networks=f"{' / '.join(table.network.unique())} → {self.pairs[0].student}",
            **about,
        )

    def _last_steps(self, lab: Lab, table: pd.DataFrame) -> list[Finding]:
        """A line can hide a bend: is the largest teacher still better than the next smaller one?"""
        smaller, largest = sorted(table.parameters.unique())[-2:]
        one, other = map(count_in_words, (smaller, largest))
        networks = " / ".join(table.sort_values("parameters").network.unique()[-2:])
        findings = []
        mcmi = by_label(self.pairs[0].mcmi_teachers(0))
        for label in by_label(self.pairs[0].trained_teachers(0)):
            rows = table[table.label == label]
            wide = rows.pivot(index="seed", columns="parameters", values=STUDENT)
            findings.append(
                finding(
                    lab,
                    self.pairs[-1],
                    f"{label}: a teacher of {other} parameters teaches better than one of {one}",
                    paired_difference(wide[largest], wide[smaller]),
                    quantity="student's test accuracy, largest teacher − the next smaller one",
                    asked=len(self.seeds),
                    teacher=mcmi.get(label),
                    treatment=f"{other} parameters",
                    control=f"{one} parameters",
                    networks=f"{networks} → {self.pairs[0].student}",
                )
            )
        return findings

    def _teachers(self) -> list[tuple[Pair, Teacher]]:
        """With the pair: size by size and seed by seed."""
        plan = []
        for pair, seed in product(self.pairs, self.seeds):
            plan += [(pair, teacher) for teacher in pair.trained_teachers(seed)]
        return plan


def sizes_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table by ``parameters`` and ``label``, its sizes as ``51k parameters``; or ``any size``.

    Beside the student's accuracy, the teacher's says whose it is.
    """

    def size_in_words(size: float | str) -> str:
        return "any size" if size == ANY_SIZE else f"{count_in_words(size)} parameters"

    sizes = [(size_in_words(size), label) for size, label in table.index]
    named = table.rename(columns={"test_accuracy_percent": "teacher's test accuracy, %"})
    return named.set_axis(pd.MultiIndex.from_tuples(sizes, names=["teacher's size", "label"]))
