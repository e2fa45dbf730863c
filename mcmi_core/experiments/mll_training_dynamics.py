"""02 · Does MLL training lower CMI? (Figure 2)

MLL teachers, evaluated on their training split as their training goes on.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import paired_difference, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair, distinct_teachers
from mcmi_core.runs.config import Run, Teacher

CMI, LL = "train_cmi_nats", "train_ll_nats"


@dataclass(frozen=True, kw_only=True)
class MllTrainingDynamics(Experiment):
    """CMI and log-likelihood of MLL teachers, epoch by epoch."""

    name: ClassVar[str] = "02_mll_training_dynamics"

    pairs: tuple[Pair, ...]
    seeds: tuple[int, ...]

    def runs(self) -> list[Run]:
        """Every MLL teacher once."""
        return [teacher for teachers in self.teachers().values() for teacher in teachers]

    def teachers(self) -> dict[str, list[Teacher]]:
        """Seed by seed, by ``network on data``."""
        return {
            _name(pair): [pair.mll(seed) for seed in self.seeds]
            for pair in distinct_teachers(self.pairs)
        }

    def milestones(self) -> dict[str, tuple[int, ...]]:
        """Epochs after which the learning rate drops, by ``network on data``."""
        return {_name(pair): pair.mll(0).recipe.milestones for pair in self.pairs}

    def final_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher as it ended, with column ``teacher``: ``network on data``."""
        tables = [lab.collect(runs).assign(teacher=name) for name, runs in self.teachers().items()]
        return pd.concat(tables)

    def history(self, lab: Lab) -> pd.DataFrame:
        """One row per ``teacher``, ``seed`` and ``epoch``; teachers that collapsed are left out.

        ``train_ll_nats``, ``train_cmi_nats`` and ``train_accuracy_percent`` are on the training
        split, in eval mode.
        """
        ended = self.final_table(lab)
        tables = [
            lab.collect_histories(runs, [CMI, LL]).assign(teacher=name)
            for name, runs in self.teachers().items()
        ]
        history = pd.concat(tables)
        return history[history.key.isin(ended.key[ended.status == "done"])]

    def two_moments(self, lab: Lab) -> pd.DataFrame:
        """After a tenth of the training and at its end: one row per ``teacher`` and ``epoch``.

        Columns: CMI and LL on the training split, nats, as intervals over seeds.
        """
        history = self.history(lab)
        chosen = []
        for pair in distinct_teachers(self.pairs):
            rows = history[history.teacher == _name(pair)]
            chosen.append(rows[rows.epoch.isin(two_epochs(pair))])
        return summarise(pd.concat(chosen), ["teacher", "epoch"], [CMI, LL])

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all runs are done, or how many collapsed, by ``teacher``."""
        return outcome_by(self.final_table(lab), "teacher").rename_axis("teacher")

    def findings(self, lab: Lab) -> list[Finding]:
        """For every teacher: CMI falls (primary), LL rises, from a tenth of the training on."""
        findings, history = [], self.history(lab)
        for pair in distinct_teachers(self.pairs):
            name, (early, last) = f"{pair.teacher} on {pair.data_name}", two_epochs(pair)
            rows = history[history.teacher == _name(pair)]
            if rows.seed.nunique() < 2:
                continue
            cmi = rows.pivot(index="seed", columns="epoch", values=CMI)
            ll = rows.pivot(index="seed", columns="epoch", values=LL)
            about = {"unit": "nats", "networks": pair.teacher}
            findings += [
                finding(
                    lab,
                    pair,
                    f"{name}: CMI falls from epoch {early} to {last}",
                    paired_difference(cmi[early], cmi[last]),
                    quantity=f"CMI on training data, epoch {early} − epoch {last}",
                    treatment=f"MLL at epoch {early}",
                    control=f"epoch {last}",
                    primary=True,
                    **about,
                ),
                finding(
                    lab,
                    pair,
                    f"{name}: LL rises from epoch {early} to {last}",
                    paired_difference(ll[last], ll[early]),
                    quantity=f"LL on training data, epoch {last} − epoch {early}",
                    treatment=f"MLL at epoch {last}",
                    control=f"epoch {early}",
                    **about,
                ),
            ]
        return findings


def two_epochs(pair: Pair) -> tuple[int, int]:
    """The epochs that are compared, fixed in advance: a tenth of the training, and its end."""
    epochs = pair.recipe.epochs
    return max(1, epochs // 10), epochs


def _name(pair: Pair) -> str:
    return f"{pair.teacher} on {pair.data}"
