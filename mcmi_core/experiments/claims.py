"""The paper's claims, each as a difference that is positive if the claim holds here.

A claim is decided by runs that a notebook has made, one value per seed, and by nothing else: no
number is typed in, and a claim whose runs have no record is not measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mcmi_core.base.errors import NotMeasured
from mcmi_core.base.statistics import (
    Interval,
    gains,
    mean_interval,
    paired_difference,
    slopes,
    verdict,
)
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles import Pair
from mcmi_core.runs import Measurement

ACCURACY = "test_accuracy_percent"
ROUNDING = 1e-9
"""Nats by which exact counts may miss an inequality."""


@dataclass(frozen=True)
class Finding:
    """A difference over seeds, and what it was measured on."""

    what: str
    difference: Interval
    unit: str
    pair: Pair

    @property
    def recipe(self) -> str:
        """Data, networks and length of training."""
        epochs = (self.pair.student_recipe or self.pair.recipe).epochs
        return f"{self.pair}, {epochs} epochs"


@dataclass(frozen=True)
class Claim:
    """What the paper says, and how it is asked here."""

    statement: str
    paper: str
    """The paper's figure, and on what."""
    notebook: str
    """Where the whole story is."""
    measure: Callable[[Lab], list[Finding]]


def all_data(lab: Lab) -> list[Finding]:
    """Mean gain over all pairs and frameworks of the table, one value per seed."""
    profile = lab.profile
    pairs, seeds = profile.distillation_pairs, profile.distillation_seeds
    runs = [
        (seed, teacher.label.partition(" ")[0], pair.distill(teacher, seed, distiller=framework))
        for pair in pairs
        for framework in profile.distillation_frameworks
        for seed in seeds
        for teacher in (pair.mll(seed), pair.mcmi(seed))
    ]
    table = lab.collect(run for *_, run in runs)
    table["teacher"] = [teacher for _, teacher, _ in runs]
    setting = ["model_name", "distiller_name"]
    whole = (table.status == "done").groupby([table[name] for name in setting]).transform("all")
    means = table[whole].groupby(["seed", "teacher"])[ACCURACY].mean().unstack()
    gain = mean_interval(means.MCMI - means.MLL)
    return [Finding("mean over frameworks", gain, "points", pairs[0])]


def few_shot(lab: Lab) -> list[Finding]:
    """Gain of plain KD's student on the smallest fraction of the data."""
    pair, fraction = lab.profile.few_shot_pair, min(lab.profile.few_shot_fractions["kd"])
    gain = _student_gain(lab, pair, lab.profile.seeds, fraction=fraction)
    return [Finding(f"{fraction:.0%} of the data", gain, "points", pair)]


def zero_shot(lab: Lab) -> list[Finding]:
    """Gain on the first omitted set, on the omitted classes themselves."""
    pair, omitted = lab.profile.zero_shot_pair, lab.profile.omitted_sets[0]
    looks = [
        Measurement(of=pair.distill(teacher, seed, omit=omitted), what="by_class", split="test")
        for seed in lab.profile.zero_shot_seeds
        for teacher in (pair.mll(seed), pair.mcmi(seed))
    ]
    table = lab.collect_results(looks).rename(columns={"of_seed": "seed"})
    unseen = table[table.class_index.isin(omitted)]
    means = unseen.groupby(["label", "seed"], sort=False).accuracy_percent.mean().reset_index()
    gain = _only(gains(means, "accuracy_percent", control="MLL"))
    classes = "+".join(map(str, omitted))
    return [Finding(f"accuracy on the omitted class {classes}", gain, "points", pair)]


def temperature(lab: Lab) -> list[Finding]:
    """CMI at T = 4 above CMI at T = 1, for every pair."""
    what = "temperature_sweep:temperatures=" + "+".join(map(str, lab.profile.temperatures))
    findings = []
    for pair in _by_teacher(lab.profile.temperature_pairs):
        looks = [Measurement(of=pair.mll(seed), what=what) for seed in lab.profile.seeds]
        table = lab.collect_results(looks)
        wide = table.pivot(index="of_seed", columns="temperature", values="cmi_nats")
        rise = paired_difference(wide[4.0], wide[1.0])
        findings.append(Finding(f"CMI, T = 4 against 1, {pair.teacher}", rise, "nats", pair))
    return findings


