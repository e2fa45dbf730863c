"""01 · Does temperature raise CMI, and do students follow it? (Figure 1)

Plain KD. Per pair and seed: one MLL teacher, the CMI of its softmax(logits / T) on the training
data at several temperatures T, and a student for every T.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import paired_difference, summarise, within_seed_intervals
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair, distinct_teachers
from mcmi_core.runs.config import Measurement, Run, Student

ACCURACY = "test_accuracy_percent"
NONE, CUSTOMARY = 1.0, 4.0
"""The temperatures that are compared: that of the network itself, and that of plain KD."""


@dataclass(frozen=True, kw_only=True)
class TemperatureAndCmi(Experiment):
    """CMI of MLL teachers, and the accuracy of their students, by temperature."""

    name: ClassVar[str] = "01_temperature_and_cmi"

    pairs: tuple[Pair, ...]
    temperatures: tuple[float, ...]
    """Of the teacher in plain KD; 4 is the customary one."""
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not {NONE, CUSTOMARY} <= set(self.temperatures):
            raise ValueError(
                f"temperatures must include {NONE:g} and {CUSTOMARY:g}, which are compared, "
                f"got {self.temperatures}"
            )

    def runs(self) -> list[Run]:
        """Pair by pair, the measurements of its teachers and its students."""
        runs = []
        for pair in self.pairs:
            runs += [*self.sweeps(pair), *self.students(pair)]
        return runs

    def sweeps(self, pair: Pair) -> list[Measurement]:
        """CMI at every temperature, one measurement per MLL teacher."""
        what = "temperature_sweep:temperatures=" + "+".join(map(str, self.temperatures))
        return [Measurement(of=pair.mll(seed), what=what) for seed in self.seeds]

    def students(self, pair: Pair) -> list[Student]:
        """Seed by seed, one for every temperature, on all the training data."""
        students = []
        for seed in self.seeds:
            for temperature in self.temperatures:
                distiller = f"kd:temperature={temperature}"
                students.append(pair.distill(pair.mll(seed), seed, distiller=distiller))
        return students

    def cmi_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher and temperature: ``pair``, ``seed``, ``temperature``, ``cmi_nats``.

        The CMI is on the training data; ``pair`` is the pair's text.
        """
        columns = ["temperature", "cmi_nats"]
        tables = []
        for pair in self.pairs:
            table = lab.collect_results(self.sweeps(pair), columns)
            tables.append(table.assign(pair=str(pair)))
        return pd.concat(tables).rename(columns={"of_seed": "seed"})

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, with columns ``pair`` and ``temperature``."""
        tables = [lab.collect(self.students(pair)).assign(pair=str(pair)) for pair in self.pairs]
        return pd.concat(tables).rename(columns={"distiller_temperature": "temperature"})

    def cmi(self, lab: Lab) -> pd.Series:
        """The teachers' CMI, nats: an interval over seeds by ``pair`` and ``temperature``."""
        return summarise(self.cmi_table(lab), ["pair", "temperature"], ["cmi_nats"]).cmi_nats

    def accuracy(self, lab: Lab) -> pd.Series:
        """The students' accuracy, percent: an interval by ``pair`` and ``temperature``.

        Intervals leave out what a seed adds at every temperature alike. A seed counts if none of
        its students collapsed, a pair if two seeds count.
        """
        intervals = {}
        for pair, rows in self.student_table(lab).groupby("pair", sort=False):
            whole = (rows.status == "done").groupby(rows.seed).transform("all")
            if rows.seed[whole].nunique() >= 2:
                intervals[pair] = within_seed_intervals(rows[whole], "temperature", ACCURACY)
        return pd.concat(intervals, names=["pair", "temperature"])

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all students are done, or how many collapsed, by ``pair``."""
        return outcome_by(self.student_table(lab), "pair").rename_axis("pair")

    def maxima(self, lab: Lab) -> pd.DataFrame:
        """Where CMI is largest and where the student is best: one row per pair.

        A description of the means, not a test. Columns: two temperatures, and the gain of the best
        one over T = 1 in points.
        """
        cmi, accuracy = self.cmi(lab), self.accuracy(lab)
        rows = {}
        for pair in accuracy.index.unique("pair"):
            cmi_means = cmi[pair].map(lambda interval: interval.mean)
            means = accuracy[pair].map(lambda interval: interval.mean)
            rows[pair] = {
                "T of the largest CMI": cmi_means.idxmax(),
                "T of the best student": means.idxmax(),
                "its gain over T = 1, points": means.max() - means[NONE],
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pair")

    def findings(self, lab: Lab) -> list[Finding]:
        """CMI at T = 4 above CMI at T = 1, for every teacher (primary)."""
        findings, table = [], self.cmi_table(lab)
        for pair in distinct_teachers(self.pairs):
            rows = table[table.pair == str(pair)]
            wide = rows.pivot(index="seed", columns="temperature", values="cmi_nats")
            if len(wide) < 2:
                continue
            findings.append(
                finding(
                    lab,
                    pair,
                    f"{pair.teacher} on {pair.data_name}: CMI at T = 4 is above that at T = 1",
                    paired_difference(wide[CUSTOMARY], wide[NONE]),
                    quantity="teacher's CMI, T = 4 − T = 1",
                    unit="nats",
                    treatment="T = 4",
                    control="T = 1",
                    networks=pair.teacher,
                    primary=True,
                )
            )
        return findings
