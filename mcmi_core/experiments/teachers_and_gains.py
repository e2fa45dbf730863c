"""Which quantity of a teacher do its students follow? Correlations over many kinds of teachers.

A point is a kind of teacher, such as `MCMI tracked λ=0.7` or `label smoothing share=0.1`: its mean
over seeds. Seeds repeat a point, they do not add one: with four kinds of teachers, a hundred seeds
show no more than how these four lie.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm, pearsonr

from mcmi_core.base.statistics import Interval, partial_correlation
from mcmi_core.experiments.finding import Finding, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair

FEWEST = 4
"""Kinds of teachers: over three, Fisher's interval is all of [−1, 1] and says nothing."""
SPLIT_BY = {"cmi_nats": "entropy_nats", "entropy_nats": "cmi_nats"}
"""Quantities of the teacher, each with the one that is held constant for it."""


def correlations(points: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Do students gain with a quantity of their teacher? Exploratory, and not a test.

    Methods of one family resemble each other, so each family is left out in turn: a correlation
    that one family makes is none.

    Args:
        points: one row per kind of teacher, by ``family`` and ``method``: ``metrics`` of the
            teacher and ``gain_points`` of its students.
        metrics: quantities to correlate the gain with; CMI and entropy also with the other one
            held constant.

    Returns:
        One row by ``quantity`` and ``held_constant``, the quantity whose linear part is taken out
        of both, or ``nothing``: ``r`` over ``teachers`` kinds, ``low`` and ``high``, its 95 %
        interval (Fisher's; see :func:`correlation_interval`); ``smallest`` and ``largest``: r
        where one family is left out; ``weakest_without``: the family without which |r| is
        smallest; ``sign_changes``: whether r changes its sign. Empty where fewer than four kinds
        are left without a family.
    """
    families = points.index.unique("family")
    parts = {family: points.drop(index=family, level="family") for family in families}
    if not parts or min(map(len, parts.values())) < FEWEST:
        return pd.DataFrame()
    rows = {}
    for quantity, given in [*SPLIT_BY.items(), *((metric, "nothing") for metric in metrics)]:
        whole = _correlation(points, quantity, given)
        without = pd.Series({f: _correlation(p, quantity, given) for f, p in parts.items()})
        low, high = _fisher(whole, len(points) - (given != "nothing"))
        rows[quantity, given] = {
            "r": whole,
            "low": low,
            "high": high,
            "teachers": len(points),
            "smallest": without.min(),
            "largest": without.max(),
            "weakest_without": without.abs().idxmin(),
            "sign_changes": bool((without * whole < 0).any()),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["quantity", "held_constant"])
    return table


def correlation_interval(first: pd.Series, second: pd.Series) -> Interval | None:
    """Pearson's r of two quantities over kinds of teachers, with its 95 % interval.

    The interval is Fisher's: tanh(artanh r ± 1.96 / √(n − 3)). It covers the choice of kinds, as if
    these had been drawn independently, which they were not: families resemble each other.

    Args:
        first: (n,) values, one for each kind.
        second: (n,) values of the same kinds, in the same order.

    Returns:
        None where there are fewer than four kinds, or one of the quantities is the same for all.
    """
    if len(first) < FEWEST or first.nunique() < 2 or second.nunique() < 2:
        return None
    result = pearsonr(first, second)
    low, high = result.confidence_interval()
    return Interval(float(result.statistic), float(low), float(high), len(first))


def closeness_predicts(lab: Lab, pair: Pair, points: pd.DataFrame, few: float) -> list[Finding]:
    """The closer a teacher is to P*, the better its student? Decides the claim `bcpd_predicts`.

    Args:
        lab: whose profile it was measured in.
        pair: whose posterior P* is known, or not: then there is no finding.
        points: one row per kind of teacher, without P* itself: ``bcpd_kl_nats``, mean KL(P* ‖ P) on
            training inputs, and ``gain_points`` of its students, which differs from their accuracy
            by the same number for all.
        few: fraction of the training data that a student sees.
    """
    if not pair.posterior_is_known:
        return []
    correlation = correlation_interval(-points.bcpd_kl_nats, points.gain_points)
    if correlation is None:
        return []
    return [
        finding(
            lab,
            pair,
            "the closer a teacher is to P* on training inputs, the better its student on "
            f"{few:.0%} of the data",
            correlation,
            quantity="correlation over kinds of teachers of − KL(P* ‖ P) and student's accuracy",
            asked=len(points),
            unit="r",
            treatment="teachers closer to P*",
            control="teachers farther from it",
            replicate="kind of teacher",
            decides="bcpd_predicts",
        )
    ]


def _correlation(points: pd.DataFrame, quantity: str, given: str) -> float:
    if given == "nothing":
        return points.gain_points.corr(points[quantity])
    return partial_correlation(points.gain_points, points[quantity], points[given])


def _fisher(r: float, n: int) -> np.ndarray:
    """The ends of the 95 % interval; one that is held constant counts as a point less."""
    half = norm.ppf(0.975) / np.sqrt(n - 3) if n > 3 else np.inf
    return np.tanh(np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)) + np.array([-half, half]))
