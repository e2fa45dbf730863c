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
from mcmi_core.experiments.words import pair_in_words
from mcmi_core.runs.config import Run, Teacher

CMI, LL, ACCURACY = "train_cmi_nats", "train_ll_nats", "train_accuracy_percent"


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

    def early_epochs(self) -> dict[str, int]:
        """The epoch that is compared with the end, by ``network on data``."""
        return {_name(pair): two_epochs(pair)[0] for pair in self.pairs}

    def final_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher as it ended, with column ``teacher``: ``network on data``."""
        tables = [lab.collect(runs).assign(teacher=name) for name, runs in self.teachers().items()]
        return pd.concat(tables)

    def history(self, lab: Lab) -> pd.DataFrame:
        """A row per ``teacher``, ``seed`` and evaluated ``epoch``; collapsed teachers are left out.

        ``train_ll_nats``, ``train_cmi_nats`` and ``train_accuracy_percent`` are on the training
        split, in eval mode.
        """
        ended = self.final_table(lab)
        tables = [
            lab.collect_histories(runs, [CMI, LL, ACCURACY]).assign(teacher=name)
            for name, runs in self.teachers().items()
        ]
        history = pd.concat(tables).dropna(subset=CMI)
        return history[history.key.isin(ended.key[ended.status == "done"])]

    def moments(self, lab: Lab) -> pd.DataFrame:
        """What teachers are like at a few evaluated epochs: by ``moment`` and ``epoch``.

        Moments, of which several may be one epoch: the first that was evaluated, the largest mean
        CMI, the early one, the last before the learning rate first drops and the first after it,
        the end. Before them, ``teacher`` where there are several. Columns: accuracy on the training
        split, percent, which shows whether the network is a trained one, and CMI and LL there,
        nats; as intervals over seeds.
        """
        history, chosen = self.history(lab), []
        for pair in distinct_teachers(self.pairs):
            rows = history[history.teacher == _name(pair)]
            names = _moments(pair, rows)
            chosen.append(rows[rows.epoch.isin(names)].assign(moment=rows.epoch.map(names)))
        by = ["teacher", "moment", "epoch"]
        table = summarise(pd.concat(chosen).sort_values("epoch"), by, [ACCURACY, CMI, LL])
        table = table.sort_index(level="teacher", sort_remaining=False)
        return table.droplevel("teacher") if len(self.teachers()) == 1 else table

    def outcomes(self, lab: Lab) -> pd.Series:
        """Whether all runs are done, or how many collapsed, by ``teacher``."""
        return outcome_by(self.final_table(lab), "teacher").rename_axis("teacher")

    def findings(self, lab: Lab) -> list[Finding]:
        """CMI falls and LL rises from early in the training on; where does CMI fall most?

        Primary: that CMI of the first teacher falls.
        """
        findings, history = [], self.history(lab)
        for place, pair in enumerate(distinct_teachers(self.pairs)):
            rows = history[history.teacher == _name(pair)]
            if rows.seed.nunique() >= 2:
                findings += self._changes(lab, pair, rows, "dynamics" if place == 0 else None)
                findings += self._around_the_drop(lab, pair, rows)
        return findings

    def _changes(
        self, lab: Lab, pair: Pair, rows: pd.DataFrame, decides: str | None
    ) -> list[Finding]:
        name, (early, last) = self._named(pair), two_epochs(pair)
        cmi = rows.pivot(index="seed", columns="epoch", values=CMI)
        ll = rows.pivot(index="seed", columns="epoch", values=LL)
        return [
            finding(
                lab,
                pair,
                f"{name}CMI falls from epoch {early} to {last}",
                paired_difference(cmi[early], cmi[last]),
                quantity=f"CMI on training data, epoch {early} − epoch {last}",
                asked=len(self.seeds),
                unit="nats",
                treatment=f"MLL at epoch {early}",
                control=f"epoch {last}",
                networks=pair.teacher,
                decides=decides,
            ),
            finding(
                lab,
                pair,
                f"{name}log-likelihood rises from epoch {early} to {last}",
                paired_difference(ll[last], ll[early]),
                quantity=f"LL on training data, epoch {last} − epoch {early}",
                asked=len(self.seeds),
                unit="nats",
                treatment=f"MLL at epoch {last}",
                control=f"epoch {early}",
                networks=pair.teacher,
            ),
        ]

    def _around_the_drop(self, lab: Lab, pair: Pair, rows: pd.DataFrame) -> list[Finding]:
        """Is it the first drop of the learning rate after which CMI falls?"""
        (early, last), drop = two_epochs(pair), last_epoch_before_the_drop(pair)
        if drop is None:
            return []
        cmi = rows.pivot(index="seed", columns="epoch", values=CMI)
        after, before = cmi[drop] - cmi[last], cmi[early] - cmi[drop]
        return [
            finding(
                lab,
                pair,
                f"{self._named(pair)}CMI falls more after the learning rate first drops, epochs "
                f"{drop} to {last}, than before, epochs {early} to {drop}",
                paired_difference(after, before),
                quantity="fall of CMI on training data, after − before the drop",
                asked=len(self.seeds),
                unit="nats",
                treatment=f"MLL, epochs {drop} to {last}",
                control=f"epochs {early} to {drop}",
                networks=pair.teacher,
            )
        ]

    def _named(self, pair: Pair) -> str:
        """Before a claim, where there is more than one teacher: ``ResNet-20: ``."""
        several = len(self.teachers()) > 1
        return f"{pair_in_words(_name(pair))}: " if several else ""


def two_epochs(pair: Pair) -> tuple[int, int]:
    """The epochs that are compared, fixed in advance: a quarter of the training, and its end.

    The first one is the last that was evaluated by then: a network that has learnt to classify, not
    one that is nearly untrained, whose outputs vary with nothing.
    """
    epochs = pair.recipe.epochs
    return _last_evaluated(pair, max(1, epochs // 4)), epochs


def _moments(pair: Pair, rows: pd.DataFrame) -> dict[int, str]:
    """The epochs that :meth:`MllTrainingDynamics.moments` shows, with their names."""
    if rows.empty:
        return {}
    cmi = rows.groupby("epoch")[CMI].mean()
    (early, last), drop = two_epochs(pair), last_epoch_before_the_drop(pair)
    moments = [("first evaluated", cmi.index.min()), ("largest CMI", cmi.idxmax())]
    moments += [("early moment", early), ("end", last)]
    if drop is not None:
        after = cmi.index[cmi.index > drop].min()
        moments += [("last before the drop", drop), ("first after the drop", after)]
    names: dict[int, str] = {}
    for name, epoch in moments:
        names[epoch] = f"{names[epoch]}, {name}" if epoch in names else name
    return names


def last_epoch_before_the_drop(pair: Pair) -> int | None:
    """The last evaluated epoch at the first learning rate; None if none lies between the two."""
    recipe = pair.recipe
    if recipe.schedule != "step" or not recipe.milestones:
        return None
    early, last = two_epochs(pair)
    drop = _last_evaluated(pair, max(1, min(recipe.milestones)))
    return drop if early < drop < last else None


def _last_evaluated(pair: Pair, epoch: int) -> int:
    """At or before an epoch; the first one always is."""
    recipe = pair.mll(0).recipe
    return next(each for each in range(epoch, 0, -1) if recipe.evaluates_after(each))


def _name(pair: Pair) -> str:
    return f"{pair.teacher} on {pair.data}"
