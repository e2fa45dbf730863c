"""99 · The paper's claims, each with the findings that decide it. Nothing is computed here.

A claim is decided by the primary findings of one experiment. One whose runs have no record is not
measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, findings_table
from mcmi_core.experiments.lab import Lab


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the experiment that asks for it here."""

    statement: str
    paper: str
    """The paper's figure, and on what."""
    experiment: str
    """Its name, which is that of its notebook."""


CLAIMS = (
    Claim(
        "Students gain when MCMI replaces the MLL teacher",
        "up to +3.32 points (CIFAR-100, best of pairs × frameworks)",
        "06_cifar100_distillation",
    ),
    Claim("… above all from few examples", "+5.72 points at 5 % (CIFAR-100)", "08_few_shot"),
    Claim(
        "… and on a class they have never seen",
        "0 % → as high as 84 % (CIFAR-10)",
        "04_zero_shot",
    ),
    Claim("Temperature raises the teacher's CMI", "Figure 1", "01_temperature_and_cmi"),
    Claim("CMI falls as MLL training goes on", "Figure 2", "02_mll_training_dynamics"),
    Claim("MCMI's maps hold more context", "Figure 3, pictures", "03_eigen_cam"),
    Claim(
        "Larger MCMI teachers are better teachers, larger MLL teachers are not",
        "Figure 5",
        "05_teacher_size",
    ),
    Claim("The MCMI teacher itself is less accurate", "stated in the text", "00_quickstart"),
    Claim("MCMI estimates the BCPD better", "argued, P* unknown", "12_bayes_oracle"),
    Claim("I(X; Ŷ | Y) ≤ I(X; f | Y)", "Proposition 1", "13_proposition_1"),
)


def judge(findings: Iterable[Finding]) -> str:
    """One word for a claim that is asked in one or several ways.

    ``holds``: every 95 % interval lies above zero; ``partly``: some do; ``does not hold``: none
    does, and one lies below; ``open``: the seeds do not decide.
    """
    verdicts = [finding.verdict for finding in findings]
    if set(verdicts) == {"holds"}:
        return "holds"
    if "holds" in verdicts:
        return "partly"
    return "does not hold" if "does not hold" in verdicts else "open"


def scoreboard(experiments: Iterable[Experiment], lab: Lab) -> pd.DataFrame:
    """One row per claim and primary finding; a claim without records is ``not measured``.

    Args:
        experiments: of the profile.
        lab: of the profile.

    Returns:
        ``statement``, ``paper`` (its figure), ``notebook`` (that decides it), ``decision`` on the
        whole claim, and the columns of :func:`~mcmi_core.experiments.finding.findings_table`.
    """
    by_name = {experiment.name: experiment for experiment in experiments}
    parts = []
    for claim in CLAIMS:
        about = {"statement": claim.statement, "paper": claim.paper, "notebook": claim.experiment}
        try:
            found = [f for f in by_name[claim.experiment].findings(lab) if f.primary]
        except NotMeasured:
            parts.append(pd.DataFrame([about | {"decision": "not measured"}]))
            continue
        parts.append(findings_table(found).assign(**about, decision=judge(found)))
    first = ["statement", "paper", "notebook", "decision"]
    board = pd.concat(parts, ignore_index=True)
    return board[[*first, *board.columns.drop(first)]]
