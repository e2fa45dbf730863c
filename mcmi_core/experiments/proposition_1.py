"""13 · Do the features tell what the output tells? Both sides of Proposition 1, counted.

I(X; Ŷ | Y) ≤ I(X; f_X | Y) for every layer's feature f_X, quantised to a few bits, of MLL and MCMI
teachers; see :mod:`mcmi_core.measures.proposition`. That is a theorem, so a violation is an error.
What MCMI does to the two sides does not follow from it: those are findings.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, mean_interval, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
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
    """Both sides of the inequality for every layer of MLL and MCMI teachers."""

    name: ClassVar[str] = "13_proposition_1"

    pair: Pair
    """Of MLP teachers."""
    seeds: tuple[int, ...]
    bits: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """That features are quantised to."""

    def teachers(self) -> list[Teacher]:
        """MLL and MCMI, seed by seed."""
        teachers = []
        for seed in self.seeds:
            teachers += [self.pair.mll(seed), self.pair.mcmi(seed)]
        return teachers

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

    def unquantised_as_text(self, lab: Lab) -> pd.DataFrame:
        """Both sides and their gap, nats, for features as they are; and what became of the runs."""
        table, teachers = self.table(lab), lab.collect(self.teachers())
        sides = [*SIDES, "gap_nats"]
        summary = summarise(table[table.bits.isna()], ["layer", "label"], sides)
        outcomes = outcome_by(teachers, "label")
        rows = pd.MultiIndex.from_product(
            [outcomes.index, table.layer.unique()], names=["label", "layer"]
        ).swaplevel()
        text = summary.map("{:.3f}".format).reindex(rows).fillna("")
        return text.assign(teachers=outcomes[rows.get_level_values("label")].array)

    def findings(self, lab: Lab) -> list[Finding]:
        """The mean gap of the inequality (primary); and whether MCMI raises either side."""
        return [*self._gap(lab), *self._raised_sides(lab)]

    def _gap(self, lab: Lab) -> list[Finding]:
        """One value per seed: the mean over both teachers, all layers and bits."""
        gaps = self.table(lab).groupby("seed").gap_nats.mean()
        if len(gaps) < 2:
            return []
        gap = finding(
            lab,
            self.pair,
            "I(X; Ŷ | Y) ≤ I(X; f | Y), mean over MLL and MCMI teachers, layers and bits",
            mean_interval(gaps),
            quantity="I(X; f | Y) − I(X; Ŷ | Y)",
            unit="nats",
            treatment="I(X; f | Y) of MLL and MCMI teachers",
            control="I(X; Ŷ | Y)",
            networks=self.pair.teacher,
            primary=True,
        )
        return [gap]

    def _raised_sides(self, lab: Lab) -> list[Finding]:
        """MCMI − MLL of either side, in every layer, at the most bits."""
        findings, table = [], self.table(lab)
        most, teachers = max(self.bits), by_label(self.teachers())
        for side, formula in SIDES.items():
            differences = gains(table[table.bits == most], side, control="MLL", by=["layer"])
            for (layer, label), difference in differences.items():
                findings.append(
                    finding(
                        lab,
                        self.pair,
                        f"{layer}: {formula} at {most} bits is larger in {label}",
                        difference,
                        quantity=f"{formula}, MCMI − MLL",
                        unit="nats",
                        teacher=teachers[label],
                        networks=self.pair.teacher,
                    )
                )
        return findings
