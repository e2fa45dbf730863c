from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, accuracy, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.temperature_and_cmi import TemperatureAndCmi

OTHER = replace(FIXED_DATA, teacher="mlp:width=16")
EXPERIMENT = TemperatureAndCmi(pairs=(PAIR, OTHER), temperatures=(1.0, 2.0, 4.0), seeds=(0, 1, 2))
CMI = {"oracle": [0.1, 0.5, 0.3], "digits": [0.3, 0.2, 0.1]}
"""By temperature: at T = 4 it is higher than at T = 1 by 0.2 on one, and lower by as much on the
other."""
STUDENT = {1.0: 60, 2.0: 61, 4.0: 63}


def answer(run):
    """Every seed adds a hundredth of a nat at T = 4, and a point to all its students."""
    if run.stage == "measurement":
        first, second, last = CMI[run.of.data.name]
        cmi = [first, second, last + run.of.seed / 100]
        return {"result": {"temperature": [1.0, 2.0, 4.0], "cmi_nats": cmi}}
    if run.stage == "student":
        return accuracy(STUDENT[run.distiller.options["temperature"]] + run.seed)
    return accuracy(70)


def test_primary_are_two_comparisons_of_the_first_pair():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    first = "MLP, 64 wide → MLP, 8 wide: the student at T = "
    means = {f.claim: (f.difference.mean, f.decides) for f in findings if f.data == "oracle"}
    assert {claim: mean for claim, (mean, _) in means.items()} == pytest.approx(
        {
            "MLP, 64 wide: CMI at T = 2 is above that at T = 1": 0.4,
            "MLP, 64 wide: CMI at T = 4 is above that at T = 1": 0.21,
            f"{first}2, where its teacher's CMI is largest, beats that at T = 1": 1,
            f"{first}4 beats that at T = 1": 3,
        }
    )
    assert [decides for _, decides in means.values()] == [
        *("temperature", None, "temperature_student", None)
    ]
    assert {f.decides for f in findings if f.data != "oracle"} == {None}
    cmi, _, student, _ = (f for f in findings if f.data == "oracle")
    assert (cmi.treatment, cmi.control, cmi.unit) == ("T = 2", "T = 1", "nats")
    assert (cmi.networks, cmi.replicate) == ("mlp:width=64", "data and weights")
    assert (student.policy, student.lam, student.unit) == ("–", None, "points")
    assert (student.networks, student.quantity) == (
        *("mlp:width=64 → mlp:width=8", "student's test accuracy"),
    )


def test_of_a_teacher_whose_cmi_is_largest_at_1_no_student_is_asked_about_that():
    """Other than at the customary temperature."""
    experiment = replace(EXPERIMENT, pairs=(OTHER,))
    findings = experiment.findings(made_up_lab(answer))
    assert [f.decides for f in findings] == ["temperature", None, None]
    assert findings[0].difference.mean == pytest.approx(-0.1)
    assert findings[0].verdict == "opposite"
    assert findings[-1].claim.endswith("the student at T = 4 beats that at T = 1")


def test_the_customary_temperature_may_be_that_of_the_largest_cmi():
    def rising(run):
        cmi = {"result": {"temperature": [1.0, 2.0, 4.0], "cmi_nats": [0.1, 0.2, 0.3]}}
        return cmi if run.stage == "measurement" else answer(run)

    experiment = replace(EXPERIMENT, pairs=(PAIR,))
    student = experiment.findings(made_up_lab(rising))[2:]
    assert [(f.treatment, f.decides) for f in student] == [("T = 4", "temperature_student")]


def test_pairs_that_share_a_teacher_are_one_question_about_cmi():
    shared = replace(PAIR, student="mlp:width=4")
    experiment = replace(EXPERIMENT, pairs=(PAIR, shared))
    findings = experiment.findings(made_up_lab(answer))
    assert len([f for f in findings if f.unit == "nats"]) == 2
    assert [f.decides for f in findings if f.primary] == ["temperature", "temperature_student"]
    assert len(experiment.accuracy(made_up_lab(answer)).index.unique("pair")) == 2


def test_intervals_by_pair_and_temperature():
    lab = made_up_lab(answer)
    cmi, students = EXPERIMENT.cmi(lab), EXPERIMENT.accuracy(lab)
    settings = [(str(pair), t) for pair in (PAIR, OTHER) for t in (1.0, 2.0, 4.0)]
    assert list(cmi.index) == list(students.index) == settings
    assert cmi.index.names == students.index.names == ["pair", "temperature"]
    assert cmi[str(PAIR), 4.0].mean == pytest.approx(0.31)
    spread = students[str(PAIR), 2.0]
    assert spread.mean == pytest.approx(62)
    assert spread.high - spread.low == pytest.approx(0)  # a seed adds the same at every T


def test_a_student_is_compared_with_that_at_1_and_that_at_the_largest_cmi():
    table = EXPERIMENT.summary(made_up_lab(answer))
    expected = {  # the largest CMI is at T = 2, and at T = 1
        (str(PAIR), 1.0): (None, 1),
        (str(PAIR), 2.0): (1, None),
        (str(PAIR), 4.0): (3, -2),
        (str(OTHER), 1.0): (None, None),
        (str(OTHER), 2.0): (1, -1),
        (str(OTHER), 4.0): (3, -3),
    }
    shown = {
        setting: tuple(None if each is None else each.mean for each in row)
        for setting, *row in table[["gain_over_one_points", "largest_gain_points"]].itertuples()
    }
    assert shown == expected


