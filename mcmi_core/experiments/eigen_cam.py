"""03 · Does an MCMI teacher look at more of an image? (Figure 3)

Eigen-CAMs of a pair's teachers, per seed: MLL, MCMI, and the control: the same fine-tuning without
CMI (λ = 0). Two numbers over the whole test split say how much a map covers, and how much the maps
of a class differ; see :mod:`mcmi_core.measures.eigen_cam`.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, summarise
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding
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

    def runs(self) -> list[Run]:
        """The teachers and all measurements of them."""
        teachers = self.teachers()
        return [*teachers, *self.coverages(), *self.coverages(centred=True), *self.maps()]

    def teachers(self) -> list[Teacher]:
        """Seed by seed: MLL, fine-tuned with λ = 0, MCMI."""
        return [teacher for seed in self.seeds for teacher in self.pair.trained_teachers(seed)]

    def coverages(self, *, centred: bool = False) -> list[Measurement]:
        """The two numbers at every stage, one measurement per teacher."""
        what = "eigen_cam_coverage" + (":centred=true" if centred else "")
        return [Measurement(of=run, what=what, split="test") for run in self.teachers()]

    def maps(self) -> list[Measurement]:
        """Maps of the first test images of the first classes, by the first seed's teachers."""
        first = self.pair.trained_teachers(self.seeds[0])
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
        """Intervals as text, of uncentred maps, of the last two stages and the drawn one.

        Returns:
            By ``stage_index``, ``positions`` and ``label``: coverage, percent, and place
            information, nats; each followed by its difference to the control's of the same seed,
            which has none itself (``–``).
        """
        table = self.coverage_table(lab)
        last = table.stage_index.max()
        shown = table[table.stage_index.isin((self.stage, last - 1, last)) & ~table.centred]
        by = ["stage_index", "positions", "label"]
        summary = summarise(shown, by, [COVERAGE, INFORMATION])
        control = self.pair.untreated(0).label
        texts = {}
        for metric, gain, text, gain_text in (
            (COVERAGE, "coverage_gain_points", "{:.1f}", "{:+.2f}"),
            (INFORMATION, "place_information_gain_nats", "{:.4f}", "{:+.4f}"),
        ):
            differences = gains(shown, metric, control, by[:2]).reindex(summary.index)
            texts[metric] = summary[metric].map(text.format)
            texts[gain] = differences.map(gain_text.format, na_action="ignore")
        return pd.DataFrame(texts).fillna("–").sort_index(level=by[0], sort_remaining=False)

    def pictures(self, lab: Lab) -> pd.DataFrame:
        """One row per map: ``label``, ``class_index``, ``picture`` and ``heat``."""
        return lab.collect_results(self.maps())

    def findings(self, lab: Lab) -> list[Finding]:
        """Do MCMI's maps cover more, and differ more within a class? On the drawn stage.

        Of maps as drawn and of centred ones. Primary is the coverage of maps as drawn.
        """
        table = self.coverage_table(lab)
        questions = (
            (COVERAGE, "cover more of the image", "share of the image covered", "points"),
            (INFORMATION, "differ more by image", "place information", "nats"),
        )
        findings = []
        for centred in (False, True):
            maps = "centred maps" if centred else "maps"
            rows = table[(table.stage_index == self.stage) & (table.centred == centred)]
            for metric, do, quantity, unit in questions:
                findings += compared_with_controls(
                    lab,
                    self.pair,
                    rows,
                    metric,
                    f"{maps} of {{treatment}} {do} than those of {{control}}",
                    quantity=f"{quantity}, {maps} of stage {self.stage}",
                    asked=len(self.seeds),
                    unit=unit,
                    networks=self.pair.teacher,
                    decides="eigen_cam" if metric == COVERAGE and not centred else None,
                    negligible=None,
                )
        return findings
