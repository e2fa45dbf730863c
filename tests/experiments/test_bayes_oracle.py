from dataclasses import replace

import pytest
from made_up import FIXED_DATA, LABELS, PAIR, made_up_lab

from mcmi_core.experiments.bayes_oracle import TEACHER_METRICS, BayesOracle
from mcmi_core.experiments.lab import Lab

EXPERIMENT = BayesOracle(pair=PAIR, seeds=(0, 1, 2))
MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS
ALONE = "from scratch"
DISTANCE = {MLL: 1.0, UNTREATED: 0.875, FIXED: 0.75, TRACKED: 0.5, TRUTH: 0.0}
"""KL(P* ‖ P) on training inputs; on test inputs a network is as much farther away as it is nearer
here."""
GAIN = {MLL: 0, UNTREATED: 0.5, FIXED: 1, TRACKED: 2, TRUTH: 4}
"""Points of a student on all the data, 8 for every nat that is less far from the truth; twice as
many on 5 %. Without a teacher it has 10 points less than MLL's."""


def is_alone(run):
    return run.stage == "teacher" and run.model == PAIR.student_from_scratch(0).model


def answer(run):
    if is_alone(run):
        return percent(50 + run.seed)
    if run.stage == "student":
        return percent(60 + run.seed + GAIN[run.label] * (2 if run.part.fraction == 0.05 else 1))
    metrics = {"ll_nats": -0.1, "cmi_nats": 0.2, "accuracy_percent": 70}
    train = DISTANCE[run.label]
    test = 2 - train if run.stage == "teacher" else 0.0
    return {
        "metrics": {
            "train": metrics | {"bcpd_kl_nats": train},
            "test": metrics | {"bcpd_kl_nats": test},
        }
    }


def percent(accuracy):
    return {"metrics": {"test": {"accuracy_percent": accuracy}}}


def collapsing(label, *seeds) -> Lab:
    """A teacher collapsed for some seeds; its students did not run."""

    def collapsing_answer(run):
        if run.label != label or is_alone(run) or run.seed not in seeds:
            return answer(run)
        return None if run.stage == "student" else {"status": "collapsed"}

    return made_up_lab(collapsing_answer)


def by_claim(findings):
    return {finding.claim: finding for finding in findings}


def test_all_students_and_so_all_teachers_are_asked_for():
    runs = EXPERIMENT.runs()
    assert len({run.key for run in runs}) == len(runs) == 2 * 3 * 6
    taught = [run for run in runs if run.stage == "student"]
    teachers = {run.teacher.key for run in taught}
    assert teachers == {t.key for seed in (0, 1, 2) for t in PAIR.teachers(seed)}
    assert [run.part.fraction for run in runs] == [1.0] * 18 + [0.05] * 18
    assert [run.seed for run in runs[:7]] == [0] * 6 + [1]


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    for inputs, sign in (("training", 1), ("test", -1)):
        for treatment, control, nats in (
            (FIXED, UNTREATED, 0.125),
            (TRACKED, UNTREATED, 0.375),
            (UNTREATED, MLL, 0.125),
        ):
            expected[f"{treatment} is closer to P* than {control} on {inputs} inputs"] = sign * nats
    for fraction, times in (("100%", 1), ("5%", 2)):
        for treatment, control, points in (
            (FIXED, UNTREATED, 0.5),
            (TRACKED, UNTREATED, 1.5),
            (UNTREATED, MLL, 0.5),
            (TRUTH, MLL, 4),
        ):
            claim = f"{fraction} of the data: the student of {treatment} beats that of {control}"
            expected[claim] = times * points
        expected[f"{fraction} of the data: the student of {MLL} beats that of no teacher"] = 10
    assert means == pytest.approx(expected)


def test_what_decides():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    primary = [finding for finding in findings if finding.primary]
    assert [(f.decides, f.policy, f.lam) for f in primary] == [
        ("bcpd_train", "fixed", 0.4),
        ("bcpd_train", "tracked", 0.7),
        ("bcpd_test", "fixed", 0.4),
        ("bcpd_test", "tracked", 0.7),
    ]
    assert [f.verdict for f in primary] == ["holds", "holds", "opposite", "opposite"]
    assert {f.unit for f in primary} == {"nats"}
    assert {f.networks for f in primary} == {PAIR.teacher}
    assert {f.control for f in primary} == {UNTREATED}
    assert primary[1].against_mll.mean == 0.5
    assert {finding.replicate for finding in findings} == {"data and weights"}
    elsewhere = [finding for finding in findings if finding.decided_in]
    assert {(f.decided_in, f.control) for f in elsewhere} == {("08_few_shot", UNTREATED)}
    assert [f.treatment for f in elsewhere] == [FIXED, TRACKED] * 2  # students, by fraction
    truth = next(finding for finding in findings if finding.treatment == TRUTH)
    assert (truth.policy, truth.lam, truth.unit) == ("–", None, "points")