def dynamics(lab: Lab) -> list[Finding]:
    """CMI after a tenth of the training above CMI at its end, for every pair."""
    findings = []
    for pair in _by_teacher(lab.profile.dynamics_pairs):
        history = lab.collect_histories(pair.mll(seed) for seed in lab.profile.seeds)
        early, last = round(history.epoch.max() / 10), history.epoch.max()
        wide = history.pivot(index="seed", columns="epoch", values="train_cmi_nats")
        fall = paired_difference(wide[early], wide[last])
        what = f"CMI, epoch {early} against {last}, {pair.teacher}"
        findings.append(Finding(what, fall, "nats", pair))
    return findings


def eigen_cam(lab: Lab) -> list[Finding]:
    """Share of the image that Eigen-CAM maps cover, MCMI's teacher against MLL's."""
    pair, stage = lab.profile.cam_pair, lab.profile.cam_stage
    looks = [
        Measurement(of=teacher, what="eigen_cam_coverage", split="test")
        for seed in lab.profile.seeds
        for teacher in (pair.mll(seed), pair.mcmi(seed))
    ]
    table = lab.collect_results(looks).rename(columns={"of_seed": "seed"})
    rows = table[table.stage_index == stage]
    difference = _only(gains(rows, "coverage_percent", control="MLL"))
    return [Finding(f"share of the image covered, stage {stage}", difference, "points", pair)]


def teacher_size(lab: Lab) -> list[Finding]:
    """Trend of student accuracy with teacher size: rising for MCMI, and more than for MLL."""
    pairs, seeds = lab.profile.size_pairs, lab.profile.seeds
    plan = [(pair, pair.mll(seed), pair.mcmi(seed), seed) for pair in pairs for seed in seeds]
    teachers = [(pair, teacher, seed) for pair, *both, seed in plan for teacher in both]
    sizes = lab.collect_results(
        Measurement(of=teacher, what="network_size") for _, teacher, _ in teachers
    )
    table = lab.collect(pair.distill(teacher, seed) for pair, teacher, seed in teachers)
    parameters = sizes.set_index("parent_key").parameters
    table["decades"] = np.log10([parameters[teacher.key] for _, teacher, _ in teachers])
    trend = slopes(table[table.status == "done"], "decades", ACCURACY)
    mcmi = next(label for label in trend if label != "MLL")
    what = "student's accuracy per tenfold size of its teacher"
    return [
        Finding(f"{what}, MCMI", mean_interval(trend[mcmi]), "points", pairs[-1]),
        Finding(
            f"{what}, MCMI − MLL", paired_difference(trend[mcmi], trend.MLL), "points", pairs[-1]
        ),
    ]


def own_accuracy(lab: Lab) -> list[Finding]:
    """Test accuracy of the MLL teacher above that of the MCMI teacher."""
    pair = lab.profile.quickstart
    loss = _reversed(_teacher_gain(lab, pair, lab.profile.seeds, ACCURACY))
    return [Finding("MLL teacher's test accuracy − MCMI's", loss, "points", pair)]


def bayes_estimate(lab: Lab) -> list[Finding]:
    """KL(P* ‖ MLL teacher) above KL(P* ‖ MCMI teacher), on training and on test inputs."""
    pair = lab.profile.oracle_pair
    return [
        Finding(
            f"KL(P* ‖ P) on {split} inputs, MLL − MCMI",
            _reversed(_teacher_gain(lab, pair, lab.profile.oracle_seeds, f"{split}_bcpd_kl_nats")),
            "nats",
            pair,
        )
        for split in ("train", "test")
    ]


def proposition(lab: Lab) -> list[Finding]:
    """Mean gap of the inequality over layers and bits; if it is broken anywhere, the worst case."""
    pair, bits = lab.profile.oracle_pair, lab.profile.feature_bits
    what = "proposition_1:bits=" + "+".join(map(str, bits))
    looks = [
        Measurement(of=teacher, what=what)
        for seed in lab.profile.oracle_seeds
        for teacher in (pair.mll(seed), pair.mcmi(seed))
    ]
    table = lab.collect_results(looks)
    table["gap_nats"] = table.feature_nats - table.output_nats
    by_seed = table.groupby("of_seed")
    smallest = by_seed.smallest_gap_nats.min()
    if (smallest < -ROUNDING).any():
        what, gap = "smallest I(X; f | Y = y) − I(X; Ŷ | Y = y)", smallest
    else:
        what, gap = "mean I(X; f | Y) − I(X; Ŷ | Y), in no class below 0", by_seed.gap_nats.mean()
    return [Finding(what, mean_interval(gap), "nats", pair)]


