"""12 · How far is each teacher from the true P*, and what does it cost the student?

Synthetic data whose Bayes conditional probability distribution P* is known. Per seed: new data;
four teachers, which are MLL, MCMI with ``fixed`` centroids, MCMI with ``tracked`` ones, and P*
itself; and two students of each, one on all the training data and one on a few per cent.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import gains, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Run, Student, Teacher

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
TRUTH = "true BCPD"
"""Label of P* as a teacher."""


@dataclass(frozen=True, kw_only=True)
class BayesOracle(Experiment):
    """Four teachers of one task, one of them the truth, and what their students make of it.

    Raises:
        ValueError: data without a known posterior, or a pair whose own MCMI is not among the
            teachers.
    """

    name: ClassVar[str] = "12_bayes_oracle"

    pair: Pair
    """On data whose posterior is known."""
    lam_fixed: float
    """λ with centroids ``fixed``."""
    lam_tracked: float
    """λ with centroids ``tracked``."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a few-shot student sees."""

    def __post_init__(self) -> None:
        if not self.pair.posterior_is_known:
            raise ValueError(f"P* must be known, as on oracle data; got {self.pair.data}")
        own = self.pair.mcmi(0).label
        if own not in self.labels:
            raise ValueError(
                f"the pair's own MCMI decides, so it must be among {self.labels}; got {own!r}"
            )

    @property
    def labels(self) -> list[str]:
        """Of the four teachers."""
        return [teacher.label for teacher in self.teachers_of(0)]

    @property
    def fractions(self) -> tuple[float, float]:
        """Of the training data that a student sees."""
        return (1.0, self.few)

    def teachers_of(self, seed: int) -> list[Teacher | BayesTeacher]:
        """MLL, MCMI ``fixed``, MCMI ``tracked``, and the truth."""
        return [
            self.pair.mll(seed),
            self.pair.mcmi(seed, lam=self.lam_fixed, centroids="fixed"),
            self.pair.mcmi(seed, lam=self.lam_tracked, centroids="tracked"),
            self.pair.bayes(seed),
        ]

    def students(self) -> list[Student]:
        """One of each teacher, first on all the data, then on a few per cent."""
        students = []
        for fraction in self.fractions:
            for seed in self.seeds:
                for teacher in self.teachers_of(seed):
                    students.append(self.pair.distill(teacher, seed, fraction=fraction))
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
            part = lab.collect(self.teachers_of(seed), TEACHER_METRICS)
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
        return lab.collect(self.students(), [ACCURACY]).rename(
            columns={"part_fraction": "fraction"}
        )

    def distances(self, lab: Lab) -> pd.DataFrame:
        """Of every teacher, by ``label``, the intervals of `TEACHER_METRICS`.

        Nats or percent as their names say; ``bcpd_kl`` is the mean KL(P* ‖ P) to the truth.
        """
        return summarise(_done(self.teacher_table(lab)), ["label"], list(TEACHER_METRICS))

    def accuracy(self, lab: Lab) -> pd.DataFrame:
        """Students' test accuracy, percent: intervals by teacher's label and by fraction."""
        done = _done(self.student_table(lab))
        return self._by_fraction(summarise(done, ["fraction", "label"], [ACCURACY])[ACCURACY])

    def gain(self, lab: Lab) -> pd.DataFrame:
        """Students' accuracy above that of MLL's student, points: as :meth:`accuracy`."""
        done = _done(self.student_table(lab))
        return self._by_fraction(gains(done, ACCURACY, control="MLL", by=["fraction"]))

    def _by_fraction(self, intervals: pd.Series) -> pd.DataFrame:
        table = intervals.unstack("fraction")
        return table.reindex(index=self.labels, columns=pd.Index(self.fractions, name="fraction"))

    def closeness(self, lab: Lab, split: str) -> pd.Series:
        """KL(P* ‖ MLL) − KL(P* ‖ teacher), nats, on ``train`` or ``test``: intervals by label."""
        done = _done(self.teacher_table(lab))
        closeness = done.assign(closeness=-done[f"{split}_bcpd_kl_nats"])
        return gains(closeness, "closeness", control="MLL")

    def students_as_text(self, lab: Lab) -> pd.DataFrame:
        """Accuracy and gain by teacher and fraction, and what became of the students' runs.

        A student whose teacher collapsed is ``not run``.
        """
        columns = {
            "accuracy, %": self.accuracy(lab).map("{:.1f}".format, na_action="ignore"),
            "gain over MLL, points": self.gain(lab).map("{:+.1f}".format, na_action="ignore"),
            "runs": outcome_by(self.student_table(lab), "label").to_frame(""),
        }
        return pd.concat(columns, axis="columns").fillna("").rename(columns=_percent, level=1)

    def intervals(self, lab: Lab) -> pd.Series:
        """All intervals by ``metric`` and ``label``.

        Metrics are `TEACHER_METRICS`; of students on all the data ``student_accuracy_percent`` and
        ``student_gain_points``, the latter above MLL's; and the same of ``few_shot_student``.
        """
        columns = dict(self.distances(lab).items())
        accuracy, gain = self.accuracy(lab), self.gain(lab)
        for name, fraction in zip(("student", "few_shot_student"), self.fractions, strict=True):
            columns[f"{name}_accuracy_percent"] = accuracy[fraction].dropna()
            columns[f"{name}_gain_points"] = gain[fraction].dropna()
        return pd.concat(columns, names=["metric", "label"])

    def findings(self, lab: Lab) -> list[Finding]:
        """Is a teacher closer to P* than MLL (the pair's own MCMI primary)? Do its students gain?

        P* itself is left out: its distance to itself is 0.
        """
        findings, own = [], self.pair.mcmi(0).label
        teachers = by_label(self.teachers_of(0))
        for split in ("train", "test"):
            inputs = {"train": "training", "test": "test"}[split]
            closeness = self.closeness(lab, split).drop(TRUTH, errors="ignore")
            for label, difference in closeness.items():
                findings.append(
                    finding(
                        lab,
                        self.pair,
                        f"{label} is closer to P* than MLL on {inputs} inputs",
                        difference,
                        quantity=f"KL(P* ‖ P) on {inputs} inputs, MLL − MCMI",
                        unit="nats",
                        teacher=teachers[label],
                        networks=self.pair.teacher,
                        primary=label == own,
                    )
                )
        for (label, fraction), difference in self.gain(lab).stack().dropna().items():
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{fraction:.0%} of the data: the student of {label} beats MLL's",
                    difference,
                    quantity="student's test accuracy",
                    teacher=teachers[label],
                    few_samples=fraction < 1,
                )
            )
        return findings


def _done(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.status == "done"]


def _percent(fraction: float | str) -> str:
    return fraction if isinstance(fraction, str) else f"{fraction:.0%} of the data"
