"""04 · Does a student recognise classes that it never saw? (Figure 4)

For several sets of omitted classes: students of the MLL teacher, of MCMI teachers, of the truth
where it is known, and, as a control, of the MLL teacher with the omitted classes struck out of its
output. All are measured on the whole test split, which has all classes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import Interval, gains, paired_difference, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome, seeds_text
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Measurement, Run, Student, Teacher

MASKED = "MLL masked"
"""Label of the control: MLL's output without the omitted classes."""

MASKED_MAY_RECOGNISE = 1.0
"""Percent of the samples of omitted classes, below which the control has to stay."""

SETTING = ["omitted", "label"]
CALIBRATION = ["probability_percent", "frequency_percent", "calibration_error_percent"]
METRICS = ["accuracy_percent", "seen_accuracy_percent", *CALIBRATION]
CELL = [*SETTING, "true_class", "predicted_class"]


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Experiment):
    """Does a student recognise classes that it never saw? (Figure 4)"""

    name: ClassVar[str] = "04_zero_shot"

    pair: Pair
    teachers: tuple[tuple[str, float], ...]
    """Centroid policy and λ of the MCMI teachers, that of the pair among them."""
    omitted_sets: tuple[tuple[int, ...], ...]
    """Classes that the student's data omits."""
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if (self.pair.centroids, self.pair.lam) not in self.teachers:
            raise ValueError(
                f"the pair's own teacher, {self.pair.centroids!r} with λ = {self.pair.lam:g}, must "
                f"be among {self.teachers}"
            )

    def students(self) -> list[Student]:
        """Seed by seed, set by set: of every teacher, and the control last."""
        students = []
        for seed in self.seeds:
            teachers = self._teachers(seed)
            for omitted in self.omitted_sets:
                for teacher in teachers:
                    students.append(self.pair.distill(teacher, seed, omit=omitted))
                masked = f"masked_kd:classes={set_text(omitted)}"
                mll = teachers[0]
                students.append(self.pair.distill(mll, seed, omit=omitted, distiller=masked))
        return students

    def runs(self) -> list[Run]:
        """Measurements, which bring students and teachers with them."""
        return [*self._by_class(), *self._matrices(), *self._maps()]

    @property
    def lambda_of(self) -> dict[str, float]:
        """λ of the MCMI teachers, by label."""
        return {
            self.pair.mcmi(0, lam=lam, centroids=name).label: lam for name, lam in self.teachers
        }

    @property
    def shown(self) -> tuple[str, str]:
        """Labels of the teachers whose students are shown class by class: without and with MCMI."""
        return self.pair.mll(0).label, self.pair.mcmi(0).label

    def confusion(self, lab: Lab) -> pd.Series:
        """Percent of each true class, mean over seeds, for the students of ``shown``.

        Returns:
            By ``omitted``, ``label``, ``true_class`` and ``predicted_class``.
        """
        counted = ["true_class", "predicted_class", "samples"]
        table = _with_setting(lab.collect_results(self._matrices(), counted))
        table = table.astype({"true_class": int, "predicted_class": int})
        counts = table.groupby(CELL, sort=False).samples.sum()
        percent = 100 * counts / counts.groupby(CELL[:3]).transform("sum")
        return percent.rename("percent")

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, percent; without numbers where it or its teacher collapsed.

        Returns:
            ``seed``, ``omitted`` (``9+7``), ``label`` (its teacher's, or that of the control),
            ``status``; ``accuracy_percent`` of the samples of omitted classes,
            ``seen_accuracy_percent`` of the others; and for the omitted classes k, over all
            samples: ``probability_percent``, the mean of P_x[k], ``frequency_percent``, how many
            samples belong to k, and ``calibration_error_percent``, Σ over 15 bins of
            |probability − frequency|, weighted. Means over classes.

        Raises:
            ValueError: the control recognises a class that neither its data nor its teacher names.
        """
        measurements = self._by_class()
        counted = ["class_index", "accuracy_percent", *CALIBRATION]
        classes = _with_setting(lab.collect_results(measurements, counted))
        omitted = []
        for index, names in zip(classes.class_index, classes.omitted, strict=True):
            omitted.append(f"{index:g}" in names.split("+"))
        unseen, keys = pd.Series(omitted, dtype=bool), ["seed", *SETTING]
        means = classes[unseen].groupby(keys)[["accuracy_percent", *CALIBRATION]].mean()
        means["seen_accuracy_percent"] = classes[~unseen].groupby(keys).accuracy_percent.mean()
        students = lab.collect(measurement.of for measurement in measurements)
        table = _with_setting(students, "")[[*keys, "status"]]
        table = table.join(means, on=keys)
        most = table.accuracy_percent[table.label == MASKED].max()
        if most >= MASKED_MAY_RECOGNISE:
            raise ValueError(
                f"the control recognises {most:.1f} % of an omitted class, of which it knows "
                f"nothing; it must stay below {MASKED_MAY_RECOGNISE:g} %"
            )
        return table

    def summary(self, lab: Lab) -> pd.DataFrame:
        """Each metric of :meth:`table`, and ``gain_points``: accuracy − that of MLL's student.

        Returns:
            :class:`~mcmi_core.base.statistics.Interval` over the seeds left, by ``omitted``,
            ``label`` and ``status`` (``done``, or how many students are not, and why); missing
            where fewer than two are left.
        """
        table = self.table(lab)
        done = table[table.status == "done"]
        statuses = table.groupby(SETTING, sort=False).status.agg(outcome).to_frame()
        summary = statuses.join(summarise(done, SETTING, METRICS))
        gain = gains(done, "accuracy_percent", control="MLL", by=["omitted"])
        summary.insert(2, "gain_points", gain)
        return summary.set_index("status", append=True)

    def seeds_text(self, lab: Lab) -> str:
        """How many seeds the numbers are of: ``n = 3 seeds``."""
        return seeds_text(self.table(lab).status, self.seeds)

    def numbers(self, lab: Lab) -> pd.DataFrame:
        """:meth:`summary` with a row per number.

        Returns:
            ``omitted``, ``label``, ``metric``, ``mean``, ``low``, ``high``, ``n``.
        """
        summary = self.summary(lab).droplevel("status").reset_index()
        long = summary.melt(SETTING, ["gain_points", *METRICS], "metric").dropna()
        long = long.reset_index(drop=True)
        return long.join(pd.DataFrame(long.pop("value").tolist(), columns=Interval._fields))

    def features(self, lab: Lab) -> pd.DataFrame:
        """t-SNE of the features before the last layer: first seed, first set, ``shown`` students.

        Returns:
            One row per sample: ``label``, ``class_index``, ``horizontal``, ``vertical``.
        """
        columns = ["class_index", "horizontal", "vertical"]
        return lab.collect_results(self._maps(), columns)[["label", *columns]]

    def findings(self, lab: Lab) -> list[Finding]:
        """Are omitted classes recognised and believed in, and more so with larger λ?

        Primary: the accuracy on the first omitted set, with the pair's own MCMI.
        """
        table = self.table(lab)
        done = table[table.status == "done"].assign(trust=-table.calibration_error_percent)
        gain = gains(done, "accuracy_percent", control="MLL", by=["omitted"])
        trust = gains(done, "trust", control="MLL", by=["omitted"])
        findings = []
        for omitted, label in table[SETTING].drop_duplicates().itertuples(index=False):
            if label == MASKED or (omitted, label) not in gain:
                continue
            own = (omitted, label) == (set_text(self.omitted_sets[0]), self.pair.mcmi(0).label)
            claim = f"omitted {omitted}, {label}: the student recognises more than MLL's"
            difference = gain[omitted, label]
            findings.append(self._finding(lab, label, claim, difference, primary=own))
            claim = f"omitted {omitted}, {label}: the student is better calibrated than MLL's"
            quantity = "calibration error for the omitted classes, MLL − other"
            difference = trust[omitted, label]
            findings.append(self._finding(lab, label, claim, difference, quantity=quantity))
        for omitted, rows in done.groupby("omitted", sort=False):
            findings += self._rise_with_lambda(lab, omitted, rows)
        return findings

    def _rise_with_lambda(self, lab: Lab, omitted: str, rows: pd.DataFrame) -> list[Finding]:
        """Per policy: the largest λ against the smallest, among those with two seeds left."""
        findings = []
        wide = rows.pivot(index="seed", columns="label", values="accuracy_percent")
        wide = wide.loc[:, wide.count() >= 2]
        for policy in dict.fromkeys(policy for policy, _ in self.teachers):
            own = [label for label in self.lambda_of if label.startswith(f"MCMI {policy} ")]
            tried = sorted(set(own) & set(wide), key=self.lambda_of.get)
            if len(tried) < 2:
                continue
            small, large = tried[0], tried[-1]
            both = wide[[small, large]].dropna()
            if len(both) >= 2:
                claim = f"omitted {omitted}: {large} recognises more than {small}"
                rise = paired_difference(both[large], both[small])
                findings.append(self._finding(lab, large, claim, rise, control=small))
        return findings

    def _finding(self, lab: Lab, label: str, claim: str, difference: Interval, **about) -> Finding:
        networks = f"{label} → {self.pair.student}" if label not in self.lambda_of else None
        quantity = about.pop("quantity", "student's accuracy on the omitted classes")
        return finding(
            lab,
            self.pair,
            claim,
            difference,
            quantity=quantity,
            teacher=by_label(self._teachers(0))[label],
            networks=networks,
            **about,
        )

    def _teachers(self, seed: int) -> list[Teacher | BayesTeacher]:
        """MLL, MCMI in the order of the settings, and the truth where it is known."""
        teachers = [self.pair.mll(seed)]
        for policy, lam in self.teachers:
            teachers.append(self.pair.mcmi(seed, lam=lam, centroids=policy))
        if self.pair.posterior_is_known:
            teachers.append(self.pair.bayes(seed))
        return teachers

    def _by_class(self) -> list[Measurement]:
        return [Measurement(of=each, what="by_class", split="test") for each in self.students()]

    def _matrices(self) -> list[Measurement]:
        students = self._shown_students(self.seeds, self.omitted_sets)
        return [Measurement(of=each, what="confusion_matrix", split="test") for each in students]

    def _maps(self) -> list[Measurement]:
        students = self._shown_students(self.seeds[:1], self.omitted_sets[:1])
        return [Measurement(of=each, what="tsne", split="test") for each in students]

    def _shown_students(
        self, seeds: tuple[int, ...], omitted_sets: tuple[tuple[int, ...], ...]
    ) -> list[Student]:
        students = []
        for seed, omitted in product(seeds, omitted_sets):
            for teacher in (self.pair.mll(seed), self.pair.mcmi(seed)):
                students.append(self.pair.distill(teacher, seed, omit=omitted))
        return students


def set_text(omitted: Collection[int]) -> str:
    """A set of classes: ``9+7``."""
    return "+".join(map(str, omitted))


def _with_setting(table: pd.DataFrame, of: str = "of_") -> pd.DataFrame:
    """With columns ``seed``, ``omitted`` and the control's own ``label``.

    Args:
        table: one row per student, or per line of what was measured on it.
        of: what the names of the student's columns begin with.
    """
    masked = table[f"{of}distiller_name"] == "masked_kd"
    return table.assign(
        seed=table[f"{of}seed"],
        omitted=table[f"{of}part_omit"].map(set_text),
        label=table.label.mask(masked, MASKED),
    )
