"""15 · The authors' own trials, looked at with the same eyes: intervals, and nothing picked.

Few-shot: their trials of MLL's and of MCMI's students, which are not paired. λ sweep: their trials
of MCMI's students, one per cell, against the published students of MLL teachers; the gain of the
best cell, of one λ per pair, and of the whole grid; and what picking the best of several adds.

All is computed from committed files (:mod:`mcmi_core.experiments.reference`). Accuracies are
percent, gains points. The authors' trials are the best epoch, SELECTED ON TEST.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import integrate, stats

from mcmi_core.base.statistics import (
    Interval,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    summarise,
)
from mcmi_core.experiments.finding import SIGNIFICANT
from mcmi_core.experiments.reference import PAIR, authors_few_shot, authors_sweep, published
from mcmi_core.experiments.words import framework_in_words, network_in_words

SETTING = ["distiller", "fraction"]
ROW = [*PAIR, "distiller"]
"""Columns that make a row of the paper's Table 1."""

BEST, UNPICKED = "best cell", "best cell, less what noise alone adds"
MEAN, MEDIAN, WORST = "mean of all cells", "median of all cells", "worst cell"
FAVOURED = {
    "λ that the pair favours": "pair_lam",
    "λ that the pair's other frameworks favour": "frameworks_lam",
    "λ that other teachers favour": "teachers_lam",
}
"""One λ per pair: whose trials choose it, and the column that holds it."""
ONE_LAMBDA = "λ that the pair's other frameworks favour"
WAYS = (BEST, UNPICKED, *FAVOURED, MEDIAN, MEAN, WORST)
"""To make one gain of a row's cells."""


class Contrast(NamedTuple):
    """A weighted sum of means of independent samples, with its interval and two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float


def welch_contrast(
    samples: Sequence[Sequence[float]], weights: Sequence[float], confidence: float = 0.95
) -> Contrast:
    """Weighted sum of the means of independent samples whose variances may differ.

    Σ w·x̄ ± t(ν) · √Σ v, where v = w² s² / n, with Satterthwaite's degrees of freedom
    ν = (Σ v)² / Σ (v² / (n − 1)). With weights 1 and −1 it is Welch's interval.

    Args:
        samples: values of each sample, at least two of each.
        weights: one per sample.
        confidence: of the two-sided interval.

    Raises:
        ValueError: another number of weights, a sample with fewer than two values, or one with a
            value that is not finite.

    Source: Welch, "The generalization of Student's problem when several different population
    variances are involved", 1947; Satterthwaite, 1946.
    """
    if len(samples) != len(weights):
        raise ValueError(f"{len(weights)} weights do not fit {len(samples)} samples")
    samples = [np.asarray(sample, dtype=float) for sample in samples]
    for sample in samples:
        if len(sample) < 2 or not np.isfinite(sample).all():
            raise ValueError(f"needs at least two finite values a sample, got {sample.tolist()}")
    numbers = np.array([len(sample) for sample in samples])
    variances = np.square(weights) * [sample.var(ddof=1) for sample in samples] / numbers
    mean = float(np.dot(weights, [sample.mean() for sample in samples]))
    if not variances.any():
        return Contrast(mean, mean, mean, float(mean == 0))
    error = variances.sum() ** 0.5
    freedom = variances.sum() ** 2 / (variances**2 / (numbers - 1)).sum()
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Contrast(mean, float(mean - half), float(mean + half), p)


# --- few-shot -----------------------------------------------------------------------------------


def few_shot_gains(trials: pd.DataFrame | None = None) -> pd.DataFrame:
    """MCMI's student against MLL's at every fraction: difference of means, Welch's interval.

    Args:
        trials: as of :func:`~mcmi_core.experiments.reference.authors_few_shot`; None: those.

    Returns:
        One row per ``distiller`` and ``fraction``, sorted: ``gain``, ``low``, ``high``, ``p``, the
        same adjusted for their number by Holm's method (``p_holm``), ``n_mll`` and ``n_mcmi``; and
        ``paired_gain``, ``paired_low``, ``paired_high``, ``paired_n``: the interval if trials of
        the same number were pairs. Missing where there are too few trials.
    """
    rows = []
    for setting, (mll, mcmi) in _by_setting(trials).items():
        gain = Contrast(mcmi.mean() - mll.mean(), *[float("nan")] * 3)
        if min(len(mll), len(mcmi)) >= 2:
            gain = welch_contrast([mcmi, mll], [1, -1])
        both = pd.concat([mcmi, mll], axis=1, keys=["mcmi", "mll"]).dropna()
        paired = Interval(float("nan"), float("nan"), float("nan"), len(both))
        if len(both) >= 2:
            paired = paired_difference(both.mcmi, both.mll)
        rows.append((*setting, *gain, len(mll), len(mcmi), *paired))
    columns = [*SETTING, "gain", "low", "high", "p", "n_mll", "n_mcmi"]
    columns += ["paired_gain", "paired_low", "paired_high", "paired_n"]
    table = pd.DataFrame(rows, columns=columns)
    tested = table.p.notna()
    table.loc[tested, "p_holm"] = holm(table.p[tested].tolist())
    return table


def gain_at_few_less_at_many(
    few: float = 0.05, many: float = 0.75, trials: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Is the gain larger where there is less? Gain at ``few`` − gain at ``many``, in points.

    Args:
        few: fraction of the training data.
        many: a larger one.
        trials: as of :func:`few_shot_gains`.

    Returns:
        One row per ``distiller``: ``difference``, ``low``, ``high``, ``p`` and ``n``, the trials
        of MLL and MCMI at ``few`` and of MLL and MCMI at ``many``, as text.

    Raises:
        KeyError: a distiller was not tried at one of these fractions.
    """
    settings, rows = _by_setting(trials), []
    for distiller in dict.fromkeys(distiller for distiller, _ in settings):
        samples = [*settings[distiller, few], *settings[distiller, many]]
        contrast = welch_contrast(samples, [-1, 1, 1, -1])
        rows.append((distiller, *contrast, ", ".join(str(len(sample)) for sample in samples)))
    return pd.DataFrame(rows, columns=["distiller", "difference", "low", "high", "p", "n"])


