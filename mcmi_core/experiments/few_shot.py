"""08 · How much is gained, the fewer samples the student has? (Table 3)

Students by several frameworks, of teachers that saw all the data, and without a teacher. A student
sees a fraction of the data, cycled: its epochs have as many updates as with all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import Interval, gains, summarise
from mcmi_core.experiments.authors_trials import few_shot_gains
from mcmi_core.experiments.controls import compared_with_controls
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by, seeds_text
from mcmi_core.experiments.pair import Pair, name_from_scratch
from mcmi_core.experiments.raised_share import measure_raised, raised_percent
from mcmi_core.experiments.reference import authors_few_shot
from mcmi_core.experiments.words import framework_in_words
from mcmi_core.runs.config import Measurement, Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
SETTING = ["distiller", "fraction"]
TEACHER_METRICS = ["train_accuracy_percent", "train_ll_nats", "train_cmi_nats", ACCURACY]
FEW = 2
"""Seeds whose interval cannot be relied on: their mean is drawn without one."""
AUTHORS_MCMI = "MCMI fixed λ=0.15"
"""Label of the authors' own few-shot trials of MCMI."""
AUTHORS_ROW = f"authors, CIFAR-100: {AUTHORS_MCMI}"
"""Label of their rows in a table of ours, which is of other data."""


