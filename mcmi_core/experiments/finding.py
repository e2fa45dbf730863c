"""A finding: one measured difference, with all that a reader needs to judge it."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.statistics import Interval, verdict
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Teacher


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
    ``data and weights``; or, on fixed data with one test split, ``weights`` alone or ``weights and
    the few samples`` that a student is given."""
    data: str
    networks: str
    """``teacher → student``, or the teacher alone."""
    recipe: str
    """Epochs of each stage."""
    policy: str
    """Centroid policy of the MCMI teacher: ``fixed``, ``tracked``, or ``–`` without MCMI."""
    lam: float | None
    """λ of the MCMI teacher; None without MCMI."""
    treatment: str
    """What is compared: ``MCMI tracked λ=0.7``, ``T = 4``."""
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
    teacher: Teacher | BayesTeacher | None = None,
    treatment: str | None = None,
    control: str = "MLL",
    networks: str | None = None,
    few_samples: bool = False,
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
        teacher: the treated teacher, of any seed, which says policy and λ. The default is the
            pair's own MCMI, or none if there is a ``treatment``.
        treatment: what is compared, if that is not the teacher.
        control: what it is compared with.
        networks: instead of the pair's.
        few_samples: whether every seed draws the few samples, or labels, that a student is given.
        primary: whether it decides a claim of the paper.
    """
    if teacher is None and treatment is None:
        teacher = pair.mcmi(0)
    mcmi = isinstance(teacher, Teacher) and teacher.objective.name == "mcmi"
    options = teacher.objective.options if mcmi else {}
    fixed_data = "weights and the few samples" if few_samples else "weights"
    return Finding(
        claim=claim,
        quantity=quantity,
        unit=unit,
        difference=difference,
        replicate="data and weights" if pair.resample else fixed_data,
        data=pair.data,
        networks=networks or f"{pair.teacher} → {pair.student}",
        recipe=pair.recipe_text,
        policy=options.get("centroids", "–"),
        lam=options.get("lam"),
        treatment=treatment or teacher.label,
        control=control,
        primary=primary,
        profile=lab.profile,
    )


def by_label(teachers: Iterable[Teacher | BayesTeacher]) -> dict[str, Teacher | BayesTeacher]:
    """A teacher of each label: a finding on some seeds needs one of them."""
    return {teacher.label: teacher for teacher in teachers}


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding, the numbers unrounded.

    Returns:
        ``claim``, ``quantity``, ``mean``, ``low``, ``high``, ``unit``, ``n``, ``replicate``,
        ``treatment``, ``control``, ``policy``, ``lam``, ``data``, ``networks``, ``recipe``,
        ``verdict``, ``kind`` (primary or exploratory) and ``profile``.
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
                "treatment": each.treatment,
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