def pairing(trials: pd.DataFrame | None = None, shuffles: int = 9999) -> pd.Series:
    """Do MLL's and MCMI's trials of the same number go up and down together?

    The correlation within settings, over those with at least three numbers in common, of values in
    units of their standard deviation; and how often it is as strong when MCMI's trials are
    shuffled within their setting.

    Args:
        trials: as of :func:`few_shot_gains`.
        shuffles: how many, always the same ones.

    Returns:
        ``correlation``, ``p`` (two-sided), ``pairs`` and ``settings``.
    """
    scores = []  # (MLL's, MCMI's) of each setting
    for mll, mcmi in _by_setting(trials).values():
        numbers = mll.index.intersection(mcmi.index)
        if len(numbers) >= 3:
            both = mll[numbers], mcmi[numbers]
            scores.append([((x - x.mean()) / x.std()).to_numpy() for x in both])
    pairs = sum(len(mll) for mll, _ in scores)
    freedom = pairs - len(scores)
    correlation = sum(mll @ mcmi for mll, mcmi in scores) / freedom
    generator, as_strong = np.random.default_rng(0), 0
    for _ in range(shuffles):
        shuffled = sum(mll @ generator.permutation(mcmi) for mll, mcmi in scores) / freedom
        as_strong += abs(shuffled) >= abs(correlation) - 1e-12
    p = (1 + as_strong) / (1 + shuffles)
    return pd.Series(
        {"correlation": correlation, "p": p, "pairs": pairs, "settings": len(scores)}, dtype=object
    )


def _by_setting(trials: pd.DataFrame | None) -> dict[tuple[str, float], tuple[pd.Series, ...]]:
    """Accuracies by trial number, of MLL and of MCMI, by distiller and fraction; KD first."""
    trials = authors_few_shot() if trials is None else trials
    kd_first = sorted(trials.groupby(SETTING), key=lambda group: (group[0][0] != "kd", group[0]))
    settings = {}
    for setting, rows in kd_first:
        by_number = rows.set_index("trial").sort_index()
        is_mll = by_number.label == "MLL"
        accuracy = by_number.accuracy_percent
        settings[setting] = accuracy[is_mll], accuracy[~is_mll]
    return settings


# --- λ sweep ------------------------------------------------------------------------------------


