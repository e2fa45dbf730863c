"""04 · Does a student recognise classes that it never saw? (Figure 4)

For several sets of omitted classes: students of the MLL teacher, of its training stopped early, of
its fine-tuning without CMI (λ = 0), of MCMI teachers, and of the truth where it is known. Two
controls must know nothing of the omitted classes: a student of the MLL teacher with those classes
struck out of its output, and one without a teacher. All are measured on the whole test split, which
has all classes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pandas as pd

from mcmi_core.base.statistics import Interval, gains, paired_difference, summarise
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome, outcome_by, seeds_text
from mcmi_core.experiments.pair import FROM_SCRATCH, POLICIES, Pair, early_stopping_text
from mcmi_core.experiments.words import classes_in_words, method_in_words
from mcmi_core.runs.config import BayesTeacher, Measurement, Run, Student, Teacher

MASKED = "MLL masked"
"""Label of a control: the student of MLL's output without the omitted classes."""

KNOW_NOTHING = (MASKED, FROM_SCRATCH)
"""Labels of students that neither data nor teacher told of the omitted classes."""

MAY_RECOGNISE = 1.0
"""Percent of the samples of omitted classes, below which those have to stay."""

SETTING = ["omitted", "label"]
KEYS = ["seed", *SETTING]
OVERALL = "test_accuracy_percent"
CALIBRATION = ["probability_percent", "frequency_percent", "calibration_error_percent"]
SEEN = "seen_accuracy_percent"
ON_OMITTED = "student's accuracy on the omitted classes"
METRICS = ["accuracy_percent", SEEN, OVERALL, *CALIBRATION]
PRECISION = "precision_percent"
SEED_BY_SEED = "lowest to highest seed, %"
"""Column of :meth:`ZeroShot.main_numbers`."""
CELL = [*SETTING, "true_class", "predicted_class"]


