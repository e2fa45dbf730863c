"""10 · Is it CMI, or would anything do that softens a teacher?

MCMI, label smoothing and an entropy bonus fine-tune the same MLL teacher with the same recipe; its
training is stopped early; a squared error trains from scratch; KD takes another temperature. One
few-shot student of each.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pandas as pd

from mcmi_core.base.statistics import (
    mean_interval,
    paired_difference,
    partial_correlation,
    summarise,
)
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Measurement, Run, Student, Teacher

KD_TEMPERATURE = 4
"""Customary, and that of every student here but those of the family ``temperature``."""
TRUTH = "true BCPD"
MATCHED = {"ll_nats": "training LL", "entropy_nats": "entropy"}
"""In which a setting of another family may be nearest to MCMI's."""
EXPLANATIONS = {"cmi_nats": "CMI", "entropy_nats": "entropy"}
"""Quantities of the teacher, each of which is held constant for the other."""


class Method(NamedTuple):
    """One way to have a soft teacher, for one seed."""

    seed: int
    family: str
    setting: str
    """``share=0.1``; empty where a family has one setting only."""
    teacher: Teacher | BayesTeacher
    temperature: float = KD_TEMPERATURE
    """Of KD."""

    @property
    def name(self) -> str:
        """Family and setting."""
        return f"{self.family} {self.setting}".strip()

    @property
    def distiller(self) -> str:
        """KD, with its temperature where that is not the customary one."""
        return "kd" if self.temperature == KD_TEMPERATURE else f"kd:temperature={self.temperature}"


