from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.lambda_and_centroids import (
    LambdaAndCentroids,
    readable_selection,
    readable_summary,
)
from mcmi_core.report.tables import interval_columns

EXPERIMENT = LambdaAndCentroids(pair=PAIR, lambdas=(0.4, 0.7), seeds=(0, 1, 2))
MLL, UNTREATED = "MLL", "fine-tuned λ=0"
GAIN = {0.0: -1, 0.4: 3, 0.7: 2}
"""Of the student over MLL's, in points, at the last epoch, for either policy; by seed, a tenth
more."""
RAISED = {0.4: 10.0, 0.7: 30.0}
"""Percent of images; by seed, one more."""


def is_alone(run):
    return run.stage == "teacher" and run.model == PAIR.student_from_scratch(0).model


def setting(run):
    """Policy and λ of a teacher, or of a student's teacher; None without MCMI."""
    teacher = getattr(run, "teacher", run)
    options = teacher.objective.options
    return (options["centroids"], options["lam"]) if teacher.objective.name == "mcmi" else None


def answer(run):
    """`fixed` collapses at λ = 0.7. CMI is λ, half of it with `tracked`; LL falls by λ.

    Without a teacher a student has 10 points less than MLL's.
    """
    if run.stage == "measurement":
        shares = [RAISED[lam] + run.of.seed for lam in run.what.options["lambdas"]]
        return {"result": {"lam": list(run.what.options["lambdas"]), "raised_percent": shares}}
    if is_alone(run):
        return {"metrics": {"test": {"accuracy_percent": 50}}}
    mcmi = setting(run)
    lam = mcmi[1] if mcmi else None
    if run.stage == "teacher":
        cmi = (lam or 0) / (2 if mcmi and mcmi[0] == "tracked" else 1)
        metrics = {
            "test": {"accuracy_percent": 70 + 5 * (lam or 0)},
            "train": {
                "ll_nats": -0.1 - (lam or 0) - run.seed / 100,
                "cmi_nats": cmi,
                "accuracy_percent": 99.0,
            },
        }
        return {"metrics": metrics, "status": "collapsed" if mcmi == ("fixed", 0.7) else "done"}
    if mcmi == ("fixed", 0.7):
        return None
    percent = 60 + (GAIN[lam] + run.seed / 10 if mcmi else 0)
    best = percent + (2 if mcmi is None else 1)
    return {
        "metrics": {"test": {"accuracy_percent": percent}},
        "history": {"epoch": [5, 10], "test_accuracy_percent": [best, percent]},
    }


def changed(**statuses):
    """As `answer`, with other statuses: of ``teacher`` or ``student``, for some runs."""

    def other(run):
        fields = answer(run)
        status = statuses.get(run.stage, lambda run: None)(run)
        return fields | {"status": status} if status else fields

    return made_up_lab(other)


def test_all_settings_of_a_seed_are_asked_for_and_the_control_once():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 2 * 3 * (2 + 2 * 2) + 3 + 3
    assert {run.part.fraction for run in EXPERIMENT.students()} == {0.05}
    labels = [teacher.label for teacher in EXPERIMENT.teachers()[:6]]
    assert labels == [
        *(MLL, UNTREATED, "MCMI fixed λ=0.4", "MCMI fixed λ=0.7"),
        *("MCMI tracked λ=0.4", "MCMI tracked λ=0.7"),
    ]


@pytest.mark.parametrize("lambdas", [(), (0.0, 0.4), (0.4, -1.0)])
def test_the_control_is_no_setting(lambdas):
    with pytest.raises(ValueError, match="lambdas must be above 0 .λ = 0 is always there., got"):
        LambdaAndCentroids(pair=PAIR, lambdas=lambdas, seeds=(0, 1))


def test_findings_are_the_students_gains_of_what_did_not_collapse():
    settings = EXPERIMENT.findings(made_up_lab(answer))[:-2]
    found = [
        (f.treatment, f.control, f.difference.mean, f.against_mll and f.against_mll.mean)
        for f in settings
    ]
    assert [(first, second) for first, second, *_ in found] == [
        ("MCMI fixed λ=0.4", UNTREATED),
        ("MCMI tracked λ=0.7", UNTREATED),
        ("MCMI tracked λ=0.4", UNTREATED),
        (UNTREATED, MLL),
        (MLL, "from scratch"),
    ]
    assert [mean for *_, mean, _ in found] == pytest.approx([4, 3, 4, -0.9, 10])
    assert [mean for *_, mean in found[:3]] == pytest.approx([3.1, 2.1, 3.1])
    assert found[3][-1] is None
    own = [f.treatment for f in settings if f.decided_in == "08_few_shot"]
    assert own == ["MCMI fixed λ=0.4", "MCMI tracked λ=0.7"]
    assert {(f.policy, f.lam) for f in settings} == {
        *(("fixed", 0.4), ("tracked", 0.4), ("tracked", 0.7), ("–", None))
    }
    assert not any(finding.primary for finding in EXPERIMENT.findings(made_up_lab(answer)))


