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
from mcmi_core.experiments.words import network_in_words
from mcmi_core.runs.config import Measurement, Run, Student

ACCURACY = "test_accuracy_percent"
NONE, MODERATE, CUSTOMARY = 1.0, 2.0, 4.0
"""The temperatures that are compared: that of the network itself, a little more, and that of plain
KD. CMI falls again where outputs become uniform, which for an uncertain teacher may be before 4."""


@dataclass(frozen=True, kw_only=True)
class TemperatureAndCmi(Experiment):
    """CMI of MLL teachers, and the accuracy of their students, by temperature."""

    name: ClassVar[str] = "01_temperature_and_cmi"

    pairs: tuple[Pair, ...]
    temperatures: tuple[float, ...]
    """Of the teacher in plain KD; 4 is the customary one."""
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not {NONE, MODERATE, CUSTOMARY} <= set(self.temperatures):
            raise ValueError(
                f"temperatures must include {NONE:g}, {MODERATE:g} and {CUSTOMARY:g}, which are "
                f"compared, got {', '.join(f'{t:g}' for t in self.temperatures)}"
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
        its students collapsed, a pair if two seeds count; empty if none does.
        """
        names = ["pair", "temperature"]
        none = pd.Series(dtype=object, index=pd.MultiIndex.from_arrays([[], []], names=names))
        intervals = {}
        for pair, rows in self.student_table(lab).groupby("pair", sort=False):
            whole = (rows.status == "done").groupby(rows.seed).transform("all")
            if rows.seed[whole].nunique() >= 2:
                intervals[pair] = within_seed_intervals(rows[whole], "temperature", ACCURACY)
        return pd.concat(intervals, names=names) if intervals else none

    def largest_cmi(self, lab: Lab) -> pd.Series:
        """T*, the temperature at which the teachers' mean CMI is largest, by ``pair``."""
        means = self.cmi(lab).map(lambda interval: interval.mean)
        peaks = {pair: rows[pair].idxmax() for pair, rows in means.groupby("pair", sort=False)}
        return pd.Series(peaks, dtype=float).rename_axis("pair")

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all students are done, or how many collapsed, by ``pair``."""
        return outcome_by(self.student_table(lab), "pair").rename_axis("pair")

    def summary(self, lab: Lab) -> pd.DataFrame:
        """The teachers' CMI and their students' accuracy, by ``pair`` and ``temperature``.

        Intervals: of CMI over seeds, of the accuracy within seeds (:meth:`accuracy`).
        """
        cmi, accuracy = self.cmi(lab), self.accuracy(lab)
        return cmi.to_frame("train_cmi_nats").join(accuracy.rename(ACCURACY))

    def maxima(self, lab: Lab) -> pd.DataFrame:
        """Is the student best where CMI is largest? One row per pair.

        A description of the means, not a test: the best of several students is selected on test.
        Columns: T of the largest CMI; the place of its student among all, and how far it is behind
        the best, in points; T of the best. Pairs without accuracies are left out.
        """
        peaks, accuracy = self.largest_cmi(lab), self.accuracy(lab)
        rows = []
        for pair in accuracy.index.unique("pair"):
            means = accuracy[pair].map(lambda interval: interval.mean)
            peak = peaks[pair]
            place = f"{(means > means[peak]).sum() + 1} of {len(means)}"
            rows.append((pair, peak, place, means.max() - means[peak], means.idxmax()))
        columns = ["T of the largest CMI", "its student's place", "behind the best, points"]
        columns.append("T of the best student")
        return pd.DataFrame(rows, columns=["pair", *columns]).set_index("pair")

    def findings(self, lab: Lab) -> list[Finding]:
        """CMI of each teacher, and the accuracy of each pair's students, above T = 1?

        Primary, for the first pair: CMI at T = 2 is above that at T = 1; and the student at T*, the
        temperature that has the largest CMI, beats that at T = 1. With T* = 1 the latter cannot be
        asked.
        """
        return [*self._of_teachers(lab), *self._of_students(lab)]

    def _of_teachers(self, lab: Lab) -> list[Finding]:
        findings, table = [], self.cmi_table(lab)
        for place, pair in enumerate(distinct_teachers(self.pairs)):
            rows = table[table.pair == str(pair)]
            wide = rows.pivot(index="seed", columns="temperature", values="cmi_nats")
            if len(wide) < 2:
                continue
            for t in (MODERATE, CUSTOMARY):
                primary = t == MODERATE and place == 0
                findings.append(
                    finding(
                        lab,
                        pair,
                        f"{self._named(network_in_words(pair.teacher))}CMI at T = {t:g} is above "
                        f"that at T = {NONE:g}",
                        paired_difference(wide[t], wide[NONE]),
                        quantity=f"teacher's CMI on training data, T = {t:g} − T = {NONE:g}",
                        asked=len(self.seeds),
                        unit="nats",
                        treatment=f"T = {t:g}",
                        control=f"T = {NONE:g}",
                        networks=pair.teacher,
                        decides="temperature" if primary else None,
                    )
                )
        return findings

    def _of_students(self, lab: Lab) -> list[Finding]:
        findings, peaks, table = [], self.largest_cmi(lab), self.student_table(lab)
        for place, pair in enumerate(self.pairs):
            rows = table[(table.pair == str(pair)) & (table.status == "done")]
            if str(pair) not in peaks or rows.empty:
                continue
            wide = rows.pivot(index="seed", columns="temperature", values=ACCURACY)
            peak = peaks[str(pair)]
            for t in dict.fromkeys((peak, CUSTOMARY)):
                both = wide.reindex(columns=[t, NONE]).dropna()
                if t == NONE or len(both) < 2:
                    continue
                where = ", where its teacher's CMI is largest," if t == peak else ""
                primary = t == peak and place == 0
                findings.append(
                    finding(
                        lab,
                        pair,
                        f"{self._named(pair.networks_in_words)}the student at T = {t:g}{where} "
                        f"beats that at T = {NONE:g}",
                        paired_difference(both[t], both[NONE]),
                        quantity="student's test accuracy",
                        asked=len(self.seeds),
                        treatment=f"T = {t:g}",
                        control=f"T = {NONE:g}",
                        decides="temperature_student" if primary else None,
                    )
                )
        return findings

    def _named(self, networks: str) -> str:
        """Before a claim, where there is more than one pair: ``ResNet-20: ``."""
        return f"{networks}: " if len(self.pairs) > 1 else ""