@dataclass(frozen=True, kw_only=True)
class Alternatives(Experiment):
    """MCMI against other ways to soften a teacher, by what their few-shot students gain."""

    name: ClassVar[str] = "10_alternatives"

    pair: Pair
    objectives: tuple[str, ...]
    """To fine-tune the MLL teacher by; the pair's own MCMI among them."""
    temperatures: tuple[float, ...]
    """Of KD from the MLL teacher, beside the customary 4."""
    stops: tuple[int, ...]
    """Epochs after which MLL training is stopped early."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    @property
    def mcmi(self) -> str:
        """Name of the family MCMI, with the pair's centroid policy."""
        return f"MCMI {self.pair.centroids}"

    @property
    def metrics(self) -> list[str]:
        """Of teachers, in nats, on training data; KL(P* ‖ P) only where the truth P* is known."""
        known = ["bcpd_kl_nats"] if self.pair.posterior_is_known else []
        return ["ll_nats", "cmi_nats", "entropy_nats", *known]

    def methods(self) -> list[Method]:
        """Seed by seed, MLL first and, where it is known, the truth last."""
        families = {"mcmi": self.mcmi, "label_smoothing": "label smoothing"}
        families["entropy"] = "entropy bonus"
        pair, methods = self.pair, []
        for seed in self.seeds:
            mll = pair.mll(seed)
            methods.append(Method(seed, "MLL", "", mll))
            for objective in self.objectives:
                name, _, options = objective.partition(":")
                setting = options.partition(",")[0]
                teacher = pair.fine_tuned(seed, objective)
                methods.append(Method(seed, families[name], setting, teacher))
            for epoch in self.stops:
                teacher = pair.early_stopped(seed, epoch)
                methods.append(Method(seed, "early stopping", f"epoch={epoch}", teacher))
            methods.append(Method(seed, "MSE", "", pair.from_scratch(seed, "mse")))
            for t in self.temperatures:
                methods.append(Method(seed, "temperature", f"T={t:g}", mll, temperature=t))
            if pair.posterior_is_known:
                methods.append(Method(seed, TRUTH, "", pair.bayes(seed)))
        return methods

    def students(self) -> list[Student]:
        """One of each method, in the same order."""
        return [
            self.pair.distill(
                method.teacher, method.seed, distiller=method.distiller, fraction=self.few
            )
            for method in self.methods()
        ]

    def choosing(self) -> list[Measurement]:
        """Every student on the training samples that it did not get: to choose settings by."""
        return [self.pair.on_unseen_training_data(student) for student in self.students()]

    def softened(self) -> list[Measurement]:
        """The MLL teacher as KD at other temperatures sees it: with logits · 4 / T."""
        relative = "+".join(f"{t / KD_TEMPERATURE}" for t in self.temperatures)
        what = f"temperature_sweep:temperatures={relative}"
        return [Measurement(of=self.pair.mll(seed), what=what) for seed in self.seeds]

    def runs(self) -> list[Run]:
        """Teachers, each once, their students, and what is measured on both."""
        teachers = {method.teacher.key: method.teacher for method in self.methods()}
        return [*teachers.values(), *self.students(), *self.choosing(), *self.softened()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per method and seed.

        Returns:
            ``seed``, ``family``, ``method``, ``label`` (the teacher's), ``status`` (the student's);
            of the teacher, on training data: :attr:`metrics`, in nats; of the student:
            ``choosing_percent``, its accuracy on the training samples that it did not get,
            ``accuracy_percent`` on test, and ``gain_points``, what that is above MLL's student of
            the same seed. What did not finish has no numbers.
        """
        methods, metrics = self.methods(), self.metrics
        of_teacher = [f"train_{metric}" for metric in metrics]
        students = lab.collect(self.students(), ["test_accuracy_percent"])
        teachers = lab.collect([method.teacher for method in methods], of_teacher)
        table = pd.DataFrame(
            {
                "seed": [method.seed for method in methods],
                "family": [method.family for method in methods],
                "method": [method.name for method in methods],
                "label": teachers.label,
                "status": students.status,
            }
        )
        table[metrics] = teachers[of_teacher].to_numpy()
        temperature = pd.Series([method.temperature for method in methods])
        other = temperature != KD_TEMPERATURE
        if other.any():
            measured = lab.collect_results(self.softened(), ["temperature", *metrics])
            measured = measured.set_index(["of_seed", "temperature"])
            asked = pd.MultiIndex.from_arrays([table.seed, temperature / KD_TEMPERATURE])[other]
            table.loc[other, metrics] = measured[metrics].reindex(asked).to_numpy()
        choosing = lab.collect_results(self.choosing(), ["accuracy_percent"])
        choosing = choosing.set_index("parent_key").accuracy_percent
        table["choosing_percent"] = students.key.map(choosing)
        table["accuracy_percent"] = students.test_accuracy_percent
        numbers = [*metrics, "choosing_percent", "accuracy_percent"]
        table.loc[table.status != "done", numbers] = float("nan")
        control = table[table.family == "MLL"].set_index("seed").accuracy_percent
        return table.assign(gain_points=table.accuracy_percent - table.seed.map(control))

    def finished(self, lab: Lab) -> pd.DataFrame:
        """Rows of :meth:`table` whose method every seed finished; seeds without MLL do not count.

        Methods are compared with each other, so all must have the same seeds.
        """
        table = self.table(lab)
        done = table[table.gain_points.notna()]
        seeds = done.seed[done.family == "MLL"]
        return done[done.groupby("method").seed.transform("size") == len(seeds)]

    def left_out(self, lab: Lab) -> str:
        """Methods that :meth:`finished` leaves out, or of which it lacks seeds, and why."""
        outcomes = outcome_by(self.table(lab), "method")
        failed = outcomes[outcomes != "done"]
        return ", ".join(f"{method} ({why})" for method, why in failed.items()) or "none"

    def summary(self, runs: pd.DataFrame) -> pd.DataFrame:
        """An interval over seeds by ``family`` and ``method``.

        Args:
            runs: of :meth:`finished`, here and in the tables below.

        Returns:
            :attr:`metrics` in nats, ``choosing_percent`` and ``gain_points``, as in :meth:`table`.
            Whether label smoothing and the entropy bonus softened a teacher, ``entropy_nats`` says.
        """
        columns = [*self.metrics, "choosing_percent", "gain_points"]
        return summarise(runs, ["family", "method"], columns)

    def numbers(self, runs: pd.DataFrame) -> pd.Series:
        """As :meth:`summary`: an interval by ``family``, ``method`` and ``metric``."""
        return self.summary(runs).stack().rename_axis(["family", "method", "metric"])

    def choices(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The setting of each family whose students are best on the training samples left over.

        Returns:
            One row per family: ``chosen`` (the method), ``gain_points`` on test (an interval),
            ``best_on_test``, the method that the test split would have chosen, and
            ``optimism_points``: choosing accuracy − test accuracy, mean over the family's students.
        """
        summary = self.summary(runs)
        best = _means(summary.choosing_percent).groupby("family", sort=False).idxmax()
        on_test = _means(summary.gain_points).groupby("family", sort=False).idxmax()
        optimism = (runs.choosing_percent - runs.accuracy_percent).groupby(runs.family, sort=False)
        return pd.DataFrame(
            {
                "chosen": best.str[1],
                "gain_points": pd.Series(summary.gain_points.loc[best].tolist(), best.index),
                "best_on_test": on_test.str[1],
                "optimism_points": optimism.mean(),
            }
        )

    def opponents(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Whom MCMI as chosen is compared with.

        Returns:
            One row per method: from every other family the ``chosen setting``, and those whose
            teacher is ``nearest in training LL`` and ``nearest in entropy`` to MCMI's. A column
            says how far it is, since few settings match well, and is empty for other methods.
        """
        choices, summary = self.choices(runs), self.summary(runs)
        if self.mcmi not in choices.index:  # it collapsed at every λ
            return pd.DataFrame()
        ours = (self.mcmi, choices.chosen[self.mcmi])
        rows = {}
        others = choices.chosen.drop(["MLL", self.mcmi, TRUTH], errors="ignore")
        for family, chosen in others.items():
            rows.setdefault(chosen, {})["chosen setting"] = "yes"
            for metric, words in MATCHED.items():
                means = _means(summary[metric])
                distance = (means.loc[family] - means[ours]).abs()
                nearest = rows.setdefault(distance.idxmin(), {})
                nearest[f"nearest in {words}"] = f"{distance.min():.2f} nats apart"
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method").fillna("")

    def correlations(self, runs: pd.DataFrame) -> pd.Series:
        """Correlation of the student's gain with a quantity of the teacher, within each seed.

        Over all trained teachers: MLL and every setting, not P*.

        Returns:
            An interval over seeds by ``quantity`` and ``held_constant``, the quantity whose linear
            part is taken out of both, or ``nothing``. Empty with fewer than four teachers.
        """
        teachers = runs[runs.family != TRUTH]
        asked = [("cmi_nats", "entropy_nats"), ("entropy_nats", "cmi_nats")]
        asked += [(metric, "nothing") for metric in self.metrics]
        if teachers.method.nunique() < 4:
            asked = []
        intervals = []
        for quantity, given in asked:
            values = []
            for _, rows in teachers.groupby("seed"):
                if given == "nothing":
                    values.append(rows.gain_points.corr(rows[quantity]))
                else:
                    arguments = (rows.gain_points, rows[quantity], rows[given])
                    values.append(partial_correlation(*arguments))
            intervals.append(mean_interval(values))
        index = pd.MultiIndex.from_tuples(asked, names=["quantity", "held_constant"])
        return pd.Series(intervals, index, dtype=object, name="r")

    def findings(self, lab: Lab) -> list[Finding]:
        """MCMI against each opponent; and what gains go with beyond entropy. All exploratory."""
        runs = self.finished(lab)
        if runs.seed.nunique() < 2:
            return []
        return [*self._against_opponents(lab, runs), *self._beyond_the_other(lab, runs)]

    def _against_opponents(self, lab: Lab, runs: pd.DataFrame) -> list[Finding]:
        findings = []
        gain = runs.pivot(index="seed", columns="method", values="gain_points")
        ours = self.choices(runs).chosen.get(self.mcmi)
        teachers = {method.name: method.teacher for method in self.methods()}
        for method in self.opponents(runs).index:
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"{teachers[ours].label} teaches better than {method}",
                    paired_difference(gain[ours], gain[method]),
                    quantity="student's test accuracy",
                    teacher=teachers[ours],
                    control=method,
                    few_samples=True,
                )
            )
        return findings

    def _beyond_the_other(self, lab: Lab, runs: pd.DataFrame) -> list[Finding]:
        findings = []
        number = runs.method[runs.family != TRUTH].nunique()
        for (quantity, given), correlation in self.correlations(runs).items():
            if given == "nothing":
                continue
            words, constant = EXPLANATIONS[quantity], EXPLANATIONS[given]
            findings.append(
                finding(
                    lab,
                    self.pair,
                    f"students gain with their teacher's {words}, its {constant} held constant",
                    correlation,
                    quantity=f"correlation of gain and {words} over {number} teachers",
                    unit="r",
                    treatment=f"{words} of {number} teachers",
                    control=f"{constant} held constant",
                    few_samples=True,
                )
            )
        return findings


def readable_choices(choices: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`Alternatives.choices` as text."""
    return pd.DataFrame(
        {
            "chosen on training data": choices.chosen,
            "test gain, points": choices.gain_points.map("{:+.1f}".format),
            "best on test": choices.best_on_test,
            "choosing − test accuracy, points": choices.optimism_points.map("{:+.1f}".format),
        }
    )


def _means(intervals: pd.Series) -> pd.Series:
    return intervals.map(lambda interval: interval.mean)
