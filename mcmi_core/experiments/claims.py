"""99 · The paper's claims, each with the findings that decide it. Nothing is computed here.

A claim is decided by the primary findings of one experiment: one for each tier of evidence, data
set, and kind of MCMI. It is not measured where the runs have no record, or where so many collapsed
that no primary finding is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import (
    FIRST_WORDS,
    TIERS,
    TRUTH_KNOWN,
    Finding,
    exploratory_counts,
    findings_table,
)
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import POLICIES

NOT_MEASURED = "not measured"
"""Verdict on a claim in a tier that has no primary finding."""


@dataclass(frozen=True)
class Claim:
    """What the paper says or a reviewer asked, and the experiment that decides it here."""

    key: str
    """By which findings refer to it."""
    statement: str
    paper: str
    """The paper's figure, and on what."""
    experiment: str
    """Its name, which is that of its notebook."""


_AUTHORS = "CIFAR-100, authors' trials"
_IN_TEXT = "argued; P* unknown"
_REVIEWERS = "asked by reviewers"

CLAIMS = (
    Claim(
        "all_data",
        "MCMI's student is better with KD on all the data",
        f"+0.81 to +2.63 points over five pairs, the best cell of each ({_AUTHORS})",
        "08_few_shot",
    ),
    Claim(
        "frameworks",
        "MCMI's student is better on average over frameworks",
        "up to +3.32 points (CIFAR-100, best of pairs × frameworks); over five pairs +0.44 "
        "[-0.51, +1.39] at the λ that each pair's other frameworks favour "
        f"({_AUTHORS}, notebook 15)",
        "06_cifar100_distillation",
    ),
    Claim(
        "dkd",
        "MCMI's student is better with DKD",
        "Table 1; its number is not in the authors' files",
        "06_cifar100_distillation",
    ),
    Claim(
        "imagenet",
        "MCMI's student is better on average over frameworks, 20 classes (stand-in for ImageNet)",
        "up to +0.6 points of top-1 (ImageNet)",
        "07_imagenet_distillation",
    ),
    Claim(
        "few_shot",
        "MCMI's student is better with KD on few examples",
        "+5.72 points at 5 % (CIFAR-100, KD)",
        "08_few_shot",
    ),
    Claim(
        "few_shot_crd",
        "MCMI's student is better with CRD on few examples",
        f"+2.18 points at 5 % ({_AUTHORS})",
        "08_few_shot",
    ),
    Claim(
        "fewer_more",
        "MCMI's student gains more, the fewer its examples",
        f"gain falls from +5.72 at 5 % to +0.15 at 75 % ({_AUTHORS})",
        "08_few_shot",
    ),
    Claim(
        "zero_shot",
        "MCMI's student recognises more of a class that it never saw",
        "0 % → as high as 84 % (CIFAR-10)",
        "04_zero_shot",
    ),
    Claim(
        "temperature",
        "Temperature raises the teacher's CMI",
        "Figure 1, curves",
        "01_temperature_and_cmi",
    ),
    Claim(
        "temperature_student",
        "The student is better at the temperature where the teacher's CMI is highest than at T = 1",
        "Figure 1, bars",
        "01_temperature_and_cmi",
    ),
    Claim(
        "dynamics",
        "CMI falls as MLL training goes on",
        "Figure 2, curves",
        "02_mll_training_dynamics",
    ),
    Claim(
        "eigen_cam",
        "An MCMI teacher looks at more of the image",
        "Figure 3, pictures",
        "03_eigen_cam",
    ),
    Claim(
        "size_mcmi",
        "The larger an MCMI teacher, the better its student",
        "Figure 5, curves",
        "05_teacher_size",
    ),
    Claim(
        "size_more",
        "Size helps an MCMI teacher more than the same teacher fine-tuned without CMI",
        "Figure 5, curves",
        "05_teacher_size",
    ),
    Claim(
        "teacher_accuracy",
        "The MCMI teacher itself is less accurate",
        "stated in the text",
        "00b_quickstart",
    ),
    Claim(
        "bcpd_train",
        "An MCMI teacher is closer to P* on training inputs",
        _IN_TEXT,
        "12_bayes_oracle",
    ),
    Claim(
        "bcpd_test", "An MCMI teacher is closer to P* on test inputs", _IN_TEXT, "12_bayes_oracle"
    ),
    Claim(
        "bcpd_predicts",
        "The closer a teacher is to P*, the better its student",
        _IN_TEXT,
        "10_alternatives",
    ),
    Claim(
        "early_stopping",
        "MCMI's student beats that of an early-stopped teacher",
        _REVIEWERS,
        "10_alternatives",
    ),
    Claim(
        "alternatives",
        "MCMI's student beats that of the best other way to soften a teacher",
        _REVIEWERS,
        "10_alternatives",
    ),
)
"""In the order of the scoreboard."""