def sweep_gains(
    sweep: pd.DataFrame | None = None, known: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The gain of every cell of the λ sweep over the published student of the MLL teacher.

    The control is that of the CRD benchmark: the last epoch, the mean of 5. A cell is one trial and
    its best epoch on test, which alone favours the cell by an unknown amount.

    Args:
        sweep: as of :func:`~mcmi_core.experiments.reference.authors_sweep`; None: that.
        known: as of :func:`~mcmi_core.experiments.reference.published`; None: that of CIFAR-100.

    Returns:
        The columns of ``sweep``, with ``published_percent`` and ``gain``, in points.

    Raises:
        ValueError: nothing is published about a pair and framework.
    """
    sweep = authors_sweep() if sweep is None else sweep
    known = published("cifar100") if known is None else known
    cells = sweep.merge(known[[*ROW, "published_percent"]], on=ROW, how="left")
    if (unknown := cells[cells.published_percent.isna()]).size:
        names = unknown[ROW].drop_duplicates().agg(" ".join, axis="columns")
        raise ValueError(f"nothing is published about {', '.join(names)}")
    return cells.assign(gain=cells.accuracy_percent - cells.published_percent)


def ways_to_choose(cells: pd.DataFrame, noise_sd: float) -> pd.DataFrame:
    """One gain for each pair and framework, by the way it is made of its cells.

    - ``best cell``: the highest test accuracy, over λ and loss weights, as a table has it.
    - ``best cell, less what noise alone adds``: less the expected maximum of as many cells that
      differ by noise alone. Where λ matters, noise decides less, and this takes off too much.
    - ``λ that the pair favours``: one λ per pair, by the mean of its frameworks, so that every cell
      has a small say in its own choice.
    - ``λ that the pair's other frameworks favour``: no cell has a say in its own choice. They share
      the row's teachers and its test split.
    - ``λ that other teachers favour``: by the mean of the pairs of other teachers.
    - ``mean``, ``median`` and ``worst`` of all cells.

    At one λ, the mean over loss weights counts. A λ is favoured over frameworks that were tried at
    every λ, among those at which the row was tried.

    Args:
        cells: of :func:`sweep_gains`.
        noise_sd: standard deviation of a cell from one trial to the next, points.

    Returns:
        Indexed by ``teacher``, ``student`` and ``distiller``: ``cells`` (their number), the three
        favoured λ (``pair_lam``, ``frameworks_lam``, ``teachers_lam``) and a column for each of
        ``WAYS``: points.
    """
    groups = cells.groupby(ROW, sort=False).gain
    table = pd.DataFrame({"cells": groups.size()})
    by_lam = cells.groupby([*ROW, "lam"], sort=False).gain.mean().unstack("lam").sort_index(axis=1)
    complete = by_lam.dropna()
    teacher, student, distiller = (complete.index.get_level_values(name) for name in ROW)
    for row in table.index:
        tried = by_lam.loc[row].dropna()
        pair = (teacher == row[0]) & (student == row[1])
        voters = (pair, pair & (distiller != row[2]), teacher != row[0])
        for (way, column), who in zip(FAVOURED.items(), voters, strict=True):
            lam = complete.loc[who, tried.index].mean().idxmax()
            table.loc[row, [column, way]] = lam, tried[lam]
    table[BEST] = groups.max()
    table[UNPICKED] = table[BEST] - noise_sd * table.cells.map(expected_maximum)
    table[MEAN], table[MEDIAN], table[WORST] = groups.mean(), groups.median(), groups.min()
    return table[["cells", *FAVOURED.values(), *WAYS]]


def one_lambda_for_all(cells: pd.DataFrame) -> pd.DataFrame:
    """The plainest way to choose: the same λ for all pairs; mean over loss weights.

    Args:
        cells: of :func:`sweep_gains`.

    Returns:
        Indexed by ``teacher``, ``student`` and ``distiller``, a column for each λ (``λ = 0.2 for
        all pairs``): points, NaN where the row was not tried at that λ.
    """
    by_lam = cells.groupby([*ROW, "lam"], sort=False).gain.mean().unstack("lam").sort_index(axis=1)
    return by_lam.rename(columns="λ = {:g} for all pairs".format).rename_axis(columns=None)


def remaining(ways: pd.DataFrame) -> pd.DataFrame:
    """What is left of the gain: its mean, by the way to choose, with three intervals.

    Rows of one pair share its teachers, and pairs of one teacher share that. So the interval over
    rows promises too much; that over means of pairs less so, and that over means of teachers least.

    Args:
        ways: of :func:`ways_to_choose`, or of :func:`one_lambda_for_all`. Rows with NaN are left
            out.

    Returns:
        Indexed by way: ``largest`` and ``median`` gain of a row; ``positive``, the number of rows
        with a gain above 0; ``rows``, ``pairs`` and ``teachers``:
        :class:`~mcmi_core.base.statistics.Interval`; and ``p`` of that over pairs.
    """
    found = {}
    for way in _ways_of(ways):
        gain = ways[way].dropna()
        pairs = mean_interval(gain.groupby(level=PAIR).mean())
        found[way] = {
            "largest": gain.max(),
            "median": gain.median(),
            "positive": int((gain > 0).sum()),
            "rows": mean_interval(gain),
            "pairs": pairs,
            "teachers": mean_interval(gain.groupby(level="teacher").mean()),
            "p": p_value(pairs),
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("way")


def _ways_of(ways: pd.DataFrame) -> list[str]:
    """Its columns that hold gains."""
    return [way for way in ways if way not in ("cells", *FAVOURED.values())]


def gain_by_lambda(cells: pd.DataFrame) -> pd.Series:
    """What λ does in each framework: the gain, mean over loss weights, interval over pairs.

    Only pairs that a framework was tried with at every λ.

    Args:
        cells: of :func:`sweep_gains`.

    Returns:
        :class:`~mcmi_core.base.statistics.Interval`, points, by ``distiller`` and ``lam``.
    """
    by_lam = cells.groupby([*ROW, "lam"]).gain.mean().unstack("lam").dropna()
    long = by_lam.stack().rename("gain").reset_index()
    return summarise(long, ["distiller", "lam"], ["gain"]).gain


# --- what picking adds --------------------------------------------------------------------------


def expected_maximum(number: int) -> float:
    """Mean of the largest of several independent standard normal values.

    E max = ∫ x · n · φ(x) · Φ(x)^(n − 1) dx: 0 for one, 1/√π = 0.56 for two, 1.42 for eight.

    Args:
        number: n, at least 1.

    Raises:
        ValueError: fewer than one.
    """
    if number < 1:
        raise ValueError(f"the largest of at least one value, got {number}")

    def density(x: float) -> float:
        return x * number * stats.norm.pdf(x) * stats.norm.cdf(x) ** (number - 1)

    return integrate.quad(density, -10, 10, epsabs=1e-10)[0]


def noise_between_trials(smallest: float = 0.5, trials: pd.DataFrame | None = None) -> Interval:
    """Standard deviation of a student's accuracy from trial to trial, points.

    Pooled over the few-shot settings with at least two trials: √(Σ (n − 1) s² / Σ (n − 1)), with
    the 95 % interval that χ² gives. Only fractions close to all of the data are taken, since the
    sweep has all of it; its networks are others.

    Args:
        smallest: fraction of the training data.
        trials: as of :func:`few_shot_gains`.

    Returns:
        An interval whose ``n`` is the degrees of freedom, Σ (n − 1).

    Raises:
        ValueError: no setting has two trials.
    """
    trials = authors_few_shot() if trials is None else trials
    groups = trials[trials.fraction >= smallest].groupby([*SETTING, "label"]).accuracy_percent
    freedom = int((groups.size() - 1).sum())
    if not freedom:
        raise ValueError(f"no setting with {smallest:.0%} of the data or more has two trials")
    squares = ((groups.size() - 1) * groups.var().fillna(0)).sum()
    low, high = (squares / stats.chi2.ppf([0.975, 0.025], freedom)) ** 0.5
    return Interval(float((squares / freedom) ** 0.5), float(low), float(high), freedom)


def noise_between_weights(cells: pd.DataFrame) -> tuple[float, int]:
    """Another estimate of that standard deviation, from the sweep itself: no larger than this.

    Two cells of the same row and λ differ by noise and by what the loss weight does. The median of
    their absolute difference, over √2 · 0.6745, is the standard deviation of a normal cell, and
    does not mind the few cells that failed.

    Args:
        cells: of :func:`sweep_gains`.

    Returns:
        Standard deviation, points, and the number of pairs of cells.
    """
    groups = cells.groupby([*ROW, "lam"]).gain
    differences = (groups.max() - groups.min())[groups.size() == 2]
    scale = 2**0.5 * stats.norm.ppf(0.75)
    return float(differences.median() / scale), len(differences)


def picking(ways: pd.DataFrame, noise: Interval) -> pd.Series:
    """What picking the best cell adds on average to a row, and what noise alone would add.

    Args:
        ways: of :func:`ways_to_choose`.
        noise: of :func:`noise_between_trials`.

    Returns:
        Points: the best cell less the mean of all cells, less their median, and less the λ that
        other frameworks favour; and the expected maximum of as many cells that differ by noise
        alone, at the estimated noise and at the ends of its interval.
    """
    maximum = ways.cells.map(expected_maximum).mean()
    return pd.Series(
        {
            f"{BEST} − {MEAN}": (ways[BEST] - ways[MEAN]).mean(),
            f"{BEST} − {MEDIAN}": (ways[BEST] - ways[MEDIAN]).mean(),
            f"{BEST} − {ONE_LAMBDA}": (ways[BEST] - ways[ONE_LAMBDA]).mean(),
            "noise alone": noise.mean * maximum,
            "noise alone, low": noise.low * maximum,
            "noise alone, high": noise.high * maximum,
        },
        name="points",
    )


# --- as text ------------------------------------------------------------------------------------


def _p_text(p: float) -> str:
    if pd.isna(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def readable_few_shot(gains: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`few_shot_gains` as text."""

    def interval(row: pd.Series, prefix: str) -> str:
        mean, low, high = row[f"{prefix}gain"], row[f"{prefix}low"], row[f"{prefix}high"]
        if pd.isna(mean):
            return "–"
        return f"{mean:+.2f}" if pd.isna(low) else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"

    columns = {
        "framework": gains.distiller.map(framework_in_words),
        "data": (100 * gains.fraction).map("{:g} %".format),
        "gain, points [95 %]": gains.apply(interval, axis=1, prefix=""),
        "trials, MLL + MCMI": gains.n_mll.astype(str) + " + " + gains.n_mcmi.astype(str),
        "p": gains.p.map(_p_text),
        "p, Holm": gains.p_holm.map(_p_text),
        "if trial i of each were a pair, points [95 %]": gains.apply(
            interval, axis=1, prefix="paired_"
        ),
        "n": gains.paired_n,
    }
    return pd.DataFrame(columns).set_index(["framework", "data"])


def readable_difference(difference: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`gain_at_few_less_at_many` as text."""
    intervals = difference[["difference", "low", "high"]].itertuples(index=False)
    texts = [f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" for mean, low, high in intervals]
    columns = {
        "framework": difference.distiller.map(framework_in_words),
        "difference of gains, points [95 %]": texts,
        "p": difference.p.map(_p_text),
        "trials (MLL, MCMI; MLL, MCMI)": difference.n,
    }
    return pd.DataFrame(columns).set_index("framework")


def readable_remaining(left: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`remaining` as text."""
    names = {}
    for name in ("rows", "pairs", "teachers"):
        numbers = dict.fromkeys(str(interval.n) for interval in left[name])
        names[name] = f"{name}, n = {' or '.join(numbers)}"
    columns = {names[name]: left[name].map("{:+.2f}".format) for name in names}
    columns |= {
        "p, pairs": left.p.map(_p_text),
        "median row": left["median"].map("{:+.2f}".format),
        "rows above 0": [
            f"{number} of {interval.n}"
            for number, interval in zip(left.positive, left["rows"], strict=True)
        ],
        "largest": left.largest.map("{:+.2f}".format),
    }
    return pd.DataFrame(columns).rename_axis("gain, points [95 %]")


def readable_by_pair(ways: pd.DataFrame) -> pd.DataFrame:
    """The gain of each pair of networks, mean over its frameworks, as text: a row per way.

    Args:
        ways: as of :func:`remaining`.
    """
    means = ways[_ways_of(ways)].groupby(level=PAIR, sort=False).mean().T
    means.columns = [
        f"{network_in_words(teacher)} → {network_in_words(student)}" for teacher, student in means
    ]
    return means.map("{:+.2f}".format).rename_axis("gain, points")


def count_by_lambda(gains: pd.Series) -> str:
    """How many intervals of :func:`gain_by_lambda` exclude 0, before and after Holm's adjustment.

    Those that still do are named.
    """
    p = pd.Series([p_value(interval) for interval in gains], gains.index)
    adjusted = pd.Series(holm(p.tolist()), gains.index)
    named = [
        f"{framework_in_words(distiller)} at λ = {lam:g}"
        for distiller, lam in adjusted.index[adjusted < SIGNIFICANT]
    ]
    text = f"{len(p)} intervals: {(p < SIGNIFICANT).sum()} exclude 0, {len(named)} after Holm's "
    return f"{text}adjustment" + (f" ({', '.join(named)})" if named else "")


def readable_by_lambda(gains: pd.Series) -> pd.DataFrame:
    """The intervals of :func:`gain_by_lambda` as text: a row per framework, a column per λ."""
    wide = gains.map("{:+.2f}".format).unstack("lam")
    wide.columns = [f"λ = {lam:g}" for lam in wide]
    numbers = gains.map(lambda interval: interval.n).groupby(level="distiller").first()
    wide.insert(0, "n, pairs", numbers)
    return wide.rename(index=framework_in_words).rename_axis("framework")
