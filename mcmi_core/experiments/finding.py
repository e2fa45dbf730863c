"""A finding: one measured difference, with all that a reader needs to judge it.

A primary finding was named beforehand to decide a claim of the paper. MCMI's are measured against
the fair control, the same teacher fine-tuned in the same way without CMI (λ = 0), with the paper's
own comparison, against the MLL teacher before fine-tuning, beside it. All others are exploratory:
many are looked at, so that chance alone makes some stand out. Those of one table are adjusted for
their number (Holm), but for comparisons that are primary ones of another notebook.
"""

from collections.abc import Iterable, Mapping, Sequence
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

FIRST_WORDS = ("holds", "negligible", "open", "opposite")
"""Of a verdict, from the best for a claim to the worst."""

NEGLIGIBLE_POINTS = 1.0
"""Of accuracy: an interval within ± this says that an effect, if there is one, is smaller."""

BESIDE = {
    "holds": {"open": "against MLL open", "below": "worse than MLL"},
    "negligible": {"above": "better than MLL", "below": "worse than MLL"},
    "open": {"above": "better than MLL", "below": "worse than MLL"},
    "opposite": {"above": "better than MLL"},
}
"""What a verdict adds where the difference to MLL says another thing: by the verdict's first word
and by where that difference's interval lies."""


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
    asked: int
    """Replicates that were asked for: more than ``n`` where runs collapsed."""
    replicate: str
    """What varies from one replicate to the next, and what the interval therefore covers:
    ``data and weights``; or, on fixed data with one test split, ``weights`` alone or ``weights and
    the few samples`` that a student is given. Of a correlation, ``kind of teacher``."""
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
    decided_in: str | None
    """Notebook in which this very comparison is a primary one; None: there is no other."""
    against_mll: Interval | None
    """Where the control is fine-tuning without CMI: the same treatment against the MLL teacher,
    which is what the paper compares with. Its n is its own."""
    negligible: float | None
    """A difference that is smaller does not matter, in the unit of the difference; None: nobody
    can say how small that is."""
    profile: str
    """That it was measured in."""
    tier: str
    """Of evidence: :data:`TRUTH_KNOWN`, one of :data:`TIERS`, or the profile's name where it is no
    evidence (``smoke``)."""

    def __post_init__(self) -> None:
        if self.decides and self.decided_in:
            raise ValueError(f"{self.decides!r} is decided here, or in {self.decided_in}; not both")

    @property
    def primary(self) -> bool:
        """Whether it was named beforehand to decide a claim of the paper."""
        return self.decides is not None

    @property
    def exploratory(self) -> bool:
        """Whether it decides no claim of the paper, here or in another notebook."""
        return self.decides is None and self.decided_in is None

    @property
    def verdict(self) -> str:
        """What the 95 % interval says, whatever else was looked at.

        First, ``holds``: it lies above zero; ``opposite``: it lies below; ``negligible``: it
        includes zero and lies within ± :attr:`negligible`; ``open``: the replicates do not decide.
        Then what the interval against MLL says, if there is one and it says another thing:
        ``holds; against MLL open``, ``holds; worse than MLL``, ``open; better than MLL``, ``open;
        worse than MLL``, the same after ``negligible``, and ``opposite; better than MLL``.
        """
        return self._in_words(decided=True, decided_against_mll=True)

    def _in_words(self, *, decided: bool, decided_against_mll: bool) -> str:
        """The verdict where an interval that excludes zero may not be enough to decide."""
        word = {"above": "holds", "below": "opposite", "open": "open"}[
            _place(self.difference, decided)
        ]
        includes_zero = _place(self.difference, decided=True) == "open"
        widest = max(-self.difference.low, self.difference.high)
        if includes_zero and self.negligible is not None and widest < self.negligible:
            word = "negligible"
        if self.against_mll is None:
            return word
        place = _place(self.against_mll, decided_against_mll)
        return "; ".join(filter(None, [word, BESIDE[word].get(place)]))


def _place(difference: Interval, decided: bool) -> str:
    """Where an interval lies: ``above`` or ``below`` zero, or ``open`` if that is not decided."""
    if decided and difference.low > 0:
        return "above"
    return "below" if decided and difference.high < 0 else "open"


