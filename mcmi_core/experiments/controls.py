"""Every comparison that a table of students (or teachers) allows, each with a fair control.

MCMI is compared with the same teacher fine-tuned in the same way without CMI (λ = 0): more epochs
alone may change a teacher. Beside it stand what the paper compares with, the MLL teacher before
fine-tuning; what fine-tuning alone does; how far the truth would go, where it is known; and whether
a teacher helps at all.
"""

from collections.abc import Collection

import pandas as pd

from mcmi_core.base.statistics import gains
from mcmi_core.experiments.finding import Finding, by_label, finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import FROM_SCRATCH, Pair
from mcmi_core.runs.config import Teacher


def compared_with_controls(
    lab: Lab,
    pair: Pair,
    runs: pd.DataFrame,
    metric: str,
    claim: str,
    *,
    quantity: str,
    asked: int,
    decides: str | None = None,
    decided_in: str | None = None,
    further: Collection[Teacher] = (),
    **about,
) -> list[Finding]:
    """MCMI against fine-tuning alone, and the controls against each other, where there are runs.

    Args:
        lab: whose profile it was measured in.
        pair: whose teachers were compared.
        runs: one row per run that is done, with columns ``label`` (its teacher's, or
            :data:`~mcmi_core.experiments.pair.FROM_SCRATCH`), ``seed`` and ``metric``. Rows of
            other labels are left out.
        metric: the column to compare; the claim holds of a treatment that has more of it.
        claim: with ``{treatment}`` and ``{control}``: "the student of {treatment} beats that of
            {control}".
        quantity: that the metric is.
        asked: number of seeds, also of those that lack a run.
        decides: key of the claim that the pair's own MCMI against fine-tuning alone decides.
        decided_in: name of the notebook in which those comparisons are primary ones.
        further: MCMI teachers, of any seed, that are compared beside the pair's own; exploratory.
        about: what else :func:`~mcmi_core.experiments.finding.finding` takes.

    Returns:
        MCMI's, the paper's method first, each with the difference to MLL beside it; then,
        exploratory: fine-tuning alone against MLL, the truth against MLL, MLL against no teacher.
        A comparison without two seeds that have both is left out.
    """
    mll, untreated = pair.mll(0).label, pair.untreated(0).label
    own = by_label(pair.mcmi_teachers(0))
    mcmi = own | by_label(further)
    compared = [*((label, untreated) for label in mcmi), (untreated, mll)]
    if pair.posterior_is_known:
        compared.append((pair.bayes(0).label, mll))
    compared.append((mll, FROM_SCRATCH))
    over = {control: gains(runs, metric, control) for control in (untreated, mll, FROM_SCRATCH)}
    findings = []
    for treatment, control in compared:
        if treatment not in over[control]:
            continue
        in_words = "no teacher" if control == FROM_SCRATCH else control
        findings.append(
            finding(
                lab,
                pair,
                claim.format(treatment=treatment, control=in_words),
                over[control][treatment],
                quantity=quantity,
                asked=asked,
                teacher=mcmi.get(treatment),
                treatment=treatment,
                control=control,
                decides=decides if treatment in own else None,
                decided_in=decided_in if treatment in own else None,
                against_mll=over[mll].get(treatment) if treatment in mcmi else None,
                **about,
            )
        )
    return findings
