"""12 · How far is each teacher from the true P*, and what does it cost the student?

Synthetic data whose Bayes conditional probability distribution P* is known. Per seed: new data; the
pair's teachers, which are MLL, the same fine-tuned without CMI (λ = 0), MCMI, and P* itself; two
students of each, one on all the training data and one on a few per cent; and two without a teacher.
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
from mcmi_core.experiments.pair import FROM_SCRATCH, Pair, name_from_scratch
from mcmi_core.runs.config import Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
TEACHER_METRICS = (
    "train_ll_nats",
    "train_cmi_nats",
    "train_accuracy_percent",
    "train_bcpd_kl_nats",
    "test_bcpd_kl_nats",
    "test_accuracy_percent",
)
ZERO_NATS = 1e-6
"""What KL(P* ‖ P*) may be in single precision."""


@dataclass(frozen=True, kw_only=True)
class BayesOracle(Experiment):
    """Teachers of one task, one of them the truth, and what their students make of it.

    Raises:
        ValueError: data without a known posterior.
    """

    name: ClassVar[str] = "12_bayes_oracle"

    pair: Pair
    """On data whose posterior is known."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a few-shot student sees."""

    def __post_init__(self) -> None:
        self.pair.require_posterior()

    @property
    def labels(self) -> list[str]:
        """Of students: those of their teachers, and that of students without one."""
        return [*(teacher.label for teacher in self.pair.teachers(0)), FROM_SCRATCH]

    @property
    def fractions(self) -> tuple[float, float]:
        """Of the training data that a student sees."""
        return (1.0, self.few)

    def students(self) -> list[Student | Teacher]:
        """First on all the data, then on a few per cent: one of each teacher, one from scratch."""
        students = []
        for fraction in self.fractions:
            for seed in self.seeds:
                for teacher in self.pair.teachers(seed):
                    students.append(self.pair.distill(teacher, seed, fraction=fraction))
                students.append(self.pair.student_from_scratch(seed, fraction=fraction))
        return students

    def runs(self) -> list[Run]:
        """Students bring their teachers with them."""
        return self.students()

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, with the ``seed`` of its data.

        Raises:
            ValueError: the truth is not at distance 0 from itself.
        """
        parts = []
        for seed in self.seeds:
            part = lab.collect(self.pair.teachers(seed), TEACHER_METRICS)
            parts.append(part.assign(seed=seed))
        table = pd.concat(parts, ignore_index=True)
        truth = table[(table.stage == "bayes") & (table.status == "done")]
        for split in ("train", "test"):
            distance = truth[f"{split}_bcpd_kl_nats"].abs().max()
            if len(truth) and not distance < ZERO_NATS:
                raise ValueError(f"KL(P* ‖ P*) must be 0, got {distance:.3g} nats ({split} split)")
        return table

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, with the ``fraction`` of the training data that it sees."""
        table = name_from_scratch(lab.collect(self.students(), [ACCURACY]))
        return table.rename(columns={"part_fraction": "fraction"})

    def distances(self, lab: Lab) -> pd.DataFrame:
        """Of every teacher, by ``label``, the intervals of `TEACHER_METRICS`.

        Nats or percent as their names say; ``bcpd_kl`` is the mean KL(P* ‖ P) to the truth.
        """
        return summarise(_done(self.teacher_table(lab)), ["label"], list(TEACHER_METRICS))

    def accuracy(self, lab: Lab) -> pd.DataFrame:
        """Students' test accuracy, percent: intervals by teacher's label and by fraction."""
        done = _done(self.student_table(lab))
        return self._by_fraction(summarise(done, ["fraction", "label"], [ACCURACY])[ACCURACY])

    def gain(self, lab: Lab, *, over_mll: bool = False) -> pd.DataFrame:
        """Students' gain in test accuracy, points: as :meth:`accuracy`.

        Args:
            lab: that has the records.
            over_mll: whether the gain is over MLL's student, as in the paper; otherwise it is over
                the student of the control, MLL fine-tuned without CMI (λ = 0).
        """
        done = _done(self.student_table(lab))
        control = self.pair.mll(0) if over_mll else self.pair.untreated(0)
        return self._by_fraction(gains(done, ACCURACY, control=control.label, by=["fraction"]))

    def _by_fraction(self, intervals: pd.Series) -> pd.DataFrame:
        table = intervals.unstack("fraction")
        return table.reindex(index=self.labels, columns=pd.Index(self.fractions, name="fraction"))

    def students_as_text(self, lab: Lab) -> pd.DataFrame:
        """Accuracy and gains by teacher and fraction; where some are not done, also the ``runs``.

        These say what became of the students. One whose teacher collapsed is ``not run``.
        """
        gain, over_mll = self.gain(lab), self.gain(lab, over_mll=True)
        columns = {
            "accuracy, %": self.accuracy(lab).map("{:.1f}".format, na_action="ignore"),
            "gain over λ=0, points": gain.map("{:+.1f}".format, na_action="ignore"),
            "gain over MLL, points": over_mll.map("{:+.1f}".format, na_action="ignore"),
        }
        outcomes = outcome_by(self.student_table(lab), "label")
        if (outcomes != "done").any():
            columns["runs"] = outcomes.to_frame("")
        return pd.concat(columns, axis="columns").fillna("").rename(columns=_percent, level=1)

    def intervals(self, lab: Lab) -> pd.Series:
        """All intervals by ``metric`` and ``label``.

        Metrics are `TEACHER_METRICS`; of students on all the data ``student_accuracy_percent`` and
        ``student_gain_points``, the latter over the student of λ = 0; and the same of
        ``few_shot_student``.
        """
        columns = dict(self.distances(lab).items())
        accuracy, gain = self.accuracy(lab), self.gain(lab)
        for name, fraction in zip(("student", "few_shot_student"), self.fractions, strict=True):
            columns[f"{name}_accuracy_percent"] = accuracy[fraction].dropna()
            columns[f"{name}_gain_points"] = gain[fraction].dropna()
        return pd.concat(columns, names=["metric", "label"])

    def findings(self, lab: Lab) -> list[Finding]:
        """Is MCMI closer to P*? Do its students gain?

        Primary: the distance to P* on training and on test inputs. Notebook 08 decides whether
        students gain; notebook 10, whether closeness predicts that.
        """
        return [*self._closer_to_the_truth(lab), *self._students_gain(lab)]

    def _closer_to_the_truth(self, lab: Lab) -> list[Finding]:
        """P* itself is left out: its distance to itself is 0."""
        findings, table = [], _done(self.teacher_table(lab))
        networks = table[table.stage == "teacher"]
        for split, inputs in (("train", "training"), ("test", "test")):
            findings += compared_with_controls(
                lab,
                self.pair,
                networks.assign(closeness=-networks[f"{split}_bcpd_kl_nats"]),
                "closeness",
                f"{{treatment}} is closer to P* than {{control}} on {inputs} inputs",
                quantity=f"− KL(P* ‖ P) on {inputs} inputs",
                asked=len(self.seeds),
                unit="nats",
                networks=self.pair.teacher,
                decides=f"bcpd_{split}",
            )
        return findings

    def _students_gain(self, lab: Lab) -> list[Finding]:
        findings, done = [], _done(self.student_table(lab))
        for fraction in self.fractions:
            findings += compared_with_controls(
                lab,
                self.pair,
                done[done.fraction == fraction],
                ACCURACY,
                f"{fraction:.0%} of the data: the student of {{treatment}} beats that of "
                "{control}",
                quantity="student's test accuracy",
                asked=len(self.seeds),
                few_samples=fraction < 1,
                decided_in="08_few_shot",
            )
        return findings


def _done(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.status == "done"]


def _percent(fraction: float | str) -> str:
    return fraction if isinstance(fraction, str) else f"{fraction:.0%} of the data"