def test_policies_are_compared_at_equal_lambda_and_at_the_nearest_cmi_each_pair_once():
    """What is left of `fixed` is at 0.4 nats, and `tracked` at 0.2 and 0.35.

    To `tracked` at λ = 0.4 `fixed` at 0.4 is also the nearest in CMI.
    """
    lab = made_up_lab(answer)
    table = EXPERIMENT.policies_compared(lab)
    assert list(table.chosen_by) == ["equal λ", "the nearest CMI"]
    assert list(table.fixed) == ["MCMI fixed λ=0.4"] * 2
    assert list(table.tracked) == ["MCMI tracked λ=0.4", "MCMI tracked λ=0.7"]
    assert list(table.apart_nats) == pytest.approx([0.2, 0.05])
    assert [difference.mean for difference in table.difference] == pytest.approx([0, -1])
    last = EXPERIMENT.findings(lab)[-1]
    assert last.claim == (
        "students at the nearest CMI, 0.050 nats apart: MCMI tracked λ=0.7 beats MCMI fixed λ=0.4"
    )
    assert (last.policy, last.lam, last.control) == ("tracked", 0.7, "MCMI fixed λ=0.4")
    assert last.difference.mean == pytest.approx(-1)


def test_without_one_of_the_policies_there_is_nothing_to_compare():
    def without_fixed(run):
        policy = (setting(run) or ("", 0))[0] if run.stage != "measurement" else ""
        if policy == "fixed" and setting(run)[1] > 0:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(without_fixed)
    assert EXPERIMENT.policies_compared(lab).empty
    assert {f.policy for f in EXPERIMENT.findings(lab)} == {"tracked", "–"}


def test_where_it_collapsed():
    table = EXPERIMENT.collapse_table(made_up_lab(answer))
    assert list(table) == ["λ = 0.4", "λ = 0.7", "trains at every λ", "students collapsed"]
    assert list(table.loc["fixed"]) == ["0 of 3", "3 of 3", "no", 0]
    assert list(table.loc["tracked"]) == ["0 of 3", "0 of 3", "yes", 0]


def test_accuracies_of_teachers_that_did_not_collapse():
    def one_is_poor(run):
        fields = answer(run)
        if run.stage == "teacher" and setting(run) == ("tracked", 0.7) and run.seed == 1:
            fields["metrics"]["train"]["accuracy_percent"] = 18.0
        if run.stage == "teacher" and setting(run) == ("tracked", 0.4) and run.seed == 1:
            fields["metrics"]["train"]["accuracy_percent"] = 95.0
        return fields

    table = EXPERIMENT.accuracies(made_up_lab(one_is_poor))
    assert table.loc["tracked"].to_dict() == {"λ = 0.4": "95 to 99", "λ = 0.7": "99, 18, 99"}
    assert table.loc["fixed"].to_dict() == {"λ = 0.4": "99", "λ = 0.7": "–"}  # all collapsed
    lab = made_up_lab(one_is_poor)
    ruined = EXPERIMENT.ruined(lab)
    assert ruined.loc["tracked"].to_dict() == {0.4: 0, 0.7: 1}
    assert ruined.loc["fixed"].to_dict() == {0.4: 0, 0.7: 0}
    assert list(EXPERIMENT.collapse_table(lab).loc["tracked"]) == [
        *("0 of 3", "0 of 3 (1 ruined)", "no", 0)
    ]
    text = readable_summary(EXPERIMENT.summary(lab), ruined)
    row = text.loc[("tracked", "0.7")]
    assert row.raised_percent.startswith("31.0 [")
    assert set(row.drop("raised_percent")) == {"1 of 3 ruined"}
    assert text.loc[("tracked", "0.4")].str.contains("[", regex=False).all()


def test_a_level_or_a_gain_of_every_setting_that_is_left():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    assert list(summary.index) == [
        *(("MLL", 0), ("fine-tuned", 0), ("fixed", 0.4), ("tracked", 0.4), ("tracked", 0.7)),
        ("from scratch", 0),
    ]
    row = summary.loc["tracked", 0.7]
    means = {name: interval.mean for name, interval in row.items()}
    assert means == pytest.approx(
        {
            "train_accuracy_percent": 99,
            "train_ll_nats": -0.81,
            "train_cmi_nats": 0.35,
            "raised_percent": 31,
            "test_accuracy_gain": 3.5,
            "student_accuracy_gain": 3,
            "student_accuracy_gain_over_mll": 2.1,
        }
    )
    known = [True] * 3
    assert summary.loc["MLL", 0].notna().tolist() == [*known, False, True, True, False]
    assert summary.loc["fine-tuned", 0].notna().tolist() == [*known, False, False, False, True]
    numbers = interval_columns(EXPERIMENT.numbers(lab))
    assert list(numbers) == ["policy", "λ", "metric", "mean", "low", "high", "n"]
    alone = summary.loc["from scratch", 0].dropna()
    gains = {name: interval.mean for name, interval in alone.items()}
    assert gains == pytest.approx(
        {"student_accuracy_gain": -9.1, "student_accuracy_gain_over_mll": -10}
    )
    assert len(numbers) == 7 * 5 - 2 - 3 + 2


