"""03 · Does an MCMI teacher look at more of an image? (Figure 3)

Eigen-CAMs of three teachers per seed: MLL, MCMI, and the control: the same fine-tuning without CMI
(λ = 0). Two numbers over the whole test split say how much a map covers and how much the
maps of a class differ; see :mod:`mcmi_core.measures.eigen_cam`.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import Interval, gains, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Measurement, Run, Teacher

COVERAGE, INFORMATION = "coverage_percent", "place_information_nats"


@dataclass(frozen=True, kw_only=True)
class EigenCam(Experiment):
    """Eigen-CAMs of MLL teachers, MCMI teachers and teachers fine-tuned without CMI."""

    name: ClassVar[str] = "03_eigen_cam"

    pair: Pair
    """Whose teachers Eigen-CAM shows: of real images, with maps."""
    stage: int
    """Whose map is drawn: the last, or one that still has places to tell apart."""
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.pair.lam <= 0:
            raise ValueError(f"λ must be above 0, which is the control's, got {self.pair.lam:g}")

    def runs(self) -> list[Run]:
        """The teachers and all measurements of them."""
        teachers = self.teachers()
        return [*teachers, *self.coverages(), *self.coverages(centred=True), *self.maps()]

    def teachers(self) -> list[Teacher]:
        """Seed by seed: MLL, fine-tuned with λ = 0, MCMI."""
        teachers = []
        for seed in self.seeds:
            untreated = self.pair.mcmi(seed, lam=0.0)
            teachers += [self.pair.mll(seed), untreated, self.pair.mcmi(seed)]
        return teachers

    def coverages(self, *, centred: bool = False) -> list[Measurement]:
        """The two numbers at every stage, one measurement per teacher."""
        what = "eigen_cam_coverage" + (":centred=true" if centred else "")
        return [Measurement(of=run, what=what, split="test") for run in self.teachers()]

    def maps(self) -> list[Measurement]:
        """Maps of the first test images of the first classes, by the first seed's teachers."""
        first = self.teachers()[:3]
        what = f"eigen_cam_maps:stage={self.stage}"
        return [Measurement(of=teacher, what=what, split="test") for teacher in first]

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher."""
        return lab.collect(self.teachers())

    def teacher_summary(self, lab: Lab, metrics: list[str]) -> pd.DataFrame:
        """An interval over seeds for each metric, by ``label``, where two seeds are done."""
        table = self.teacher_table(lab)
        return summarise(table[table.status == "done"], ["label"], metrics)

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all teachers are done, or how many collapsed, by ``label``."""
        return outcome_by(self.teacher_table(lab), "label").rename_axis("label")

    def coverage_table(self, lab: Lab) -> pd.DataFrame:
        """One row per kind of map (``centred`` or not), teacher and stage.

        Columns: ``centred``, ``stage_index``, ``positions`` (H·W), ``label``, ``seed``,
        ``coverage_percent`` and ``place_information_nats``.

        Raises:
            ValueError: a coverage that is no percentage, negative information, or no such stage.
        """
        columns, kinds = ["stage_index", "positions", COVERAGE, INFORMATION], []
        for centred in (False, True):
            kinds.append(lab.collect_results(self.coverages(centred=centred), columns))
        table = pd.concat(kinds).rename(columns={"of_seed": "seed", "what_centred": "centred"})
        wrong = table[COVERAGE][~table[COVERAGE].between(0, 100)]
        if len(wrong):
            raise ValueError(f"coverage must be from 0 to 100 %, got {wrong.iloc[0]:g}")
        if (least := table[INFORMATION].min()) < 0:
            raise ValueError(f"information must not be negative, got {least:g}")
        stages = sorted(set(table.stage_index))
        if stages and self.stage not in stages:  # none: every teacher collapsed
            raise ValueError(f"no stage {self.stage}; choose from {', '.join(map(str, stages))}")
        columns = ["centred", "stage_index", "positions", "label", "seed", COVERAGE, INFORMATION]
        return table[columns]

    def drawn(self, coverage: pd.DataFrame) -> pd.DataFrame:
        """The rows of :meth:`coverage_table` on the maps that are drawn: one stage, uncentred."""
        return coverage[(coverage.stage_index == self.stage) & ~coverage.centred]

    def coverage_summary(self, lab: Lab) -> pd.DataFrame:
        """Intervals as text, of the drawn and of the last stage.

        Returns:
            Coverage (percent) and place information (nats), by ``centred``, ``stage_index``,
            ``positions`` and ``label``.
        """
        table = self.coverage_table(lab)
        shown = table[table.stage_index.isin((self.stage, table.stage_index.max()))]
        by = ["centred", "stage_index", "positions", "label"]
        summary = summarise(shown, by, [COVERAGE, INFORMATION])
        formats = {COVERAGE: "{:.1f}", INFORMATION: "{:.4f}"}
        return pd.DataFrame({name: summary[name].map(formats[name].format) for name in formats})

    def pictures(self, lab: Lab) -> pd.DataFrame:
        """One row per map: ``label``, ``class_index``, ``picture`` and ``heat``."""
        return lab.collect_results(self.maps())

    def findings(self, lab: Lab) -> list[Finding]:
        """Do MCMI's maps cover more, and differ more within a class? On the drawn stage.

        Of maps as drawn and of centred ones, each against MLL and against λ = 0. Primary is the
        coverage of maps as drawn, against MLL, as the paper has it.
        """
        table = self.coverage_table(lab)
        mll, untreated, mcmi = (teacher.label for teacher in self.teachers()[:3])
        findings = []
        for centred in (False, True):
            rows = table[(table.stage_index == self.stage) & (table.centred == centred)]
            for metric in (COVERAGE, INFORMATION):
                for control in (mll, untreated):
                    compared = rows[rows.label.isin((control, mcmi))]
                    difference = gains(compared, metric, control).get(mcmi)
                    if difference is not None:
                        findings.append(self._finding(lab, metric, control, centred, difference))
        return findings

    def _finding(
        self, lab: Lab, metric: str, control: str, centred: bool, difference: Interval
    ) -> Finding:
        maps = f"{'centred ' if centred else ''}maps of stage {self.stage}"
        words, quantity, unit = {
            COVERAGE: ("cover more of the image", "share of the image covered", "points"),
            INFORMATION: ("differ more within a class", "place information", "nats"),
        }[metric]
        return finding(
            lab,
            self.pair,
            f"MCMI's {maps} {words} than {control}'s",
            difference,
            quantity=f"{quantity}, {maps}",
            unit=unit,
            control=control,
            networks=self.pair.teacher,
            primary=(metric, control, centred) == (COVERAGE, "MLL", False),
        )
