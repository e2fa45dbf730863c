from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.bayes_oracle import TEACHER_METRICS, BayesOracle
from mcmi_core.experiments.lab import Lab

EXPERIMENT = BayesOracle(pair=PAIR, lam_fixed=0.4, lam_tracked=0.7, seeds=(0, 1, 2))
MLL, FIXED, TRACKED, TRUTH = EXPERIMENT.labels
DISTANCE = {MLL: 1.0, FIXED: 0.75, TRACKED: 0.5, TRUTH: 0.0}
"""KL(P* ‖ P) on training inputs; on test inputs MCMI is farther away by as much as it is nearer."""
GAIN = {MLL: 0, FIXED: 1, TRACKED: 2, TRUTH: 4}
"""Points of a student on all the data; twice as many on 5 %."""


def answer(run):
    if run.stage == "student":
        gain = GAIN[run.label] * (2 if run.part.fraction == 0.05 else 1)
        return {"metrics": {"test": {"accuracy_percent": 60 + run.seed + gain}}}
    metrics = {"ll_nats": -0.1, "cmi_nats": 0.2, "accuracy_percent": 70}
    train = DISTANCE[run.label]
    test = 2 - train if run.stage == "teacher" else 0.0
    return {
        "metrics": {
            "train": metrics | {"bcpd_kl_nats": train},
            "test": metrics | {"bcpd_kl_nats": test},
        }
    }


def collapsing(*seeds) -> Lab:
    """Teachers with ``fixed`` centroids collapsed for some seeds; their students did not run."""

    def collapses(run):
        return run.label == FIXED and run.seed in seeds

    def collapsing_answer(run):
        if not collapses(run):
            return answer(run)
        return None if run.stage == "student" else {"status": "collapsed"}

    return made_up_lab(collapsing_answer)


def test_all_students_and_so_all_teachers_are_asked_for():
    runs = EXPERIMENT.runs()
    assert len({run.key for run in runs}) == len(runs) == 2 * 3 * 4
    teachers = {run.teacher.key for run in runs}
    assert teachers == {t.key for seed in (0, 1, 2) for t in EXPERIMENT.teachers_of(seed)}
    assert [run.part.fraction for run in runs] == [1.0] * 12 + [0.05] * 12
    assert [run.seed for run in runs[:5]] == [0, 0, 0, 0, 1]


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            f"{FIXED} is closer to P* than MLL on training inputs": 0.25,
            f"{TRACKED} is closer to P* than MLL on training inputs": 0.5,
            f"{FIXED} is closer to P* than MLL on test inputs": -0.25,
            f"{TRACKED} is closer to P* than MLL on test inputs": -0.5,
            f"100% of the data: the student of {FIXED} beats MLL's": 1,
            f"5% of the data: the student of {FIXED} beats MLL's": 2,
            f"100% of the data: the student of {TRACKED} beats MLL's": 2,
            f"5% of the data: the student of {TRACKED} beats MLL's": 4,
            f"100% of the data: the student of {TRUTH} beats MLL's": 4,
            f"5% of the data: the student of {TRUTH} beats MLL's": 8,
        }
    )
    primary = [finding for finding in findings if finding.primary]
    assert [finding.claim for finding in primary] == [
        f"{TRACKED} is closer to P* than MLL on {split} inputs" for split in ("training", "test")
    ]
    assert [finding.verdict for finding in primary] == ["holds", "does not hold"]
    assert {(finding.policy, finding.lam, finding.unit) for finding in primary} == {
        ("tracked", 0.7, "nats")
    }
    assert {finding.networks for finding in primary} == {PAIR.teacher}
    assert {(finding.replicate, finding.control) for finding in findings} == {
        ("data and weights", "MLL")
    }
    students_of_the_truth = findings[-1]
    assert (students_of_the_truth.policy, students_of_the_truth.lam) == ("–", None)
    assert (students_of_the_truth.treatment, students_of_the_truth.unit) == (TRUTH, "points")


def test_the_few_samples_of_fixed_data_are_drawn_by_seed():
    experiment = replace(EXPERIMENT, pair=replace(PAIR, resample=False))
    for finding in experiment.findings(made_up_lab(answer)):
        few = finding.claim.startswith("5% of the data")
        assert finding.replicate == ("weights and the few samples" if few else "weights")


def test_tables():
    lab = made_up_lab(answer)
    assert list(EXPERIMENT.teacher_table(lab).seed) == [0] * 4 + [1] * 4 + [2] * 4
    distances = EXPERIMENT.distances(lab)
    assert list(distances.columns) == list(TEACHER_METRICS)
    assert {label: x.mean for label, x in distances.train_bcpd_kl_nats.items()} == DISTANCE
    text = EXPERIMENT.students_as_text(lab)
    assert list(text.columns) == [
        ("accuracy, %", "100% of the data"),
        ("accuracy, %", "5% of the data"),
        ("gain over MLL, points", "100% of the data"),
        ("gain over MLL, points", "5% of the data"),
        ("runs", ""),
    ]
    assert list(text.loc[MLL])[2:] == ["", "", "done"]
    assert list(text.loc[TRUTH])[:3] == [
        "65.0 [62.5, 67.5]",
        "69.0 [66.5, 71.5]",
        "+4.0 [+4.0, +4.0]",
    ]


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
    assert list(intervals["student_accuracy_percent"].index) == [MLL, FIXED, TRACKED, TRUTH]
    assert list(intervals["student_gain_points"].index) == [FIXED, TRACKED, TRUTH]
    assert intervals["few_shot_student_gain_points", TRACKED].mean == pytest.approx(4)


def test_a_collapsed_teacher_leaves_the_other_seeds():
    lab = collapsing(1)
    by_claim = {finding.claim: finding.difference for finding in EXPERIMENT.findings(lab)}
    assert len(by_claim) == 10
    assert by_claim[f"{FIXED} is closer to P* than MLL on training inputs"].n == 2
    assert by_claim[f"{TRACKED} is closer to P* than MLL on training inputs"].n == 3
    assert EXPERIMENT.students_as_text(lab).loc[FIXED, "runs"] == "2 of 6 not run"


def test_of_too_few_seeds_there_is_no_finding_but_a_count():
    lab = collapsing(1, 2)
    claims = [finding.claim for finding in EXPERIMENT.findings(lab)]
    assert len(claims) == 6
    assert not any(FIXED in claim for claim in claims)
    assert list(EXPERIMENT.distances(lab).index) == [MLL, TRACKED, TRUTH]
    text = EXPERIMENT.students_as_text(lab).loc[FIXED]
    assert list(text) == ["", "", "", "", "4 of 6 not run"]


def test_a_truth_that_is_not_the_truth_is_a_bug():
    def wrong(run):
        record = answer(run)
        if run.stage == "bayes":
            record["metrics"]["test"]["bcpd_kl_nats"] = 0.01
        return record

    with pytest.raises(ValueError, match=r"must be 0, got 0\.01 nats \(test split\)"):
        EXPERIMENT.findings(made_up_lab(wrong))


def test_wrong_settings():
    with pytest.raises(ValueError, match="P\\* must be known, as on oracle data; got digits"):
        replace(EXPERIMENT, pair=FIXED_DATA)
    with pytest.raises(ValueError, match="must be among .*λ=0.9.*; got 'MCMI tracked λ=0.7'"):
        replace(EXPERIMENT, lam_tracked=0.9)
