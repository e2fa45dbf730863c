import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.lambda_and_centroids import LambdaAndCentroids, readable_selection
from mcmi_core.report.tables import interval_columns

EXPERIMENT = LambdaAndCentroids(pair=PAIR, lambdas=(0.0, 0.4, 0.7), seeds=(0, 1, 2))
GAIN = {0.0: -1, 0.4: 3, 0.7: 2}
"""Of the student, in points, at the last epoch, for either policy; by seed, a tenth more."""


def setting(run):
    """Policy and λ of a teacher, or of a student's teacher; None without MCMI."""
    teacher = getattr(run, "teacher", run)
    options = teacher.objective.options
    return (options["centroids"], options["lam"]) if teacher.objective.name == "mcmi" else None


def answer(run):
    """`fixed` collapses at λ = 0.7. CMI is λ; the teacher gains 5 λ points."""
    mcmi = setting(run)
    lam = mcmi[1] if mcmi else None
    if run.stage == "teacher":
        metrics = {
            "test": {"accuracy_percent": 70 + 5 * (lam or 0)},
            "train": {"ll_nats": -0.1 - (lam or 0) - run.seed / 100, "cmi_nats": lam or 0},
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


def test_all_settings_of_a_seed_are_asked_for():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 2 * 3 * (1 + 2 * 3)
    assert {run.part.fraction for run in EXPERIMENT.students()} == {0.05}


def test_findings_are_the_students_gains_of_what_did_not_collapse():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    found = {(finding.policy, finding.lam): finding.difference.mean for finding in findings}
    expected = {("tracked", 0.0): -0.9, ("tracked", 0.4): 3.1, ("tracked", 0.7): 2.1}
    assert found == pytest.approx(
        expected | {("fixed", lam): expected["tracked", lam] for lam in (0.0, 0.4)}
    )
    verdicts = {finding.lam: finding.verdict for finding in findings}
    assert verdicts == {0.0: "does not hold", 0.4: "holds", 0.7: "holds"}
    assert {finding.control for finding in findings} == {"MLL"}
    assert not any(finding.primary for finding in findings)


def test_where_it_collapsed():
    table = EXPERIMENT.collapse_table(made_up_lab(answer))
    assert list(table) == ["λ = 0", "λ = 0.4", "λ = 0.7", "trains at every λ", "students collapsed"]
    assert list(table.loc["fixed"]) == ["0 of 3", "0 of 3", "3 of 3", "no", 0]
    assert list(table.loc["tracked"]) == ["0 of 3", "0 of 3", "0 of 3", "yes", 0]


def test_a_level_or_a_gain_of_every_setting_that_is_left():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    left = [("MLL", 0), ("fixed", 0), ("fixed", 0.4)]
    assert list(summary.index) == [*left, *[("tracked", lam) for lam in (0, 0.4, 0.7)]]
    row = summary.loc["tracked", 0.7]
    means = {name: interval.mean for name, interval in row.items()}
    assert means == pytest.approx(
        {
            "train_ll_nats": -0.81,
            "train_cmi_nats": 0.7,
            "test_accuracy_gain": 3.5,
            "student_accuracy_gain": 2.1,
        }
    )
    assert summary.loc["MLL", 0].isna().tolist() == [False, False, True, True]
    numbers = interval_columns(EXPERIMENT.numbers(lab))
    assert list(numbers) == ["policy", "λ", "metric", "mean", "low", "high", "n"]
    assert len(numbers) == 4 * 6 - 2


def test_seeds_that_are_left_count_and_one_alone_does_not():
    def one_of_them(run):
        mcmi = setting(run)
        if mcmi == ("tracked", 0.7):
            return "collapsed" if run.seed == 0 else None
        return "collapsed" if mcmi == ("tracked", 0.4) and run.seed else None

    lab = changed(student=one_of_them)
    n = {(f.policy, f.lam): f.difference.n for f in EXPERIMENT.findings(lab)}
    assert n["tracked", 0.7] == 2 and n["fixed", 0.4] == 3
    assert ("tracked", 0.4) not in n
    assert EXPERIMENT.summary(lab).loc["tracked", 0.4].isna().tolist() == [False] * 3 + [True]
    assert EXPERIMENT.collapse_table(lab).loc["tracked", "students collapsed"] == 3
    # The setting set beforehand lacks a seed: what selection adds to it is not known.
    selection = EXPERIMENT.selection(lab)
    assert len(selection) == len(readable_selection(selection)) == 0
    assert list(EXPERIMENT.lifts(lab).index) == ["MLL"]


def test_what_selection_adds():
    """λ = 0.4 is better by a point than λ = 0.7, set beforehand; best epochs help MLL more."""
    selection = EXPERIMENT.selection(made_up_lab(answer))
    columns = ["metric", "choice", "chosen", "added", "epoch", "mean", "low", "high", "n"]
    assert list(selection) == columns
    added = selection.set_index(["epoch", "choice"]).added
    assert added["last"].tolist() == pytest.approx([0, 1, 1, 1])
    assert added["best on test"].tolist() == pytest.approx([-1, 0, 0, 0])
    chosen = selection.set_index(["epoch", "choice"]).chosen["last"]
    assert chosen["set beforehand"] == "MCMI tracked λ=0.7"
    assert set(chosen.drop("set beforehand")) == {"MCMI tracked λ=0.4"}
    shown = readable_selection(selection).loc[("last", "best mean on test")]
    assert shown["added"] == "+1.00" and shown["gain, points"].startswith("+3.10 [+2.85")


def test_what_the_best_epoch_adds_to_every_side():
    lifts = EXPERIMENT.lifts(made_up_lab(answer))
    assert list(lifts.index) == ["MLL", "MCMI tracked λ=0.4", "MCMI tracked λ=0.7"]
    assert lifts["lift, points"].tolist() == pytest.approx([2, 1, 1])
    assert lifts["evaluated epochs"].tolist() == [2, 2, 2]


def test_without_cmi_the_policies_must_agree():
    def other(run):
        fields = answer(run)
        if run.stage == "teacher" and setting(run) == ("tracked", 0.0):
            fields["metrics"]["train"]["ll_nats"] -= 0.5
        return fields

    with pytest.raises(ValueError, match="same training, but their LL are 0.5 nats apart"):
        EXPERIMENT.table(made_up_lab(other))


def test_a_replicate_on_fixed_data_varies_weights_and_samples():
    experiment = LambdaAndCentroids(pair=FIXED_DATA, lambdas=(0.4,), seeds=(0, 1))
    findings = experiment.findings(made_up_lab(answer))
    assert {finding.replicate for finding in findings} == {"weights and the few samples"}
