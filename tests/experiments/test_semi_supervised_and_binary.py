from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.semi_supervised_and_binary import SemiSupervisedAndBinary
from mcmi_core.report.tables import interval_columns
from mcmi_core.runs.config import BayesTeacher

BINARY = replace(PAIR, data="oracle:classes=2")
EXPERIMENT = SemiSupervisedAndBinary(
    pair=PAIR,
    seeds=(0, 1, 2),
    binary_pair=BINARY,
    binary_lambdas=(0.7, 1.5),
    binary_seeds=(0, 1, 2),
)
FEW, FEW_LABELS = "5% of samples, labelled", "all samples, 5% labelled"
NO_LABEL, EVERYTHING = "all samples, no label", "all samples, labelled"
ACCURACY = {FEW: (60, 64), FEW_LABELS: (66, 67), NO_LABEL: (69, 70), EVERYTHING: (68, 71)}
"""Percent, of students of MLL and of MCMI; MCMI's grows by a tenth with every seed."""
BINARY_GAIN = {"MLL": 0, "MCMI tracked λ=0.7": -2, "MCMI tracked λ=1.5": 3, "true BCPD": 6}
BINARY_KL = {"MLL": 0.8, "MCMI tracked λ=0.7": 1.0, "MCMI tracked λ=1.5": 0.5, "true BCPD": 0.0}


def regime_of(run):
    if run.part.fraction == 0.05:
        return FEW
    if run.distiller.name == "semi_kd":
        return FEW_LABELS
    return NO_LABEL if run.distiller.options["cross_entropy_weight"] == 0 else EVERYTHING


def answer(run):
    """A seed adds a point to whatever it is asked."""
    if run.stage != "student":
        binary = run.data.options["classes"] == 2
        seed = run.data.options["seed"]
        numbers = {"ll_nats": -0.1, "cmi_nats": 0.2, "bcpd_kl_nats": 0.0}
        if binary and not isinstance(run, BayesTeacher):
            numbers["bcpd_kl_nats"] = BINARY_KL[run.label] + seed / 100 * (run.label != "MLL")
        return {"metrics": {"train": numbers, "test": {"accuracy_percent": 80 + seed}}}
    spread = run.seed / 10 * (run.label != "MLL")
    if run.data.options.get("classes") == 2:
        return percent(75 + run.seed + BINARY_GAIN[run.label] + spread)
    return percent(ACCURACY[regime_of(run)]["MCMI" in run.label] + run.seed + spread)


def percent(value):
    return {"metrics": {"test": {"accuracy_percent": value}}}


def without(*labels, seeds, classes):
    """As `answer`, but students of some teachers collapsed."""

    def other(run):
        fields = answer(run)
        asked = run.stage == "student" and run.label in labels and run.seed in seeds
        if asked and run.data.options["classes"] == classes:
            return fields | {"status": "collapsed"}
        return fields

    return made_up_lab(other)


def by_claim(findings):
    return {finding.claim: finding.difference.mean for finding in findings}


def test_all_students_are_asked_for_once():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 3 * (2 * 4 + 4 + 4)
    labelled = [s.distiller.options for s in EXPERIMENT.students()[FEW_LABELS]]
    assert [options["labelled_fraction"] for options in labelled] == [0.05] * 6
    assert [options["seed"] for options in labelled] == [0, 0, 1, 1, 2, 2]


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    mcmi = less = "MCMI tracked λ=0.7"
    more = "MCMI tracked λ=1.5"
    assert by_claim(findings) == pytest.approx(
        {
            f"{FEW}: MCMI's student beats MLL's": 4.1,
            f"{FEW_LABELS}: MCMI's student beats MLL's": 1.1,
            f"{NO_LABEL}: MCMI's student beats MLL's": 1.1,
            f"{EVERYTHING}: MCMI's student beats MLL's": 3.1,
            "unlabelled samples help the student of MLL": 6,
            "labels help the student of MLL": -1,
            f"unlabelled samples help the student of {mcmi}": 3,
            f"labels help the student of {mcmi}": 1,
            f"two classes: students of {less} beat MLL's": -1.9,
            f"two classes: students of {more} beat MLL's": 3.1,
            "two classes: students of true BCPD beat MLL's": 6.1,
            f"two classes: {less} is closer to P* than MLL": -0.21,
            f"two classes: {more} is closer to P* than MLL": 0.29,
        }
    )
    assert not any(finding.primary for finding in findings)
    assert {finding.difference.n for finding in findings} == {3}


def test_a_finding_says_what_it_is_about():
    findings = {each.claim: each for each in EXPERIMENT.findings(made_up_lab(answer))}
    mll = findings["labels help the student of MLL"]
    assert (mll.policy, mll.lam, mll.control) == ("–", None, NO_LABEL)
    mcmi = findings["unlabelled samples help the student of MCMI tracked λ=0.7"]
    assert (mcmi.policy, mcmi.lam, mcmi.control) == ("tracked", 0.7, FEW)
    truth = findings["two classes: students of true BCPD beat MLL's"]
    assert (truth.policy, truth.networks) == ("–", "true BCPD → mlp:width=8")
    near = findings["two classes: MCMI tracked λ=1.5 is closer to P* than MLL"]
    assert (near.unit, near.lam, near.networks) == ("nats", 1.5, "mlp:width=64")
    assert near.data == "oracle:classes=2"


