"""MLL against MCMI teachers, framework by framework: the numbers of the paper's Tables 1 and 2.

Beside both stand the controls: the same teacher fine-tuned without CMI (λ = 0), and a student from
scratch. A framework trains if its students of MLL are, on average, at least as accurate as students
from scratch: in the short trainings of small profiles, not every framework does. Where it does not,
a gain says nothing about distillation, and the mean over frameworks leaves it out. That choice is
made on the test accuracy of MLL's students: it favours frameworks in which they happen to do well,
which lowers the difference to MLL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import mean_interval, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.framework_table import (
    KINDS,
    SETTING,
    compare_teachers,
    gain_of,
    mean_gain,
    whole,
)
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome, seeds_text
from mcmi_core.experiments.pair import POLICIES, Pair
from mcmi_core.experiments.words import framework_in_words, pair_in_words
from mcmi_core.runs.config import Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
BEST_ON_TEST = "best_test_accuracy_percent"
"""Of the best evaluated epoch, SELECTED ON TEST."""

SEEDS_OF_A_ROW = 3
"""Seeds from which on a single row is a finding: two that happen to agree would make an interval
of no width, and there are many rows."""


@dataclass(frozen=True, kw_only=True)
class Comparison(Experiment):
    """Students of every kind of teacher, for every pair, framework and seed."""

    teacher_metrics: ClassVar[tuple[str, ...]] = (ACCURACY, "train_cmi_nats")
    mean_decides: ClassVar[str | None] = None
    """Key of the claim that the mean gain over frameworks decides."""
    framework_decides: ClassVar[Mapping[str, str]] = {}
    """Framework and the key of the claim that its gain, mean over pairs, decides."""

    pairs: tuple[Pair, ...]
    frameworks: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self) -> list[Run]:
        """Teachers, students from scratch, and students that learn from the teachers, each once."""
        plans = (self._teachers(), self._from_scratch(), self._students())
        return list({run.key: run for plan in plans for *_, run in plan}.values())

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """Mean and 95 % t-interval of each of ``teacher_metrics`` over the seeds left.

        Returns:
            :class:`~mcmi_core.base.statistics.Interval` by ``pair``, ``label`` and ``status``
            (``done``, or how many runs are not, and why), missing where fewer than two are done.
        """
        plan = self._teachers()
        table = lab.collect((run for _, run in plan), self.teacher_metrics)
        table["pair"] = [pair_name(pair) for pair, _ in plan]
        by, metrics = ["pair", "label"], list(self.teacher_metrics)
        statuses = table.groupby(by, sort=False).status.agg(outcome).to_frame()
        intervals = summarise(table[table.status == "done"], by, metrics)
        return statuses.join(intervals).set_index("status", append=True)

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, with columns ``pair`` (``teacher → student``) and ``framework``."""
        plan = self._students()
        table = lab.collect((run for *_, run in plan), [ACCURACY])
        table["pair"] = [pair_name(pair) for pair, *_ in plan]
        table["framework"] = [framework for _, framework, _ in plan]
        return table

    def scratch_table(self, lab: Lab) -> pd.DataFrame:
        """One row per ``pair`` and seed: the student's network without a teacher."""
        plan = self._from_scratch()
        table = lab.collect((run for _, run in plan), [ACCURACY])
        return table.assign(pair=[pair_name(pair) for pair, _ in plan])

    def trains(self, lab: Lab) -> pd.Series:
        """Whether a framework trains, by ``pair`` and ``framework``.

        It does if its students of MLL have at least the mean test accuracy, at the last epoch, of
        students from scratch. Where either has no run that is done, it does not.
        """
        last = compare_teachers(self.student_table(lab), self.scratch_table(lab), ACCURACY)
        settings = pd.MultiIndex.from_frame(last[SETTING])
        return (last.mll_mean >= last.scratch_mean).set_axis(settings).rename("trains")

    def compared(self, lab: Lab, metric: str) -> pd.DataFrame:
        """All kinds of teachers by a metric of their students.

        Returns:
            The columns of :func:`compare_teachers`, and ``trains`` of :meth:`trains`.
        """
        table = compare_teachers(self.student_table(lab), self.scratch_table(lab), metric)
        return table.join(self.trains(lab), on=SETTING)

    def last(self, lab: Lab) -> pd.DataFrame:
        """Test accuracy after the last epoch, percent: see :meth:`compared`."""
        return self.compared(lab, ACCURACY)

    def with_mean(self, lab: Lab, metric: str = ACCURACY) -> pd.DataFrame:
        """As :meth:`compared`; then, pair by pair, the mean over the frameworks that train.

        Its ``framework`` is ``mean of 8``. It is over those of which all runs are done, the same
        for all kinds of teachers; a pair without such a framework has no such row.
        """
        done = whole(self.student_table(lab))
        used = done.index[done & self.trains(lab).loc[done.index]]
        means = self._means(lab, metric, used)
        return pd.concat([self.compared(lab, metric), means], ignore_index=True)

    def mean_without(self, lab: Lab, *without: str) -> pd.DataFrame:
        """As the last rows of :meth:`with_mean`; over all frameworks but these, train or not.

        Chosen after the results: it says whether the mean depends on what is left out of it.
        """
        done = whole(self.student_table(lab))
        frameworks = done.index.get_level_values("framework").map(_name)
        return self._means(lab, ACCURACY, done.index[done & ~frameworks.isin(without)])

    def _means(self, lab: Lab, metric: str, used: pd.MultiIndex) -> pd.DataFrame:
        """Pair by pair, the mean over the settings used: as :meth:`compared`."""
        students = self.student_table(lab)
        kept = students[pd.MultiIndex.from_frame(students[SETTING]).isin(used)]
        averaged = kept.groupby(["pair", "label", "seed"], sort=False, as_index=False)[
            metric
        ].mean()
        number = used.to_frame(index=False).groupby("pair").size()
        averaged["framework"] = "mean of " + averaged.pair.map(number).astype(str)
        averaged["status"] = "done"
        return compare_teachers(averaged, self.scratch_table(lab), metric).assign(trains=True)

    def findings(self, lab: Lab) -> list[Finding]:
        """Mean gains over λ = 0 by the paper's method and by ours, then row by row.

        The mean over the frameworks that train, the same for both kinds of MCMI, and that of a
        framework in ``framework_decides``, decide claims of the paper; all else is exploratory.
        """
        students, trains, means = self.student_table(lab), self.trains(lab), []
        for kind in (*POLICIES, "untreated"):
            means += self._over_frameworks(lab, students, trains, kind)
        for framework, kind in product(self.frameworks, POLICIES):
            if _name(framework) in self.framework_decides:
                rows = students[students.framework == framework]
                means += self._of_one_framework(lab, rows, trains, framework, kind)
        return [*means, *self._rows(lab)]

    def note(self, lab: Lab) -> str:
        """What the figure's numbers are, and of how many seeds."""
        recipes = [pair.student_recipe or pair.recipe for pair in self.pairs]
        epochs = "/".join(str(n) for n in sorted({recipe.epochs for recipe in recipes}))
        n = seeds_text(self.student_table(lab).status, self.seeds)
        return (
            f"{self.subject}; students of {epochs} epochs, last epoch, on test; gains paired by "
            f"seed, mean and 95 % t-interval, {n}"
        )

    def __str__(self) -> str:
        lines = [super().__str__()]
        for pair in self.pairs:
            labels = ", ".join(teacher.label for teacher in pair.mcmi_teachers(0))
            lines.append(f"{pair_name(pair)}: {labels}; {pair.recipe_text}")
        return "\n".join(lines)

    def _over_frameworks(
        self, lab: Lab, students: pd.DataFrame, trains: pd.Series, kind: str
    ) -> list[Finding]:
        """The mean over all pairs and frameworks that train and whose runs are all done.

        All runs means those of every kind of teacher, so that every kind's mean is over the same
        frameworks; but a pair that has no such kind is left out.
        """
        control = "untreated" if kind in POLICIES else "mll"
        having = [pair_name(pair) for pair in self.pairs if self._teacher(pair, kind)]
        students = students[students.pair.isin(having)]
        done = whole(students)
        trains = trains.loc[done.index]
        used = done.index[done & trains]
        if not len(used):
            return []
        left_out = ", ".join(
            f"{number} {one if number == 1 else more}"
            for number, one, more in (
                ((done & ~trains).sum(), "does not train", "do not train"),
                ((~done).sum(), "is not done", "are not done"),
            )
            if number
        )
        several = "pairs and " if len(self.pairs) > 1 else ""
        rows = f"mean over {len(used)} of {len(done)} {several}frameworks"
        if len(used) == 1 and not several:
            rows = f"by {framework_in_words(used[0][1])} alone of {len(done)} frameworks"
        kept = students[pd.MultiIndex.from_frame(students[SETTING]).isin(used)]
        return self._mean_finding(
            lab,
            kept,
            kind,
            f"the students of {KINDS[kind]} beat those of {KINDS[control]}, {rows}"
            + (f" ({left_out})" if left_out else ""),
            decides=self.mean_decides if kind in POLICIES else None,
        )

    def _of_one_framework(
        self, lab: Lab, students: pd.DataFrame, trains: pd.Series, framework: str, kind: str
    ) -> list[Finding]:
        """The mean over pairs, whether the framework trains or not, which the claim says."""
        trains = trains.xs(framework, level="framework")
        pairs = f" in {(~trains).sum()} of {len(trains)} pairs" if len(trains) > 1 else ""
        name = framework_in_words(framework) + ("" if trains.all() else f" (does not train{pairs})")
        return self._mean_finding(
            lab,
            students,
            kind,
            f"{name}: the students of {KINDS[kind]} beat those of {KINDS['untreated']}"
            + (", mean over pairs" if len(self.pairs) > 1 else ""),
            decides=self.framework_decides[_name(framework)],
        )

    def _mean_finding(
        self, lab: Lab, students: pd.DataFrame, kind: str, claim: str, decides: str | None
    ) -> list[Finding]:
        """The mean gain of all these students, whose teachers' λ may differ by pair.

        None with fewer than two seeds.
        """
        control = "untreated" if kind in POLICIES else "mll"
        gain, beside = (mean_gain(students, ACCURACY, kind, each) for each in (control, "mll"))
        if len(gain) < 2:
            return []
        pairs = [pair for pair in self.pairs if self._teacher(pair, kind)]
        found = finding(
            lab,
            pairs[0],
            claim,
            mean_interval(gain),
            quantity="student's test accuracy",
            asked=len(self.seeds),
            teacher=self._teacher(pairs[0], kind) if kind in POLICIES else None,
            treatment=self._teacher(pairs[0], kind).label,
            control=KINDS[control],
            decides=decides,
            against_mll=mean_interval(beside) if kind in POLICIES and len(beside) >= 2 else None,
        )
        if len(pairs) == 1:
            return [found]
        lambdas = sorted({self._teacher(pair, kind).objective.options["lam"] for pair in pairs})
        networks = f"{len(pairs)} pairs; λ = {', '.join(f'{lam:g}' for lam in lambdas)}"
        if len(lambdas) > 1:
            found = replace(found, lam=None, treatment=f"{KINDS[kind]}, λ per pair")
        return [replace(found, networks=networks)]

    def _rows(self, lab: Lab) -> list[Finding]:
        """Every pair and framework by itself, but for what is a finding of its own already."""
        findings, pair_of = [], {pair_name(pair): pair for pair in self.pairs}
        for row in self.last(lab).to_dict("records"):
            said = len(self.pairs) == 1 and _name(row["framework"]) in self.framework_decides
            words = framework_in_words(row["framework"])
            if len(self.pairs) > 1:
                words = f"{pair_in_words(row['pair'])}, {words}"
            words += "" if row["trains"] else " (does not train)"
            for kind in POLICIES:
                teacher = self._teacher(pair_of[row["pair"]], kind)
                if said or not teacher:
                    continue
                gain = gain_of(row, kind, "untreated")
                if gain.n < SEEDS_OF_A_ROW:
                    continue
                beside = gain_of(row, kind, "mll")
                findings.append(
                    finding(
                        lab,
                        pair_of[row["pair"]],
                        f"{words}: the students of {teacher.label} beat those of "
                        f"{KINDS['untreated']}",
                        gain,
                        quantity="student's test accuracy",
                        asked=len(self.seeds),
                        teacher=teacher,
                        control=KINDS["untreated"],
                        against_mll=beside if beside.n >= 2 else None,
                    )
                )
        return findings

    def _teacher(self, pair: Pair, kind: str) -> Teacher | None:
        """Of seed 0; None if the pair has no such teacher."""
        teachers = pair.trained_teachers(0)
        return next((each for each in teachers if each.label.startswith(KINDS[kind])), None)

    def _teachers(self) -> list[tuple[Pair, Teacher]]:
        """Pair by pair, seed by seed: MLL, λ = 0, MCMI."""
        plan = []
        for pair, seed in product(self.pairs, self.seeds):
            plan += [(pair, teacher) for teacher in pair.trained_teachers(seed)]
        return plan

    def _from_scratch(self) -> list[tuple[Pair, Teacher]]:
        """With the pair: students without a teacher."""
        return [
            (pair, pair.student_from_scratch(seed))
            for pair, seed in product(self.pairs, self.seeds)
        ]

    def _students(self) -> list[tuple[Pair, str, Student]]:
        """With pair and framework: framework by framework within a pair."""
        plan = []
        for pair, framework, seed in product(self.pairs, self.frameworks, self.seeds):
            for teacher in pair.trained_teachers(seed):
                plan.append((pair, framework, pair.distill(teacher, seed, distiller=framework)))
        return plan


def pair_name(pair: Pair) -> str:
    """Its networks: ``teacher → student``."""
    return f"{pair.teacher} → {pair.student}"


def _name(framework: str) -> str:
    """Without options."""
    return framework.partition(":")[0]
