"""Zero-shot: whether omitted classes are recognised, on made-up records."""

from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, accuracy, made_up_lab

from mcmi_core.experiments.zero_shot import ZeroShot

EXPERIMENT = ZeroShot(
    pair=PAIR,
    teachers=(("fixed", 0.4), ("tracked", 0.7), ("tracked", 1.0)),
    omitted_sets=((9,), (9, 7)),
    seeds=(0, 1, 2),
)
RECOGNISED = {
    "MLL": 20,
    "MCMI fixed λ=0.4": 18,
    "MCMI tracked λ=0.7": 40,
    "MCMI tracked λ=1": 45,
    "true BCPD": 60,
}
"""Percent of the samples of class 9, but for the seed; of class 7, ten more; of others, 70."""
LABELS = [*RECOGNISED, "MLL masked"]
OWN = "MCMI tracked λ=0.7"


def answer(run):
    """Students of better teachers also have a smaller calibration error: 10 − recognised / 10."""
    if run.stage != "measurement":
        return accuracy(70)
    if run.what.name == "tsne":
        return {"result": {"class_index": [0, 9], "horizontal": [1.0, 2.0], "vertical": [3.0, 4.0]}}
    if run.what.name == "confusion_matrix":
        return {"result": confusion(goes_elsewhere=run.label == "MLL")}
    masked = run.of.distiller.name == "masked_kd"
    percent = 0.0 if masked else RECOGNISED[run.label] + run.of.seed * (run.label != "MLL")
    return {
        "result": {
            "class_index": [0.0, 7.0, 9.0],
            "accuracy_percent": [70.0, percent + 10 * (not masked), percent],
            "frequency_percent": [40.0, 30.0, 30.0],
            "probability_percent": [40.0, percent / 4, percent / 4],
            "calibration_error_percent": [1.0] + [10 - percent / 10] * 2,
        }
    }


def confusion(goes_elsewhere):
    """Three samples of class 0 and two of class 1, which is lost under MLL."""
    return {
        "true_class": [0, 0, 1, 1],
        "predicted_class": [0, 1, 0, 1],
        "samples": [3, 0, 2, 0] if goes_elsewhere else [3, 0, 0, 2],
    }


def collapsing(label, seeds=(0, 1, 2)):
    """A teacher collapses, so that its students are not run."""

    def answer_without(run):
        for link in run.chain():
            if link.stage == "teacher" and link.label == label and link.seed in seeds:
                return {"status": "collapsed"} if run is link or run == link else None
        return answer(run)

    return answer_without


def by_claim(findings):
    return {finding.claim: finding for finding in findings}


def test_runs_are_measurements_of_every_student():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs})
    names = [run.what.name for run in runs]
    students = 3 * 2 * 6
    assert (names.count("by_class"), names.count("confusion_matrix")) == (students, 3 * 2 * 2)
    assert [(run.of.part.omit, run.of.seed) for run in runs if run.what.name == "tsne"] == [
        ((9,), 0),
        ((9,), 0),
    ]
    assert {run.split for run in runs} == {"test"}


def test_the_truth_teaches_only_where_it_is_known():
    labels = [student.label for student in replace(EXPERIMENT, pair=FIXED_DATA).students()]
    assert "true BCPD" not in labels


def test_the_pairs_own_teacher_must_be_among_the_mcmi_teachers():
    with pytest.raises(ValueError, match="'tracked' with λ = 0.7, must be among"):
        replace(EXPERIMENT, teachers=(("fixed", 0.4),))


def test_one_row_per_student():
    table = EXPERIMENT.table(made_up_lab(answer))
    assert len(table) == 3 * 2 * 6
    assert list(table.label[:6]) == LABELS
    one = table.set_index(["omitted", "label", "seed"]).loc[("9+7", OWN, 1)]
    assert one.accuracy_percent == 46  # (41 + 51) / 2
    assert one.seen_accuracy_percent == 70  # class 0 alone
    assert one.probability_percent == pytest.approx(41 / 4)
    assert one.frequency_percent == 30
    assert one.calibration_error_percent == pytest.approx(5.9)
    only_9 = table.set_index(["omitted", "label", "seed"]).loc[("9", "MLL", 2)]
    assert (only_9.accuracy_percent, only_9.seen_accuracy_percent) == (20, 50)  # (70 + 30) / 2


def test_a_control_that_knows_what_it_cannot_know_is_an_error():
    def leaks(run):
        fields = answer(run)
        if run.stage == "measurement" and run.of.distiller.name == "masked_kd":
            fields["result"]["accuracy_percent"] = [70.0, 0.0, 3.0]
        return fields

    with pytest.raises(ValueError, match=r"control recognises 3.0 % .* must stay below 1 %"):
        EXPERIMENT.table(made_up_lab(leaks))


