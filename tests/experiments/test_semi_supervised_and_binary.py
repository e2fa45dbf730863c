from dataclasses import replace

import pytest
from made_up import FIXED_DATA, LABELS, PAIR, made_up_lab

from mcmi_core.experiments.semi_supervised_and_binary import SemiSupervisedAndBinary
from mcmi_core.report.tables import interval_columns

BINARY = replace(PAIR, data="oracle:classes=2")
EXPERIMENT = SemiSupervisedAndBinary(
    pair=PAIR, seeds=(0, 1, 2), binary_pair=BINARY, binary_seeds=(0, 1, 2)
)
MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS
ALONE = "from scratch"
FEW, FEW_LABELS = "5% of samples, labelled", "all samples, 5% labelled"
NO_LABEL, EVERYTHING = "all samples, no label", "all samples, labelled"
ACCURACY = {FEW: 60, FEW_LABELS: 66, NO_LABEL: 69, EVERYTHING: 68}
"""Percent, of students of MLL; those without a teacher have 10 points less."""
GAIN = {MLL: 0, UNTREATED: 1, FIXED: 2, TRACKED: 4, TRUTH: 6}
"""Points over MLL's student; of MCMI's it grows by a tenth with every seed."""
MORE_OF_FEW = 1
"""Points more for all students with a teacher but MLL's, where there are few samples."""
BINARY_GAIN = {MLL: 0, UNTREATED: -1, FIXED: -2, TRACKED: 3, TRUTH: 6}
BINARY_KL = {MLL: 0.8, UNTREATED: 0.9, FIXED: 1.0, TRACKED: 0.5, TRUTH: 0.0}


def regime_of(run):
    if run.part.fraction == 0.05:
        return FEW
    if run.stage == "teacher":
        return EVERYTHING
    if run.distiller.name == "semi_kd":
        return FEW_LABELS
    return NO_LABEL if run.distiller.options["cross_entropy_weight"] == 0 else EVERYTHING


def is_alone(run):
    return run.stage == "teacher" and run.model == PAIR.student_from_scratch(0).model


def answer(run):
    """A seed adds a point to whatever it is asked."""
    binary = run.data.options.get("classes") == 2
    if is_alone(run):
        return percent(run.seed - 10 + (75 if binary else ACCURACY[regime_of(run)]))
    if run.stage != "student":
        seed, mcmi = run.data.options["seed"], "MCMI" in run.label
        distance = BINARY_KL[run.label] + seed / 100 * mcmi if binary else 0.0
        numbers = {"ll_nats": -0.1, "cmi_nats": 0.2, "bcpd_kl_nats": distance}
        return {"metrics": {"train": numbers, "test": {"accuracy_percent": 80 + seed}}}
    spread = run.seed + run.seed / 10 * ("MCMI" in run.label)
    if binary:
        return percent(75 + BINARY_GAIN[run.label] + spread)
    regime = regime_of(run)
    more = MORE_OF_FEW * (regime == FEW and run.label != MLL)
    return percent(ACCURACY[regime] + GAIN[run.label] + more + spread)


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
    regimes, binary = 4 * 5 + 2, 5 + 6
    assert len(runs) == len({run.key for run in runs}) == 3 * (regimes + binary)
    labelled = [s.distiller.options for s in EXPERIMENT.students()[FEW_LABELS]]
    assert [options["labelled_fraction"] for options in labelled] == [0.05] * 15
    assert [options["seed"] for options in labelled] == [0] * 5 + [1] * 5 + [2] * 5


