"""08 · How much is gained, the fewer samples the student has? (Table 3)

Students by several frameworks, of MLL and MCMI teachers that saw all the data. A student sees a
fraction of it, cycled: its epochs have as many updates as with all the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, paired_difference, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.reference import authors_few_shot
from mcmi_core.runs.config import Run, Student

ACCURACY = "test_accuracy_percent"
SETTING = ["distiller", "fraction"]


@dataclass(frozen=True, kw_only=True)
class FewShot(Experiment):
    """MLL against MCMI teachers, by framework and by the fraction that the student sees."""

    name: ClassVar[str] = "08_few_shot"

    pair: Pair
    seeds: tuple[int, ...]
    fractions: Mapping[str, tuple[float, ...]]
    """Parts of the training data that a student sees, by distiller."""
    sampling: str = "stratified"
    """``stratified``: drawn anew for each seed; or ``first``, as the authors: the first samples of
    the file, whatever their class, the same for all seeds."""

    def runs(self) -> list[Run]:
        """A student per seed, teacher, framework and fraction."""
        return self.students()

    def students(self) -> list[Student]:
        """Seed by seed; MLL's before MCMI's."""
        students = []
        for seed in self.seeds:
            for teacher in (self.pair.mll(seed), self.pair.mcmi(seed)):
                for distiller, fractions in self.fractions.items():
                    for fraction in fractions:
                        part = {"fraction": fraction, "sampling": self.sampling}
                        students.append(
                            self.pair.distill(teacher, seed, distiller=distiller, **part)
                        )
        return students

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done, with columns ``distiller`` and ``fraction``."""
        columns = {"distiller_name": "distiller", "part_fraction": "fraction"}
        table = lab.collect(self.students(), [ACCURACY]).rename(columns=columns)
        return table[table.status == "done"]

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the students of each teacher."""
        return outcome_by(lab.collect(self.students()), "label")

    def accuracy(self, lab: Lab) -> pd.Series:
        """Test accuracy, percent: an interval by ``distiller``, ``fraction`` and ``label``."""
        return summarise(self.table(lab), [*SETTING, "label"], [ACCURACY])[ACCURACY]

    def gain(self, lab: Lab) -> pd.Series:
        """Gain of MCMI's student over MLL's, points: an interval by ``distiller``, ``fraction``."""
        return gains(self.table(lab), ACCURACY, control="MLL", by=SETTING).droplevel("label")

    def findings(self, lab: Lab) -> list[Finding]:
        """The gain at every fraction, KD's smallest primary; is it larger where there is less?"""
        findings, gain = [], self.gain(lab)
        smallest, drawn = min(self.fractions["kd"]), self.sampling != "first"
        for (distiller, fraction), difference in gain.items():
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{distiller}, {fraction:.0%} of the data: MCMI's student beats MLL's",
                    difference,
                    quantity="student's test accuracy",
                    few_samples=drawn and fraction < 1,
                    primary=(distiller, fraction) == ("kd", smallest),
                )
            )
        for distiller, rows in self.table(lab).groupby("distiller", sort=False):
            few, many = rows.fraction.min(), rows.fraction.max()
            if few == many:
                continue
            wide = rows.pivot(index="seed", columns=["fraction", "label"], values=ACCURACY)
            mcmi = self.pair.mcmi(0).label
            asked = [(fraction, label) for fraction in (few, many) for label in (mcmi, "MLL")]
            wide = wide.reindex(columns=asked).dropna()
            if len(wide) < 2:
                continue
            gain_of = {f: wide[f, mcmi] - wide[f, "MLL"] for f in (few, many)}
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{distiller}: the gain is larger at {few:.0%} than at {many:.0%}",
                    paired_difference(gain_of[few], gain_of[many]),
                    quantity="gain in the student's test accuracy",
                    few_samples=drawn,
                )
            )
        return findings


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
