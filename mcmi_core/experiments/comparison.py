"""MLL against MCMI teachers, framework by framework: the numbers of the paper's Tables 1 and 2."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import pandas as pd

from mcmi_core.base.statistics import Interval, mean_interval, paired_difference, summarise
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.outcomes import outcome, seeds_text
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Run, Student, Teacher

ACCURACY = "test_accuracy_percent"
BEST_ON_TEST = "best_test_accuracy_percent"
"""Of the best evaluated epoch, SELECTED ON TEST."""

SETTING = ["pair", "framework"]
"""Columns that make a row of the table."""

SEEDS_OF_A_ROW = 3
"""Seeds from which on a single row is a finding: two that happen to agree would make an interval
of no width, and there are many rows."""


@dataclass(frozen=True, kw_only=True)
class Comparison(Experiment):
    """Students of MLL and of MCMI teachers, for every pair, framework and seed."""

    teacher_metrics: ClassVar[tuple[str, ...]] = (ACCURACY, "train_cmi_nats")
    mean_is_primary: ClassVar[bool] = False
    """Whether the mean gain decides a claim of the paper."""

    pairs: tuple[Pair, ...]
    frameworks: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self) -> list[Run]:
        """Students, and the teachers that they learn from."""
        return [*(run for _, run in self._teachers()), *(run for *_, run in self._students())]

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """Mean and 95 % t-interval of each of ``teacher_metrics`` over the seeds left.

        Returns:
            :class:`~mcmi_core.base.statistics.Interval` by ``pair``, ``label`` and ``status``
            (``done``, or how many runs are not, and why), missing where fewer than two are done.
        """
        plan = self._teachers()
        table = lab.collect((run for _, run in plan), self.teacher_metrics)
        table["pair"] = [pair_name(pair) for pair, _ in plan]
        by, metrics = ["pair", "label"], list(self.teacher_metrics)
        statuses = table.groupby(by, sort=False).status.agg(outcome).to_frame()
        intervals = summarise(table[table.status == "done"], by, metrics)
        return statuses.join(intervals).set_index("status", append=True)

    def student_table(self, lab: Lab) -> pd.DataFrame:
        """One row per student, with columns ``pair`` (``teacher → student``) and ``framework``."""
        plan = self._students()
        table = lab.collect(run for *_, run in plan)
        table["pair"] = [pair_name(pair) for pair, *_ in plan]
        table["framework"] = [framework for _, framework, _ in plan]
        return table

    def last(self, lab: Lab) -> pd.DataFrame:
        """Test accuracy after the last epoch, percent: see :func:`compare_teachers`."""
        return compare_teachers(self.student_table(lab), ACCURACY)

    def findings(self, lab: Lab) -> list[Finding]:
        """The mean gain over pairs and frameworks; then, exploratory, the gain of every row."""
        findings = []
        gain = mean_gain(self.student_table(lab), ACCURACY)
        if len(gain) >= 2:
            findings.append(self._mean_finding(lab, mean_interval(gain)))
        pair_of = {pair_name(pair): pair for pair in self.pairs}
        for row in self.last(lab).itertuples():
            if row.n >= SEEDS_OF_A_ROW:
                findings.append(
                    finding(
                        lab,
                        pair_of[row.pair],
                        f"{row.pair}, {row.framework}: MCMI's student beats MLL's",
                        Interval(row.gain_mean, row.gain_low, row.gain_high, row.n),
                        quantity="student's test accuracy",
                    )
                )
        return findings

    @property
    def data_text(self) -> str:
        """The data, in the words under the figure."""
        return f"{self.pairs[0].data_name} data"

    def note(self, lab: Lab) -> str:
        """What the figure's numbers are, and of how many seeds."""
        recipes = [pair.student_recipe or pair.recipe for pair in self.pairs]
        epochs = "/".join(str(n) for n in sorted({recipe.epochs for recipe in recipes}))
        n = seeds_text(self.student_table(lab).status, self.seeds)
        return (
            f"{self.data_text}, {epochs} epochs, last epoch on test; mean and 95 % t-interval, "
            f"paired, {n}"
        )

    def __str__(self) -> str:
        lines = [super().__str__()]
        for pair in self.pairs:
            lines.append(f"{pair_name(pair)}: {pair.mcmi(0).label}; {pair.recipe_text}")
        return "\n".join(lines)

    def _mean_finding(self, lab: Lab, difference: Interval) -> Finding:
        several = len(self.pairs) > 1
        lambdas = sorted({pair.lam for pair in self.pairs})
        policies = sorted({pair.centroids for pair in self.pairs})
        networks = f"{len(self.pairs)} pairs; λ = {', '.join(f'{lam:g}' for lam in lambdas)}"
        found = finding(
            lab,
            self.pairs[0],
            f"MCMI's students beat MLL's, mean over {'pairs and ' if several else ''}frameworks",
            difference,
            quantity="student's test accuracy",
            networks=networks if several else None,
            primary=self.mean_is_primary,
        )
        lam = lambdas[0] if len(lambdas) == 1 else None  # several: ``networks`` says which
        policy = ", ".join(policies)
        strength = ", λ per pair" if lam is None else f" λ={lam:g}"
        return replace(found, lam=lam, policy=policy, treatment=f"MCMI {policy}{strength}")

    def _teachers(self) -> list[tuple[Pair, Teacher]]:
        """Pair by pair, seed by seed; MLL's before MCMI's."""
        plan = []
        for pair, seed in product(self.pairs, self.seeds):
            plan += [(pair, pair.mll(seed)), (pair, pair.mcmi(seed))]
        return plan

    def _students(self) -> list[tuple[Pair, str, Student]]:
        """With pair and framework: framework by framework within a pair."""
        plan = []
        for pair, framework, seed in product(self.pairs, self.frameworks, self.seeds):
            for teacher in (pair.mll(seed), pair.mcmi(seed)):
                plan.append((pair, framework, pair.distill(teacher, seed, distiller=framework)))
        return plan