def test_without_a_teacher_there_are_students_where_all_samples_have_labels():
    alone = {
        regime: [run.part.fraction for run in students if run.stage == "teacher"]
        for regime, students in EXPERIMENT.students().items()
    }
    assert alone == {FEW: [0.05] * 3, FEW_LABELS: [], NO_LABEL: [], EVERYTHING: [1.0] * 3}


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    expected = {}
    for regime in ACCURACY:
        more, of = MORE_OF_FEW * (regime == FEW), f"{regime}: the student of"
        expected[f"{of} {FIXED} beats that of {UNTREATED}"] = 1.1
        expected[f"{of} {TRACKED} beats that of {UNTREATED}"] = 3.1
        expected[f"{of} {UNTREATED} beats that of {MLL}"] = 1 + more
        expected[f"{of} {TRUTH} beats that of {MLL}"] = 6 + more
        if regime in (FEW, EVERYTHING):
            expected[f"{of} {MLL} beats that of no teacher"] = 10
    for label in LABELS:
        expected[f"unlabelled samples help the student of {label}"] = 6 if label == MLL else 5
        expected[f"labels help the student of {label}"] = -1
    two = "two classes: the student of"
    expected |= {
        f"{two} {FIXED} beats that of {UNTREATED}": -0.9,
        f"{two} {TRACKED} beats that of {UNTREATED}": 4.1,
        f"{two} {UNTREATED} beats that of {MLL}": -1,
        f"{two} {TRUTH} beats that of {MLL}": 6,
        f"{two} {MLL} beats that of no teacher": 10,
        f"two classes: {FIXED} is closer to P* than {UNTREATED}": -0.11,
        f"two classes: {TRACKED} is closer to P* than {UNTREATED}": 0.39,
        f"two classes: {UNTREATED} is closer to P* than {MLL}": -0.1,
    }
    assert by_claim(findings) == pytest.approx(expected)
    assert not any(finding.primary for finding in findings)
    assert {finding.claim for finding in findings if finding.decided_in == "08_few_shot"} == {
        f"{regime}: the student of {treatment} beats that of {UNTREATED}"
        for regime in (FEW, EVERYTHING)
        for treatment in (FIXED, TRACKED)
    }
    assert {finding.difference.n for finding in findings} == {3}


def test_a_finding_says_what_it_is_about():
    findings = {each.claim: each for each in EXPERIMENT.findings(made_up_lab(answer))}
    few = findings[f"{FEW}: the student of {TRACKED} beats that of {UNTREATED}"]
    assert few.against_mll.mean == pytest.approx(5.1)
    mll = findings[f"labels help the student of {MLL}"]
    assert (mll.policy, mll.lam, mll.control) == ("–", None, NO_LABEL)
    mcmi = findings[f"unlabelled samples help the student of {TRACKED}"]
    assert (mcmi.policy, mcmi.lam, mcmi.control) == ("tracked", 0.7, FEW)
    near = findings[f"two classes: {TRACKED} is closer to P* than {UNTREATED}"]
    assert (near.unit, near.lam, near.networks) == ("nats", 0.7, "mlp:width=64")
    assert (near.data, near.against_mll.mean) == ("oracle:classes=2", pytest.approx(0.29))


def test_accuracy_without_what_a_seed_adds():
    accuracy = EXPERIMENT.accuracy(made_up_lab(answer))
    assert list(accuracy) == [*LABELS, ALONE]
    assert list(accuracy.index) == [FEW, FEW_LABELS, NO_LABEL, EVERYTHING]
    interval = accuracy.loc[FEW, TRACKED]
    assert interval.mean == pytest.approx(60 + 4 + 1 + 1 + 0.1)
    assert interval.high - interval.low < 0.5  # seeds are a point apart
    assert accuracy.loc[EVERYTHING, ALONE].mean == pytest.approx(59)
    assert accuracy[ALONE].isna().tolist() == [False, True, True, False]


def test_gain_by_regime_and_teacher():
    gain = EXPERIMENT.gain(made_up_lab(answer), over_mll=True)
    assert list(gain) == [*LABELS[1:], ALONE]
    assert gain.loc[FEW, TRACKED].mean == pytest.approx(5.1)
    assert gain.loc[NO_LABEL, TRACKED].mean == pytest.approx(4.1)
    assert gain[ALONE].isna().tolist() == [False, True, True, False]
    above = EXPERIMENT.gain(made_up_lab(answer))
    assert list(above) == [MLL, *LABELS[2:], ALONE]
    difference = gain.loc[FEW, TRACKED].mean - gain.loc[FEW, UNTREATED].mean
    assert above.loc[FEW, TRACKED].mean == pytest.approx(difference)


def test_numbers_of_both_parts():
    numbers = interval_columns(EXPERIMENT.numbers(made_up_lab(answer)))
    columns = ["experiment", "setting", "label", "mean", "low", "high", "n"]
    assert list(numbers) == columns
    # Of two classes: four numbers of 5 teachers, the accuracy of 6 students, two gains of 5.
    assert len(numbers) == 4 * 5 + 2 + 4 * 4 + 2 + 5 * 4 + 6 + 5 + 5
    two = numbers[numbers.experiment == "two classes"].set_index(["setting", "label"])["mean"]
    assert two["train_bcpd_kl_nats", MLL] == pytest.approx(0.8)
    assert two["student_gain_points", TRUTH] == pytest.approx(6)
    assert two["student_gain_over_control_points", MLL] == pytest.approx(
        -two["student_gain_points", UNTREATED]
    )
    assert two["student_accuracy_percent", MLL] == pytest.approx(76)
    assert two["student_accuracy_percent", ALONE] == pytest.approx(66)


