from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.alternatives import (
    Alternatives,
    readable_choices,
    readable_closeness,
    readable_correlations,
    readable_on_test,
    readable_opponents,
)
from mcmi_core.report.tables import interval_columns
from mcmi_core.runs.config import BayesTeacher

EXPERIMENT = Alternatives(
    pair=PAIR,
    objectives=(
        "mcmi:lam=1.0,centroids=tracked",
        "mcmi:lam=0.7,centroids=tracked",  # the pair's own: once, all the same
        "label_smoothing:share=0.1",
        "label_smoothing:share=0.4",
        "entropy:weight=0.4",
    ),
    temperatures=(8.0,),
    stops=(5,),
    seeds=(0, 1, 2),
)
FIXED, TRACKED, UNTREATED = "MCMI fixed λ=0.4", "MCMI tracked λ=0.7", "fine-tuned λ=0"
TEACHERS = {
    "MLL": (0.0, 0.0, 0.1, 62),
    UNTREATED: (0.0, 0.02, 0.1, 62),
    FIXED: (-0.08, 0.2, 0.15, 64),
    TRACKED: (-0.1, 0.3, 0.2, 65),
    "MCMI tracked λ=1": (-0.3, 0.6, 0.3, 64),
    "label smoothing share=0.1": (-0.1, 0.0, 0.5, 59),
    "label smoothing share=0.4": (-0.5, 0.05, 1.5, 60),
    "entropy bonus weight=0.4": (-0.2, 0.1, 0.7, 61),
    "early stopping epoch=5": (-0.15, 0.2, 0.27, 63),
    "MSE": (-0.3, 0.25, 0.4, 63.5),
    "temperature T=8": (-0.2, 0.15, 0.6, 62),
    "true BCPD": (-0.8, 0.6, 0.8, 70),
}
"""LL, CMI and entropy (nats), and the student's accuracy on unseen training samples (percent)."""
ALONE = "from scratch"
"""A student without a teacher: 10 points below MLL's."""


def method_of(teacher):
    if isinstance(teacher, BayesTeacher):
        return "true BCPD"
    options = teacher.objective.options
    return {
        "mcmi": teacher.label,
        "label_smoothing": f"label smoothing share={options.get('share')}",
        "entropy": f"entropy bonus weight={options.get('weight')}",
        "mse": "MSE",
        "mll": "early stopping epoch=5" if teacher.recipe.epochs == 5 else "MLL",
    }[teacher.objective.name]


def method_of_student(student):
    if student.distiller.options["temperature"] == 8:
        return "temperature T=8"
    return method_of(student.teacher)


def is_alone(run):
    return run.stage == "teacher" and run.model == PAIR.student_from_scratch(0).model


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
    if is_alone(run):
        return {"metrics": {"test": {"accuracy_percent": 50}}}
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
    assert stages.count(("student", None)) == stages.count(("measurement", "unseen")) == 3 * 12
    assert stages.count(("teacher", None)) == 3 * (10 + 1)
    assert [run for run in runs if is_alone(run)] == EXPERIMENT.students_from_scratch()
    assert stages.count(("measurement", "temperature_sweep")) == 3
    assert [method.name for method in EXPERIMENT.methods()[:12]] == list(TEACHERS)


def test_a_temperature_is_measured_as_the_student_sees_it():
    table = EXPERIMENT.table(made_up_lab(answer)).set_index(["method", "seed"])
    assert table.cmi_nats["temperature T=8", 1] == 0.15
    assert table.cmi_nats["MLL", 1] == 0
    assert table.gain_points["temperature T=8", 1] == pytest.approx(1.1 * (1.5 - 1))
    assert table.choosing_percent["label smoothing share=0.4", 2] == 60


def test_without_a_teacher_there_is_a_gain_and_nothing_else():
    runs = EXPERIMENT.finished(made_up_lab(answer))
    row = EXPERIMENT.summary(runs).loc[(ALONE, ALONE)]
    assert row.gain_points.mean == -10
    assert row.drop("gain_points").isna().all()
    assert ALONE not in EXPERIMENT.choices(runs).index
    assert ALONE not in EXPERIMENT.points(runs).index.unique("family")
    assert ALONE not in EXPERIMENT.opponents(runs).index.unique("family")


def test_a_student_without_a_teacher_that_collapsed_is_left_out():
    def other(run):
        return answer(run) | ({"status": "collapsed"} if is_alone(run) and run.seed == 1 else {})

    lab = made_up_lab(other)
    assert EXPERIMENT.left_out(lab) == "from scratch (1 of 3 collapsed)"
    assert ALONE not in EXPERIMENT.summary(EXPERIMENT.finished(lab)).index.unique("family")
    assert EXPERIMENT.findings(lab)