def pair_name(pair: Pair) -> str:
    """Its networks: ``teacher → student``."""
    return f"{pair.teacher} → {pair.student}"


def compare_teachers(students: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Students of MLL and of MCMI teachers: mean, standard deviation and paired gain.

    A run that collapsed, that its distiller could not start, or whose teacher collapsed is counted
    in ``status``, and what it may have measured before is left out: means are over the other seeds.

    Args:
        students: one row per run, with columns ``pair``, ``framework``, ``label`` (its teacher's:
            ``MLL`` or ``MCMI ...``), ``seed``, ``status`` and ``metric``.
        metric: column to compare, such as ``test_accuracy_percent``.

    Returns:
        One row per pair and framework, in order of appearance: those two, ``mll_mean``,
        ``mll_sd``, ``mcmi_mean``, ``mcmi_sd`` (sample standard deviation over seeds),
        ``gain_mean``, ``gain_low``, ``gain_high`` (MCMI − MLL, paired by seed, 95 % t-interval),
        ``n`` (seeds with both) and ``status``: ``done``, or how many runs are not, and why. What
        too few seeds cannot tell is NaN.

    Raises:
        ValueError: a teacher that is neither, or two runs for one seed and teacher.
    """
    teacher = _teacher_kind(students)
    if metric not in students:  # no run has it
        students = students.assign(**{metric: float("nan")})
    values = students[metric].where(students.status == "done")
    groups = students.assign(teacher=teacher, value=values).groupby(SETTING, sort=False)
    rows = []
    for setting, group in groups:
        wide = group.pivot(index="seed", columns="teacher", values="value")
        wide = wide.reindex(columns=["MLL", "MCMI"]).astype(float)
        both = wide.dropna()
        gain = Interval(*[float("nan")] * 3, len(both))
        if len(both) >= 2:
            gain = paired_difference(both["MCMI"], both["MLL"])
        rows.append(
            {
                **dict(zip(SETTING, setting, strict=True)),
                **{f"{name.lower()}_mean": wide[name].mean() for name in wide},
                **{f"{name.lower()}_sd": wide[name].std() for name in wide},
                **{f"gain_{part}": getattr(gain, part) for part in ("mean", "low", "high")},
                "n": gain.n,
                "status": outcome(group.status),
            }
        )
    return pd.DataFrame(rows)


def mean_gain(students: pd.DataFrame, metric: str) -> pd.Series:
    """MCMI's students − MLL's, the mean over pairs and frameworks, one value per seed.

    A pair and framework counts if all its runs are done, and not at all otherwise: every seed's
    mean is over the same rows.

    Args:
        students: as of :func:`compare_teachers`.
        metric: column to compare.

    Returns:
        The mean gain by ``seed``; empty if no pair and framework is done.

    Raises:
        ValueError: a teacher that is neither MLL nor MCMI.
    """
    teacher = _teacher_kind(students)
    setting = [students[name] for name in SETTING]
    whole = (students.status == "done").groupby(setting).transform("all")
    if not whole.any():
        return pd.Series(dtype=float)
    kept = students.assign(teacher=teacher)[whole]
    means = kept.groupby(["seed", "teacher"])[metric].mean().unstack()
    return means["MCMI"] - means["MLL"]


def _teacher_kind(students: pd.DataFrame) -> pd.Series:
    kind = students.label.str.partition(" ")[0]
    if unknown := sorted(set(kind) - {"MLL", "MCMI"}):
        raise ValueError(f"teachers must be MLL or MCMI, got {', '.join(unknown)}")
    return kind