def test_a_teacher_stands_beside_its_own_student():
    table = EXPERIMENT.binary_table(made_up_lab(answer)).set_index(["label", "seed"])
    assert table.train_bcpd_kl_nats[TRACKED, 2] == pytest.approx(0.52)
    assert table.student_accuracy_percent[TRACKED, 2] == pytest.approx(80.2)
    assert table.test_accuracy_percent[ALONE].isna().all()  # of the teacher, which it has not


def test_seeds_that_are_left_count():
    lab = without(TRACKED, seeds=(1,), classes=10)
    n = {finding.claim: finding.difference.n for finding in EXPERIMENT.findings(lab)}
    assert n[f"{FEW}: the student of {TRACKED} beats that of {UNTREATED}"] == 2
    assert n[f"labels help the student of {MLL}"] == 3
    assert EXPERIMENT.accuracy(lab).loc[FEW, MLL].n == 2
    outcomes = EXPERIMENT.outcomes(lab)
    assert outcomes["ten Gaussians", TRACKED] == "4 of 12 collapsed"
    assert outcomes["ten Gaussians", ALONE] == "done"


def test_one_seed_is_none():
    lab = without(TRACKED, seeds=(0, 1), classes=10)
    others = [MLL, UNTREATED, FIXED, TRUTH, ALONE]
    assert list(EXPERIMENT.accuracy(lab)) == others
    assert list(EXPERIMENT.gain(lab, over_mll=True)) == others[1:]
    assert f"labels help the student of {MLL}" in by_claim(EXPERIMENT.findings(lab))
    lab = without(TRACKED, seeds=(0, 2), classes=2)
    assert list(EXPERIMENT.binary_summary(lab).index) == others
    claims = by_claim(EXPERIMENT.findings(lab))
    assert not [c for c in claims if c.startswith("two classes") and TRACKED in c]


def test_no_seed_that_all_students_have():
    lab = without(*LABELS, seeds=(0, 1), classes=10)
    assert list(EXPERIMENT.accuracy(lab)) == [ALONE]
    assert EXPERIMENT.gain(lab).empty


@pytest.mark.parametrize(
    ("label", "metric", "value", "words"),
    [
        (MLL, "cmi_nats", 0.7, r"log 2 = 0.693 nats, got \[0.7, 0.7, 0.7\]"),
        (MLL, "cmi_nats", -0.1, r"between 0 and .*, got \[-0.1, -0.1, -0.1\]"),
        (TRUTH, "bcpd_kl_nats", 0.1, r"must be 0 nats, got \[0.1, 0.1, 0.1\]"),
    ],
)
def test_what_two_classes_cannot_have(label, metric, value, words):
    def other(run):
        fields = answer(run)
        if run.stage != "student" and not is_alone(run) and run.label == label:
            fields["metrics"]["train"][metric] = value
        return fields

    with pytest.raises(ValueError, match=words):
        EXPERIMENT.binary_table(made_up_lab(other))


def test_each_part_has_replicates_of_its_own():
    def on_images(run):
        if run.data.name == "digits":
            return percent(50 + run.seed)
        return answer(run)

    experiment = replace(EXPERIMENT, pair=FIXED_DATA)
    findings = experiment.findings(made_up_lab(on_images))
    for each in findings:
        if each.data == "digits":
            of_few = each.claim.startswith((FEW, FEW_LABELS, "unlabelled"))
            assert each.replicate == ("weights and the few samples" if of_few else "weights")
    others = {(f.data, f.replicate) for f in findings if f.data != "digits"}
    assert others == {("oracle:classes=2", "data and weights")}
    labels_help = next(f for f in findings if f.claim == f"labels help the student of {TRACKED}")
    assert (labels_help.treatment, labels_help.control, labels_help.lam) == (
        EVERYTHING,
        NO_LABEL,
        0.7,
    )


def test_students_as_text():
    accuracy, above, gain = EXPERIMENT.students_as_text(made_up_lab(answer)).values()
    assert list(accuracy.index) == list(gain.index) == list(EXPERIMENT.regimes(0))
    assert above.loc[EVERYTHING, MLL].startswith(f"{GAIN[MLL] - GAIN[UNTREATED]:+.1f} [")
    assert gain.loc[EVERYTHING, UNTREATED].startswith(f"{GAIN[UNTREATED] - GAIN[MLL]:+.1f} [")
    assert not accuracy.isna().any().any()