_INTERVAL, _BESIDE = list(Interval._fields), [f"mll_{part}" for part in Interval._fields]
_NUMBERS = [*_INTERVAL, *_BESIDE, "asked", "lam"]
_COLUMNS = [
    *("claim", "quantity", *_INTERVAL, "asked", "unit", "replicate", "treatment", "control"),
    *(*_BESIDE, "policy", "lam", "data", "networks", "recipe", "verdict", "decides", "profile"),
    "tier",
]
"""Of a table of findings, which a claim without any has as well, empty."""


def scoreboard(sources: Sequence[tuple[Iterable[Experiment], Lab]]) -> pd.DataFrame:
    """Every primary finding by claim and tier; a claim without one in a tier is `not measured`.

    Args:
        sources: experiments, and the lab that answers for them, of each profile. What two profiles
            ask of the same data and networks counts once, as the first has it.

    Returns:
        One row for each claim, tier, data set and kind of MCMI (column ``policy``: ``fixed``, the
        paper's method; ``tracked``, our variant; ``–``, without MCMI): ``key``, ``statement`` and
        ``paper`` (its figure) of the claim, ``notebook`` (that decides it), and the columns of
        :func:`~mcmi_core.experiments.finding.findings_table`.

    Raises:
        ValueError: a finding decides what is no claim, or that of another experiment.
    """
    found = _primary(sources)
    parts = []
    for claim in CLAIMS:
        about = {"key": claim.key, "statement": claim.statement, "paper": claim.paper}
        about["notebook"] = claim.experiment
        for tier in _tiers(lab.profile for _, lab in sources):
            chosen = [each for each in found if (each.decides, each.tier) == (claim.key, tier)]
            missing = {"tier": tier, "verdict": NOT_MEASURED, "decides": claim.key}
            table = findings_table(chosen) if chosen else pd.DataFrame([missing], columns=_COLUMNS)
            parts.append(pd.DataFrame(about, table.index).join(table))
    typed = [part.astype(dict.fromkeys(_NUMBERS, float)) for part in parts]
    return pd.concat(typed, ignore_index=True)


def exploratory(sources: Sequence[tuple[Iterable[Experiment], Lab]]) -> pd.DataFrame:
    """How many comparisons were made beside those on the scoreboard.

    Args:
        sources: as of :func:`scoreboard`.

    Returns:
        One row for each experiment that has records and compares something, in order of
        appearance: ``notebook``, ``profile``, ``data`` (of its findings), and the columns of
        :func:`~mcmi_core.experiments.finding.exploratory_counts`.
    """
    rows = []
    for experiments, lab in sources:
        for experiment in experiments:
            try:
                findings = experiment.findings(lab)
            except NotMeasured:
                continue
            if not findings:  # it explains, and decides nothing
                continue
            about = {"notebook": experiment.name, "profile": lab.profile}
            about["data"] = "; ".join(dict.fromkeys(each.data for each in findings))
            rows.append(about | exploratory_counts(findings))
    return pd.DataFrame(rows, columns=["notebook", "profile", "data", *exploratory_counts([])])