@dataclass(frozen=True, kw_only=True)
class FewShot(Experiment):
    """All teachers of a pair, by framework and by the fraction that the student sees."""

    name: ClassVar[str] = "08_few_shot"

    pair: Pair
    seeds: tuple[int, ...]
    fractions: Mapping[str, tuple[float, ...]]
    """Parts of the training data that a student sees, by distiller."""
    sampling: str = "stratified"
    """``stratified``: drawn anew for each seed; or ``first``, as the authors: the first samples of
    the file, whatever their class, the same for all seeds."""

    def in_words(self) -> str:
        """The settings as a sentence: seeds, and how much of the data students see."""
        parts = [
            f"{_percents(fractions)} of the data by {framework_in_words(distiller)}"
            for distiller, fractions in self.fractions.items()
        ]
        drawn = {
            "stratified": "the same share of every class, drawn anew for each seed",
            "first": "the first samples of the file",
        }[self.sampling]
        seeds = ", ".join(map(str, self.seeds))
        return f"Students see {' and '.join(parts)}, {drawn}. Seeds: {seeds}."

    def runs(self) -> list[Run]:
        """Students of each seed, framework and fraction, with their teachers; and those' shares."""
        students = {run.key: run for *_, run in self._students()}
        return [*students.values(), *self.raised()]

    def raised(self) -> list[Measurement]:
        """On how many training images MCMI can raise a wrong class at its start, by λ."""
        lambdas = [teacher.objective.options["lam"] for teacher in self.pair.mcmi_teachers(0)]
        return measure_raised(self.pair, self.seeds, list(dict.fromkeys(lambdas)))

    def teachers(self, lab: Lab) -> pd.DataFrame:
        """What teachers there are: an interval over seeds, one row per ``label``.

        Returns:
            ``train_accuracy_percent``, ``train_ll_nats``, ``train_cmi_nats`` and
            ``test_accuracy_percent`` over the seeds that did not collapse; and of MCMI
            ``raised_percent``, the share of training images on which it raises a wrong class at its
            start (:func:`~mcmi_core.measures.predictions.raised_share`), which is measured on the
            MLL teachers of all seeds; NaN otherwise. Teachers with fewer than two seeds are left
            out.
        """
        teachers = [teacher for seed in self.seeds for teacher in self.pair.teachers(seed)]
        table = lab.collect(teachers, TEACHER_METRICS).rename(columns={"objective_lam": "λ"})
        table["raised_percent"] = raised_percent(lab, self.raised(), table)
        done = table[table.status == "done"]
        summary = summarise(done, ["label"], TEACHER_METRICS)
        shares = summarise(table.dropna(subset="raised_percent"), ["label"], ["raised_percent"])
        order = [label for label in table.label.unique() if label in summary.index]
        return summary.join(shares).loc[order]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per student that is done.

        Returns:
            The columns of :meth:`~mcmi_core.experiments.lab.Lab.collect`, with ``distiller`` and
            ``fraction``. A student without a teacher, ``from scratch``, has a row for every
            distiller that it is compared with.
        """
        table = self._all(lab)
        return table[table.status == "done"]

    def outcomes(self, lab: Lab) -> pd.Series:
        """What became of the students of each teacher."""
        return outcome_by(self._all(lab), "label")

    def seeds_text(self, lab: Lab) -> str:
        """How many seeds the numbers are of: ``n = 5 seeds``; ``n ≤ 5 seeds`` where runs lack."""
        return seeds_text(self._all(lab).status, self.seeds)

    def accuracy(self, lab: Lab) -> pd.Series:
        """Test accuracy, percent: an interval by ``distiller``, ``fraction`` and ``label``."""
        asked = self._all(lab).set_index([*SETTING, "label"]).index.unique()
        accuracy = summarise(self.table(lab), asked.names, [ACCURACY])[ACCURACY]
        return accuracy[asked[asked.isin(accuracy.index)]]

    def gain(self, lab: Lab, *, over_mll: bool = False) -> pd.Series:
        """Gain in test accuracy, points: an interval by distiller, fraction and label.

        Args:
            lab: that has the records.
            over_mll: whether the gain is over MLL's student, as in the paper; otherwise it is over
                the student of the control, MLL fine-tuned without CMI (λ = 0).
        """
        control = self.pair.mll(0) if over_mll else self.pair.untreated(0)
        return gains(self.table(lab), ACCURACY, control=control.label, by=SETTING)

    def note(self, lab: Lab) -> str:
        """What the figure's numbers are, and of how many seeds."""
        drawn = "mean and 95 % t-interval" if len(self.seeds) > FEW else "mean without interval"
        return (
            f"{self.subject}, {self.sampling} subsets; last epoch; gains paired by seed, {drawn}, "
            f"{self.seeds_text(lab)}; authors: Welch's interval, n ≤ 5"
        )

    def beside_authors(self, lab: Lab) -> pd.DataFrame:
        """Accuracies and gains as text, ours and the authors': :func:`beside_authors`."""
        ours = self.accuracy(lab), self.gain(lab), self.gain(lab, over_mll=True)
        return beside_authors(*ours, authors_accuracy(), authors_gain())

    def numbers(self, lab: Lab) -> pd.Series:
        """Ours and the authors': an interval by ``source``, distiller, fraction and label."""
        authors = pd.concat({AUTHORS_MCMI: authors_gain()}, names=["label"])
        sources = {
            "ours, accuracy": self.accuracy(lab),
            "ours, gain over λ=0": self.gain(lab),
            "ours, gain over MLL": self.gain(lab, over_mll=True),
            "authors, gain over MLL, CIFAR-100, best epoch on test": authors.reorder_levels(
                [*SETTING, "label"]
            ),
        }
        return pd.concat(sources, names=["source"])

    def findings(self, lab: Lab) -> list[Finding]:
        """MCMI against its controls at every fraction; is the gain larger where there is less?

        Primary: by KD and by CRD at the smallest fraction; by KD with all the data; and KD's gain
        at the smallest fraction less that at the largest below 100 %.
        """
        findings, table = [], self.table(lab)
        for (distiller, fraction), rows in table.groupby(SETTING, sort=False):
            findings += compared_with_controls(
                lab,
                self.pair,
                rows,
                ACCURACY,
                f"{framework_in_words(distiller)}, {fraction:.0%} of the data: the student of "
                "{treatment} beats that of {control}",
                quantity="student's test accuracy",
                asked=len(self.seeds),
                few_samples=self.sampling != "first" and fraction < 1,
                decides=self._claim(distiller, fraction),
            )
        for distiller, rows in table.groupby("distiller", sort=False):
            findings += self._larger_where_there_is_less(lab, distiller, rows)
        return findings

    def _claim(self, distiller: str, fraction: float) -> str | None:
        """The claim that a setting decides, if it decides one."""
        if fraction == 1:
            return "all_data" if distiller == "kd" else None
        if fraction > min(self._fractions_of(distiller)):
            return None
        return {"kd": "few_shot", "crd": "few_shot_crd"}.get(distiller)

    def _fractions_of(self, distiller: str) -> tuple[float, ...]:
        """Of a distiller without its options."""
        return {_name(text): parts for text, parts in self.fractions.items()}[distiller]

    def _larger_where_there_is_less(
        self, lab: Lab, distiller: str, rows: pd.DataFrame
    ) -> list[Finding]:
        """Compares accuracy at few − accuracy at many samples, which is the difference of gains."""
        fractions = sorted(part for part in self._fractions_of(distiller) if part < 1)
        if len(fractions) < 2:
            return []
        few, many = fractions[0], fractions[-1]
        wide = rows.pivot(index=["label", "seed"], columns="fraction", values=ACCURACY)
        difference = wide.reindex(columns=[few, many]).dropna()
        difference = (difference[few] - difference[many]).rename("difference").reset_index()
        return compared_with_controls(
            lab,
            self.pair,
            difference,
            "difference",
            f"{framework_in_words(distiller)}: {{treatment}} gains more over {{control}} at "
            f"{few:.0%} than at {many:.0%} of the data",
            quantity="gain in the student's test accuracy",
            asked=len(self.seeds),
            few_samples=self.sampling != "first",
            decides="fewer_more" if distiller == "kd" else None,
            negligible=None,
        )

    def _all(self, lab: Lab) -> pd.DataFrame:
        plan = self._students()
        table = name_from_scratch(lab.collect((run for *_, run in plan), [ACCURACY]))
        distillers, fractions = [row[0] for row in plan], [row[1] for row in plan]
        return table.assign(distiller=distillers, fraction=fractions)

    def _students(self) -> list[tuple[str, float, Student | Teacher]]:
        """Distiller, fraction and run: seed by seed, all teachers of a setting, then without one.

        CRD compares features, which the truth does not have.
        """
        plan = []
        for seed in self.seeds:
            for distiller, fractions in self.fractions.items():
                name, teachers = _name(distiller), self.pair.teachers(seed)
                if name == "crd":
                    teachers = self.pair.trained_teachers(seed)
                for fraction in fractions:
                    part = {"fraction": fraction, "sampling": self.sampling}
                    for teacher in teachers:
                        student = self.pair.distill(teacher, seed, distiller=distiller, **part)
                        plan.append((name, fraction, student))
                    plan.append((name, fraction, self.pair.student_from_scratch(seed, **part)))
        return plan