def test_the_few_samples_of_fixed_data_are_drawn_by_seed():
    experiment = replace(EXPERIMENT, pair=replace(PAIR, resample=False))
    for finding in experiment.findings(made_up_lab(answer)):
        few = "5% of the data" in finding.claim
        assert finding.replicate == ("weights and the few samples" if few else "weights")


def test_tables():
    lab = made_up_lab(answer)
    assert list(EXPERIMENT.teacher_table(lab).seed) == [0] * 5 + [1] * 5 + [2] * 5
    distances = EXPERIMENT.distances(lab)
    assert list(distances.columns) == list(TEACHER_METRICS)
    assert {label: x.mean for label, x in distances.train_bcpd_kl_nats.items()} == DISTANCE
    text = EXPERIMENT.students_as_text(lab)
    assert list(text.columns) == [
        ("accuracy, %", "100% of the data"),
        ("accuracy, %", "5% of the data"),
        ("gain over λ=0, points", "100% of the data"),
        ("gain over λ=0, points", "5% of the data"),
        ("gain over MLL, points", "100% of the data"),
        ("gain over MLL, points", "5% of the data"),
    ]
    assert list(text.index) == [*LABELS, ALONE]
    assert list(text.loc[MLL])[2:] == ["-0.5 [-0.5, -0.5]", "-1.0 [-1.0, -1.0]", "", ""]
    assert list(text.loc[UNTREATED])[2:4] == ["", ""]
    assert list(text.loc[TRUTH])[:5] == [
        "65.0 [62.5, 67.5]",
        "69.0 [66.5, 71.5]",
        "+3.5 [+3.5, +3.5]",
        "+7.0 [+7.0, +7.0]",
        "+4.0 [+4.0, +4.0]",
    ]
    assert list(text.loc[ALONE])[4:6] == ["-10.0 [-10.0, -10.0]"] * 2


def test_the_figures_numbers_are_those_that_other_tables_are_made_of():
    intervals = EXPERIMENT.intervals(made_up_lab(answer))
    assert intervals.index.names == ["metric", "label"]
    assert list(intervals.index.unique("metric")) == [
        *TEACHER_METRICS,
        "student_accuracy_percent",
        "student_gain_points",
        "few_shot_student_accuracy_percent",
        "few_shot_student_gain_points",
    ]
    assert list(intervals["train_cmi_nats"].index) == list(LABELS)
    assert list(intervals["student_accuracy_percent"].index) == [*LABELS, ALONE]
    assert list(intervals["student_gain_points"].index) == [MLL, *LABELS[2:], ALONE]
    assert intervals["few_shot_student_gain_points", TRACKED].mean == pytest.approx(3)


def test_a_collapsed_teacher_leaves_the_other_seeds():
    lab = collapsing(FIXED, 1)
    found = by_claim(EXPERIMENT.findings(lab))
    assert len(found) == 6 + 2 * 5
    about = f"is closer to P* than {UNTREATED} on training inputs"
    assert found[f"{FIXED} {about}"].difference.n == 2
    assert found[f"{TRACKED} {about}"].difference.n == 3
    assert EXPERIMENT.students_as_text(lab).loc[FIXED, "runs"] == "2 of 6 not run"


def test_of_too_few_seeds_there_is_no_finding_but_a_count():
    lab = collapsing(FIXED, 1, 2)
    claims = [finding.claim for finding in EXPERIMENT.findings(lab)]
    assert len(claims) == 4 + 2 * 4
    assert not any(FIXED in claim for claim in claims)
    assert list(EXPERIMENT.distances(lab).index) == [MLL, UNTREATED, TRACKED, TRUTH]
    text = EXPERIMENT.students_as_text(lab).loc[FIXED]
    assert list(text) == [""] * 6 + ["4 of 6 not run"]


def test_a_truth_that_is_not_the_truth_is_a_bug():
    def wrong(run):
        record = answer(run)
        if run.stage == "bayes":
            record["metrics"]["test"]["bcpd_kl_nats"] = 0.01
        return record

    with pytest.raises(ValueError, match=r"must be 0, got 0\.01 nats \(test split\)"):
        EXPERIMENT.findings(made_up_lab(wrong))


def test_data_whose_truth_is_not_known():
    with pytest.raises(ValueError, match="P\\* must be known, as on oracle data; got digits"):
        replace(EXPERIMENT, pair=FIXED_DATA)