def test_a_summary_of_teachers_and_students():
    table = EXPERIMENT.summary(made_up_lab(answer))
    assert list(table.columns[:2]) == ["train_cmi_nats", "test_accuracy_percent"]
    cmi, accuracy = table.loc[(str(PAIR), 4.0)].iloc[:2]
    assert (cmi.mean, accuracy.mean) == pytest.approx((0.31, 64))
    one = replace(EXPERIMENT, pairs=(PAIR,)).summary(made_up_lab(answer))
    assert one.index.names == ["temperature"]


def test_the_gain_of_each_student_over_that_of_its_seed_at_1():
    numbers = EXPERIMENT.numbers(made_up_lab(answer))
    assert len(numbers) == 2 * 3 * 3
    gains = numbers.gain_points - numbers.temperature.map({1.0: 0, 2.0: 1, 4.0: 3})
    assert list(gains) == [0] * 18
    [cmi] = numbers.cmi_nats[
        (numbers.pair == str(PAIR)) & (numbers.seed == 2) & (numbers.temperature == 4)
    ]
    assert cmi == pytest.approx(0.32)


def test_a_single_pair_is_not_named_in_its_claims():
    findings = replace(EXPERIMENT, pairs=(PAIR,)).findings(made_up_lab(answer))
    assert findings[0].claim == "CMI at T = 2 is above that at T = 1"
    assert findings[-1].claim == "the student at T = 4 beats that at T = 1"


def test_all_runs_are_asked_for_once():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs}) == 2 * 3 * (1 + 3)
    asked = {run.key for run in runs}
    for pair in (PAIR, OTHER):
        assert {run.key for run in EXPERIMENT.sweeps(pair)} < asked
        assert {run.key for run in EXPERIMENT.students(pair)} < asked


def collapsed_teachers(*seeds):
    """Of the oracle; what would come of them has no record."""

    def answer_or_collapse(run):
        first = run.chain()[0]
        if first.data.name == "oracle" and first.seed in seeds:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    return answer_or_collapse


def test_a_seed_whose_student_collapsed_is_left_out_of_the_accuracy():
    one_student = EXPERIMENT.students(PAIR)[0]

    def answer_but_one(run):
        return {"status": "collapsed"} if run.key == one_student.key else answer(run)

    lab = made_up_lab(answer_but_one)
    numbers = EXPERIMENT.numbers(lab)
    without = numbers[numbers.gain_points.isna()]  # nothing to compare with at T = 1
    assert set(zip(without.pair, without.seed, strict=True)) == {(str(PAIR), 0)}
    assert len(without) == 3
    students = EXPERIMENT.accuracy(lab)
    assert {interval.n for interval in students[str(PAIR)]} == {2}
    assert {interval.n for interval in students[str(OTHER)]} == {3}
    assert {interval.n for interval in EXPERIMENT.cmi(lab)[str(PAIR)]} == {3}
    assert EXPERIMENT.outcomes(lab).to_dict() == {
        str(PAIR): "1 of 9 collapsed",
        str(OTHER): "done",
    }


def test_a_pair_with_one_teacher_left_has_no_finding():
    lab = made_up_lab(collapsed_teachers(0, 1))
    assert {finding.data for finding in EXPERIMENT.findings(lab)} == {"digits"}
    assert list(EXPERIMENT.accuracy(lab).index.unique("pair")) == [str(OTHER)]
    assert EXPERIMENT.summary(lab).index.unique("pair").tolist() == [str(OTHER)]
    assert EXPERIMENT.outcomes(lab)[str(PAIR)] == "6 of 9 not run"


def test_one_seed_has_no_interval():
    lab, one_seed = made_up_lab(answer), replace(EXPERIMENT, seeds=(0,))
    check_that_nothing_is_said(one_seed, lab)
    assert set(one_seed.outcomes(lab)) == {"done"}


def test_everything_collapsed():
    lab = made_up_lab(lambda run: {"status": "collapsed"} if run.stage == "teacher" else None)
    check_that_nothing_is_said(EXPERIMENT, lab)
    assert set(EXPERIMENT.outcomes(lab)) == {"9 of 9 not run"}


def check_that_nothing_is_said(experiment, lab):
    """But tables have their columns, and can be shown."""
    assert experiment.findings(lab) == []
    assert experiment.cmi(lab).empty and experiment.largest_cmi(lab).empty
    accuracy, summary = experiment.accuracy(lab), experiment.summary(lab)
    assert accuracy.empty and accuracy.index.names == ["pair", "temperature"]
    assert summary.empty and list(summary) == list(EXPERIMENT.summary(made_up_lab(answer)))


def test_a_pair_with_two_teachers_left_has_findings():
    oracle = [
        f for f in EXPERIMENT.findings(made_up_lab(collapsed_teachers(0))) if "orac" in f.data
    ]
    assert {f.difference.n for f in oracle} == {2}
    assert oracle[1].difference.mean == pytest.approx(0.215)


@pytest.mark.parametrize("temperatures", [(1.0, 2.0), (2.0, 4.0), (1.0, 4.0, 8.0)])
def test_without_the_compared_temperatures(temperatures):
    given = ", ".join(f"{t:g}" for t in temperatures)
    with pytest.raises(
        ValueError, match=f"must include 1, 2 and 4, which are compared, got {given}$"
    ):
        replace(EXPERIMENT, temperatures=temperatures)


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))