class Arm(NamedTuple):
    """A student, and how it is told from the others in tables."""

    student: Student | Teacher
    seed: int
    omitted: str
    """``9+7``."""
    label: str
    """Its teacher's, or that of a control."""


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Experiment):
    """Does a student recognise classes that it never saw? (Figure 4)"""

    name: ClassVar[str] = "04_zero_shot"

    pair: Pair
    omitted_sets: tuple[tuple[int, ...], ...]
    """Classes that the student's data omits."""
    seeds: tuple[int, ...]
    further: tuple[tuple[str, float], ...] = ()
    """Centroid policy and λ of more MCMI teachers, beside the pair's own."""
    stops: tuple[int, ...] = ()
    """Epochs after which MLL training is stopped early, for teachers that are soft without MCMI."""

    def arms(self) -> list[Arm]:
        """Seed by seed, set by set: of every teacher, of the masked one, and from scratch."""
        arms = []
        for seed in self.seeds:
            for omit in self.omitted_sets:
                omitted = set_text(omit)
                for label, teacher in self._teachers(seed).items():
                    student = self.pair.distill(teacher, seed, omit=omit)
                    arms.append(Arm(student, seed, omitted, label))
                mll, struck_out = self.pair.mll(seed), f"masked_kd:classes={omitted}"
                masked = self.pair.distill(mll, seed, omit=omit, distiller=struck_out)
                alone = self.pair.student_from_scratch(seed, omit=omit)
                arms.append(Arm(masked, seed, omitted, MASKED))
                arms.append(Arm(alone, seed, omitted, FROM_SCRATCH))
        return arms

    def students(self) -> list[Student | Teacher]:
        """Of all :meth:`arms`, in the same order."""
        return [arm.student for arm in self.arms()]

    def in_words(self) -> str:
        """The settings as a sentence: classes omitted, seeds, and when teachers were stopped."""
        sets = " and then ".join(
            classes_in_words(self.pair.data, omitted) for omitted in self.omitted_sets
        )
        stops = " and ".join(map(str, self.stops))
        epochs = self.pair.recipe.epochs
        stopped = f" Early stopping after {stops} of {epochs} epochs." if stops else ""
        return f"Omitted: {sets}. Seeds: {', '.join(map(str, self.seeds))}.{stopped}"

    def runs(self) -> list[Run]:
        """Measurements, which bring students and teachers with them."""
        return [*self._by_class(), *self._matrices()]

    @property
    def shown(self) -> list[str]:
        """Labels of the pair's own networks, whose students are shown class by class."""
        return [teacher.label for teacher in self.pair.trained_teachers(0)]

    @property
    def control(self) -> str:
        """Label of the teacher that was fine-tuned without CMI."""
        return self.pair.untreated(0).label

    @property
    def treatments(self) -> list[str]:
        """Labels of the pair's own MCMI teachers."""
        return [teacher.label for teacher in self.pair.mcmi_teachers(0)]

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the students of each teacher; ``not run`` where it collapsed."""
        return outcome_by(self._with_setting(lab.collect(self.students()), "key"), "label")

    def confusion(self, lab: Lab) -> pd.Series:
        """Percent of each true class, mean over seeds, for the students of ``shown``.

        Returns:
            By ``omitted``, ``label``, ``true_class`` and ``predicted_class``.
        """
        table = self._cells(lab)
        counts = table[table.label.isin(self.shown)].groupby(CELL, sort=False).samples.sum()
        percent = 100 * counts / counts.groupby(CELL[:3]).transform("sum")
        return percent.rename("percent")

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, percent; without numbers where it or its teacher collapsed.

        Returns:
            ``seed``, ``omitted`` (``9+7``), ``label`` (its teacher's, or that of a control),
            ``status``; ``test_accuracy_percent`` of all samples, ``accuracy_percent`` of those of
            omitted classes, ``seen_accuracy_percent`` of the others; ``precision_percent``, of
            those taken for an omitted class, how many rightly (missing: none was); and for the
            omitted classes k, over all samples: ``probability_percent``, the mean of P_x[k],
            ``frequency_percent``, how many samples belong to k, and ``calibration_error_percent``,
            Σ over 15 bins of |probability − frequency|, weighted. Means over classes.
        """
        counted = ["class_index", "accuracy_percent", *CALIBRATION]
        classes = self._with_setting(lab.collect_results(self._by_class(), counted))
        omitted = _is_omitted(classes, "class_index")
        means = classes[omitted].groupby(KEYS)[["accuracy_percent", *CALIBRATION]].mean()
        means[SEEN] = classes[~omitted].groupby(KEYS).accuracy_percent.mean()
        students = self._with_setting(lab.collect(self.students(), [OVERALL]), "key")
        table = students[[*KEYS, "status", OVERALL]].join(means, on=KEYS)
        table = table.join(self._precision(lab), on=KEYS)
        table.loc[table.status != "done", OVERALL] = float("nan")
        return table

    def check_controls(self, lab: Lab) -> None:
        """See that controls do not recognise what neither their data nor their teacher names.

        Raises:
            ValueError: one recognises :data:`MAY_RECOGNISE` percent of an omitted class, or more.
        """
        table = self.table(lab)
        for label in KNOW_NOTHING:
            most = table.accuracy_percent[table.label == label].max()
            if most >= MAY_RECOGNISE:
                raise ValueError(
                    f"the control {label!r} recognises {most:.1f} % of an omitted class, of which "
                    f"it knows nothing; it must stay below {MAY_RECOGNISE:g} %"
                )

    def summary(self, lab: Lab) -> pd.DataFrame:
        """Each metric of :meth:`table`, and the gain in accuracy over both controls' students.

        Returns:
            :class:`~mcmi_core.base.statistics.Interval` over the seeds left, by ``omitted``,
            ``label`` and ``status`` (``done``, or how many students are not, and why); missing
            where fewer than two are left. Precision is missing where not all of them have one.
        """
        table = self.table(lab)
        done = table[table.status == "done"]
        statuses = table.groupby(SETTING, sort=False).status.agg(outcome).to_frame()
        summary = statuses.join(summarise(done, SETTING, METRICS))
        lacks_some = done[PRECISION].isna().groupby([done[name] for name in SETTING])
        with_precision = done[~lacks_some.transform("any")]
        summary = summary.join(summarise(with_precision, SETTING, [PRECISION]))
        controls = {"fine_tuned": self.pair.untreated(0), "mll": self.pair.mll(0)}
        for place, (name, control) in enumerate(controls.items()):
            gain = gains(done, "accuracy_percent", control=control.label, by=["omitted"])
            summary.insert(2 + place, f"gain_over_{name}_points", gain)
        return summary.set_index("status", append=True)

    def main_numbers(self, lab: Lab) -> pd.DataFrame:
        """The columns of :meth:`summary` that a notebook shows, sets of classes in words.

        Returns:
            By ``omitted`` and ``label``; ``accuracy_percent`` is ``omitted_accuracy_percent``, and
            its seeds' least and most are beside it as text. Intervals of percent end at 0 and 100.
        """
        table = self.summary(lab).droplevel("status")
        values = self.table(lab).groupby(SETTING, sort=False).accuracy_percent
        ends = zip(values.min(), values.max(), strict=True)
        seeds = pd.Series([f"{low:.1f} to {high:.1f}" for low, high in ends], values.min().index)
        table = table.assign(**{SEED_BY_SEED: seeds}).rename(index=self._classes, level="omitted")
        table = table.rename(columns={"accuracy_percent": "omitted_accuracy_percent"})
        for column in ("omitted_accuracy_percent", PRECISION):
            table[column] = table[column].map(within_percent, na_action="ignore")
        shown = ["omitted_accuracy_percent", SEED_BY_SEED, "gain_over_fine_tuned_points", PRECISION]
        return table[[*shown, SEEN, OVERALL, "calibration_error_percent"]]

    def seeds_text(self, lab: Lab) -> str:
        """How many seeds the numbers are of: ``n = 3 seeds``."""
        return seeds_text(self.table(lab).status, self.seeds)

    def numbers(self, lab: Lab) -> pd.DataFrame:
        """:meth:`summary` with a row per number.

        Returns:
            ``omitted``, ``label``, ``metric``, ``mean``, ``low``, ``high``, ``n``.
        """
        summary = self.summary(lab).droplevel("status").reset_index()
        long = summary.melt(SETTING, None, "metric").dropna().reset_index(drop=True)
        return long.join(pd.DataFrame(long.pop("value").tolist(), columns=Interval._fields))

    def findings(self, lab: Lab) -> list[Finding]:
        """Are omitted classes recognised, and at what cost? Are they believed in as they occur?

        Primary: the accuracy on the first omitted set, with the pair's own MCMI.
        """
        table = self.table(lab)
        done = table[table.status == "done"].assign(trust=-table.calibration_error_percent)
        questions = (
            ("accuracy_percent", "recognises more", ON_OMITTED),
            (OVERALL, "is better on all classes", "student's test accuracy"),
            (SEEN, "is better on the others", "student's accuracy on the other classes"),
            ("trust", "is better calibrated", "− calibration error for the omitted classes"),
        )
        findings = []
        for omitted, rows in done.groupby("omitted", sort=False):
            first = omitted == set_text(self.omitted_sets[0])
            for metric, does, quantity in questions:
                decides = "zero_shot" if first and metric == "accuracy_percent" else None
                findings += compared_with_controls(
                    lab,
                    self.pair,
                    rows,
                    metric,
                    f"{self._without(omitted)} the student of {{treatment}} {does} than that of "
                    "{control}",
                    quantity=quantity,
                    asked=len(self.seeds),
                    decides=decides,
                    further=self._mcmi(0),
                )
            findings += self._against_early_stopping(lab, omitted, rows)
            findings += self._rise_with_lambda(lab, omitted, rows)
        return findings

    def _against_early_stopping(self, lab: Lab, omitted: str, rows: pd.DataFrame) -> list[Finding]:
        """The pair's own MCMI against MLL stopped early, soft without fine-tuning; exploratory."""
        findings = []
        for epoch in self.stops:
            stopped = early_stopping_text(epoch)
            over = gains(rows, "accuracy_percent", stopped)
            for label, teacher in by_label(self.pair.mcmi_teachers(0)).items():
                if label not in over:
                    continue
                findings.append(
                    finding(
                        lab,
                        self.pair,
                        f"{self._without(omitted)} the student of {label} recognises more than "
                        f"that of {method_in_words(stopped)}",
                        over[label],
                        quantity=ON_OMITTED,
                        asked=len(self.seeds),
                        teacher=teacher,
                        control=stopped,
                    )
                )
        return findings

    def _rise_with_lambda(self, lab: Lab, omitted: str, rows: pd.DataFrame) -> list[Finding]:
        """Per policy: the largest λ against the smallest, among those with two seeds left."""
        findings = []
        wide = rows.pivot(index="seed", columns="label", values="accuracy_percent")
        wide = wide.loc[:, wide.count() >= 2]
        for policy in POLICIES:
            teachers = [each for each in self._mcmi(0) if _policy(each) == policy]
            left = sorted((each for each in teachers if each.label in wide), key=_lambda)
            if len(left) < 2:
                continue
            small, large = left[0].label, left[-1].label
            both = wide[[small, large]].dropna()
            if len(both) < 2:
                continue
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{self._without(omitted)} the student of {large} recognises more than that "
                    f"of {small}",
                    paired_difference(both[large], both[small]),
                    quantity=ON_OMITTED,
                    asked=len(self.seeds),
                    teacher=left[-1],
                    control=small,
                )
            )
        return findings

    def _without(self, omitted: str) -> str:
        """Before a claim: ``truck omitted:``, or ``class 9 omitted:``."""
        return f"{self._classes(omitted)} omitted:"

    def _classes(self, omitted: str) -> str:
        """Of a set of classes, as ``9+7``, the names."""
        return classes_in_words(self.pair.data, map(int, omitted.split("+")))

    def _mcmi(self, seed: int) -> list[Teacher]:
        """The pair's own MCMI teachers, and further ones; each once."""
        further = [self.pair.mcmi(seed, lam=lam, centroids=policy) for policy, lam in self.further]
        teachers = [*self.pair.mcmi_teachers(seed), *further]
        return list({teacher.key: teacher for teacher in teachers}.values())

    def _teachers(self, seed: int) -> dict[str, Teacher | BayesTeacher]:
        """By label: MLL, stopped early, with λ = 0, MCMI, and the truth where it is known."""
        pair = self.pair
        stopped = {
            early_stopping_text(epoch): pair.early_stopped(seed, epoch) for epoch in self.stops
        }
        truth = [pair.bayes(seed)] if pair.posterior_is_known else []
        others = [pair.untreated(seed), *self._mcmi(seed), *truth]
        return by_label([pair.mll(seed)]) | stopped | by_label(others)

    def _by_class(self) -> list[Measurement]:
        return [Measurement(of=each, what="by_class", split="test") for each in self.students()]

    def _matrices(self) -> list[Measurement]:
        what = "confusion_matrix"
        return [Measurement(of=each, what=what, split="test") for each in self.students()]

    def _cells(self, lab: Lab) -> pd.DataFrame:
        """All students' confusion matrices: a row per cell, with its number of ``samples``."""
        counted = ["true_class", "predicted_class", "samples"]
        table = self._with_setting(lab.collect_results(self._matrices(), counted))
        return table.astype({"true_class": int, "predicted_class": int})

    def _with_setting(self, table: pd.DataFrame, key: str = "parent_key") -> pd.DataFrame:
        """With columns :data:`KEYS`, of the student whose key a column holds."""
        arms = self.arms()
        settings = pd.DataFrame(
            [(arm.seed, arm.omitted, arm.label) for arm in arms],
            index=[arm.student.key for arm in arms],
            columns=KEYS,
        )
        return table.drop(columns=KEYS, errors="ignore").join(settings, on=key)

    def _precision(self, lab: Lab) -> pd.Series:
        """Percent of the samples taken for an omitted class that are of it, by ``KEYS``."""
        cells = self._cells(lab)
        taken = cells[_is_omitted(cells, "predicted_class")]
        right = taken[taken.true_class == taken.predicted_class]
        samples = taken.groupby(KEYS).samples.sum()
        precision = 100 * right.groupby(KEYS).samples.sum() / samples.where(samples > 0)
        return precision.rename(PRECISION)


def within_percent(interval: Interval) -> Interval:
    """An interval of percent without what is below 0 or above 100, which no accuracy can be."""
    return interval._replace(low=max(interval.low, 0.0), high=min(interval.high, 100.0))


def set_text(omitted: Collection[int]) -> str:
    """A set of classes: ``9+7``."""
    return "+".join(map(str, omitted))


def _is_omitted(table: pd.DataFrame, column: str) -> pd.Series:
    """Whether the class of a column is among those that the row's ``omitted`` names."""
    among = []
    for index, omitted in zip(table[column], table.omitted, strict=True):
        among.append(f"{index:g}" in omitted.split("+"))
    return pd.Series(among, table.index, dtype=bool)


def _policy(teacher: Teacher) -> str:
    return teacher.objective.options["centroids"]


def _lambda(teacher: Teacher) -> float:
    return teacher.objective.options["lam"]