def test_settings_are_chosen_on_training_data():
    choices = EXPERIMENT.choices(EXPERIMENT.finished(made_up_lab(answer)))
    assert choices.chosen["MCMI tracked"] == TRACKED
    assert choices.best_on_test["MCMI tracked"] == "MCMI tracked λ=1"
    assert choices.chosen["MCMI fixed"] == choices.best_on_test["MCMI fixed"] == FIXED
    assert choices.chosen["label smoothing"] == "label smoothing share=0.4"
    assert choices.best_on_test["label smoothing"] == "label smoothing share=0.1"
    assert choices.gain_points["MCMI tracked"].mean == pytest.approx(1.1 * 2.8)
    assert choices.optimism_points["MSE"] == pytest.approx(63.5 - 60 - 1.1 * 1.9)
    assert readable_choices(choices).index.name == "way"
    shown = readable_choices(choices).loc["MLL"]
    assert shown["test gain over MLL, points"] == "+0.0 [+0.0, +0.0]"
    assert shown["accuracy used for choosing − test, points"] == "+2.0"


def test_findings():
    """MCMI's gains are 1.1 times 1.9 and 2.8 points; the others', see `gain`."""
    *findings, predicts = EXPERIMENT.findings(made_up_lab(answer))
    assert predicts.decides == "bcpd_predicts"
    fixed = [f for f in findings if f.policy == "fixed"]
    expected = {}
    for ours, own, early in ((FIXED, 1.9, 1.66), (TRACKED, 2.8, 1.66)):
        expected |= {
            f"{ours} teaches better than early stopping epoch=5": 1.1 * (own - early),
            f"{ours} teaches better than MSE, the best alternative": 1.1 * (own - 1.9),
            f"{ours} teaches better than label smoothing share=0.4": 1.1 * (own + 2.3),
            f"{ours} teaches better than entropy bonus weight=0.4": 1.1 * (own + 0.2),
            f"{ours} teaches better than temperature T=8": 1.1 * (own - 0.5),
            f"{ours} teaches better than label smoothing share=0.1": 1.1 * (own + 0.8),
            f"{ours} teaches better than fine-tuned λ=0": 1.1 * (own - 0.2),
        }
    assert by_claim(findings) == pytest.approx(expected)
    assert [f.decides for f in fixed] == ["early_stopping", "alternatives", *[None] * 5]
    assert [f.decides for f in findings if f.policy == "tracked"] == [f.decides for f in fixed]
    assert {(f.policy, f.lam) for f in findings} == {("fixed", 0.4), ("tracked", 0.7)}
    assert {f.control for f in findings if f.decided_in == "08_few_shot"} == {UNTREATED}
    assert findings[0].control == "early stopping epoch=5"
    beside = [f.against_mll for f in fixed]
    assert beside[:-1] == [None] * 6 and beside[-1].mean == pytest.approx(1.1 * 1.9)


def test_the_best_alternative_is_chosen_on_training_samples_and_may_be_early_stopping():
    def other(run):
        fields = answer(run)
        if run.stage == "measurement" and run.what.name == "unseen":
            early = method_of_student(run.of) == "early stopping epoch=5"
            fields["result"]["accuracy_percent"][0] += 5 * early
        return fields

    findings = EXPERIMENT.findings(made_up_lab(other))[:2]
    assert [f.decides for f in findings] == ["early_stopping", "alternatives"]
    assert {f.control for f in findings} == {"early stopping epoch=5"}
    assert findings[0].difference == findings[1].difference


def test_without_early_stopping_only_the_best_alternative_is_primary():
    experiment = replace(EXPERIMENT, stops=())
    findings = experiment.findings(made_up_lab(answer))
    assert [f.decides for f in findings if f.primary] == ["alternatives"] * 2 + ["bcpd_predicts"]


def test_early_stopping_alone_is_no_choice_among_alternatives():
    experiment = replace(EXPERIMENT, objectives=(), temperatures=(), mse=False)
    findings = experiment.findings(made_up_lab(answer))
    primary = [f.decides for f in findings if f.primary]
    assert primary == ["early_stopping"] * 2 + ["bcpd_predicts"]


