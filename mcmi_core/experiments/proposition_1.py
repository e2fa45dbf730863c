"""13 · Do the features tell what the output tells? Both sides of Proposition 1, counted.

I(X; Ŷ | Y) ≤ I(X; f_X | Y) for every layer's feature f_X, quantised to a few bits, of a pair's
teachers; see :mod:`mcmi_core.measures.proposition`. That is a theorem, so a violation is an error.
What MCMI does to the two sides does not follow from it: those are findings, and exploratory.
"""

import math
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

SIDES = {"output_nats": "I(X; Ŷ | Y)", "feature_nats": "I(X; f | Y)"}
"""Formula by column."""
ROUNDING = 1e-9
"""Nats by which exact counts may miss the inequality."""


@dataclass(frozen=True, kw_only=True)
class Proposition1(Experiment):
    """Both sides of the inequality for every layer of a pair's teachers."""

    name: ClassVar[str] = "13_proposition_1"

    pair: Pair
    """Of MLP teachers."""
    seeds: tuple[int, ...]
    bits: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """That features are quantised to."""

    @property
    def subject(self) -> str:
        """For a heading, in words: data and the teachers' network; there are no students."""
        teacher, _, _ = self.pair.networks_in_words.partition(" → ")
        return f"{self.pair.data_in_words}: {teacher}"

    def teachers(self) -> list[Teacher]:
        """Seed by seed: MLL, fine-tuned with λ = 0, MCMI."""
        return [teacher for seed in self.seeds for teacher in self.pair.trained_teachers(seed)]

    def runs(self) -> list[Run]:
        """A measurement of each teacher, on its training data."""
        what = "proposition_1:bits=" + "+".join(map(str, self.bits))
        return [Measurement(of=teacher, what=what) for teacher in self.teachers()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, layer and number of bits; X is uniform over the training samples.

        Returns:
            ``layer`` (``hidden 1``, ..., ``logits``), ``bits`` (NaN: the feature as it is),
            ``cells`` (different values of the feature), ``label``, ``seed``, ``output_nats`` =
            I(X; Ŷ | Y), ``feature_nats`` = I(X; f | Y), ``gap_nats``, the second less the first,
            and ``smallest_gap_nats``, the least gap of a class.

        Raises:
            ValueError: the inequality does not hold in some class, which is a bug.
        """
        counted = ["layer", "bits", "cells", *SIDES, "smallest_gap_nats"]
        table = lab.collect_results(self.runs(), counted).rename(columns={"of_seed": "seed"})
        table["gap_nats"] = table.feature_nats - table.output_nats
        table["layer"] = table.layer.map(lambda number: f"hidden {number}" if number else "logits")
        broken = table[~(table.smallest_gap_nats >= -ROUNDING)]
        if len(broken):
            first = broken.iloc[0]
            raise ValueError(
                "I(X; Ŷ | Y = y) ≤ I(X; f | Y = y) must hold in every class, got a gap of "
                f"{first.smallest_gap_nats:.3g} nats ({first.label}, seed {first.seed}, "
                f"{first.layer}, {first.bits:g} bits)"
            )
        columns = ["layer", "bits", "cells", "label", "seed", *SIDES, "gap_nats"]
        return table[[*columns, "smallest_gap_nats"]]

    def quantised(self, lab: Lab) -> pd.DataFrame:
        """Both sides, nats: intervals by ``label``, ``layer`` and ``bits``."""
        table = self.table(lab)
        quantised = table[table.bits.notna()]
        return summarise(quantised, ["label", "layer", "bits"], list(SIDES))

    def sides_as_text(self, lab: Lab) -> dict[str, pd.DataFrame]:
        """:meth:`quantised` as text, a table per side by its formula: teachers as columns."""
        table = self.quantised(lab)
        return {
            formula: table[side].unstack("label").map("{:.2f}".format).rename(int, level="bits")
            for side, formula in SIDES.items()
        }

    def unquantised(self, lab: Lab) -> pd.DataFrame:
        """Both sides and their gap, nats, for features as they are: by ``label``, ``layer``.

        As all images have different features, these tell which image it is: log n nats for n
        images of a class.
        """
        table = self.table(lab)
        sides = [*SIDES, "gap_nats"]
        return summarise(table[table.bits.isna()], ["label", "layer"], sides)

    @property
    def control(self) -> str:
        """Label of the teacher that others are compared with: fine-tuned without CMI."""
        return self.pair.untreated(0).label

    @property
    def footer(self) -> str:
        """Of its figure: network, data, and n."""
        teacher = self.pair.networks_in_words.partition(" → ")[0]
        return (
            f"{teacher} on training data of {self.pair.data_in_words}; mean and 95 % t-interval, "
            f"n = {len(self.seeds)} seeds"
        )

    def over_the_control(self, lab: Lab) -> pd.DataFrame:
        """What a teacher has more than the control of its seed, of both sides, nats.

        Returns:
            Intervals by ``label`` (without the control), ``layer`` and ``bits``, which are infinite
            for features as they are.
        """
        table = self.table(lab)
        table["bits"] = table.bits.fillna(math.inf)
        sides = {side: gains(table, side, self.control, ["layer", "bits"]) for side in SIDES}
        order = [label for label in table.label.unique() if label != self.control]
        levels = ["label", "layer", "bits"]
        return pd.DataFrame(sides).reorder_levels(levels).reindex(order, level="label")

    def numbers(self, lab: Lab) -> pd.Series:
        """What the figure shows: an interval by ``label``, ``layer``, ``bits`` and ``metric``."""
        above = self.over_the_control(lab).add_suffix("_over_the_control")
        return above.stack().rename_axis(["label", "layer", "bits", "metric"])

    def ceiling(self, lab: Lab) -> float:
        """The most that a feature can tell, nats: all images of a class differ in it."""
        return max(interval.mean for interval in self.unquantised(lab).feature_nats)

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the teachers, by label."""
        return outcome_by(lab.collect(self.teachers()), "label")

    def findings(self, lab: Lab) -> list[Finding]:
        """Does MCMI raise either side, in every layer, at the most bits? All exploratory."""
        table, most, findings = self.table(lab), max(self.bits), []
        for side, formula in SIDES.items():
            for layer, rows in table[table.bits == most].groupby("layer", sort=False):
                findings += compared_with_controls(
                    lab,
                    self.pair,
                    rows,
                    side,
                    f"{layer}: {formula} at {most} bits is larger in {{treatment}} than in "
                    "{control}",
                    quantity=formula,
                    asked=len(self.seeds),
                    unit="nats",
                    networks=self.pair.teacher,
                )
        return findings