def adjusted_verdicts(findings: Sequence[Finding]) -> list[str]:
    """The verdict of each: its own, but an exploratory one's is adjusted for their number.

    An exploratory difference ``holds`` (or is the ``opposite``) if its p-value is below 0.05 after
    Holm's adjustment for all exploratory ones given; if it was below only before, it is ``open``.
    The differences to MLL beside them are adjusted likewise, among themselves.
    """
    asked = {place: each for place, each in enumerate(findings) if each.exploratory}
    beside = {place: each.against_mll for place, each in asked.items() if each.against_mll}
    undecided = _undecided({place: each.difference for place, each in asked.items()})
    undecided_beside = _undecided(beside)
    return [
        each._in_words(
            decided=place not in undecided, decided_against_mll=place not in undecided_beside
        )
        for place, each in enumerate(findings)
    ]


def exploratory_counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many comparisons decide nothing, in numbers.

    Args:
        findings: all of one experiment.

    Returns:
        ``exploratory``: how many; ``exclude_zero``: how many of their intervals do;
        ``after_holm``: how many still do after adjustment for their number.
    """
    asked = {place: each.difference for place, each in enumerate(findings) if each.exploratory}
    return {
        "exploratory": len(asked),
        "exclude_zero": sum(p_value(difference) < SIGNIFICANT for difference in asked.values()),
        "after_holm": len(asked) - len(_undecided(asked)),
    }


def _undecided(differences: Mapping[int, Interval]) -> set[int]:
    """Places of those that do not exclude zero after adjustment for their number."""
    adjusted = holm([p_value(difference) for difference in differences.values()])
    return {place for place, p in zip(differences, adjusted, strict=True) if p >= SIGNIFICANT}


def finding(
    lab: Lab,
    pair: Pair,
    claim: str,
    difference: Interval,
    *,
    quantity: str,
    asked: int,
    unit: str = "points",
    teacher: Teacher | BayesTeacher | None = None,
    treatment: str | None = None,
    control: str = "MLL",
    networks: str | None = None,
    few_samples: bool = False,
    replicate: str | None = None,
    decides: str | None = None,
    decided_in: str | None = None,
    against_mll: Interval | None = None,
    negligible: float | None = NEGLIGIBLE_POINTS,
) -> Finding:
    """A finding on a pair, whose data, networks, recipe, policy and λ it states.

    Args:
        lab: whose profile it was measured in.
        pair: whose networks were trained.
        claim: true if the difference is positive.
        difference: over replicates.
        quantity: what is compared.
        asked: replicates that were asked for.
        unit: of the difference.
        teacher: the treated teacher, of any seed, which says policy and λ; None: there is a
            ``treatment``.
        treatment: what is compared, if that is not the teacher.
        control: what it is compared with.
        networks: instead of the pair's.
        few_samples: whether every seed draws the few samples, or labels, that a student is given.
        replicate: what varies from one replicate to the next, where that is not a seed.
        decides: key of the claim of the paper that it decides.
        decided_in: name of the notebook that decides this very comparison: ``08_few_shot``.
        against_mll: the same against the MLL teacher, where that is not the control.
        negligible: a smaller difference does not matter, in points; None: points are not those of
            accuracy, so that nobody can say. In other units nobody can, either.
    """
    if teacher is None and treatment is None:
        raise ValueError("a finding needs a teacher, or a treatment in words")
    mcmi = isinstance(teacher, Teacher) and teacher.objective.name == "mcmi"
    options = teacher.objective.options if mcmi else {}
    fixed_data = "weights and the few samples" if few_samples else "weights"
    by_seed = "data and weights" if pair.resample else fixed_data
    return Finding(
        claim=claim,
        quantity=quantity,
        unit=unit,
        difference=difference,
        asked=asked,
        replicate=replicate or by_seed,
        data=pair.data,
        networks=networks or f"{pair.teacher} → {pair.student}",
        recipe=pair.recipe_text,
        policy=options.get("centroids", "–"),
        lam=options.get("lam"),
        treatment=treatment or teacher.label,
        control=control,
        decides=decides,
        decided_in=decided_in,
        against_mll=against_mll,
        negligible=negligible if unit == "points" else None,
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
        ``claim``, ``quantity``, ``mean``, ``low``, ``high``, ``n``, ``asked``, ``unit``,
        ``replicate``, ``treatment``, ``control``; ``mll_mean``, ``mll_low``, ``mll_high`` and
        ``mll_n``, against the MLL teacher, where that is not the control; ``policy``, ``lam``,
        ``data``, ``networks``, ``recipe``, ``verdict`` (of :func:`adjusted_verdicts`), ``decides``,
        ``profile``, ``tier``.
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
                "asked": each.asked,
                "unit": each.unit,
                "replicate": each.replicate,
                "treatment": each.treatment,
                "control": each.control,
                **{f"mll_{part}": getattr(beside, part, None) for part in Interval._fields},
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