CLAIMS = (
    Claim(
        "Students gain when MCMI replaces the MLL teacher",
        "up to +3.32 points (CIFAR-100, best of pairs × frameworks)",
        "06_cifar100_distillation",
        all_data,
    ),
    Claim(
        "… above all from few examples", "+5.72 points at 5 % (CIFAR-100)", "08_few_shot", few_shot
    ),
    Claim(
        "… and on a class they have never seen",
        "0 % → as high as 84 % (CIFAR-10)",
        "04_zero_shot",
        zero_shot,
    ),
    Claim(
        "Temperature raises the teacher's CMI", "Figure 1", "01_temperature_and_cmi", temperature
    ),
    Claim("CMI falls as MLL training goes on", "Figure 2", "02_mll_training_dynamics", dynamics),
    Claim("MCMI's maps hold more context", "Figure 3, pictures", "03_eigen_cam", eigen_cam),
    Claim(
        "Larger MCMI teachers are better teachers, larger MLL teachers are not",
        "Figure 5",
        "05_teacher_size",
        teacher_size,
    ),
    Claim(
        "The MCMI teacher itself is less accurate",
        "stated in the text",
        "00_quickstart",
        own_accuracy,
    ),
    Claim(
        "MCMI estimates the BCPD better", "argued, P* unknown", "12_bayes_oracle", bayes_estimate
    ),
    Claim("I(X; Ŷ | Y) ≤ I(X; f | Y)", "Proposition 1", "13_proposition_1", proposition),
)


def judge(differences: Iterable[Interval]) -> str:
    """One word for a claim that is asked in one or several ways.

    ``holds``: every 95 % interval lies above zero; ``partly``: some do; ``does not hold``: none
    does, and one lies below; ``open``: the seeds do not decide.
    """
    verdicts = [verdict(difference) for difference in differences]
    if set(verdicts) == {"holds"}:
        return "holds"
    if "holds" in verdicts:
        return "partly"
    return "does not hold" if "does not hold" in verdicts else "open"


def scoreboard(lab: Lab) -> pd.DataFrame:
    """One row per claim and way of asking it; a claim without records is ``not measured``.

    Returns:
        ``claim``, ``paper`` (its figure), ``measured`` (what the difference is), ``mean``, ``low``
        and ``high`` (95 % t-interval over seeds, in ``unit``), ``n`` seeds, ``on`` (data, networks,
        epochs), ``verdict`` of the whole claim, and the ``notebook`` that decides it.
    """
    rows = []
    for claim in CLAIMS:
        about = {"claim": claim.statement, "paper": claim.paper, "notebook": claim.notebook}
        try:
            findings = claim.measure(lab)
        except NotMeasured:
            rows.append(about | {"verdict": "not measured"})
            continue
        word = judge(finding.difference for finding in findings)
        rows += [
            about
            | {"measured": finding.what, **finding.difference._asdict(), "unit": finding.unit}
            | {"on": finding.recipe, "verdict": word}
            for finding in findings
        ]
    columns = ["claim", "paper", "measured", "mean", "low", "high", "unit", "n", "on", "verdict"]
    return pd.DataFrame(rows, columns=[*columns, "notebook"])


def _student_gain(lab: Lab, pair: Pair, seeds: Iterable[int], **part) -> Interval:
    students = [
        pair.distill(teacher, seed, **part)
        for seed in seeds
        for teacher in (pair.mll(seed), pair.mcmi(seed))
    ]
    return _only(gains(lab.collect(students), ACCURACY, control="MLL"))


def _teacher_gain(lab: Lab, pair: Pair, seeds: Iterable[int], metric: str) -> Interval:
    teachers = [teacher for seed in seeds for teacher in (pair.mll(seed), pair.mcmi(seed))]
    return _only(gains(lab.collect(teachers), metric, control="MLL"))


def _reversed(difference: Interval) -> Interval:
    """control − treatment, of treatment − control."""
    return Interval(-difference.mean, -difference.high, -difference.low, difference.n)


def _by_teacher(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs whose students differ but not their teachers are one question about teachers."""
    return list({pair.mll(0).key: pair for pair in pairs}.values())


def _only(differences: pd.Series) -> Interval:
    (difference,) = differences
    return difference
