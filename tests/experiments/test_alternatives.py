from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.alternatives import Alternatives, readable_choices
from mcmi_core.report.tables import interval_columns
from mcmi_core.runs.config import BayesTeacher

EXPERIMENT = Alternatives(
    pair=PAIR,
    objectives=(
        "mcmi:lam=0.7,centroids=tracked",
        "mcmi:lam=1.0,centroids=tracked",
        "label_smoothing:share=0.1",
        "label_smoothing:share=0.4",
        "entropy:weight=0.4",
    ),
    temperatures=(8.0,),
    stops=(5,),
    seeds=(0, 1, 2),
)
TEACHERS = {
    "MLL": (0.0, 0.0, 0.1, 62),
    "MCMI tracked lam=0.7": (-0.1, 0.3, 0.2, 65),
    "MCMI tracked lam=1.0": (-0.3, 0.6, 0.3, 64),
    "label smoothing share=0.1": (-0.1, 0.0, 0.5, 59),
    "label smoothing share=0.4": (-0.5, 0.05, 1.5, 60),
    "entropy bonus weight=0.4": (-0.2, 0.1, 0.7, 61),
    "early stopping epoch=5": (-0.15, 0.2, 0.3, 63),
    "MSE": (-0.3, 0.25, 0.4, 63),
    "temperature T=8": (-0.2, 0.15, 0.6, 62),
    "true BCPD": (-0.8, 0.6, 0.8, 70),
}
"""LL, CMI and entropy (nats), and the student's accuracy on unseen training samples (percent)."""


def method_of(teacher):
    if isinstance(teacher, BayesTeacher):
        return "true BCPD"
    options = teacher.objective.options
    return {
        "mcmi": f"MCMI tracked lam={options.get('lam')}",
        "label_smoothing": f"label smoothing share={options.get('share')}",
        "entropy": f"entropy bonus weight={options.get('weight')}",
        "mse": "MSE",
        "mll": "early stopping epoch=5" if teacher.recipe.epochs == 5 else "MLL",
    }[teacher.objective.name]


def method_of_student(student):
    if student.distiller.options["temperature"] == 8:
        return "temperature T=8"
    return method_of(student.teacher)


def gain(method):
    """10 · CMI − 2 · (entropy − MLL's)."""
    _, cmi, entropy, _ = TEACHERS[method]
    return 10 * cmi - 2 * (entropy - 0.1)


def nats(method):
    """KL(P* ‖ P), of no consequence here, falls as entropy rises, but for the truth."""
    ll, cmi, entropy, _ = TEACHERS[method]
    divergence = 0 if method == "true BCPD" else 2 - entropy
    names = ("ll_nats", "cmi_nats", "entropy_nats", "bcpd_kl_nats")
    return dict(zip(names, (ll, cmi, entropy, divergence), strict=True))


def answer(run):
    """Gains grow by a tenth of themselves with every seed."""
    if run.stage == "student":
        percent = 60 + gain(method_of_student(run)) * (1 + run.seed / 10)
        return {"metrics": {"test": {"accuracy_percent": percent}}}
    if run.stage != "measurement":
        return {"metrics": {"train": nats(method_of(run)), "test": {}}}
    if run.what.name == "unseen":
        return {"result": {"accuracy_percent": [TEACHERS[method_of_student(run.of)][3]]}}
    assert run.what.options["temperatures"] == (2.0,)
    columns = {name: [value] for name, value in nats("temperature T=8").items()}
    return {"result": {"temperature": [2.0]} | columns}


def without(*labels, seeds=(0, 1, 2)):
    """As `answer`, but some MCMI teachers collapsed, so that they have no students."""

    def other(run):
        teachers = [link for link in run.chain() if link.stage == "teacher"]
        lost = [link for link in teachers if link.label in labels and link.seed in seeds]
        if not lost:
            return answer(run)
        return answer(run) | {"status": "collapsed"} if run == lost[0] else None

    return made_up_lab(other)


def by_claim(findings):
    return {finding.claim: finding.difference.mean for finding in findings}


def test_each_method_is_asked_for_once_per_seed():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs})
    stages = [(run.stage, getattr(run, "what", None) and run.what.name) for run in runs]
    assert stages.count(("student", None)) == stages.count(("measurement", "unseen")) == 3 * 10
    assert stages.count(("teacher", None)) == 3 * 8
    assert stages.count(("measurement", "temperature_sweep")) == 3
    assert [method.name for method in EXPERIMENT.methods()[:10]] == list(TEACHERS)


def test_a_temperature_is_measured_as_the_student_sees_it():
    table = EXPERIMENT.table(made_up_lab(answer)).set_index(["method", "seed"])
    assert table.cmi_nats["temperature T=8", 1] == 0.15
    assert table.cmi_nats["MLL", 1] == 0
    assert table.gain_points["temperature T=8", 1] == pytest.approx(1.1 * (1.5 - 1))
    assert table.choosing_percent["label smoothing share=0.4", 2] == 60