def test_only_what_is_near_enough_matches():
    opponents = EXPERIMENT.opponents(EXPERIMENT.finished(made_up_lab(answer)))
    assert list(opponents.index) == [
        (ours, family)
        for ours in (FIXED, TRACKED)
        for family in ("label smoothing", "entropy bonus", "early stopping", "MSE", "temperature")
    ]
    smoothing = opponents.loc[TRACKED, "label smoothing"]
    assert (smoothing.chosen, smoothing.choosing_percent) == ("label smoothing share=0.4", 60)
    assert smoothing.nearest_ll_nats == "label smoothing share=0.1"
    assert smoothing.apart_ll_nats == pytest.approx(0, abs=1e-9)
    shown = readable_opponents(opponents)
    assert list(shown.index.names) == ["MCMI", "way"]
    assert list(shown) == [
        "chosen setting",
        "matched in training LL, nats",
        "matched in entropy, nats",
    ]
    assert list(shown.loc[TRACKED, "label smoothing"]) == [
        "label smoothing 0.4",
        "label smoothing 0.1, 0.00 apart",
        "none",
    ]
    assert shown.loc[(TRACKED, "early stopping"), "matched in entropy, nats"] == (
        "early stopping, epoch 5, 0.07 apart"
    )
    assert readable_opponents(opponents[:0]).empty


def test_points_are_means_over_seeds_without_the_truth():
    """The truth's student is far ahead of what its teacher's CMI and entropy would give it."""

    def other(run):
        fields = answer(run)
        if run.stage == "student" and method_of_student(run) == "true BCPD":
            return {"metrics": {"test": {"accuracy_percent": 90 + run.seed}}}
        return fields

    runs = EXPERIMENT.finished(made_up_lab(other))
    points = EXPERIMENT.points(runs)
    assert list(points.index.get_level_values("method")) == list(TEACHERS)[:-1]
    assert list(points) == [*EXPERIMENT.metrics, "gain_points", "closeness_nats"]
    assert points.gain_points["MSE", "MSE"] == pytest.approx(1.1 * 1.9)
    table = EXPERIMENT.correlations(runs)
    row = table.loc["cmi_nats", "entropy_nats"]
    assert list(row[["r", "smallest", "largest"]]) == pytest.approx([1, 1, 1])
    assert (row.teachers, row.sign_changes) == (11, False)
    assert table.loc[("entropy_nats", "cmi_nats"), "r"] == pytest.approx(-1)
    plain = table.xs("nothing", level="held_constant")
    assert list(plain.index) == ["ll_nats", "cmi_nats", "entropy_nats", "closeness_nats"]


def test_does_closeness_to_the_truth_predict_the_student():
    lab = made_up_lab(answer)
    predicts = EXPERIMENT.findings(lab)[-1]
    # Of the 11 kinds that are not the truth: closeness is entropy − 2, so its r is entropy's.
    table = EXPERIMENT.correlations(EXPERIMENT.finished(lab))
    assert predicts.difference.mean == pytest.approx(table.r["entropy_nats", "nothing"])
    assert predicts.difference.mean == pytest.approx(table.r["closeness_nats", "nothing"])
    assert tuple(predicts.difference[1:3]) == pytest.approx(
        tuple(table.loc[("closeness_nats", "nothing"), ["low", "high"]])
    )
    assert predicts.difference.n == 11
    unknown = replace(EXPERIMENT, pair=FIXED_DATA).findings(lab)
    assert not any(finding.decides == "bcpd_predicts" for finding in unknown)


def test_how_much_closeness_depends_on_which_kinds_are_counted():
    lab = made_up_lab(answer)
    runs = EXPERIMENT.finished(lab)
    closeness = EXPERIMENT.closeness(runs)
    assert [interval.n for interval in closeness] == [11, 12, 8]
    assert closeness.iloc[0] == EXPERIMENT.findings(lab)[-1].difference
    rest = EXPERIMENT.points(runs).drop(index=["label smoothing", "entropy bonus"], level="family")
    expected = rest.gain_points.corr(-rest.bcpd_kl_nats)
    assert closeness.iloc[2].mean == pytest.approx(expected)
    shown = readable_closeness(closeness)
    assert shown.index[1] == "all and P* (12)"
    assert shown.iloc[2, 0].startswith(f"{expected:.2f} [")


def test_on_test_nothing_is_chosen():
    """Also where the accuracy that settings are chosen by is not measured."""

    def without_choosing(run):
        if run.stage == "measurement" and str(run.what).startswith("unseen"):
            raise AssertionError("not asked for")
        return answer(run)

    table = EXPERIMENT.on_test(made_up_lab(without_choosing))
    assert list(table.index)[:2] == ["MLL", UNTREATED]
    expected = EXPERIMENT.summary(EXPERIMENT.finished(made_up_lab(answer))).gain_points
    assert table.gain_points["MSE"].mean == pytest.approx(expected["MSE", "MSE"].mean)
    ahead = table.gain_points[TRACKED].mean - table.gain_points["MSE"].mean
    assert table.mcmi_points["MSE"].mean == pytest.approx(ahead)
    shown = readable_on_test(table)
    assert shown.loc["label smoothing 0.1", "MCMI tracked is ahead by, points"].startswith("+")


