"""A finding: one measured difference, with all that a reader needs to judge it.

A primary finding was named beforehand to decide a claim of the paper. MCMI's are measured against
the fair control, the same teacher fine-tuned in the same way without CMI (λ = 0), with the paper's
own comparison, against the MLL teacher before fine-tuning, beside it. All others are exploratory:
many are looked at, so that chance alone makes some stand out. Those of one table are adjusted for
their number (Holm).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.statistics import Interval, holm, p_value
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Teacher

TRUTH_KNOWN = "truth known"
TIERS = {
    "cpu": "photographs, CPU",
    "gpu": "photographs, GPU",
    "paper": "the paper's data",
}
"""Of evidence on images, by profile; on data whose P* is known it is :data:`TRUTH_KNOWN`."""

SIGNIFICANT = 0.05
"""Of a p-value, where a 95 % interval excludes zero."""

NEGLIGIBLE_POINTS = 1.0
"""Of accuracy: an interval within ± this says that an effect, if there is one, is smaller."""


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
    decides: str | None
    """Key of the claim of the paper that it was named beforehand to decide; None: exploratory."""
    against_mll: Interval | None
    """Where the control is fine-tuning without CMI: the same treatment against the MLL teacher,
    which is what the paper compares with."""
    profile: str
    """That it was measured in."""
    tier: str
    """Of evidence: :data:`TRUTH_KNOWN`, one of :data:`TIERS`, or the profile's name where it is no
    evidence (``smoke``)."""

    @property
    def primary(self) -> bool:
        """Whether it was named beforehand to decide a claim of the paper."""
        return self.decides is not None

    @property
    def verdict(self) -> str:
        """What the 95 % interval says, whatever else was looked at.

        ``holds``: it lies above zero, and so does that against MLL, if there is one;
        ``holds against λ=0 only``: the latter does not;
        ``opposite``: it lies below zero;
        ``no more than fine-tuning``: it does not exclude zero, but that against MLL lies above;
        ``negligible``: it lies within ±1 point of accuracy; ``open``: the replicates do not decide.
        """
        difference, beside = self.difference, self.against_mll
        if difference.low > 0:
            return "holds" if beside is None or beside.low > 0 else "holds against λ=0 only"
        if difference.high < 0:
            return "opposite"
        if beside is not None and beside.low > 0:
            return "no more than fine-tuning"
        widest = max(-difference.low, difference.high)
        if self.unit == "points" and widest < NEGLIGIBLE_POINTS:
            return "negligible"
        return "open"


def adjusted_verdicts(findings: Sequence[Finding]) -> list[str]:
    """The verdict of each: a primary one's own; an exploratory one's, adjusted for their number.

    An exploratory difference ``holds`` (or is the ``opposite``) if its p-value is below 0.05 after
    Holm's adjustment for all exploratory ones given; if it was below only before, it is ``open``.
    """
    exploratory = [each for each in findings if not each.primary]
    adjusted = iter(holm([p_value(each.difference) for each in exploratory]))
    verdicts = []
    for each in findings:
        decided = each.verdict in ("holds", "holds against λ=0 only", "opposite")
        survives = each.primary or next(adjusted) < SIGNIFICANT
        verdicts.append("open" if decided and not survives else each.verdict)
    return verdicts


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
    decides: str | None = None,
    against_mll: Interval | None = None,
) -> Finding:
    """A finding on a pair, whose data, networks, recipe, policy and λ it states.

    Args:
        lab: whose profile it was measured in.
        pair: whose networks were trained.
        claim: true if the difference is positive.
        difference: over replicates.
        quantity: what is compared.
        unit: of the difference.
        teacher: the treated teacher, of any seed, which says policy and λ; None: there is a
            ``treatment``.
        treatment: what is compared, if that is not the teacher.
        control: what it is compared with.
        networks: instead of the pair's.
        few_samples: whether every seed draws the few samples, or labels, that a student is given.
        decides: key of the claim of the paper that it decides.
        against_mll: the same against the MLL teacher, where that is not the control.
    """
    if teacher is None and treatment is None:
        raise ValueError("a finding needs a teacher, or a treatment in words")
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
        decides=decides,
        against_mll=against_mll,
        profile=lab.profile,
        tier=_tier(pair, lab.profile),
    )


def _tier(pair: Pair, profile: str) -> str:
    if profile not in TIERS:
        return profile
    return TRUTH_KNOWN if pair.posterior_is_known else TIERS[profile]


def by_label(teachers: Iterable[Teacher | BayesTeacher]) -> dict[str, Teacher | BayesTeacher]:
    """A teacher of each label: a finding on some seeds needs one of them."""
    return {teacher.label: teacher for teacher in teachers}


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding, the numbers unrounded.

    Returns:
        ``claim``, ``quantity``, ``mean``, ``low``, ``high``, ``unit``, ``n``, ``replicate``,
        ``treatment``, ``control``, ``mll_mean``, ``mll_low``, ``mll_high`` (against the MLL
        teacher, where that is not the control), ``policy``, ``lam``, ``data``, ``networks``,
        ``recipe``, ``verdict`` (of :func:`adjusted_verdicts`), ``decides``, ``profile``, ``tier``.
    """
    findings = list(findings)
    rows = []
    for each, verdict in zip(findings, adjusted_verdicts(findings), strict=True):
        beside = each.against_mll
        rows.append(
            {
                "claim": each.claim,
                "quantity": each.quantity,
                **each.difference._asdict(),
                "unit": each.unit,
                "replicate": each.replicate,
                "treatment": each.treatment,
                "control": each.control,
                **{f"mll_{part}": getattr(beside, part, None) for part in ("mean", "low", "high")},
                "policy": each.policy,
                "lam": each.lam,
                "data": each.data,
                "networks": each.networks,
                "recipe": each.recipe,
                "verdict": verdict,
                "decides": each.decides,
                "profile": each.profile,
                "tier": each.tier,
            }
        )
    return pd.DataFrame(rows)