def test_settings_are_chosen_on_training_data():
    choices = EXPERIMENT.choices(EXPERIMENT.finished(made_up_lab(answer)))
    assert choices.chosen["MCMI tracked"] == "MCMI tracked lam=0.7"
    assert choices.best_on_test["MCMI tracked"] == "MCMI tracked lam=1.0"
    assert choices.chosen["label smoothing"] == "label smoothing share=0.4"
    assert choices.best_on_test["label smoothing"] == "label smoothing share=0.1"
    assert choices.gain_points["MCMI tracked"].mean == pytest.approx(1.1 * 2.8)
    assert choices.optimism_points["MSE"] == pytest.approx(63 - 60 - 1.1 * 1.9)
    shown = readable_choices(choices).loc["MLL"]
    assert shown["test gain, points"] == "+0.0 [+0.0, +0.0]"
    assert shown["choosing − test accuracy, points"] == "+2.0"


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    ours = "MCMI tracked λ=0.7 teaches better than"
    assert by_claim(findings) == pytest.approx(
        {
            f"{ours} label smoothing share=0.4": 1.1 * (2.8 + 2.3),
            f"{ours} label smoothing share=0.1": 1.1 * (2.8 + 0.8),
            f"{ours} entropy bonus weight=0.4": 1.1 * (2.8 + 0.2),
            f"{ours} early stopping epoch=5": 1.1 * (2.8 - 1.6),
            f"{ours} MSE": 1.1 * (2.8 - 1.9),
            f"{ours} temperature T=8": 1.1 * (2.8 - 0.5),
            "students gain with their teacher's CMI, its entropy held constant": 1,
            "students gain with their teacher's entropy, its CMI held constant": -1,
        }
    )
    assert {finding.verdict for finding in findings[:-1]} == {"holds"}
    assert (findings[-1].verdict, findings[-1].unit) == ("does not hold", "r")
    assert (findings[0].policy, findings[0].lam) == ("tracked", 0.7)
    assert findings[0].control == "label smoothing share=0.4"
    assert (findings[-1].policy, findings[-1].lam) == ("–", None)
    assert findings[-1].quantity == "correlation of gain and entropy over 9 teachers"
    assert not any(finding.primary for finding in findings)


def test_opponents_say_how_near_they_are():
    opponents = EXPERIMENT.opponents(EXPERIMENT.finished(made_up_lab(answer)))
    assert list(opponents.loc["label smoothing share=0.4"]) == ["yes", "", ""]
    row = ["", "0.00 nats apart", "0.30 nats apart"]
    assert list(opponents.loc["label smoothing share=0.1"]) == row
    assert list(opponents) == ["chosen setting", "nearest in training LL", "nearest in entropy"]


def test_correlations_without_the_truth():
    """The truth's student is far ahead of what its teacher's CMI and entropy would give it."""

    def other(run):
        fields = answer(run)
        if run.stage == "student" and method_of_student(run) == "true BCPD":
            return {"metrics": {"test": {"accuracy_percent": 90 + run.seed}}}
        return fields

    correlations = EXPERIMENT.correlations(EXPERIMENT.finished(made_up_lab(other)))
    assert correlations["cmi_nats", "entropy_nats"].mean == pytest.approx(1)
    plain = correlations.xs("nothing", level="held_constant")
    assert list(plain.index) == ["ll_nats", "cmi_nats", "entropy_nats", "bcpd_kl_nats"]


def test_numbers_of_every_method():
    numbers = interval_columns(EXPERIMENT.numbers(EXPERIMENT.finished(made_up_lab(answer))))
    assert list(numbers) == ["family", "method", "metric", "mean", "low", "high", "n"]
    assert len(numbers) == 10 * 6


def test_where_the_truth_is_unknown_it_does_not_teach():
    experiment = replace(EXPERIMENT, pair=replace(FIXED_DATA, centroids="tracked"))
    lab = made_up_lab(answer)
    assert "true BCPD" not in {method.name for method in experiment.methods()}
    metrics = [column for column in experiment.table(lab) if column.endswith("_nats")]
    assert metrics == experiment.metrics == ["ll_nats", "cmi_nats", "entropy_nats"]
    assert {finding.replicate for finding in experiment.findings(lab)} == {
        "weights and the few samples"
    }


def test_a_method_that_collapsed_for_a_seed_is_left_out():
    lab = without("MCMI tracked λ=0.7", seeds=(1,))
    assert EXPERIMENT.left_out(lab) == "MCMI tracked lam=0.7 (1 of 3 not run)"
    assert (
        EXPERIMENT.choices(EXPERIMENT.finished(lab)).chosen["MCMI tracked"]
        == "MCMI tracked lam=1.0"
    )
    assert {finding.difference.n for finding in EXPERIMENT.findings(lab)} == {3}
    assert EXPERIMENT.left_out(made_up_lab(answer)) == "none"


def test_without_mcmi_only_correlations_are_left():
    lab = without("MCMI tracked λ=0.7", "MCMI tracked λ=1")
    findings = EXPERIMENT.findings(lab)
    assert [finding.unit for finding in findings] == ["r", "r"]
    assert findings[0].quantity.endswith("over 7 teachers")


def test_a_seed_without_mll_does_not_count():
    lab = without("MLL", seeds=(2,))
    assert {finding.difference.n for finding in EXPERIMENT.findings(lab)} == {2}
    assert EXPERIMENT.findings(without("MLL", seeds=(1, 2))) == []


def test_what_is_to_soften_and_does_not_stays_in_the_table():
    def other(run):
        fields = answer(run)
        if run.stage == "teacher" and method_of(run) == "entropy bonus weight=0.4":
            fields["metrics"]["train"]["entropy_nats"] = 0.05
        return fields

    entropy = EXPERIMENT.summary(EXPERIMENT.finished(made_up_lab(other))).entropy_nats
    assert entropy["entropy bonus", "entropy bonus weight=0.4"].mean == pytest.approx(0.05)
    assert entropy["MLL", "MLL"].mean == pytest.approx(0.1)
    assert EXPERIMENT.findings(made_up_lab(other))