def test_other_objectives_are_refused():
    message = "objectives must be of mcmi, label_smoothing, entropy, got 'mse'"
    with pytest.raises(ValueError, match=message):
        replace(EXPERIMENT, objectives=("mcmi:lam=1.0,centroids=fixed", "mse"))


def test_numbers_of_every_method():
    numbers = interval_columns(EXPERIMENT.numbers(EXPERIMENT.finished(made_up_lab(answer))))
    assert list(numbers) == ["family", "method", "metric", "mean", "low", "high", "n"]
    assert len(numbers) == 12 * 6 + 1


def test_where_the_truth_is_unknown_it_does_not_teach():
    experiment = replace(EXPERIMENT, pair=FIXED_DATA)
    lab = made_up_lab(answer)
    assert "true BCPD" not in {method.name for method in experiment.methods()}
    metrics = [column for column in experiment.table(lab) if column.endswith("_nats")]
    assert metrics == experiment.metrics == ["ll_nats", "cmi_nats", "entropy_nats"]
    assert {finding.replicate for finding in experiment.findings(lab)} == {
        "weights and the few samples"
    }


def test_a_method_that_collapsed_for_a_seed_is_left_out():
    lab = without(TRACKED, seeds=(1,))
    assert EXPERIMENT.left_out(lab) == f"{TRACKED} (1 of 3 not run)"
    chosen = EXPERIMENT.choices(EXPERIMENT.finished(lab)).chosen
    assert chosen["MCMI tracked"] == "MCMI tracked λ=1"
    findings = EXPERIMENT.findings(lab)
    assert {finding.difference.n for finding in findings[:-1]} == {3}
    assert (findings[-1].decides, findings[-1].difference.n) == ("bcpd_predicts", 10)
    mcmi = [f for f in findings if f.policy != "–"]
    assert {(f.policy, f.lam) for f in mcmi} == {("fixed", 0.4), ("tracked", 1.0)}
    # What is not at the pair's own λ is compared in no other notebook.
    assert {f.lam for f in mcmi if f.decided_in} == {0.4}
    assert EXPERIMENT.left_out(made_up_lab(answer)) == "none"


def test_without_the_control_the_rest_is_compared():
    findings = EXPERIMENT.findings(without(UNTREATED))
    assert UNTREATED not in {f.control for f in findings}
    primary = [f.decides for f in findings if f.primary]
    assert primary == ["early_stopping", "alternatives"] * 2 + ["bcpd_predicts"]


def test_without_one_kind_of_mcmi_the_other_is_left():
    assert {f.policy for f in EXPERIMENT.findings(without(FIXED))} == {"tracked", "–"}
    findings = EXPERIMENT.findings(without(FIXED, TRACKED, "MCMI tracked λ=1"))
    assert [f.decides for f in findings] == ["bcpd_predicts"]


def test_a_seed_without_mll_does_not_count():
    lab = without("MLL", seeds=(2,))
    assert {finding.difference.n for finding in EXPERIMENT.findings(lab)[:-1]} == {2}
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


def test_a_squared_error_can_be_left_out():
    without = replace(EXPERIMENT, mse=False)
    assert [m for m in EXPERIMENT.methods() if m.family != "MSE"] == without.methods()
    assert not [run for run in without.runs() if run.stage == "teacher" and run.label == "mse"]


def test_without_another_temperature_none_is_measured():
    without = replace(EXPERIMENT, temperatures=())
    assert without.softened() == []
    assert "temperature" not in set(without.table(made_up_lab(answer)).family)


def test_correlations_in_words():
    table = EXPERIMENT.correlations(EXPERIMENT.finished(made_up_lab(answer)))
    shown = readable_correlations(table)
    assert shown.index.names == ["student's gain with", "held constant"]
    assert ("CMI", "entropy") in shown.index and (
        "closeness to P*, −KL(P* ‖ teacher)",
        "nothing",
    ) in shown.index
    row = table.loc["cmi_nats", "nothing"]
    r = shown.loc[("CMI", "nothing"), "r [95 %]"]
    assert r == f"{row.r:.2f} [{row.low:.2f}, {row.high:.2f}]"
    span = shown.loc[("CMI", "nothing"), "r without one family"]
    assert span == f"{row.smallest:.2f} to {row.largest:.2f}"
    assert readable_correlations(table[:0]).empty


def test_numbers_of_some_metrics():
    runs = EXPERIMENT.finished(made_up_lab(answer))
    some = EXPERIMENT.numbers(runs, ["cmi_nats", "gain_points"])
    assert set(some.index.unique("metric")) == {"cmi_nats", "gain_points"}
    assert set(EXPERIMENT.numbers(runs).index.unique("metric")) > {"cmi_nats", "gain_points"}
