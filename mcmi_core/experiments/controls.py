"""Every comparison that a table of students (or teachers) allows, each with a fair control.

MCMI is compared with the same teacher fine-tuned in the same way without CMI (λ = 0): more epochs
alone may change a teacher. Beside it stand what the paper compares with, the MLL teacher before
fine-tuning; what fine-tuning alone does; how far the truth would go, where it is known; and whether
a teacher helps at all.
"""

import pandas as pd

from mcmi_core.base.statistics import gains
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import FROM_SCRATCH, Pair


def compared_with_controls(
    lab: Lab,
    pair: Pair,
    runs: pd.DataFrame,
    metric: str,
    claim: str,
    *,
    quantity: str,
    decides: str | None = None,
    **about,
) -> list[Finding]:
    """MCMI against fine-tuning alone, and the controls against each other, as far as there are runs.

    Args:
        lab: whose profile it was measured in.
        pair: whose teachers were compared.
        runs: one row per run that is done, with columns ``label`` (its teacher's, or
            :data:`~mcmi_core.experiments.pair.FROM_SCRATCH`), ``seed`` and ``metric``.
        metric: the column to compare; more is better.
        claim: with ``{treatment}`` and ``{control}``: "the student of {treatment} beats that of
            {control}".
        quantity: that the metric is.
        decides: key of the claim that MCMI against fine-tuning alone decides.
        about: what else :func:`~mcmi_core.experiments.finding.finding` takes.

    Returns:
        MCMI's, the paper's method first, each with the difference to MLL beside it; then,
        exploratory: fine-tuning alone against MLL, the truth against MLL, MLL against no teacher.
    """
    teachers = by_label(pair.teachers(0))
    mll, untreated, *others = teachers
    over = {control: gains(runs, metric, control) for control in (mll, untreated, FROM_SCRATCH)}
    findings = []
    for label in others:
        if label in over[untreated] and teachers[label].stage == "teacher":
            findings.append(
                finding(
                    lab,
                    pair,
                    claim.format(treatment=label, control=untreated),
                    over[untreated][label],
                    quantity=quantity,
                    teacher=teachers[label],
                    control=untreated,
                    decides=decides,
                    against_mll=over[mll].get(label),
                    **about,
                )
            )
    asked = [(untreated, mll), *((label, mll) for label in others), (mll, FROM_SCRATCH)]
    for treatment, control in asked:
        mcmi = treatment in others and teachers[treatment].stage == "teacher"
        if treatment in over[control] and not mcmi:
            findings.append(
                finding(
                    lab,
                    pair,
                    claim.format(treatment=treatment, control=control),
                    over[control][treatment],
                    quantity=quantity,
                    treatment=treatment,
                    control=control,
                    **about,
                )
            )
    return findings