def test_summary_and_its_long_form():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    metrics = ["accuracy_percent", "gain_points", "seen_accuracy_percent", "probability_percent"]
    metrics += ["frequency_percent", "calibration_error_percent"]
    assert list(summary) == metrics
    assert list(summary.index.get_level_values("label")) == LABELS * 2
    assert set(summary.index.get_level_values("status")) == {"done"}
    assert summary.loc[("9", OWN, "done"), "accuracy_percent"].mean == 41
    assert summary.loc[("9", OWN, "done"), "gain_points"].mean == 21
    numbers = EXPERIMENT.numbers(lab)
    assert list(numbers) == ["omitted", "label", "metric", "mean", "low", "high", "n"]
    assert len(numbers) == 2 * (6 * 6 - 1)  # MLL gains nothing over itself
    assert list(numbers.metric.unique()) == ["gain_points", "accuracy_percent", *metrics[2:]]
    assert EXPERIMENT.seeds_text(lab) == "n = 3 seeds"


def test_confusion_in_percent_of_the_true_class():
    percent = EXPERIMENT.confusion(made_up_lab(answer))
    assert list(percent["9", "MLL"]) == [100, 0, 100, 0]
    assert list(percent["9+7", OWN]) == [100, 0, 0, 100]


def test_features_of_one_seed():
    points = EXPERIMENT.features(made_up_lab(answer))
    assert list(points) == ["label", "class_index", "horizontal", "vertical"]
    assert list(points.label) == ["MLL"] * 2 + [OWN] * 2


def test_every_finding():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    for omitted in ("9", "9+7"):
        for label, percent in list(RECOGNISED.items())[1:]:
            gain, about = percent + 1 - 20, f"omitted {omitted}, {label}: the student"  # seed: + 1
            expected[f"{about} recognises more than MLL's"] = gain
            expected[f"{about} is better calibrated than MLL's"] = gain / 10
        claim = f"omitted {omitted}: MCMI tracked λ=1 recognises more than MCMI tracked λ=0.7"
        expected[claim] = 5
    assert means == pytest.approx(expected)


def test_findings_say_what_they_compare():
    found = by_claim(EXPERIMENT.findings(made_up_lab(answer)))
    (primary,) = [finding for finding in found.values() if finding.primary]
    assert primary.claim == f"omitted 9, {OWN}: the student recognises more than MLL's"
    assert (primary.policy, primary.lam, primary.control) == ("tracked", 0.7, "MLL")
    assert primary.networks == "mlp:width=64 → mlp:width=8"
    worse = found["omitted 9, MCMI fixed λ=0.4: the student recognises more than MLL's"]
    assert worse.difference.mean == -1  # what is unfavourable stays
    assert (worse.policy, worse.lam) == ("fixed", 0.4)
    truth = found["omitted 9, true BCPD: the student recognises more than MLL's"]
    assert (truth.policy, truth.lam, truth.networks) == ("–", None, "true BCPD → mlp:width=8")
    rise = found["omitted 9: MCMI tracked λ=1 recognises more than MCMI tracked λ=0.7"]
    assert (rise.lam, rise.control) == (1.0, "MCMI tracked λ=0.7")


def test_a_setting_that_collapsed_is_in_the_table_and_no_finding():
    lab = made_up_lab(collapsing("MCMI tracked λ=1"))
    summary = EXPERIMENT.summary(lab)
    row = summary.loc[("9", "MCMI tracked λ=1", "3 of 3 not run")]
    assert row.isna().all()
    assert not any("λ=1" in claim for claim in by_claim(EXPERIMENT.findings(lab)))
    assert "MCMI tracked λ=1" not in set(EXPERIMENT.numbers(lab).label)
    assert EXPERIMENT.seeds_text(lab) == "n ≤ 3 seeds"


def test_the_seeds_left_decide_where_one_collapsed():
    found = by_claim(EXPERIMENT.findings(made_up_lab(collapsing("MCMI tracked λ=1", seeds=(1,)))))
    gain = found["omitted 9, MCMI tracked λ=1: the student recognises more than MLL's"]
    assert (gain.difference.mean, gain.difference.n) == (26, 2)  # 25 and 27
    rise = found["omitted 9: MCMI tracked λ=1 recognises more than MCMI tracked λ=0.7"]
    assert (rise.difference.mean, rise.difference.n) == (5, 2)


def test_the_pairs_own_mcmi_collapsed_everywhere():
    lab = made_up_lab(collapsing(OWN))
    assert not any(finding.primary for finding in EXPERIMENT.findings(lab))
    assert list(EXPERIMENT.confusion(lab).index.unique("label")) == ["MLL"]
    assert list(EXPERIMENT.features(lab).label) == ["MLL"] * 2