def _percents(fractions: tuple[float, ...]) -> str:
    """``5, 10 and 100 %``."""
    *others, last = [f"{100 * fraction:g}" for fraction in fractions]
    return f"{', '.join(others)} and {last} %" if others else f"{last} %"


def _name(distiller: str) -> str:
    """Without its options."""
    return distiller.partition(":")[0]


def authors_accuracy() -> pd.Series:
    """The authors' own trials on CIFAR-100: an interval by distiller, fraction and label.

    ResNet-56 → ResNet-20, λ = 0.15, the best epoch SELECTED ON TEST. Settings that were tried once
    have no interval and are left out.
    """
    trials = authors_few_shot()
    repeated = trials.groupby([*SETTING, "label"]).trial.transform("nunique") > 1
    metric = "accuracy_percent"
    return summarise(trials[repeated], [*SETTING, "label"], [metric])[metric]


def authors_gain() -> pd.Series:
    """The gain of the authors' MCMI over their MLL, points: an interval by distiller and fraction.

    Of the trials of :func:`authors_accuracy`: a difference of means with Welch's interval, as they
    are not paired; n is the smaller number of trials. They have no student of λ = 0.
    """
    table = few_shot_gains().dropna(subset="low").set_index(SETTING)
    n = table[["n_mll", "n_mcmi"]].min(axis=1)
    values = zip(table.gain, table.low, table.high, n, strict=True)
    return pd.Series([Interval(*each) for each in values], table.index)


def beside_authors(
    accuracy: pd.Series,
    gain: pd.Series,
    gain_over_mll: pd.Series,
    authors: pd.Series,
    authors_over_mll: pd.Series,
) -> pd.DataFrame:
    """Ours as text, one row per student, and after those of a setting the authors' MCMI.

    Args:
        accuracy: percent, of :meth:`FewShot.accuracy`.
        gain: points over λ = 0, of :meth:`FewShot.gain`.
        gain_over_mll: likewise, over MLL.
        authors: percent, of :func:`authors_accuracy`.
        authors_over_mll: points, of :func:`authors_gain`.

    Returns:
        ``accuracy, %``, ``gain over λ=0, points``, ``gain over MLL, points``, and ``n``, how many
        seeds the accuracy is of; of the authors, the smaller number of trials that their gain is
        of. By ``distiller``, ``data`` (``5 %``) and ``label``. Settings that only the authors have
        are left out.
    """
    level, over_control, over_mll = "accuracy, %", "gain over λ=0, points", "gain over MLL, points"
    ours = accuracy.map("{:.1f}".format).to_frame(level)
    ours[over_control] = gain.map("{:+.1f}".format)
    ours[over_mll] = gain_over_mll.map("{:+.1f}".format)
    ours["n"] = [f"{interval.n}" for interval in accuracy]
    theirs = authors.xs(AUTHORS_MCMI, level="label", drop_level=False).map("{:.1f}".format)
    theirs = theirs.to_frame(level)
    gains = authors_over_mll.reindex(theirs.index.droplevel("label"))
    theirs[over_mll] = gains.map("{:+.1f}".format, na_action="ignore").to_numpy()
    theirs["n"] = gains.map(lambda gain: f"{gain.n}", na_action="ignore").to_numpy()
    theirs = theirs[theirs.index.droplevel("label").isin(ours.index.droplevel("label"))]
    theirs = theirs.rename(index={AUTHORS_MCMI: AUTHORS_ROW}, level="label")
    table = pd.concat([ours, theirs])
    place, _ = pd.factorize(table.index.droplevel("label"))
    table = table.iloc[place.argsort(kind="stable")].fillna("")
    fractions = {part: f"{100 * part:g} %" for part in table.index.unique("fraction")}
    return table.rename(index=fractions, level="fraction").rename_axis(index={"fraction": "data"})
