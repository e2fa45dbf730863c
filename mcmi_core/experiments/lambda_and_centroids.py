"""09 · How much CMI, with which centroids, and where does training collapse?

One MLL teacher per seed, fine-tuned with every λ and both centroid policies, and a few-shot student
of each. λ = 0 is fine-tuning by itself, without CMI.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import Interval, gains, selection_effects, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Run, Student, Teacher

POLICIES = ("fixed", "tracked")
LEVELS = ("train_ll_nats", "train_cmi_nats")
GAINS = {
    "test_accuracy_gain": "test_accuracy_percent",
    "student_accuracy_gain": "student_accuracy_percent",
}
"""Name of a gain over MLL, in points, and the column that it is the gain in."""
EPOCHS = {"test_accuracy_percent": "last", "best_test_accuracy_percent": "best on test"}
SAME_TRAINING_NATS = 0.01
"""By how much the LL of two equal trainings may differ where sums are not in the same order."""


@dataclass(frozen=True, kw_only=True)
class LambdaAndCentroids(Experiment):
    """MCMI teachers by λ and centroid policy, and a few-shot student of each."""

    name: ClassVar[str] = "09_lambda_and_centroids"

    pair: Pair
    """Its λ and centroid policy are the setting chosen beforehand."""
    lambdas: tuple[float, ...]
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    def teachers(self) -> list[Teacher]:
        """MLL of every seed; then MCMI, seed by seed, policy by policy, λ by λ."""
        teachers = [self.pair.mll(seed) for seed in self.seeds]
        for seed in self.seeds:
            for policy in POLICIES:
                for lam in self.lambdas:
                    teachers.append(self.pair.mcmi(seed, lam=lam, centroids=policy))
        return teachers

    def students(self) -> list[Student]:
        """One of each teacher, in the same order."""
        return [
            self.pair.distill(teacher, teacher.seed, fraction=self.few)
            for teacher in self.teachers()
        ]

    def runs(self) -> list[Run]:
        """Teachers and their students."""
        return [*self.teachers(), *self.students()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, with its student.

        Returns:
            ``label``, ``seed``, ``policy`` (``MLL``, ``fixed`` or ``tracked``), ``λ`` (0 for MLL),
            ``status`` and ``student_status``, the teacher's ``train_ll_nats``, ``train_cmi_nats``
            and ``test_accuracy_percent``, and ``student_accuracy_percent``, on test. What did not
            finish has no metrics.

        Raises:
            ValueError: at λ = 0, where no centroid matters, the policies' LL differ.
        """
        metrics = [*LEVELS, "test_accuracy_percent"]
        teachers = lab.collect(self.teachers(), metrics)
        students = lab.collect(self.students(), list(EPOCHS))
        table = teachers[["label", "seed", "status", *metrics]].assign(
            policy=teachers.objective_centroids.fillna("MLL"),
            student_status=students.status,
            student_accuracy_percent=students.test_accuracy_percent,
        )
        table["λ"] = teachers.objective_lam.fillna(0)
        table.loc[table.status != "done", metrics] = float("nan")
        table.loc[table.student_status != "done", "student_accuracy_percent"] = float("nan")
        _check_that_policies_agree_without_cmi(table)
        return table

    def collapsed(self, lab: Lab) -> pd.DataFrame:
        """How many teachers did not finish fine-tuning: a row per policy, a column per λ."""
        table = self.table(lab)
        sweep = table[table.policy != "MLL"]
        failed = sweep.assign(failed=sweep.status != "done")
        return failed.pivot_table(index="policy", columns="λ", values="failed", aggfunc="sum")

    def collapse_table(self, lab: Lab) -> pd.DataFrame:
        """As :meth:`collapsed`, in words; and whether a policy trains at every λ."""
        collapsed, table = self.collapsed(lab), self.table(lab)
        words = collapsed.map(f"{{}} of {len(self.seeds)}".format)
        words.columns = [f"λ = {lam:g}" for lam in collapsed]
        words["trains at every λ"] = (collapsed.sum(axis=1) == 0).map({True: "yes", False: "no"})
        students = table[table.student_status == "collapsed"].groupby("policy").size()
        words["students collapsed"] = students.reindex(words.index, fill_value=0)
        return words

    def summary(self, lab: Lab) -> pd.DataFrame:
        """What λ and centroids do: an interval over the seeds that are left.

        Returns:
            One row per ``policy`` and ``λ`` with at least two seeds: ``train_ll_nats``,
            ``train_cmi_nats``; ``test_accuracy_gain`` and ``student_accuracy_gain``: of the
            teacher over MLL, of its student over MLL's, in points, paired by seed. What cannot be
            had (MLL's gain over itself) is NaN.
        """
        table = self.table(lab)
        done = table[table.status == "done"]
        summary = summarise(done, ["policy", "λ", "label"], list(LEVELS)).reset_index()
        for name, metric in GAINS.items():
            summary[name] = summary.label.map(gains(done, metric, control="MLL"))
        return summary.drop(columns="label").set_index(["policy", "λ"])

    def numbers(self, lab: Lab) -> pd.Series:
        """As :meth:`summary`: an interval by ``policy``, ``λ`` and ``metric``."""
        long = self.summary(lab).melt(var_name="metric", value_name="interval", ignore_index=False)
        return long.dropna().set_index("metric", append=True).interval

    def selectable(self, lab: Lab) -> pd.DataFrame:
        """Students of MLL and of the settings to choose from: λ > 0, centroids set beforehand.

        A row per run. Seeds without MLL's student are left out, and then settings that do not have
        all the seeds.
        """
        table = self.table(lab)
        candidate = (table.policy == self.pair.centroids) & (table["λ"] > 0)
        wanted = (candidate | (table.policy == "MLL")) & (table.student_status == "done")
        done = lab.collect(self.students(), list(EPOCHS))[wanted]
        seeds = done.seed[done.label == "MLL"]
        done = done[done.seed.isin(seeds)]
        return done[done.groupby("label").seed.transform("size") == len(seeds)]

    def selection(self, lab: Lab) -> pd.DataFrame:
        """What choosing epoch and λ on test would add to the gain of MCMI's student.

        Returns:
            ``metric``, ``choice``, ``chosen`` and ``added`` (points) as in
            :func:`~mcmi_core.base.statistics.selection_effects`; ``epoch``: ``last`` or ``best on
            test``; ``mean``, ``low``, ``high``, ``n``: the gain in points. No rows if the setting
            set beforehand lacks a seed that MLL has, or if fewer than two seeds are left.
        """
        students, beforehand = self.selectable(lab), self.pair.mcmi(self.seeds[0]).label
        columns = ["metric", "choice", "chosen", "added", "epoch"]
        if beforehand not in set(students.label) or students.seed.nunique() < 2:
            return pd.DataFrame(columns=[*columns, *Interval._fields])
        effects = selection_effects(students, list(EPOCHS), "MLL", beforehand)
        effects["epoch"] = effects.metric.map(EPOCHS)
        gain = pd.DataFrame(effects.gain.tolist(), columns=Interval._fields)
        return effects[columns].join(gain)

    def lifts(self, lab: Lab) -> pd.DataFrame:
        """What the best epoch on test adds to each setting that :meth:`selectable` has.

        Returns:
            One row per teacher: mean accuracy of its students at the ``last epoch, %`` and at the
            ``best on test, %``, their difference ``lift, points``, and ``evaluated epochs``.
        """
        students = self.selectable(lab)
        means = students.groupby("label", sort=False)[list(EPOCHS)].mean()
        means.columns = ["last epoch, %", "best on test, %"]
        means["lift, points"] = means["best on test, %"] - means["last epoch, %"]
        history = lab.collect_histories(self.students(), ["test_accuracy_percent"])
        looks = history[history.id.isin(students.id)].groupby("id").test_accuracy_percent.count()
        means["evaluated epochs"] = looks.groupby(students.set_index("id").label).max()
        return means

    def findings(self, lab: Lab) -> list[Finding]:
        """The student's gain at every λ and policy; all exploratory."""
        table = self.table(lab)
        gain = gains(table, "student_accuracy_percent", control="MLL")
        teachers = by_label(self.teachers())
        return [
            finding(
                lab,
                self.pair,
                f"with {self.few:.0%} of the data, the student of {label} beats MLL's",
                difference,
                quantity="student's test accuracy",
                teacher=teachers[label],
                few_samples=True,
            )
            for label, difference in gain.items()
        ]


def readable_selection(selection: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`LambdaAndCentroids.selection` as text, by epoch and choice."""
    rows = selection.set_index(["epoch", "choice"])
    intervals = [Interval(*values) for values in rows[list(Interval._fields)].to_numpy()]
    return pd.DataFrame(
        {
            "chosen": rows.chosen,
            "gain, points": [f"{interval:+.2f}" for interval in intervals],
            "added": rows.added.map("{:+.2f}".format),
        }
    )


def _check_that_policies_agree_without_cmi(table: pd.DataFrame) -> None:
    """Raise ValueError if teachers that are the same training at λ = 0 are not alike."""
    control = table[(table.policy != "MLL") & (table["λ"] == 0)]
    ll = control.pivot(index="seed", columns="policy", values="train_ll_nats").dropna()
    apart = ll.max(axis=1) - ll.min(axis=1)
    if (apart > SAME_TRAINING_NATS).any():
        raise ValueError(
            f"at λ = 0 both centroid policies are the same training, but their LL are "
            f"{apart.max():.3g} nats apart"
        )
