"""99 · The paper's claims, each with the findings that decide it. Nothing is computed here.

A claim is decided by the primary findings of one experiment: one for each tier of evidence, data
set, and kind of MCMI. It is not measured where the runs have no record, or where so many collapsed
that no primary finding is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import TIERS, TRUTH_KNOWN, Finding, findings_table
from mcmi_core.experiments.lab import Lab

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


_IN_TEXT = "argued; P* unknown"
_REVIEWERS = "asked by reviewers"

CLAIMS = (
    Claim(
        "all_data",
        "MCMI's student is better with KD on all the data",
        "Table 1",
        "08_few_shot",
    ),
    Claim(
        "frameworks",
        "MCMI's student is better on average over frameworks",
        "up to +3.32 points (CIFAR-100, best of pairs × frameworks)",
        "06_cifar100_distillation",
    ),
    Claim("dkd", "MCMI's student is better with DKD", "Table 1", "06_cifar100_distillation"),
    Claim(
        "imagenet", "MCMI's student is better on ImageNet", "Table 2", "07_imagenet_distillation"
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
        "Table 3",
        "08_few_shot",
    ),
    Claim(
        "fewer_more", "MCMI's student gains more, the fewer its examples", "Table 3", "08_few_shot"
    ),
    Claim(
        "zero_shot",
        "MCMI's student recognises more of a class that it never saw",
        "0 % → as high as 84 % (CIFAR-10)",
        "04_zero_shot",
    ),
    Claim(
        "temperature", "Temperature raises the teacher's CMI", "Figure 1", "01_temperature_and_cmi"
    ),
    Claim(
        "temperature_student",
        "The student is better at the temperature where the teacher's CMI is highest",
        "Figure 1",
        "01_temperature_and_cmi",
    ),
    Claim("dynamics", "CMI falls as MLL training goes on", "Figure 2", "02_mll_training_dynamics"),
    Claim(
        "eigen_cam",
        "An MCMI teacher looks at more of the image",
        "Figure 3, pictures",
        "03_eigen_cam",
    ),
    Claim(
        "size_mcmi",
        "The larger an MCMI teacher, the better its student",
        "Figure 5",
        "05_teacher_size",
    ),
    Claim(
        "size_more",
        "Size helps an MCMI teacher more than others",
        "Figure 5",
        "05_teacher_size",
    ),
    Claim(
        "teacher_accuracy",
        "The MCMI teacher itself is less accurate",
        "stated in the text",
        "00_quickstart",
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
        "12_bayes_oracle",
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

_NUMBERS = ["mean", "low", "high", "n", "mll_mean", "mll_low", "mll_high", "lam"]
_COLUMNS = ["claim", "quantity", "mean", "low", "high", "n", "unit", "replicate", "treatment"]
_COLUMNS += ["control", "mll_mean", "mll_low", "mll_high", "policy", "lam", "data", "networks"]
_COLUMNS += ["recipe", "verdict", "decides", "profile", "tier"]
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


def counted(board: pd.DataFrame) -> str:
    """How many primary comparisons there are, and how many end with which verdict.

    Args:
        board: of :func:`scoreboard`.
    """
    measured = board[board.verdict != NOT_MEASURED]
    words = [f"{number} {word}" for word, number in measured.verdict.value_counts().items()]
    text = f"{len(measured)} primary comparisons"
    return f"{text}: {', '.join(words)}" if words else text


def verdicts_by_tier(board: pd.DataFrame) -> pd.DataFrame:
    """How many primary comparisons end with which verdict.

    Args:
        board: of :func:`scoreboard`.

    Returns:
        One row per ``tier`` and ``policy`` that is measured, one column per verdict that occurs,
        the most frequent first.
    """
    measured = board[board.verdict != NOT_MEASURED]
    counts = measured.groupby(["tier", "policy"], sort=False).verdict.value_counts()
    table = counts.unstack(fill_value=0, sort=False)
    return table[table.sum().sort_values(ascending=False, kind="stable").index]


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