def counted(board: pd.DataFrame) -> str:
    """How many different primary comparisons there are, and how many end with which verdict.

    Args:
        board: of :func:`scoreboard`.
    """
    comparisons = _different(board)
    words = [f"{number} “{word}”" for word, number in comparisons.verdict.value_counts().items()]
    text = f"{len(comparisons)} primary comparison{'' if len(comparisons) == 1 else 's'}"
    if twice := (board.verdict != NOT_MEASURED).sum() - len(comparisons):
        text += f" ({twice} of them for two claims, counted once)"
    return f"{text}: {', '.join(words)}" if words else text


def exploratory_counted(made: pd.DataFrame) -> str:
    """How many exploratory comparisons the same experiments made, in words.

    Args:
        made: of :func:`exploratory`.
    """
    return (
        f"{made.exploratory.sum()} exploratory comparisons by the same experiments: "
        f"{made.exclude_zero.sum()} exclude zero, {made.after_holm.sum()} after Holm's adjustment "
        "for the number in each"
    )


def verdicts_by_tier(board: pd.DataFrame) -> pd.DataFrame:
    """How many primary comparisons end with which verdict; one for two claims counts once.

    Args:
        board: of :func:`scoreboard`.

    Returns:
        One row per ``tier`` and ``policy`` that is measured, in the order of the scoreboard
        (``–``: without MCMI); one column per verdict that occurs, from holds to opposite.
    """
    counts = _different(board).groupby(["tier", "policy"]).verdict.value_counts()
    table = counts.unstack(fill_value=0)
    rows = [row for row in product(board.tier.unique(), [*POLICIES, "–"]) if row in table.index]
    words = sorted(table, key=lambda verdict: (FIRST_WORDS.index(verdict.split(";")[0]), verdict))
    return table.loc[rows, words]


def not_measured(board: pd.DataFrame) -> pd.Series:
    """Which claims have no verdict in a tier: their statements, or ``all claims``, by tier.

    Args:
        board: of :func:`scoreboard`.
    """
    texts = {}
    for tier, rows in board.groupby("tier", sort=False):
        missing = rows.statement[rows.verdict == NOT_MEASURED]
        if len(missing):
            texts[tier] = "; ".join(missing) if len(missing) < len(rows) else "all claims"
    return pd.Series(texts, dtype=object)


def _different(board: pd.DataFrame) -> pd.DataFrame:
    """What is measured, the same numbers of the same method on the same data once."""
    measured = board[board.verdict != NOT_MEASURED]
    return measured.drop_duplicates(["tier", "data", "networks", "recipe", "treatment", *_INTERVAL])


def _tiers(profiles: Iterable[str]) -> list[str]:
    """In the order of the scoreboard; a profile that is no evidence is a tier of its own."""
    profiles = list(dict.fromkeys(profiles))
    evidence = [TRUTH_KNOWN, *TIERS.values()] if set(profiles) & set(TIERS) else []
    return evidence + [profile for profile in profiles if profile not in TIERS]


def _primary(sources: Sequence[tuple[Iterable[Experiment], Lab]]) -> list[Finding]:
    """Those of experiments whose runs have records; each question as the first source has it."""
    primary, asked = [], set()
    for experiments, lab in sources:
        found = [each for experiment in experiments for each in _deciding(experiment, lab)]
        primary += [each for each in found if _question(each) not in asked]
        asked |= {_question(each) for each in found}
    return primary


def _deciding(experiment: Experiment, lab: Lab) -> list[Finding]:
    """Primary findings of one experiment, none where its runs have no record."""
    try:
        findings = [each for each in experiment.findings(lab) if each.primary]
    except NotMeasured:
        return []
    own = [claim.key for claim in CLAIMS if claim.experiment == experiment.name]
    for each in findings:
        if each.decides not in own:
            raise ValueError(
                f"{experiment.name} cannot decide {each.decides!r}; it decides "
                f"{', '.join(own) or 'no claim'}"
            )
    return findings


def _question(finding: Finding) -> tuple:
    """What is equal where two profiles ask the same of the same runs."""
    method = (finding.policy, finding.lam, finding.treatment)
    return (finding.decides, finding.tier, *method, finding.data, finding.networks, finding.recipe)
