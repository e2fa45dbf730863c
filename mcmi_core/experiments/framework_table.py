"""06, 07 · Students of every kind of teacher, one row per pair and framework."""

from collections.abc import Mapping
from itertools import product

import pandas as pd

from mcmi_core.base.statistics import Interval, paired_difference
from mcmi_core.experiments.outcomes import outcome
from mcmi_core.experiments.pair import POLICIES
from mcmi_core.runs.config import UNTREATED

SETTING = ["pair", "framework"]
"""Columns that make a row of the table."""

KINDS = {
    "mll": "MLL",
    "untreated": UNTREATED,
    "fixed": "MCMI fixed",
    "tracked": "MCMI tracked",
}
"""Kinds of teachers, as in names of columns, and how their labels begin."""

CONTROLS = ("untreated", "mll")
"""The kinds that MCMI is compared with: first the fair control, then the paper's."""


def compare_teachers(
    students: pd.DataFrame, from_scratch: pd.DataFrame, metric: str
) -> pd.DataFrame:
    """Students of every kind of teacher: mean, standard deviation and paired gains.

    A run that collapsed, that its distiller could not start, or whose teacher collapsed is counted
    in ``status``, and what it may have measured before is left out: means are over the other seeds.

    Args:
        students: one row per run, with columns ``pair``, ``framework``, ``label`` (its teacher's:
            ``MLL``, ``fine-tuned λ=0`` or ``MCMI ...``), ``seed``, ``status`` and ``metric``.
        from_scratch: one row per run, with columns ``pair``, ``seed``, ``status`` and ``metric``.
        metric: column to compare, such as ``test_accuracy_percent``.

    Returns:
        One row per pair and framework, in order of appearance: those two; ``scratch_mean`` and
        ``scratch_sd`` (sample standard deviation over seeds), then likewise ``mll_``,
        ``untreated_`` (λ = 0), ``fixed_`` and ``tracked_``, as far as there are such teachers;
        ``fixed_over_untreated_mean``, ``_low``, ``_high`` and ``_n`` (the gain, paired by seed,
        with its 95 % t-interval; n seeds have both), likewise ``fixed_over_mll_`` and
        ``tracked_over_...``; and ``status``: ``done``, or how many runs are not, and why. What too
        few seeds cannot tell is NaN.

    Raises:
        ValueError: another teacher, or two runs for one seed and teacher.
    """
    kind = _kinds(students)
    kinds = [each for each in KINDS if each in set(kind)]
    values = _done(students, metric)
    scratch = _done(from_scratch, metric)
    groups = students.assign(kind=kind, value=values).groupby(SETTING, sort=False)
    rows = []
    for (pair, framework), group in groups:
        wide = group.pivot(index="seed", columns="kind", values="value").reindex(columns=kinds)
        row = {"pair": pair, "framework": framework}
        row |= _spread("scratch", scratch[from_scratch.pair == pair])
        for each in kinds:
            row |= _spread(each, wide[each])
        for policy, control in product(POLICIES, CONTROLS):
            if policy in kinds:
                both = wide.reindex(columns=[policy, control]).dropna()
                gain = Interval(*[float("nan")] * 3, len(both))
                if len(both) >= 2:
                    gain = paired_difference(both[policy], both[control])
                name = f"{policy}_over_{control}"
                row |= {f"{name}_{part}": value for part, value in gain._asdict().items()}
        rows.append(row | {"status": outcome(group.status)})
    return pd.DataFrame(rows)


def gain_of(row: Mapping, policy: str, control: str) -> Interval:
    """A gain in a row of :func:`compare_teachers`; with n = 0 if there is no such teacher."""
    name = f"{policy}_over_{control}"
    values = (row.get(f"{name}_{part}", float("nan")) for part in ("mean", "low", "high"))
    return Interval(*values, row.get(f"{name}_n", 0))


def mean_gain(students: pd.DataFrame, metric: str, kind: str, control: str) -> pd.Series:
    """The gain of one kind of teachers' students over another's, mean over pairs and frameworks.

    Args:
        students: as of :func:`compare_teachers`.
        metric: column to compare.
        kind: of teachers, a key of :data:`KINDS`.
        control: the kind that the gain is over.

    Returns:
        The mean gain by ``seed``, over the pairs that have both kinds, for the seeds at which all
        their runs of both kinds are done.

    Raises:
        ValueError: a teacher of no kind.
    """
    rows = students.assign(kind=_kinds(students), value=_done(students, metric))
    wide = rows.pivot(index="seed", columns=[*SETTING, "kind"], values="value")
    gains = {}
    for setting in rows[rows.kind == kind].groupby(SETTING, sort=False).groups:
        gain = wide.get((*setting, kind)) - wide.get((*setting, control))
        if gain.notna().any():
            gains[setting] = gain
    return pd.DataFrame(gains).mean(axis=1, skipna=False).dropna()


def whole(students: pd.DataFrame) -> pd.Series:
    """Whether all runs, of every kind of teacher, are done, by ``pair`` and ``framework``.

    Args:
        students: as of :func:`compare_teachers`.
    """
    done = students.assign(done=students.status == "done")
    return done.groupby(SETTING, sort=False).done.all()


def _kinds(students: pd.DataFrame) -> pd.Series:
    def kind_of(label: str) -> str:
        for kind, begins in KINDS.items():
            if label == begins or label.startswith(f"{begins} "):
                return kind
        raise ValueError(f"teachers must be {', '.join(KINDS.values())}, got {label!r}")

    return students.label.map(kind_of)


def _done(runs: pd.DataFrame, metric: str) -> pd.Series:
    """A metric of the runs that are done; NaN of the others, or if none has it."""
    values = runs.get(metric, pd.Series(float("nan"), runs.index))
    return values.where(runs.status == "done").astype(float)


def _spread(name: str, values: pd.Series) -> dict[str, float]:
    return {f"{name}_mean": values.mean(), f"{name}_sd": values.std()}
