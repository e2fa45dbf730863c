"""Published figures, to print beside our own: facts from public sources, named in README.md.

All accuracies are percent. They are CIFAR-100's and ImageNet's: beside results on other data they
say what the literature has, not what we should get.
"""

from pathlib import Path

import pandas as pd

_FOLDER = Path(__file__).parent
PAIR = ["teacher", "student"]
"""Columns that tell pairs apart: names of models."""


def published(benchmark: str) -> pd.DataFrame:
    """Accuracies of students of MLL teachers.

    Args:
        benchmark: ``cifar100``: 13 pairs in 14 frameworks, and, as frameworks ``teacher`` and
            ``student``, the teacher itself and the student from scratch; ``imagenet``: top-1 of 2
            pairs in 2 frameworks.

    Returns:
        Columns ``teacher``, ``student``, ``distiller``, ``published_percent``, ``source``.

    Raises:
        ValueError: another benchmark.
    """
    accuracy = {"cifar100": "accuracy", "imagenet": "top1"}
    if benchmark not in accuracy:
        raise ValueError(f"benchmark must be one of {', '.join(accuracy)}, got {benchmark!r}")
    table = pd.read_csv(_FOLDER / f"published_{benchmark}.csv")
    return table.rename(columns={accuracy[benchmark]: "published_percent"})


def authors_sweep() -> pd.DataFrame:
    """The MCMI authors' trials, one per row: five CIFAR-100 pairs, every λ and loss weight.

    Returns:
        Columns ``teacher``, ``student``, ``lam``, ``distiller``, ``gamma``, ``alpha``, ``beta``,
        ``trial``, ``accuracy_percent``: the best epoch, SELECTED ON TEST.
    """
    table = pd.read_csv(_FOLDER / "lambda_sweep_runs.csv")
    return table.rename(columns={"lambda": "lam", "accuracy": "accuracy_percent"})


def authors_few_shot() -> pd.DataFrame:
    """The MCMI authors' few-shot trials, one per row: CIFAR-100, resnet56 → resnet20, KD and CRD.

    Their subset is the first samples of the file. Trials of MLL and MCMI are not paired, and some
    settings have fewer than others.

    Returns:
        Columns ``distiller``, ``fraction``, ``label`` (``MLL`` or ``MCMI fixed λ=0.15``),
        ``trial``, ``accuracy_percent``: the best epoch, SELECTED ON TEST.
    """
    table = pd.read_csv(_FOLDER / "few_shot_runs.csv")
    label = ("MCMI fixed λ=" + table["lambda"].map("{:g}".format)).where(
        table.teacher_objective == "mcmi", "MLL"
    )
    table = table.assign(label=label).rename(columns={"accuracy": "accuracy_percent"})
    return table[["distiller", "fraction", "label", "trial", "accuracy_percent"]]


def authors_best() -> pd.DataFrame:
    """What the authors' choice gives: the best cell of each pair and framework, SELECTED ON TEST.

    Of ``cells`` single trials, which differ in λ and loss weights, the one with the highest test
    accuracy: the more cells, the more it flatters.

    Returns:
        Columns ``teacher``, ``student``, ``distiller``, ``authors_lam``, ``authors_percent``,
        ``cells``.
    """
    sweep = authors_sweep()
    groups = sweep.groupby([*PAIR, "distiller"], sort=False)
    best = sweep.loc[groups.accuracy_percent.idxmax(), [*PAIR, "distiller", "lam"]]
    best = best.assign(
        authors_percent=groups.accuracy_percent.max().to_numpy(), cells=groups.size().to_numpy()
    )
    return best.rename(columns={"lam": "authors_lam"}).reset_index(drop=True)


def favoured_lambdas() -> pd.Series:
    """The λ that the authors' trials favour for each pair, whatever the framework.

    For each λ, the mean over a framework's loss weights, then over the frameworks that were tried
    at every λ; the λ whose mean is highest. One λ per pair, where the authors take one per cell.

    Returns:
        λ by (``teacher``, ``student``).
    """
    cells = authors_sweep().groupby([*PAIR, "distiller", "lam"]).accuracy_percent.mean()
    complete = cells.unstack("lam").dropna()
    return complete.groupby(level=PAIR).mean().idxmax(axis="columns")
