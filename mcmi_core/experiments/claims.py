"""99 · The paper's claims, each with the findings that decide it. Nothing is computed here.

A claim is decided by the primary findings of one experiment. It is not measured where the runs have
no record, or where so many collapsed that no primary finding is left.
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


_COLUMNS = ["claim", "quantity", "mean", "low", "high", "n", "unit", "replicate", "treatment"]
_COLUMNS += ["control", "policy", "lam", "data", "networks", "recipe", "verdict", "kind", "profile"]
"""Of a table of findings, which a claim without any has as well, empty."""


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
    """One row per claim and primary finding; a claim without findings is ``not measured``.

    Args:
        experiments: of the profile.
        lab: of the profile.

    Returns:
        ``statement``, ``paper`` (its figure), ``notebook`` (that decides it), ``decision`` on the
        whole claim, and the columns of :func:`~mcmi_core.experiments.finding.findings_table`.

    Raises:
        KeyError: a claim's experiment is not among them.
    """
    by_name = {experiment.name: experiment for experiment in experiments}
    parts = []
    for claim in CLAIMS:
        found = _primary(by_name[claim.experiment], lab)
        table = findings_table(found) if found else pd.DataFrame(index=[0], columns=_COLUMNS)
        decision = judge(found) if found else "not measured"
        about = {"statement": claim.statement, "paper": claim.paper, "notebook": claim.experiment}
        parts.append(table.assign(**about, decision=decision))
    board = pd.concat(parts, ignore_index=True)
    numbers = ["mean", "low", "high", "n", "lam"]
    board = board.astype(dict.fromkeys(numbers, float))
    return board[["statement", "paper", "notebook", "decision", *_COLUMNS]]


def _primary(experiment: Experiment, lab: Lab) -> list[Finding]:
    """None where runs have no record, or where collapsed ones leave too few seeds."""
    try:
        return [finding for finding in experiment.findings(lab) if finding.primary]
    except NotMeasured:
        return []
