"""01 · Does temperature raise CMI, and do students follow it? (Figure 1)

Plain KD. Per pair and seed: one MLL teacher, the CMI of its softmax(logits / T) on the training
data at several temperatures T, and a student for every T.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import (
    Interval,
    paired_difference,
    summarise,
    within_seed_intervals,
)
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair, distinct_teachers
from mcmi_core.experiments.words import network_in_words
from mcmi_core.runs.config import Measurement, Run, Student

ACCURACY = "test_accuracy_percent"
_BY = ["pair", "seed", "temperature"]
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

    def numbers(self, lab: Lab) -> pd.DataFrame:
        """One row per ``pair``, ``seed`` and ``temperature``.

        Columns: ``cmi_nats`` of the teacher; of its student, if that is done, ``status``, the
        accuracy, percent, and ``gain_points``: by how much it beats the one of the same seed at
        T = 1, if that is done as well.
        """
        students = self.student_table(lab).reindex(columns=[*_BY, "status", ACCURACY])
        table = self.cmi_table(lab)[[*_BY, "cmi_nats"]]
        table = table.merge(students[students.status == "done"], on=_BY, how="left")
        at_one = table[table.temperature == NONE].set_index(_BY[:2])[ACCURACY]
        same_seed = pd.MultiIndex.from_frame(table[_BY[:2]])
        return table.assign(gain_points=table[ACCURACY] - at_one.reindex(same_seed).to_numpy())

    def summary(self, lab: Lab) -> pd.DataFrame:
        """The teachers' CMI and what becomes of their students, by ``temperature``.

        Columns: CMI, an interval over seeds; the students' accuracy, within seeds
        (:meth:`accuracy`); and paired differences, in points: by how much a student beats that at
        T = 1, and by how much the student at T* (:meth:`largest_cmi`) beats it. These are a
        description: they are not adjusted for their number. Before ``temperature``, ``pair`` where
        there are several.
        """
        numbers, peaks = self.numbers(lab), self.largest_cmi(lab)
        table = self.cmi(lab).to_frame("train_cmi_nats")
        table = table.join(self.accuracy(lab).rename(ACCURACY))
        for column, against in (("gain_over_one_points", NONE), ("largest_gain_points", None)):
            differences = []
            for pair, t in table.index:
                rows = numbers[numbers.pair == pair]
                wide = rows.pivot(index="seed", columns="temperature", values=ACCURACY)
                pairing = (t, against) if against else (peaks[pair], t)
                differences.append(_difference(wide, *pairing))
            table[column] = pd.Series(differences, table.index, dtype=object)
        return table.droplevel("pair") if len(self.pairs) == 1 else table

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


def _difference(wide: pd.DataFrame, treatment: float, control: float) -> Interval | None:
    """Of two columns, seed by seed; None: they are one, or have less than two seeds in common."""
    both = wide[[treatment, control]].dropna()
    if treatment == control or len(both) < 2:
        return None
    return paired_difference(both[treatment], both[control])