def test_accuracy_without_what_a_seed_adds():
    accuracy = EXPERIMENT.accuracy(made_up_lab(answer))
    assert list(accuracy) == ["MLL", "MCMI tracked λ=0.7"]
    assert list(accuracy.index) == [FEW, FEW_LABELS, NO_LABEL, EVERYTHING]
    interval = accuracy.loc[FEW, "MCMI tracked λ=0.7"]
    assert interval.mean == pytest.approx(60 + 4 + 1 + 0.1)
    assert interval.high - interval.low < 0.5  # seeds are a point apart


def test_numbers_of_both_parts():
    numbers = interval_columns(EXPERIMENT.numbers(made_up_lab(answer)))
    columns = ["experiment", "setting", "label", "mean", "low", "high", "n"]
    assert list(numbers) == columns
    assert len(numbers) == 2 * 4 + 4 * 6 - 1  # MLL has no gain over itself
    two = numbers[numbers.experiment == "two classes"].set_index(["setting", "label"])["mean"]
    assert two["train_bcpd_kl_nats", "MLL"] == pytest.approx(0.8)
    assert two["student_gain_points", "true BCPD"] == pytest.approx(6.1)
    assert two["student_accuracy_percent", "MLL"] == pytest.approx(76)


def test_seeds_that_are_left_count():
    lab = without("MCMI tracked λ=0.7", seeds=(1,), classes=10)
    n = {finding.claim: finding.difference.n for finding in EXPERIMENT.findings(lab)}
    assert n[f"{FEW}: MCMI's student beats MLL's"] == 2
    assert n["labels help the student of MLL"] == 3
    assert EXPERIMENT.accuracy(lab).loc[FEW, "MLL"].n == 2
    outcomes = EXPERIMENT.outcomes(lab)
    assert outcomes["oracle", "MCMI tracked λ=0.7"] == "4 of 12 collapsed"
    assert outcomes["oracle", "MLL"] == "done"


def test_one_seed_is_none():
    lab = without("MCMI tracked λ=0.7", seeds=(0, 1), classes=10)
    assert list(EXPERIMENT.accuracy(lab)) == ["MLL"]
    assert len(EXPERIMENT.gain(lab)) == 0
    assert "labels help the student of MLL" in by_claim(EXPERIMENT.findings(lab))
    lab = without("MCMI tracked λ=1.5", seeds=(0, 2), classes=2)
    left = list(EXPERIMENT.binary_summary(lab).index)
    assert left == ["MLL", "MCMI tracked λ=0.7", "true BCPD"]
    assert not [c for c in by_claim(EXPERIMENT.findings(lab)) if "λ=1.5" in c]


@pytest.mark.parametrize(
    ("label", "metric", "value", "words"),
    [
        ("MLL", "cmi_nats", 0.7, r"log 2 = 0.693 nats, got \[0.7, 0.7, 0.7\]"),
        ("MLL", "cmi_nats", -0.1, r"between 0 and .*, got \[-0.1, -0.1, -0.1\]"),
        ("true BCPD", "bcpd_kl_nats", 0.1, r"must be 0 nats, got \[0.1, 0.1, 0.1\]"),
    ],
)
def test_what_two_classes_cannot_have(label, metric, value, words):
    def other(run):
        fields = answer(run)
        if run.stage != "student" and run.label == label:
            fields["metrics"]["train"][metric] = value
        return fields

    with pytest.raises(ValueError, match=words):
        EXPERIMENT.binary_table(made_up_lab(other))


def test_each_part_has_replicates_of_its_own():
    def on_images(run):
        if run.data.name == "digits":
            return percent(50 + 4 * ("MCMI" in run.label) + run.seed)
        return answer(run)

    experiment = replace(EXPERIMENT, pair=FIXED_DATA)
    findings = experiment.findings(made_up_lab(on_images))
    of_few, of_all = "weights and the few samples", "weights"
    digits = [finding for finding in findings if finding.data == "digits"]
    assert {finding.claim: finding.replicate for finding in digits} == {
        "5% of samples, labelled: MCMI's student beats MLL's": of_few,
        "all samples, 5% labelled: MCMI's student beats MLL's": of_few,
        "all samples, no label: MCMI's student beats MLL's": of_all,
        "all samples, labelled: MCMI's student beats MLL's": of_all,
        "unlabelled samples help the student of MLL": of_few,
        "labels help the student of MLL": of_all,
        "unlabelled samples help the student of MCMI tracked λ=0.7": of_few,
        "labels help the student of MCMI tracked λ=0.7": of_all,
    }
    others = {(f.data, f.replicate) for f in findings if f not in digits}
    assert others == {("oracle:classes=2", "data and weights")}
    labels_help = digits[-1]
    assert (labels_help.treatment, labels_help.control, labels_help.lam) == (
        "all samples, labelled",
        "all samples, no label",
        0.7,
    )
