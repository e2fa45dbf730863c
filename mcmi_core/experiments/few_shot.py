"""08 · How much is gained, the fewer samples the student has? (Table 3)

Students by several frameworks, of teachers that saw all the data, and without a teacher. A student
sees a fraction of the data, cycled: its epochs have as many updates as with all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, paired_difference, summarise
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair, name_from_scratch
from mcmi_core.experiments.reference import authors_few_shot
from mcmi_core.runs.config import Run

ACCURACY = "test_accuracy_percent"
SETTING = ["distiller", "fraction"]


@dataclass(frozen=True, kw_only=True)
class FewShot(Experiment):
    """All teachers of a pair, by framework and by the fraction that the student sees."""

    name: ClassVar[str] = "08_few_shot"

    pair: Pair
    seeds: tuple[int, ...]
    fractions: Mapping[str, tuple[float, ...]]
    """Parts of the training data that a student sees, by distiller."""
    sampling: str = "stratified"
    """``stratified``: drawn anew for each seed; or ``first``, as the authors: the first samples of
    the file, whatever their class, the same for all seeds."""

    def runs(self) -> list[Run]:
        """Students of each seed, framework and fraction; they bring their teachers with them."""
        return list({run.key: run for *_, run in self._students()}.values())

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done.

        Returns:
            The columns of :meth:`~mcmi_core.experiments.lab.Lab.collect`, with ``distiller`` and
            ``fraction``. A student without a teacher, ``from scratch``, has a row for every
            distiller that it is compared with.
        """
        table = self._all(lab)
        return table[table.status == "done"]

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the students of each teacher."""
        return outcome_by(self._all(lab), "label")

    def accuracy(self, lab: Lab) -> pd.Series:
        """Test accuracy, percent: an interval by ``distiller``, ``fraction`` and ``label``."""
        return summarise(self.table(lab), [*SETTING, "label"], [ACCURACY])[ACCURACY]

    def gain(self, lab: Lab) -> pd.Series:
        """Gain over MLL's student, points: an interval by ``distiller``, ``fraction``, ``label``."""
        return gains(self.table(lab), ACCURACY, control="MLL", by=SETTING)

    def findings(self, lab: Lab) -> list[Finding]:
        """MCMI against its controls at every fraction; is the gain larger where there is less?

        Primary: at the smallest fraction, by KD and by CRD; and KD's gain there less that at the
        largest fraction of which it sees a part only.
        """
        findings, drawn, table = [], self.sampling != "first", self.table(lab)
        for (distiller, fraction), rows in table.groupby(SETTING, sort=False):
            findings += compared_with_controls(
                lab,
                self.pair,
                rows,
                ACCURACY,
                f"{distiller}, {fraction:.0%} of the data: the student of {{treatment}} beats that "
                "of {control}",
                quantity="student's test accuracy",
                few_samples=drawn and fraction < 1,
                decides=self._claim(distiller, fraction),
            )
        for distiller, rows in table.groupby("distiller", sort=False):
            findings += self._larger_where_there_is_less(lab, distiller, rows)
        return findings

    def _claim(self, distiller: str, fraction: float) -> str | None:
        """The claim that a setting decides, if it decides one."""
        framework = distiller.partition(":")[0]
        fractions = {name.partition(":")[0]: parts for name, parts in self.fractions.items()}
        if framework == "kd" and fraction == 1:
            return "all_data"
        if framework in ("kd", "crd") and fraction == min(fractions[framework]):
            return "few_shot" if framework == "kd" else "few_shot_crd"
        return None

    def _larger_where_there_is_less(
        self, lab: Lab, distiller: str, rows: pd.DataFrame
    ) -> list[Finding]:
        fractions = sorted(fraction for fraction in rows.fraction.unique() if fraction < 1)
        if len(fractions) < 2:
            return []
        few, many = fractions[0], fractions[-1]
        wide = rows.pivot(index="seed", columns=["fraction", "label"], values=ACCURACY)
        teachers, findings = by_label(self.pair.mcmi_teachers(0)), []
        mll, untreated = self.pair.mll(0).label, self.pair.untreated(0).label
        for label, teacher in teachers.items():
            asked = [(f, name) for f in (few, many) for name in (label, untreated, mll)]
            whole = wide.reindex(columns=asked).dropna()
            if len(whole) < 2:
                continue

            def larger(control: str, label: str = label, whole: pd.DataFrame = whole):
                gain = {f: whole[f, label] - whole[f, control] for f in (few, many)}
                return paired_difference(gain[few], gain[many])

            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{distiller}: {label} gains more at {few:.0%} than at {many:.0%} of the data",
                    larger(untreated),
                    quantity="gain in the student's test accuracy",
                    teacher=teacher,
                    control=untreated,
                    few_samples=self.sampling != "first",
                    decides="fewer_more" if distiller == "kd" else None,
                    against_mll=larger(mll),
                )
            )
        return findings

    def _all(self, lab: Lab) -> pd.DataFrame:
        plan = self._students()
        table = name_from_scratch(lab.collect((run for *_, run in plan), [ACCURACY]))
        distillers, fractions = [row[0] for row in plan], [row[1] for row in plan]
        return table.assign(distiller=distillers, fraction=fractions)

    def _students(self) -> list[tuple[str, float, Run]]:
        """Distiller, fraction and run: seed by seed, all teachers of a setting, then without one."""
        plan = []
        for seed in self.seeds:
            for distiller, fractions in self.fractions.items():
                for fraction in fractions:
                    part = {"fraction": fraction, "sampling": self.sampling}
                    students = [
                        self.pair.distill(teacher, seed, distiller=distiller, **part)
                        for teacher in self.pair.teachers(seed)
                        if teacher.stage == "teacher" or not distiller.startswith("crd")
                    ]
                    students.append(self.pair.student_from_scratch(seed, **part))
                    plan += [(distiller, fraction, student) for student in students]
        return plan


def authors_accuracy() -> pd.Series:
    """The authors' own trials on CIFAR-100: an interval by distiller, fraction and label.

    resnet56 → resnet20, λ = 0.15, the best epoch SELECTED ON TEST. Settings that were tried once
    have no interval and are left out.
    """
    trials = authors_few_shot()
    repeated = trials.groupby([*SETTING, "label"]).trial.transform("nunique") > 1
    metric = "accuracy_percent"
    return summarise(trials[repeated], [*SETTING, "label"], [metric])[metric]


def beside_authors(accuracy: pd.Series, gain: pd.Series, authors: pd.Series) -> pd.DataFrame:
    """Ours as text, and beside it the authors' gain: a difference of means, as theirs are unpaired.

    Args:
        accuracy: of :meth:`FewShot.accuracy`.
        gain: of :meth:`FewShot.gain`.
        authors: of :func:`authors_accuracy`.
    """
    means = authors.map(lambda interval: interval.mean).unstack("label")
    columns = {
        **{label: values.map("{:.1f}".format) for label, values in accuracy.unstack().items()},
        "gain, points": gain.map("{:+.1f}".format),
        "authors' gain, points": (means["MCMI fixed λ=0.15"] - means["MLL"]).map("{:+.1f}".format),
    }
    return pd.concat(columns, axis=1).reindex(gain.index.union(means.index)).fillna("")
