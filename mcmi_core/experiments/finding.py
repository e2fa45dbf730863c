"""A finding: one measured difference, with all that a reader needs to judge it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.statistics import Interval, verdict
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A difference over replicates, and what it was measured on.

    The difference is positive where the claim holds: treatment − control if the claim is that
    something is larger, control − treatment if it is that something is smaller.
    """

    claim: str
    """A sentence that is true if the difference is positive."""
    quantity: str
    """What is compared: ``student's test accuracy``."""
    unit: str
    """Of the difference: ``points`` (of percent), ``nats``, or what else the quantity is in."""
    difference: Interval
    """Mean and 95 % t-interval over ``n`` replicates."""
    replicate: str
    """What varies from one replicate to the next, and what the interval therefore covers:
    ``data and weights``, or ``weights`` alone, on one fixed test split."""
    data: str
    networks: str
    """``teacher → student``, or the teacher alone."""
    recipe: str
    """Epochs of each stage."""
    policy: str
    """Centroid policy of the MCMI teacher: ``fixed``, ``tracked``, or ``–`` without MCMI."""
    lam: float | None
    """λ of the MCMI teacher; None without MCMI."""
    control: str
    """What it is compared with: ``MLL``, ``T = 1``."""
    primary: bool
    """Whether it was named beforehand to decide a claim of the paper; else it is exploratory."""
    profile: str
    """That it was measured in."""

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold`` or ``open``; see :mod:`mcmi_core.base.statistics`."""
        return verdict(self.difference)


def finding(
    lab: Lab,
    pair: Pair,
    claim: str,
    difference: Interval,
    *,
    quantity: str,
    unit: str = "points",
    teacher: str | None = None,
    control: str = "MLL",
    networks: str | None = None,
    primary: bool = False,
) -> Finding:
    """A finding on a pair, whose data, networks, recipe, policy and λ it states.

    Args:
        lab: whose profile it was measured in.
        pair: whose networks were trained.
        claim: true if the difference is positive.
        difference: over replicates.
        quantity: what is compared.
        unit: of the difference.
        teacher: label of the treated teacher, which says policy and λ: ``MCMI fixed λ=0.15``; the
            default is the pair's own MCMI. Any other label, such as ``MLL``: without MCMI.
        control: what it is compared with.
        networks: instead of the pair's.
        primary: whether it decides a claim of the paper.
    """
    mcmi = re.fullmatch(r"MCMI (\w+) λ=(\S+)", teacher or pair.mcmi(0).label)
    return Finding(
        claim=claim,
        quantity=quantity,
        unit=unit,
        difference=difference,
        replicate="data and weights" if pair.resample else "weights",
        data=pair.data,
        networks=networks or f"{pair.teacher} → {pair.student}",
        recipe=pair.recipe_text,
        policy=mcmi[1] if mcmi else "–",
        lam=float(mcmi[2]) if mcmi else None,
        control=control,
        primary=primary,
        profile=lab.profile,
    )


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding, the numbers unrounded.

    Returns:
        ``claim``, ``quantity``, ``mean``, ``low``, ``high``, ``unit``, ``n``, ``replicate``,
        ``control``, ``policy``, ``lam``, ``data``, ``networks``, ``recipe``, ``verdict``,
        ``kind`` (primary or exploratory) and ``profile``.
    """
    rows = []
    for each in findings:
        rows.append(
            {
                "claim": each.claim,
                "quantity": each.quantity,
                **each.difference._asdict(),
                "unit": each.unit,
                "replicate": each.replicate,
                "control": each.control,
                "policy": each.policy,
                "lam": each.lam,
                "data": each.data,
                "networks": each.networks,
                "recipe": each.recipe,
                "verdict": each.verdict,
                "kind": "primary" if each.primary else "exploratory",
                "profile": each.profile,
            }
        )
    return pd.DataFrame(rows)
