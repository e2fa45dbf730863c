"""09 · How much CMI, with which centroids, and where does training collapse?

One MLL teacher per seed, fine-tuned without CMI (λ = 0) and by MCMI with every λ and both centroid
policies; a few-shot student of each, and one without a teacher.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import (
    Interval,
    gains,
    paired_difference,
    selection_effects,
    summarise,
)
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import FROM_SCRATCH, POLICIES, Pair
from mcmi_core.experiments.raised_share import measure_raised, raised_percent
from mcmi_core.runs.config import Measurement, Run, Student, Teacher

UNTREATED = "fine-tuned"
"""In place of a policy, of fine-tuning without CMI."""
STUDENT = "student_accuracy_percent"
LEVELS = ("train_accuracy_percent", "train_ll_nats", "train_cmi_nats", "raised_percent")
GAINS = {
    "test_accuracy_gain": ("test_accuracy_percent", UNTREATED),
    "student_accuracy_gain": (STUDENT, UNTREATED),
    "student_accuracy_gain_over_mll": (STUDENT, "MLL"),
}
"""Name of a gain in points, the column that it is the gain in, and over which teacher."""
RUINED_BELOW = 0.5
"""Of the MLL teacher's accuracy on training images: a teacher that did not collapse, and has less,
is ruined. A mean over ruined and sound teachers describes neither."""
EPOCHS = {"test_accuracy_percent": "last", "best_test_accuracy_percent": "best on test"}


@dataclass(frozen=True, kw_only=True)
class LambdaAndCentroids(Experiment):
    """MCMI teachers by λ and centroid policy, and a few-shot student of each."""

    name: ClassVar[str] = "09_lambda_and_centroids"

    pair: Pair
    """Its λ is the one that was chosen beforehand for ``fixed`` centroids."""
    lambdas: tuple[float, ...]
    """Each above 0: the control, λ = 0, where no centroid matters, is always there, once."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    def __post_init__(self) -> None:
        if not self.lambdas or min(self.lambdas) <= 0:
            raise ValueError(f"lambdas must be above 0 (λ = 0 is always there), got {self.lambdas}")

    def teachers(self) -> list[Teacher]:
        """Seed by seed: MLL, λ = 0, then MCMI policy by policy and λ by λ."""
        teachers = []
        for seed in self.seeds:
            teachers += [self.pair.mll(seed), self.pair.untreated(seed)]
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

    def students_from_scratch(self) -> list[Teacher]:
        """One without a teacher per seed, on the same samples."""
        return [self.pair.student_from_scratch(seed, fraction=self.few) for seed in self.seeds]

    def raised(self) -> list[Measurement]:
        """On how many training images MCMI can raise a wrong class at its start, by λ."""
        return measure_raised(self.pair, self.seeds, self.lambdas)

    def runs(self) -> list[Run]:
        """Teachers, their students, those without one, and what is measured on MLL teachers."""
        students = [*self.students(), *self.students_from_scratch()]
        return [*self.teachers(), *students, *self.raised()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, with its student; last, the students without a teacher.

        Returns:
            ``label``, ``seed``, ``policy`` (``MLL``, ``fine-tuned``, ``fixed``, ``tracked`` or
            ``from scratch``), ``λ`` (0 where there is no MCMI), ``status`` and ``student_status``;
            the teacher's ``train_accuracy_percent``, ``train_ll_nats``, ``train_cmi_nats`` and
            ``test_accuracy_percent``; ``raised_percent``, the share of training images on which
            MCMI with this λ, at its start from the MLL teacher, raises a wrong class
            (:func:`~mcmi_core.measures.predictions.raised_share`); and
            ``student_accuracy_percent``, on test. What did not finish has no metrics; without a
            teacher there are none of it, and its status is ``–``.
        """
        metrics = [*LEVELS[:-1], "test_accuracy_percent"]
        teachers = lab.collect(self.teachers(), metrics)
        students = lab.collect(self.students(), list(EPOCHS))
        table = teachers[["label", "seed", "status", *metrics]].assign(
            policy=[_policy(teacher) for teacher in self.teachers()],
            student_status=students.status,
            student_accuracy_percent=students.test_accuracy_percent,
        )
        table["λ"] = [teacher.objective.options.get("lam", 0.0) for teacher in self.teachers()]
        table["raised_percent"] = raised_percent(lab, self.raised(), table)
        table.loc[table.status != "done", [*metrics, "raised_percent"]] = float("nan")
        table = pd.concat([table, self._without_a_teacher(lab)], ignore_index=True)
        table.loc[table.student_status != "done", STUDENT] = float("nan")
        return table

    def _without_a_teacher(self, lab: Lab) -> pd.DataFrame:
        students = lab.collect(self.students_from_scratch(), ["test_accuracy_percent"])
        rows = {"seed": students.seed, "label": FROM_SCRATCH, "policy": FROM_SCRATCH, "λ": 0.0}
        rows |= {"status": "–", "student_status": students.status}
        return pd.DataFrame(rows | {STUDENT: students.test_accuracy_percent})

    def collapsed(self, lab: Lab) -> pd.DataFrame:
        """How many MCMI teachers did not finish fine-tuning: a row per policy, a column per λ."""
        table = self.table(lab)
        sweep = table[table.policy.isin(POLICIES)]
        failed = sweep.assign(failed=sweep.status != "done")
        return failed.pivot_table(index="policy", columns="λ", values="failed", aggfunc="sum")

    def ruined(self, lab: Lab) -> pd.DataFrame:
        """As :meth:`collapsed`: of MCMI teachers that finished, how many are ``RUINED_BELOW``."""
        table = self.table(lab)
        sweep = table[table.policy.isin(POLICIES)]
        before = table[table.policy == "MLL"].set_index("seed").train_accuracy_percent
        least = RUINED_BELOW * sweep.seed.map(before)
        ruined = sweep.assign(ruined=sweep.train_accuracy_percent < least)
        return ruined.pivot_table(index="policy", columns="λ", values="ruined", aggfunc="sum")

    def collapse_table(self, lab: Lab) -> pd.DataFrame:
        """As :meth:`collapsed`, in words, with those ruined; and whether all λ leave all whole."""
        collapsed, ruined, table = self.collapsed(lab), self.ruined(lab), self.table(lab)
        words = collapsed.map(f"{{}} of {len(self.seeds)}".format)
        words += ruined.map(lambda count: f" ({count} ruined)" if count else "")
        words.columns = [f"λ = {lam:g}" for lam in collapsed]
        whole = (collapsed + ruined).sum(axis=1) == 0
        words["trains at every λ"] = whole.map({True: "yes", False: "no"})
        students = table[table.student_status == "collapsed"].groupby("policy").size()
        words["students collapsed"] = students.reindex(words.index, fill_value=0)
        return words

    def accuracies(self, lab: Lab) -> pd.DataFrame:
        """Accuracy on training images of every teacher that did not collapse, in words.

        Collapse is judged by LL. A teacher can lose its accuracy and keep more of its LL than that.

        Returns:
            Percent, a row per policy, a column per λ: ``95 to 98``, or where seeds are more than
            five points apart in their order, ``98, 18, 99``.
        """
        table = self.table(lab)
        left = table[table.policy.isin(POLICIES) & (table.status == "done")]
        groups = left.train_accuracy_percent.groupby([left.policy, left["λ"]])
        words = groups.agg(_range_in_words).unstack().fillna("–")
        return words.rename(columns="λ = {:g}".format).rename_axis(columns=None)

    def summary(self, lab: Lab) -> pd.DataFrame:
        """What λ and centroids do: an interval over the seeds that are left.

        Returns:
            One row per ``policy`` and ``λ`` with at least two seeds: the teacher's
            ``train_accuracy_percent``, ``train_ll_nats``, ``train_cmi_nats`` and
            ``raised_percent``; ``test_accuracy_gain``: of the teacher over λ = 0;
            ``student_accuracy_gain`` and ``student_accuracy_gain_over_mll``: of its student over
            that of λ = 0 and over that of MLL, in points, paired by seed. What cannot be had (a
            gain over itself; a share at λ = 0; a teacher of students from scratch) is NaN.
        """
        table = self.table(lab)
        done = table[table.status == "done"]
        setting = ["policy", "λ", "label"]
        summary = summarise(done, setting, list(LEVELS[:-1])).reset_index()
        if table[STUDENT][table.policy == FROM_SCRATCH].count() >= 2:
            alone = {"policy": FROM_SCRATCH, "λ": 0.0, "label": FROM_SCRATCH}
            summary = pd.concat([summary, pd.DataFrame([alone])], ignore_index=True)
        shares = summarise(done[done["λ"] > 0], setting, ["raised_percent"]).raised_percent
        summary["raised_percent"] = summary.label.map(shares.droplevel(["policy", "λ"]))
        labels = {"MLL": self.pair.mll(0).label, UNTREATED: self.pair.untreated(0).label}
        for name, (metric, control) in GAINS.items():
            summary[name] = summary.label.map(gains(table, metric, labels[control]))
        return summary.drop(columns="label").set_index(["policy", "λ"])

    def numbers(self, lab: Lab) -> pd.Series:
        """As :meth:`summary`: an interval by ``policy``, ``λ`` and ``metric``."""
        long = self.summary(lab).melt(var_name="metric", value_name="interval", ignore_index=False)
        return long.dropna().set_index("metric", append=True).interval

    def policies_compared(self, lab: Lab) -> pd.DataFrame:
        """``tracked`` against ``fixed``: at equal λ, and each setting at the nearest CMI.

        Both start from the same MLL teacher, so equal λ is also an equal share of images on which
        MCMI raises a wrong class at its start.

        Returns:
            One row per pair of settings, each once, those of equal λ first: ``fixed`` and
            ``tracked`` (labels), ``chosen_by`` (``equal λ`` or ``the nearest CMI``), their mean
            training CMI ``fixed_cmi_nats`` and ``tracked_cmi_nats``, ``apart_nats``, and
            ``difference``: tracked's student − fixed's, points, paired by seed. A pair that fewer
            than two seeds have is left out.
        """
        table = self.table(lab)
        accuracy = table.pivot(index="seed", columns="label", values=STUDENT)
        levels = {}
        for policy in POLICIES:
            left = table[(table.policy == policy) & table[STUDENT].notna()]
            levels[policy] = left.groupby("label").train_cmi_nats.mean()
        fixed, tracked = levels.values()
        rows = []
        for (one, other), chosen_by in self._settings_to_compare(fixed, tracked).items():
            both = accuracy[[one, other]].dropna()
            if len(both) >= 2:
                rows.append(
                    {
                        "fixed": one,
                        "tracked": other,
                        "chosen_by": chosen_by,
                        "fixed_cmi_nats": fixed[one],
                        "tracked_cmi_nats": tracked[other],
                        "apart_nats": abs(fixed[one] - tracked[other]),
                        "difference": paired_difference(both[other], both[one]),
                    }
                )
        return pd.DataFrame(rows)

    def _settings_to_compare(
        self, fixed: pd.Series, tracked: pd.Series
    ) -> dict[tuple[str, str], str]:
        """Labels of both policies with why they are compared; CMI by label of what is left."""
        chosen = {}
        for lam in self.lambdas:
            both = tuple(self.pair.mcmi(0, lam=lam, centroids=policy).label for policy in POLICIES)
            chosen[both] = "equal λ"
        if len(fixed) and len(tracked):
            nearest = {(label, _nearest(tracked, level)) for label, level in fixed.items()}
            nearest |= {(_nearest(fixed, level), label) for label, level in tracked.items()}
            for both in sorted(nearest, key=lambda two: (fixed[two[0]], tracked[two[1]])):
                chosen.setdefault(both, "the nearest CMI")
        return chosen

    def selectable(self, lab: Lab) -> pd.DataFrame:
        """Students of MLL and of the settings that the authors chose from: ``fixed``, any λ > 0.

        A row per run. Seeds without MLL's student are left out, and then settings that do not have
        all the seeds.
        """
        students, teachers = lab.collect(self.students(), list(EPOCHS)), self.teachers()
        wanted = pd.Series([_policy(teacher) in ("MLL", "fixed") for teacher in teachers])
        done = students[wanted & (students.status == "done")]
        seeds = done.seed[done.label == "MLL"]
        done = done[done.seed.isin(seeds)]
        return done[done.groupby("label").seed.transform("size") == len(seeds)]

    def selection(self, lab: Lab) -> pd.DataFrame:
        """What choosing epoch and λ on test would add to the paper's gain of MCMI's student.

        As in the paper, centroids are ``fixed`` and the gain is over MLL; the pair's λ is the one
        set beforehand.

        Returns:
            ``metric``, ``choice``, ``chosen`` and ``added`` (points) as in
            :func:`~mcmi_core.base.statistics.selection_effects`; ``epoch``: ``last`` or ``best on
            test``; ``mean``, ``low``, ``high``, ``n``: the gain in points. No rows if the setting
            set beforehand is not among the λ or lacks a seed that MLL has, or if fewer than two
            seeds are left.
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
        """The student at every setting, and both policies against each other; nothing is decided.

        At the pair's own λ the comparison is a primary one of notebook 08.
        """
        settings = compared_with_controls(
            lab,
            self.pair,
            self.table(lab),
            STUDENT,
            f"students on {self.few:.0%} of the data: {{treatment}} beats {{control}}",
            quantity="student's test accuracy",
            asked=len(self.seeds),
            further=[t for t in self.teachers() if _policy(t) in POLICIES],
            few_samples=True,
            decided_in="08_few_shot",
        )
        return [*settings, *self._policies_against_each_other(lab)]

    def _policies_against_each_other(self, lab: Lab) -> list[Finding]:
        teachers = by_label(self.teachers())
        return [
            finding(
                lab,
                self.pair,
                f"students at {row.chosen_by}, {row.apart_nats:.3f} nats apart: "
                f"{row.tracked} beats {row.fixed}",
                row.difference,
                quantity="student's test accuracy",
                asked=len(self.seeds),
                teacher=teachers[row.tracked],
                control=row.fixed,
                few_samples=True,
            )
            for row in self.policies_compared(lab).itertuples()
        ]


def _range_in_words(percents: pd.Series) -> str:
    """See :meth:`LambdaAndCentroids.accuracies`."""
    if percents.max() - percents.min() > 5:
        return ", ".join(percents.map("{:.0f}".format))
    return " to ".join(dict.fromkeys(f"{end:.0f}" for end in (percents.min(), percents.max())))


def readable_summary(summary: pd.DataFrame, ruined: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`LambdaAndCentroids.summary` as text; gains with their sign.

    Where teachers are ruined (:meth:`LambdaAndCentroids.ruined`), how many, and no mean; λ is ``–``
    where there is no fine-tuning.
    """
    units = {"percent": "{:.1f}", "nats": "{:z.3f}", "gain": "{:+.2f}", "mll": "{:+.2f}"}

    def texts(column: pd.Series) -> pd.Series:
        text = units[column.name.rpartition("_")[2]]
        return column.map(text.format, na_action="ignore").fillna("–")

    words = summary.apply(texts)
    for (policy, lam), count in ruined.stack().items():
        if count and (policy, lam) in words.index:
            n = summary.loc[(policy, lam), "train_accuracy_percent"].n
            words.loc[(policy, lam), words.columns != "raised_percent"] = f"{count} of {n} ruined"
    settings = [
        (policy, f"{lam:g}" if lam or policy == UNTREATED else "–") for policy, lam in words.index
    ]
    return words.set_index(pd.MultiIndex.from_tuples(settings, names=words.index.names))


def readable_selection(selection: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`LambdaAndCentroids.selection` as text, by epoch and choice of λ."""
    rows = selection.set_index(["epoch", "choice"])
    intervals = [Interval(*values) for values in rows[list(Interval._fields)].to_numpy()]
    return pd.DataFrame(
        {
            "chosen": rows.chosen.str.replace("MCMI fixed ", "", regex=False),
            "gain, points": [f"{interval:+.2f}" for interval in intervals],
            "added, points": rows.added.map("{:+.2f}".format),
        }
    )


def _policy(teacher: Teacher) -> str:
    """Of its centroids; ``MLL`` or ``fine-tuned`` where none matters."""
    if teacher.objective.name == "mll":
        return "MLL"
    options = teacher.objective.options
    return options["centroids"] if options["lam"] > 0 else UNTREATED


def _nearest(levels: pd.Series, level: float) -> str:
    """The label whose level is nearest."""
    return (levels - level).abs().idxmin()