def test_one_student_without_a_teacher_is_none():
    lab = changed(teacher=lambda run: "collapsed" if is_alone(run) and run.seed else None)
    assert "from scratch" not in EXPERIMENT.summary(lab).index.unique("policy")
    assert "from scratch" not in {f.control for f in EXPERIMENT.findings(lab)}


def test_seeds_that_are_left_count_and_one_alone_does_not():
    def one_of_them(run):
        mcmi = setting(run)
        if mcmi == ("tracked", 0.7):
            return "collapsed" if run.seed == 0 else None
        return "collapsed" if mcmi in (("tracked", 0.4), ("fixed", 0.4)) and run.seed else None

    lab = changed(student=one_of_them)
    n = {(f.policy, f.lam): f.difference.n for f in EXPERIMENT.findings(lab)}
    assert n == {("tracked", 0.7): 2, ("–", None): 3}
    gains = EXPERIMENT.summary(lab).loc["tracked", 0.4]
    assert gains.isna().tolist() == [*[False] * 5, True, True]
    assert EXPERIMENT.collapse_table(lab).loc["tracked", "students collapsed"] == 3
    # The setting set beforehand lacks a seed: what selection adds to it is not known.
    selection = EXPERIMENT.selection(lab)
    assert len(selection) == len(readable_selection(selection)) == 0
    assert list(EXPERIMENT.lifts(lab).index) == ["MLL"]


def test_a_lambda_that_was_not_set_beforehand_has_no_selection():
    experiment = replace(EXPERIMENT, lambdas=(0.7,))
    assert experiment.selection(made_up_lab(answer)).empty


@pytest.fixture
def both_train():
    """`fixed` does not collapse at λ = 0.7; its students gain a point more than at λ = 0.4."""

    def answer_all(run):
        if run.stage == "measurement" or setting(run) != ("fixed", 0.7):
            return answer(run)
        if run.stage == "teacher":
            return answer(run) | {"status": "done"}
        percent = 60 + GAIN[0.4] + 1 + run.seed / 10
        return {
            "metrics": {"test": {"accuracy_percent": percent}},
            "history": {"epoch": [5, 10], "test_accuracy_percent": [percent + 1, percent]},
        }

    return made_up_lab(answer_all)


def test_what_selection_adds(both_train):
    """λ = 0.7 is better by a point than λ = 0.4, set beforehand; best epochs help MLL more."""
    selection = EXPERIMENT.selection(both_train)
    columns = ["metric", "choice", "chosen", "added", "epoch", "mean", "low", "high", "n"]
    assert list(selection) == columns
    added = selection.set_index(["epoch", "choice"]).added
    assert added["last"].tolist() == pytest.approx([0, 1, 1, 1])
    assert added["best on test"].tolist() == pytest.approx([-1, 0, 0, 0])
    chosen = selection.set_index(["epoch", "choice"]).chosen["last"]
    assert chosen["set beforehand"] == "MCMI fixed λ=0.4"
    assert set(chosen.drop("set beforehand")) == {"MCMI fixed λ=0.7"}
    shown = readable_selection(selection).loc[("last", "best mean on test")]
    assert shown.chosen == "λ=0.7"
    assert shown["added, points"] == "+1.00" and shown["gain, points"].startswith("+4.10 [+3.85")


def test_what_the_best_epoch_adds_to_every_side(both_train):
    lifts = EXPERIMENT.lifts(both_train)
    assert list(lifts.index) == ["MLL", "MCMI fixed λ=0.4", "MCMI fixed λ=0.7"]
    assert lifts["lift, points"].tolist() == pytest.approx([2, 1, 1])
    assert lifts["evaluated epochs"].tolist() == [2, 2, 2]


def test_a_replicate_on_fixed_data_varies_weights_and_samples():
    experiment = LambdaAndCentroids(pair=FIXED_DATA, lambdas=(0.4,), seeds=(0, 1))
    findings = experiment.findings(made_up_lab(answer))
    assert {finding.replicate for finding in findings} == {"weights and the few samples"}


def test_a_summary_as_text_shows_the_sign_of_gains():
    lab = made_up_lab(answer)
    text = readable_summary(EXPERIMENT.summary(lab), EXPERIMENT.ruined(lab))
    row = text.loc[("tracked", "0.7")]
    assert row.train_accuracy_percent.startswith("99.0 [")
    assert row.student_accuracy_gain.startswith("+")
    assert text.loc[("fine-tuned", "0"), "student_accuracy_gain"] == "–"
    assert {("MLL", "–"), ("from scratch", "–")} <= set(text.index)
