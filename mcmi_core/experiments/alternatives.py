"""10 · Is it CMI, or would anything do that softens a teacher?

MCMI, label smoothing and an entropy bonus fine-tune the same MLL teacher with the same recipe; the
control is that fine-tuning with none of them (λ = 0). MLL training is stopped early; a squared
error trains from random weights; KD takes another temperature. One few-shot student of each, and
one without a teacher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pandas as pd

from mcmi_core.base.statistics import mean_interval, paired_difference, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome_by
from mcmi_core.experiments.pair import (
    EARLY_STOPPING,
    FROM_SCRATCH,
    Pair,
    early_stopping_setting,
    name_from_scratch,
)
from mcmi_core.experiments.teachers_and_gains import (
    closeness_predicts,
    correlation_interval,
    correlations,
)
from mcmi_core.experiments.words import method_in_words
from mcmi_core.runs.config import UNTREATED, BayesTeacher, Measurement, Run, Student, Teacher

KD_TEMPERATURE = 4
"""Customary, and that of every student here but those of the family ``temperature``."""
MCMI = {"fixed": "MCMI fixed", "tracked": "MCMI tracked"}
"""Families: the paper's method, and our variant."""
TRUTH = "true BCPD"
FAMILIES = {"label_smoothing": "label smoothing", "entropy": "entropy bonus"}
"""Of objectives that are not MCMI."""
MATCHED = {"ll_nats": "training LL", "entropy_nats": "entropy"}
"""In which a setting of another family may match MCMI's."""
MATCH_NATS = 0.1
"""Teachers that are farther apart do not match."""
CLOSENESS = "closeness_nats"
"""− KL(P* ‖ teacher) on training inputs: larger is closer."""
_IN_WORDS = {
    "ll_nats": "log-likelihood",
    "cmi_nats": "CMI",
    "entropy_nats": "entropy",
    CLOSENESS: "closeness to P*, −KL(P* ‖ teacher)",
}
_SMOOTHED = list(FAMILIES.values())


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
    """To fine-tune the MLL teacher by, beside the pair's own MCMI and λ = 0: label smoothing, an
    entropy bonus, and further settings of MCMI."""
    temperatures: tuple[float, ...]
    """Of KD from the MLL teacher, beside the customary 4."""
    stops: tuple[int, ...]
    """Epochs after which MLL training is stopped early."""
    seeds: tuple[int, ...]
    mse: bool = True
    """Whether a squared error is among the ways: it trains a whole teacher from random weights."""
    few: float = 0.05
    """Fraction of the training data that a student sees."""

    def __post_init__(self) -> None:
        known = ("mcmi", *FAMILIES)
        for objective in self.objectives:
            if objective.partition(":")[0] not in known:
                raise ValueError(f"objectives must be of {', '.join(known)}, got {objective!r}")

    @property
    def metrics(self) -> list[str]:
        """Of teachers, in nats, on training data; KL(P* ‖ P) only where the truth P* is known."""
        known = ["bcpd_kl_nats"] if self.pair.posterior_is_known else []
        return ["ll_nats", "cmi_nats", "entropy_nats", *known]

    @property
    def footer(self) -> str:
        """Of its figures: data, what is measured on which part of them, and n."""
        return (
            f"{self.pair.data_in_words}; {self.pair.recipe_text}; teachers on training data, "
            f"students on {self.few:.0%}; mean and 95 % t-interval, n = {len(self.seeds)} seeds"
        )

    def methods(self) -> list[Method]:
        """Seed by seed, family by family: MLL and λ = 0 first and, if known, the truth last."""
        pair, methods = self.pair, []
        for seed in self.seeds:
            mll = pair.mll(seed)
            methods.append(Method(seed, "MLL", "", mll))
            methods.append(Method(seed, UNTREATED, "", pair.untreated(seed)))
            methods += self._mcmi(seed)
            for objective in self.objectives:
                name, _, setting = objective.partition(":")
                if name != "mcmi":
                    teacher = pair.fine_tuned(seed, objective)
                    methods.append(Method(seed, FAMILIES[name], setting, teacher))
            for epoch in self.stops:
                teacher = pair.early_stopped(seed, epoch)
                methods.append(Method(seed, EARLY_STOPPING, early_stopping_setting(epoch), teacher))
            if self.mse:
                methods.append(Method(seed, "MSE", "", pair.from_scratch(seed, "mse")))
            for t in self.temperatures:
                methods.append(Method(seed, "temperature", f"T={t:g}", mll, temperature=t))
            if pair.posterior_is_known:
                methods.append(Method(seed, TRUTH, "", pair.bayes(seed)))
        return methods

    def _mcmi(self, seed: int) -> list[Method]:
        """The pair's own settings and the further ones, each once, ``fixed`` before ``tracked``."""
        further = [text for text in self.objectives if text.startswith("mcmi:")]
        teachers = self.pair.mcmi_teachers(seed)
        teachers += [self.pair.fine_tuned(seed, objective) for objective in further]
        methods = []
        for policy, family in MCMI.items():
            for teacher in {teacher.key: teacher for teacher in teachers}.values():
                options = teacher.objective.options
                if options["centroids"] == policy:
                    methods.append(Method(seed, family, f"λ={options['lam']:g}", teacher))
        return methods

    def students(self) -> list[Student]:
        """One of each method, in the same order."""
        return [
            self.pair.distill(
                method.teacher, method.seed, distiller=method.distiller, fraction=self.few
            )
            for method in self.methods()
        ]

    def students_from_scratch(self) -> list[Teacher]:
        """One without a teacher per seed, on the same samples."""
        return [self.pair.student_from_scratch(seed, fraction=self.few) for seed in self.seeds]

    def choosing(self) -> list[Measurement]:
        """Every student on the training samples that it did not get: to choose settings by."""
        return [self.pair.on_unseen_training_data(student) for student in self.students()]

    def softened(self) -> list[Measurement]:
        """The MLL teacher as KD at other temperatures sees it: with logits · 4 / T."""
        if not self.temperatures:
            return []
        relative = "+".join(f"{t / KD_TEMPERATURE}" for t in self.temperatures)
        what = f"temperature_sweep:temperatures={relative}"
        return [Measurement(of=self.pair.mll(seed), what=what) for seed in self.seeds]

    def runs(self) -> list[Run]:
        """Teachers, each once, their students, and what is measured on both."""
        teachers = {method.teacher.key: method.teacher for method in self.methods()}
        students = [*self.students(), *self.students_from_scratch()]
        return [*teachers.values(), *students, *self.choosing(), *self.softened()]

    def table(self, lab: Lab) -> pd.DataFrame:
        """One row per method and seed; last, the students without a teacher.

        Returns:
            ``seed``, ``family``, ``method``, ``label`` (the teacher's), ``status`` (the student's);
            of the teacher, on training data: :attr:`metrics`, in nats; of the student:
            ``choosing_percent``, its accuracy on the training samples that it did not get,
            ``accuracy_percent`` on test, and ``gain_points``, what that is above MLL's student of
            the same seed. What did not finish has no numbers; and where there is no teacher (family
            and method ``from scratch``), nothing is chosen.
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
        table = pd.concat([table, self._without_a_teacher(lab)], ignore_index=True)
        control = table[table.family == "MLL"].set_index("seed").accuracy_percent
        return table.assign(gain_points=table.accuracy_percent - table.seed.map(control))

    def _without_a_teacher(self, lab: Lab) -> pd.DataFrame:
        runs = self.students_from_scratch()
        students = name_from_scratch(lab.collect(runs, ["test_accuracy_percent"]))
        rows = students[["seed", "label", "status"]].assign(
            family=FROM_SCRATCH,
            method=FROM_SCRATCH,
            accuracy_percent=students.test_accuracy_percent,
        )
        rows.loc[rows.status != "done", "accuracy_percent"] = float("nan")
        return rows

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
            :attr:`metrics` in nats, ``choosing_percent`` and ``gain_points``, as in :meth:`table`;
            without a teacher the last alone. Whether label smoothing and the entropy bonus softened
            a teacher, ``entropy_nats`` says.
        """
        method = ["family", "method"]
        gain = summarise(runs, method, ["gain_points"])
        taught = summarise(_taught(runs), method, [*self.metrics, "choosing_percent"])
        return taught.join(gain, how="right")

    def numbers(self, runs: pd.DataFrame, metrics: Sequence[str] | None = None) -> pd.Series:
        """As :meth:`summary`: an interval by ``family``, ``method`` and ``metric``.

        Args:
            runs: of :meth:`finished`.
            metrics: columns of the summary; None: all.
        """
        summary = self.summary(runs)
        intervals = summary[list(metrics or summary)].stack().dropna()
        return intervals.rename_axis(["family", "method", "metric"])

    def choices(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The setting of each family whose students are best on the training samples left over.

        Returns:
            One row per family: ``chosen`` (the method), ``gain_points`` on test (an interval),
            ``best_on_test``, the method that the test split would have chosen, and
            ``optimism_points``: choosing accuracy − test accuracy, mean over the family's students.
        """
        runs = _taught(runs)
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
        """What each kind of MCMI, at the setting chosen, is compared with in every other family.

        Returns:
            One row by ``mcmi`` (its method as chosen) and ``family``: ``chosen`` (the family's
            method), ``choosing_percent`` (its students' mean accuracy on the training samples that
            they did not get) and, for each metric of :data:`MATCHED`, ``nearest_<metric>``, the
            method whose teacher is nearest in it, and ``apart_<metric>``, how far that is, in nats.
            Only what is at most :data:`MATCH_NATS` apart is a match.
        """
        chosen, summary = self.choices(runs).chosen, self.summary(_taught(runs))
        not_asked = ["MLL", UNTREATED, *MCMI.values(), TRUTH]
        rows = {}
        for family in MCMI.values():
            if family not in chosen:  # it collapsed at every λ
                continue
            for other, method in chosen.drop(not_asked, errors="ignore").items():
                row = {"chosen": method}
                row["choosing_percent"] = summary.choosing_percent[other, method].mean
                for metric in MATCHED:
                    means = _means(summary[metric])
                    distance = (means.loc[other] - means[family, chosen[family]]).abs()
                    row[f"nearest_{metric}"] = distance.idxmin()
                    row[f"apart_{metric}"] = distance.min()
                rows[chosen[family], other] = row
        columns = ["chosen", "choosing_percent"]
        columns += [f"{name}_{metric}" for metric in MATCHED for name in ("nearest", "apart")]
        index = pd.MultiIndex.from_tuples(list(rows), names=["mcmi", "family"])
        return pd.DataFrame(list(rows.values()), index, columns)

    def points(self, runs: pd.DataFrame, *, with_truth: bool = False) -> pd.DataFrame:
        """One row by ``family`` and ``method``: means over seeds of what is correlated.

        MLL, λ = 0 and every setting are points; students from scratch, without a teacher, are not.

        Args:
            runs: of :meth:`finished`.
            with_truth: whether P* is among them.

        Returns:
            :attr:`metrics` of the teacher, where P* is known :data:`CLOSENESS`, and ``gain_points``
            of its students.
        """
        kinds = _taught(runs)
        kinds = kinds[with_truth | (kinds.family != TRUTH)]
        means = kinds.groupby(["family", "method"], sort=False)
        points = means[[*self.metrics, "gain_points"]].mean()
        known = self.pair.posterior_is_known
        return points.assign(**{CLOSENESS: -points.bcpd_kl_nats}) if known else points

    def correlations(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Of students' gain with what their teachers are like; see :func:`correlations`."""
        metrics = [CLOSENESS if name == "bcpd_kl_nats" else name for name in self.metrics]
        return correlations(self.points(runs), metrics)

    def closeness(self, runs: pd.DataFrame) -> pd.Series:
        """Students' gain with closeness to P*: how much r depends on which kinds are counted.

        Returns:
            r with its interval (of :func:`correlation_interval`) by the kinds in words. The first
            is the primary comparison. Kinds without an interval are left out.
        """
        kinds = {
            "all but P*": self.points(runs),
            "all and P*": self.points(runs, with_truth=True),
        }
        without = self.points(runs).drop(index=_SMOOTHED, level="family", errors="ignore")
        kinds["all but P*, label smoothing and entropy bonus"] = without
        intervals = {
            f"{words} ({len(points)})": correlation_interval(points[CLOSENESS], points.gain_points)
            for words, points in kinds.items()
        }
        return pd.Series(intervals, dtype=object).rename_axis("kinds of teachers").dropna()

    def on_test(self, lab: Lab) -> pd.DataFrame:
        """Students' test accuracy, where nothing is chosen, and so no choosing accuracy is needed.

        Returns:
            One row by ``method``: intervals ``accuracy_percent``, ``gain_points`` over MLL's
            student and ``mcmi_points``, which is what ``tracked`` at the pair's λ is above it.
        """
        methods = self.methods()
        students = lab.collect(self.students(), ["test_accuracy_percent"])
        table = pd.DataFrame({"seed": [each.seed for each in methods]})
        table["method"] = [each.name for each in methods]
        table["accuracy_percent"] = students.test_accuracy_percent.where(students.status == "done")
        wide = table.pivot(index="seed", columns="method", values="accuracy_percent").dropna()
        wide = wide[table.method.unique()]
        tracked = next(each.name for each in methods if each.family == MCMI["tracked"])
        rows = {
            method: {
                "accuracy_percent": mean_interval(wide[method]),
                "gain_points": paired_difference(wide[method], wide.MLL),
                "mcmi_points": paired_difference(wide[tracked], wide[method]),
            }
            for method in wide
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")

    def findings(self, lab: Lab) -> list[Finding]:
        """MCMI at the setting chosen against the others; does closeness to P* predict a student?

        Primary, for each kind of MCMI: against early stopping; and, where there are several other
        ways to soften a teacher, against the best, which early stopping may be. Families and
        settings are chosen on training samples that the students did not get. Primary, too, where
        P* is known: the correlation over kinds of teachers.
        """
        runs = self.finished(lab)
        if runs.seed.nunique() < 2:
            return []
        findings, opponents = [], self.opponents(runs)
        for ours in opponents.index.unique("mcmi"):
            families = opponents.xs(ours, level="mcmi")
            early = families.chosen.get(EARLY_STOPPING)
            best = families.chosen[families.choosing_percent.idxmax()]
            asked = [(early, "early_stopping")] if early else []
            if len(families) > 1:
                asked.append((best, "alternatives"))
            exploratory = [*families.chosen, *_matches(families), UNTREATED]
            for method in dict.fromkeys(exploratory):
                if method not in (early, best):
                    asked.append((method, None))
            for method, decides in asked:
                findings += self._against(lab, runs, ours, method, decides)
        return findings + closeness_predicts(lab, self.pair, self.points(runs), self.few)

    def _against(
        self, lab: Lab, runs: pd.DataFrame, ours: str, method: str, decides: str | None
    ) -> list[Finding]:
        accuracy = runs.pivot(index="seed", columns="method", values="accuracy_percent")
        if method not in accuracy:  # λ = 0 collapsed
            return []
        teachers = {method.name: method.teacher for method in self.methods()}
        best = ", the best alternative" if decides == "alternatives" else ""
        beside = decided_in = None
        if method == UNTREATED:
            beside = paired_difference(accuracy[ours], accuracy["MLL"])
            if ours in [teacher.label for teacher in self.pair.mcmi_teachers(0)]:
                decided_in = "08_few_shot"
        return [
            finding(
                lab,
                self.pair,
                f"{ours} teaches better than {method}{best}",
                paired_difference(accuracy[ours], accuracy[method]),
                quantity="student's test accuracy",
                asked=len(self.seeds),
                teacher=teachers[ours],
                control=method,
                few_samples=True,
                decides=decides,
                decided_in=decided_in,
                against_mll=beside,
            )
        ]


def readable_choices(choices: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`Alternatives.choices` as text."""
    text = pd.DataFrame(
        {
            "chosen on training data": choices.chosen.map(method_in_words),
            "test gain over MLL, points": choices.gain_points.map("{:+.1f}".format),
            "best on test": choices.best_on_test.map(method_in_words),
            "accuracy used for choosing − test, points": choices.optimism_points.map(
                "{:+.1f}".format
            ),
        }
    )
    return text.rename_axis("way")


def readable_opponents(opponents: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`Alternatives.opponents` as text: what matches, and what does not."""
    columns = {"chosen setting": opponents.chosen.map(method_in_words)}
    for metric, words in MATCHED.items():
        texts = [
            f"{method_in_words(method)}, {apart:.2f} apart" if apart <= MATCH_NATS else "none"
            for method, apart in opponents[[f"nearest_{metric}", f"apart_{metric}"]].to_numpy()
        ]
        columns[f"matched in {words}, nats"] = pd.Series(texts, opponents.index, dtype=object)
    return pd.DataFrame(columns).rename_axis(["MCMI", "way"])


def readable_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`Alternatives.correlations` as text: r, and how far it can be moved."""
    if table.empty:
        return table
    span = [f"{low:.2f} to {high:.2f}" for low, high in table[["smallest", "largest"]].to_numpy()]
    ends = [f"[{low:.2f}, {high:.2f}]" for low, high in table[["low", "high"]].to_numpy()]
    columns = {
        "r [95 %]": table.r.map("{:.2f} ".format) + ends,
        "r without one family": span,
        "rests most on": table.weakest_without,
        "kinds of teachers": table.teachers,
    }
    text = pd.DataFrame(columns, table.index).rename(index=_IN_WORDS)
    return text.rename_axis(["student's gain with", "held constant"])


def readable_closeness(closeness: pd.Series) -> pd.DataFrame:
    """The series of :meth:`Alternatives.closeness` as text."""
    return closeness.map("{:.2f}".format).to_frame("r of gain with closeness to P* [95 %]")


def readable_on_test(on_test: pd.DataFrame) -> pd.DataFrame:
    """The table of :meth:`Alternatives.on_test` as text."""
    columns = {
        "student's accuracy, %": on_test.accuracy_percent.map("{:.1f}".format),
        "gain over MLL, points": on_test.gain_points.map("{:+.1f}".format),
        "MCMI tracked is ahead by, points": on_test.mcmi_points.map("{:+.1f}".format),
    }
    return pd.DataFrame(columns, on_test.index).rename(index=method_in_words)


def _matches(families: pd.DataFrame) -> list[str]:
    """Methods that match MCMI's teacher in a metric."""
    methods = []
    for metric in MATCHED:
        near = families[f"apart_{metric}"] <= MATCH_NATS
        methods += list(families[f"nearest_{metric}"][near])
    return methods


def _taught(runs: pd.DataFrame) -> pd.DataFrame:
    """Without students from scratch, which have no teacher to be like anything."""
    return runs[runs.family != FROM_SCRATCH]


def _means(intervals: pd.Series) -> pd.Series:
    return intervals.map(lambda interval: interval.mean)
