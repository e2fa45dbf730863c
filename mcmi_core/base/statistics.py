"""Uncertainty over seeds: t-intervals of means and paired differences, and what selection adds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats


class Interval(NamedTuple):
    """A mean with its two-sided confidence interval over ``n`` seeds."""

    mean: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        """``mean [low, high]``, each in the format ``spec``."""
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def mean_interval(values, confidence: float = 0.95) -> Interval:
    """Mean ± t-interval of values that vary by seed: mean ± t(n−1) · s/√n.

    Args:
        values: at least two finite numbers, one per seed.
        confidence: of the two-sided interval.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two seeds, got {len(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values.tolist()}")
    mean, error = values.mean(), stats.sem(values)
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error
    return Interval(float(mean), float(mean - half), float(mean + half), len(values))


def paired_difference(treatment, control, confidence: float = 0.95) -> Interval:
    """Mean of treatment − control, seed by seed, with its t-interval.

    Args:
        treatment: values by seed.
        control: values of the same seeds, in the same order.
        confidence: of the two-sided interval.

    Raises:
        ValueError: unequal lengths, fewer than two seeds, or a value that is not finite.
    """
    if len(treatment) != len(control):
        raise ValueError(f"{len(treatment)} treatment values cannot pair with {len(control)}")
    return mean_interval(np.subtract(treatment, control), confidence)


def within_seed_intervals(table: pd.DataFrame, setting: str, metric: str) -> pd.Series:
    """Mean of each setting with an interval that leaves out what a seed adds to all settings.

    For comparing settings that were all run with the same seeds: every value loses its seed's
    mean and gains the overall mean, and the t-interval of what is left is widened by √(K/(K−1))
    for the K settings that the seed means were taken over.

    Args:
        table: one row per setting and seed.
        setting: column that tells settings apart.
        metric: column to summarise.

    Returns:
        :class:`Interval` by setting, sorted; the means are the plain means.

    Raises:
        ValueError: fewer than two settings or seeds, or a setting that lacks a seed.

    Source: Cousineau, 2005; Morey, "Confidence intervals from normalized data", 2008.
    """
    wide = table.pivot(index="seed", columns=setting, values=metric)
    settings = wide.shape[1]
    if settings < 2:
        raise ValueError(f"within-seed intervals compare at least two settings, got {settings}")
    centred = wide.sub(wide.mean(axis=1, skipna=False), axis=0) + wide.mean(axis=None)
    widen = (settings / (settings - 1)) ** 0.5
    intervals = {}
    for name in wide:
        centre, low, _, n = mean_interval(centred[name])
        half = widen * (centre - low)
        mean = mean_interval(wide[name]).mean  # to the last digit, so that it is rounded alike
        intervals[name] = Interval(mean, mean - half, mean + half, n)
    return pd.Series(intervals)


def summarise(done: pd.DataFrame, by: list[str], metrics: list[str]) -> pd.DataFrame:
    """Mean and 95 % t-interval over seeds of several metrics.

    Args:
        done: one row per run that is done: a run that collapsed may have metrics, which must not
            count.
        by: columns whose values make a setting; the other rows of a setting are its seeds.
        metrics: columns to summarise, without NaN.

    Returns:
        One row per setting with two seeds or more, in order of appearance; each metric as an
        :class:`Interval`.

    Raises:
        ValueError: a metric that is not finite, in a setting with two seeds or more.
    """
    seeds = done.groupby(by)[by[0]].transform("size")
    groups = done[seeds >= 2].groupby(by, sort=False)[metrics]
    return groups.agg(lambda values: [mean_interval(values)]).map(lambda cell: cell[0])


def gains(done: pd.DataFrame, metric: str, control: str, by: list[str] | None = None) -> pd.Series:
    """Paired difference of each method to a control, over the seeds that have both.

    Args:
        done: one row per run that is done, with columns ``label`` (the method), ``seed`` and
            ``metric``. A run that is not done may be a row whose metric is NaN.
        metric: the column to compare.
        control: label of the method to compare with.
        by: further columns that split the table into separate comparisons.

    Returns:
        :class:`Interval` of metric(method) − metric(control), indexed
        by ``by`` and ``label``, for each method with two seeds or more at which neither it nor the
        control is NaN.
    """
    names = [*(by or []), "label"]
    differences = {}
    for setting, rows in done.groupby(by) if by else [((), done)]:
        wide = rows.pivot(index="seed", columns="label", values=metric)
        for label in wide.columns.drop(control, errors="ignore"):
            both = wide.reindex(columns=[control, label]).dropna()
            if len(both) >= 2:
                differences[(*setting, label)] = paired_difference(both[label], both[control])
    index = pd.MultiIndex.from_tuples(list(differences), names=names)
    index = index if by else index.get_level_values("label")
    return pd.Series(list(differences.values()), index, dtype=object)


def selection_effects(
    table: pd.DataFrame, metrics: list[str], control: str, beforehand: str
) -> pd.DataFrame:
    """What a gain over the control becomes when its setting is chosen by the numbers reported.

    The best of several noisy values exceeds the truth even where all settings are equal. Each
    metric is evaluated with four ways to choose a setting:

    - ``set beforehand``: nothing is chosen.
    - ``best mean on test``: the best mean over seeds, as a table of several trials has it.
    - ``best on test, per seed``: the best of each seed. The mean of these is what a table with one
      trial per cell shows on average.
    - ``best on other seeds``: each seed is measured at the setting with the best mean over the
      others. Where every seed has data of its own, no value had a part in its own choice; where
      they share a test split, only the chance of training is left out.

    The intervals of the second and third ignore that there was a choice: they promise too much.

    Args:
        table: one row per run, with columns ``label`` (control or setting), ``seed`` and metrics.
        metrics: columns to compare, such as the last and the best epoch; with the first one and
            ``beforehand``, nothing is selected.
        control: label that gains are taken over, seed by seed; never chosen.
        beforehand: label of the setting that was fixed without looking.

    Returns:
        One row per metric and way to choose: ``metric``, ``choice``, ``chosen`` (the labels, each
        once, in order of seeds), ``gain`` (:class:`Interval`) and ``added``: mean gain − that of
        the first row, in units of the metric.

    Raises:
        ValueError: no such control or setting, fewer than two seeds, or a label that lacks one.
    """
    rows = []
    for metric in metrics:
        wide = table.pivot(index="seed", columns="label", values=metric)
        settings = wide.drop(columns=control, errors="ignore")
        for label, known in ((control, wide), (beforehand, settings)):
            if label not in known:
                raise ValueError(f"no method {label!r}; there are {', '.join(known)}")
        if len(wide) < 2:
            raise ValueError(f"choosing on other seeds needs at least two seeds, got {len(wide)}")
        if lacking := list(wide.columns[wide.isna().any()]):
            raise ValueError(f"every seed needs {metric} of {', '.join(lacking)}")
        for choice, chosen in _choices(settings, beforehand).items():
            values = [settings.at[seed, label] for seed, label in chosen.items()]
            gain = paired_difference(values, wide[control])
            labels = ", ".join(chosen.unique())
            rows.append({"metric": metric, "choice": choice, "chosen": labels, "gain": gain})
    unselected = rows[0]["gain"].mean
    return pd.DataFrame([row | {"added": row["gain"].mean - unselected} for row in rows])


def _choices(settings: pd.DataFrame, beforehand: str) -> dict[str, pd.Series]:
    """Which setting stands for each seed, by way to choose; ``settings`` has a row per seed."""
    seeds = settings.index
    others = {seed: settings.drop(index=seed).mean().idxmax() for seed in seeds}
    return {
        "set beforehand": pd.Series(beforehand, seeds),
        "best mean on test": pd.Series(settings.mean().idxmax(), seeds),
        "best on test, per seed": settings.idxmax(axis="columns"),
        "best on other seeds": pd.Series(others),
    }


def partial_correlation(first, second, given) -> float:
    """Pearson correlation of two variables that is left when a third is held constant.

    The correlation of what remains of ``first`` and of ``second`` after linear regression on
    ``given``.

    Args:
        first: (n,) values.
        second: (n,) values.
        given: (n,) values.

    Raises:
        ValueError: fewer than four values, unequal lengths, a value that is not finite, or nothing
            left of a variable, because it is a linear function of ``given``.
    """
    columns = [np.asarray(values, dtype=float) for values in (first, second, given)]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1 or min(lengths) < 4:
        raise ValueError(f"partial correlation needs three columns of at least 4, got {lengths}")
    if not np.isfinite(columns).all():
        raise ValueError("partial correlation needs finite values")
    first, second, given = columns
    design = np.column_stack([np.ones_like(given), given])  # (n, 2)
    rests = []
    for name, column in (("first", first), ("second", second)):
        rest = column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
        if np.allclose(rest, 0, atol=1e-9 * np.abs(column).max()):
            raise ValueError(f"the {name} variable is a linear function of the given one")
        rests.append(rest)
    return float(np.corrcoef(rests)[0, 1])


def slopes(table: pd.DataFrame, x: str, metric: str) -> pd.DataFrame:
    """Slope of the least-squares line of a metric on ``x``, by method and seed.

    Args:
        table: one row per run, with columns ``label`` (the method), ``seed``, ``x`` and ``metric``.
        x: column of the horizontal axis.
        metric: column of the vertical axis.

    Returns:
        Slopes, in units of ``metric`` per unit of ``x``: one row per ``seed``, a column per label.

    Raises:
        ValueError: a method and seed with fewer than two different values of ``x``.
    """
    lines = {}
    for (seed, label), rows in table.groupby(["seed", "label"], sort=False):
        if rows[x].nunique() < 2:
            raise ValueError(f"no slope from a single {x} for {label!r}, seed {seed}")
        lines[seed, label] = np.polyfit(rows[x], rows[metric], deg=1)[0]
    return pd.Series(lines).rename_axis(["seed", "label"]).unstack()


def p_value(difference: Interval, confidence: float = 0.95) -> float:
    """Two-sided p-value of Student's t-test that a mean difference is zero, from its t-interval.

    p = 2 · (1 − F(|mean| / error)) for F of the t-distribution with n − 1 degrees of freedom and
    the standard error that the interval was made of. Below 0.05 where a 95 % interval excludes 0.

    Args:
        difference: of :func:`mean_interval` or :func:`paired_difference`.
        confidence: that of the interval.

    Raises:
        ValueError: a mean or an end that is not finite.
    """
    if not np.isfinite(difference[:3]).all():
        raise ValueError(f"a p-value needs a finite interval, got {difference:g}")
    freedom = difference.n - 1
    error = (difference.high - difference.mean) / stats.t.ppf((1 + confidence) / 2, freedom)
    if error == 0:  # all replicates are equal
        return float(difference.mean == 0)
    return float(2 * stats.t.sf(abs(difference.mean) / error, freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number: rejecting those below α keeps any false one below α.

    The k-th smallest of m becomes the largest of (m − j + 1) · p_j over j ≤ k, and at most 1.

    Raises:
        ValueError: one that is NaN, or not from 0 to 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p-values must be from 0 to 1, got {wrong}")
    number, adjusted, largest = len(p_values), [1.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, (number - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted
