"""Zero-shot: whether omitted classes are recognised, on made-up records."""

from dataclasses import replace

import pytest
from made_up import FIXED_DATA, LABELS, PAIR, made_up_lab

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.zero_shot import SEED_BY_SEED, ZeroShot, within_percent

MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS
STRONGER = "MCMI tracked λ=1"
EXPERIMENT = ZeroShot(
    pair=PAIR, further=(("tracked", 1.0),), omitted_sets=((9,), (9, 7)), seeds=(0, 1, 2)
)
RECOGNISED = {MLL: 20, UNTREATED: 22, FIXED: 18, TRACKED: 40, STRONGER: 45, TRUTH: 60}
"""Percent of the samples of class 9, but for the seed; of class 7, ten more; of others, 70."""
OVERALL = {MLL: 64, UNTREATED: 65, FIXED: 66, TRACKED: 63, STRONGER: 62, TRUTH: 80}
"""Percent of all samples; with a control that knows nothing, 50."""
MORE = "class 9 omitted: the student of {} recognises more than that of {}"
ALL_LABELS = [*RECOGNISED, "MLL masked", "from scratch"]


def knows_nothing(run):
    return run.stage == "teacher" or run.distiller.name == "masked_kd"


def answer(run):
    """Students of better teachers also have a smaller calibration error: 10 − recognised / 10."""
    if run.stage != "measurement":
        student = run.stage == "student" and not knows_nothing(run)
        overall = OVERALL[run.label] + run.seed * (run.label != MLL) if student else 50
        return {"metrics": {"test": {"accuracy_percent": overall}}}
    nothing = knows_nothing(run.of)
    if run.what.name == "confusion_matrix":
        return {"result": confusion(nothing, mll=run.label == MLL)}
    percent = 0.0 if nothing else RECOGNISED[run.label] + run.of.seed * (run.label != MLL)
    return {
        "result": {
            "class_index": [0.0, 7.0, 9.0],
            "accuracy_percent": [70.0, percent + 10 * (not nothing), percent],
            "frequency_percent": [40.0, 30.0, 30.0],
            "probability_percent": [40.0, percent / 4, percent / 4],
            "calibration_error_percent": [1.0] + [10 - percent / 10] * 2,
        }
    }


def confusion(nothing, mll):
    """Of classes 0, 7 and 9, with 4 samples each; zeros are left out of what is said here.

    Under MLL one sample of 7 and one of 9 are taken for 9. Else all of 9 are, and one of 0 is; two
    of 7 are taken for 7. Who knows nothing takes all for 0.
    """
    cells = {(true, predicted): 0 for true in (0, 7, 9) for predicted in (0, 7, 9)}
    if nothing:
        cells |= {(0, 0): 4, (7, 0): 4, (9, 0): 4}
    elif mll:
        cells |= {(0, 0): 4, (7, 0): 3, (7, 9): 1, (9, 0): 3, (9, 9): 1}
    else:
        cells |= {(0, 0): 3, (0, 9): 1, (7, 0): 2, (7, 7): 2, (9, 9): 4}
    return {
        "true_class": [true for true, _ in cells],
        "predicted_class": [predicted for _, predicted in cells],
        "samples": list(cells.values()),
    }


def collapsing(label, seeds=(0, 1, 2)):
    """A teacher collapses, so that its students are not run."""

    def answer_without(run):
        for link in run.chain():
            fine_tuned = link.stage == "teacher" and link.start is not None
            if fine_tuned and link.label == label and link.seed in seeds:
                return {"status": "collapsed"} if run is link or run == link else None
        return answer(run)

    return made_up_lab(answer_without)


def by_claim(findings):
    return {finding.claim: finding for finding in findings}


def test_runs_are_measurements_of_every_student():
    runs = EXPERIMENT.runs()
    assert len(runs) == len({run.key for run in runs})
    names = [run.what.name for run in runs]
    students = 3 * 2 * 8
    assert (names.count("by_class"), names.count("confusion_matrix")) == (students, students)
    assert len(runs) == 2 * students
    assert {run.split for run in runs} == {"test"}


def test_the_truth_teaches_only_where_it_is_known():
    labels = [student.label for student in replace(EXPERIMENT, pair=FIXED_DATA).students()]
    assert TRUTH not in labels


def test_a_further_teacher_that_is_the_pairs_own_is_there_once():
    experiment = replace(EXPERIMENT, further=(("tracked", 0.7), ("fixed", 0.4)))
    assert len(experiment.students()) == 3 * 2 * 7
    assert experiment.students() == replace(EXPERIMENT, further=()).students()


def test_the_student_from_scratch_lacks_the_classes_as_well():
    alone = [student for student in EXPERIMENT.students() if student.stage == "teacher"]
    assert [(student.part.omit, student.seed) for student in alone] == [
        (omitted, seed) for seed in (0, 1, 2) for omitted in ((9,), (9, 7))
    ]


def test_one_row_per_student():
    table = EXPERIMENT.table(made_up_lab(answer))
    assert len(table) == 3 * 2 * 8
    assert list(table.label[:8]) == ALL_LABELS
    rows = table.set_index(["omitted", "label", "seed"])
    one = rows.loc[("9+7", TRACKED, 1)]
    assert one.accuracy_percent == 46  # (41 + 51) / 2
    assert one.seen_accuracy_percent == 70  # class 0 alone
    assert one.test_accuracy_percent == 64
    assert one.probability_percent == pytest.approx(41 / 4)
    assert one.frequency_percent == 30
    assert one.calibration_error_percent == pytest.approx(5.9)
    only_9 = rows.loc[("9", MLL, 2)]
    assert (only_9.accuracy_percent, only_9.seen_accuracy_percent) == (20, 50)  # (70 + 30) / 2


def test_precision_is_of_what_is_taken_for_an_omitted_class():
    rows = EXPERIMENT.table(made_up_lab(answer)).set_index(["omitted", "label", "seed"])
    precision = rows.precision_percent
    assert precision["9", MLL, 0] == 50  # of two samples taken for 9, one is
    assert precision["9", TRACKED, 0] == 80  # of five, four are
    assert precision["9+7", TRACKED, 0] == pytest.approx(100 * 6 / 7)
    assert precision["9+7", MLL, 0] == 50  # a 7 taken for a 9 is wrong, though both are omitted
    nothing = precision[precision.index.isin(["MLL masked", "from scratch"], level="label")]
    assert len(nothing) == 12
    assert nothing.isna().all()  # nothing is taken for one


@pytest.mark.parametrize("control", ["MLL masked", "from scratch"])
def test_a_control_that_knows_what_it_cannot_know_is_an_error(control):
    def leaks(run):
        fields = answer(run)
        if run.stage == "measurement" and run.what.name == "by_class" and knows_nothing(run.of):
            masked = run.of.stage == "student"
            if masked == (control == "MLL masked"):
                fields["result"]["accuracy_percent"] = [70.0, 0.0, 3.0]
        return fields

    message = f"control '{control}' recognises 3.0 % .* must stay below 1 %"
    with pytest.raises(ValueError, match=message):
        EXPERIMENT.check_controls(made_up_lab(leaks))
    assert EXPERIMENT.findings(made_up_lab(leaks))  # the rest is still said


def test_controls_that_know_nothing_pass_the_check():
    EXPERIMENT.check_controls(made_up_lab(answer))


def test_summary_and_its_long_form():
    lab = made_up_lab(answer)
    summary = EXPERIMENT.summary(lab)
    metrics = [
        "accuracy_percent",
        "gain_over_fine_tuned_points",
        "gain_over_mll_points",
        "seen_accuracy_percent",
        "test_accuracy_percent",
        "probability_percent",
        "frequency_percent",
        "calibration_error_percent",
        "precision_percent",
    ]
    assert sorted(summary) == sorted(metrics)
    assert list(summary)[:3] == [
        "accuracy_percent",
        "gain_over_fine_tuned_points",
        "gain_over_mll_points",
    ]
    assert list(summary.index.get_level_values("label")) == ALL_LABELS * 2
    assert set(summary.index.get_level_values("status")) == {"done"}
    row = summary.loc[("9", TRACKED, "done")]
    assert row.accuracy_percent.mean == 41
    assert (row.gain_over_fine_tuned_points.mean, row.gain_over_mll_points.mean) == (18, 21)
    assert row.precision_percent.mean == 80
    numbers = EXPERIMENT.numbers(lab)
    assert list(numbers) == ["omitted", "label", "metric", "mean", "low", "high", "n"]
    # No gain of two controls over themselves; no precision where nothing is taken for the class.
    assert len(numbers) == 2 * (8 * 9 - 2 - 2)
    assert set(numbers.metric) == set(metrics)


def test_the_main_numbers_name_the_classes_and_what_accuracy_is_of():
    table = EXPERIMENT.main_numbers(made_up_lab(answer))
    assert list(table.index.unique("omitted")) == ["class 9", "classes 9, 7"]
    assert list(table)[:3] == [
        *("omitted_accuracy_percent", SEED_BY_SEED, "gain_over_fine_tuned_points")
    ]
    assert table.omitted_accuracy_percent["class 9", TRACKED].mean == 41
    assert table.precision_percent["class 9", TRACKED].mean == 80
    least, _, most = table.loc[("class 9", TRACKED), SEED_BY_SEED].partition(" to ")
    seeds = EXPERIMENT.table(made_up_lab(answer)).query("omitted == '9' and label == @TRACKED")
    assert float(least) == seeds.accuracy_percent.min()
    assert float(most) == seeds.accuracy_percent.max()


def test_no_percentage_is_below_0_or_above_100():
    assert within_percent(Interval(96, 87, 106, 5)) == Interval(96, 87, 100, 5)
    assert within_percent(Interval(1, -2, 4, 5)) == Interval(1, 0, 4, 5)
    intervals = EXPERIMENT.main_numbers(made_up_lab(answer)).omitted_accuracy_percent
    assert all(interval.low >= 0 for interval in intervals)


def test_settings_are_a_sentence():
    words = "Omitted: class 9 and then classes 9, 7. Seeds: 0, 1, 2."
    assert EXPERIMENT.in_words() == words
    epochs = PAIR.recipe.epochs
    stopped = replace(EXPERIMENT, stops=(1, 2)).in_words()
    assert stopped == f"{words} Early stopping after 1 and 2 of {epochs} epochs."


def test_precision_needs_a_student_of_every_seed_that_takes_something_for_the_class():
    def takes_nothing_once(run):
        fields = answer(run)
        is_matrix = run.stage == "measurement" and run.what.name == "confusion_matrix"
        if is_matrix and (run.of.label, run.of.seed) == (TRACKED, 1):
            fields["result"] = confusion(nothing=True, mll=False)
        return fields

    summary = EXPERIMENT.summary(made_up_lab(takes_nothing_once)).droplevel("status")
    assert summary.precision_percent.isna()["9", TRACKED]
    assert summary.precision_percent["9", MLL].mean == 50


def test_seeds_are_counted():
    lab = made_up_lab(answer)
    assert EXPERIMENT.seeds_text(lab) == "n = 3 seeds"


def test_confusion_in_percent_of_the_true_class():
    percent = EXPERIMENT.confusion(made_up_lab(answer))
    assert list(percent.index.unique("label")) == [MLL, UNTREATED, FIXED, TRACKED]
    assert list(percent["9", MLL]) == [100, 0, 0, 75, 0, 25, 75, 0, 25]
    assert list(percent["9+7", TRACKED]) == [75, 0, 25, 50, 50, 0, 0, 0, 100]


def test_every_finding():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    compared = [(label, UNTREATED) for label in (FIXED, TRACKED, STRONGER)]
    compared += [(UNTREATED, MLL), (TRUTH, MLL), (MLL, "from scratch")]
    # Class 7 is recognised by ten points more.
    for omitted, more in (("class 9", 0), ("classes 9, 7", 5)):
        for treatment, control in compared:
            alone = control == "from scratch"
            seed = control == MLL  # whose students alone do not gain by the seed, 1 on average
            recognised = RECOGNISED[treatment] - (-more if alone else RECOGNISED[control] - seed)
            overall = OVERALL[treatment] - (50 if alone else OVERALL[control] - seed)
            trust = (RECOGNISED[treatment] if alone else recognised) / 10
            of = f"{omitted} omitted: the student of {treatment}"
            than = f"than that of {'no teacher' if alone else control}"
            expected[f"{of} recognises more {than}"] = recognised
            expected[f"{of} is better on all classes {than}"] = overall
            # Of the classes that the student was shown, the teachers differ on class 7 alone.
            shown = 0 if more else (recognised + 10 * alone) / 2
            expected[f"{of} is better on the others {than}"] = shown
            expected[f"{of} is better calibrated {than}"] = trust
        claim = f"{omitted} omitted: the student of {STRONGER} recognises more than that of "
        expected[claim + TRACKED] = 5
    assert means == pytest.approx(expected)


def test_findings_say_what_they_compare():
    found = by_claim(EXPERIMENT.findings(made_up_lab(answer)))
    fixed, tracked = (finding for finding in found.values() if finding.primary)
    about = "class 9 omitted: the student of {} recognises more than that of fine-tuned λ=0"
    assert (fixed.claim, tracked.claim) == (about.format(FIXED), about.format(TRACKED))
    assert {(f.decides, f.control) for f in (fixed, tracked)} == {("zero_shot", UNTREATED)}
    assert (tracked.policy, tracked.lam, tracked.against_mll.mean) == ("tracked", 0.7, 21)
    assert tracked.networks == "mlp:width=64 → mlp:width=8"
    assert fixed.difference.mean == -4  # what is unfavourable stays
    stronger = found[about.format(STRONGER)]
    assert (stronger.lam, stronger.primary, stronger.against_mll.mean) == (1.0, False, 26)
    rise = found[MORE.format(STRONGER, TRACKED)]
    assert (rise.lam, rise.control, rise.primary) == (1.0, TRACKED, False)


def test_a_setting_that_collapsed_is_in_the_table_and_no_finding():
    lab = collapsing(STRONGER)
    summary = EXPERIMENT.summary(lab)
    row = summary.loc[("9", STRONGER, "3 of 3 not run")]
    assert row.isna().all()
    assert not any(STRONGER in claim for claim in by_claim(EXPERIMENT.findings(lab)))
    assert STRONGER not in set(EXPERIMENT.numbers(lab).label)
    outcomes = EXPERIMENT.outcomes(lab)
    assert outcomes[STRONGER] == "6 of 6 not run"
    assert (outcomes.drop(STRONGER) == "done").all()
    assert list(outcomes.index) == ALL_LABELS
    assert EXPERIMENT.seeds_text(lab) == "n ≤ 3 seeds"


def test_the_seeds_left_decide_where_one_collapsed():
    found = by_claim(EXPERIMENT.findings(collapsing(STRONGER, seeds=(1,))))
    gain = found[MORE.format(STRONGER, UNTREATED)]
    assert (gain.difference.mean, gain.difference.n) == (23, 2)
    assert (gain.against_mll.mean, gain.against_mll.n) == (26, 2)  # 25 and 27
    rise = found[MORE.format(STRONGER, TRACKED)]
    assert (rise.difference.mean, rise.difference.n) == (5, 2)


def test_the_pairs_own_mcmi_collapsed_everywhere():
    lab = collapsing(TRACKED)
    assert {f.policy for f in EXPERIMENT.findings(lab) if f.primary} == {"fixed"}
    assert list(EXPERIMENT.confusion(lab).index.unique("label")) == [MLL, UNTREATED, FIXED]


def test_only_students_from_scratch_are_left():
    """They alone have been measured, and have no distiller."""

    def teachers_collapse(run):
        alone = run.chain()[0].model == PAIR.student_from_scratch(0).model
        return answer(run) if alone else {"status": "collapsed"} if run.parent is None else None

    lab = made_up_lab(teachers_collapse)
    experiment = replace(EXPERIMENT, pair=FIXED_DATA)
    table = experiment.table(lab)
    assert set(table.label[table.status == "done"]) == {"from scratch"}
    assert set(table.label) == {*ALL_LABELS} - {TRUTH}
    assert experiment.findings(lab) == []
    experiment.check_controls(lab)


STOPPED = "early stopping epoch=3"


def is_of_stopped(run):
    stopped = {PAIR.early_stopped(seed, 3).key for seed in EXPERIMENT.seeds}
    return bool(stopped & {link.key for link in run.chain()})


def answer_of_stopped(run):
    """Students of the MLL teacher stopped after three epochs recognise 30 % and the seed."""
    fields = answer(run)
    if run.stage == "measurement" and run.what.name == "by_class" and is_of_stopped(run):
        fields["result"]["accuracy_percent"] = [70.0, 40.0 + run.of.seed, 30.0 + run.of.seed]
    return fields


def test_students_of_stopped_teachers_are_told_from_those_of_mll():
    experiment = replace(EXPERIMENT, stops=(3,))
    assert len(experiment.students()) == 3 * 2 * 9
    stopped = [arm for arm in experiment.arms() if arm.label == STOPPED]
    assert {arm.student.teacher.recipe.epochs for arm in stopped} == {3}
    assert {arm.student.label for arm in stopped} == {MLL}  # as far as the run itself knows
    rows = experiment.table(made_up_lab(answer_of_stopped)).set_index(["omitted", "label", "seed"])
    assert rows.accuracy_percent["9", STOPPED, 2] == 32
    assert rows.accuracy_percent["9", MLL, 2] == 20
    assert list(rows.loc["9"].index.unique("label"))[:2] == [MLL, STOPPED]


def test_mcmi_against_early_stopping_is_exploratory():
    experiment = replace(EXPERIMENT, stops=(3,))
    found = by_claim(experiment.findings(made_up_lab(answer_of_stopped)))
    of_stopped = {claim: f for claim, f in found.items() if f.control == STOPPED}
    about = "{} omitted: the student of {} recognises more than that of early stopping, epoch 3"
    assert set(of_stopped) == {
        about.format(omitted, label)
        for omitted in ("class 9", "classes 9, 7")
        for label in (FIXED, TRACKED)
    }
    tracked = of_stopped[about.format("class 9", TRACKED)]
    assert (tracked.difference.mean, tracked.primary, tracked.policy) == (10, False, "tracked")
    before = by_claim(EXPERIMENT.findings(made_up_lab(answer)))
    assert set(found) - set(before) == set(of_stopped)


def test_a_stopped_teacher_that_collapsed_is_compared_with_nothing():
    def collapses(run):
        if is_of_stopped(run):
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    experiment = replace(EXPERIMENT, stops=(3,))
    lab = made_up_lab(collapses)
    assert experiment.outcomes(lab)[STOPPED] == "6 of 6 not run"
    assert not [f for f in experiment.findings(lab) if f.control == STOPPED]
