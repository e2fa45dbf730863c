"""MLL, fine-tuning alone and MCMI, framework by framework: what is found, and what is left out."""

from dataclasses import replace
from typing import ClassVar

import pytest
from made_up import PAIR, accuracy, made_up_lab

from mcmi_core.experiments.comparison import Comparison

METRIC = "test_accuracy_percent"
UNTREATED = "fine-tuned λ=0"


PAIRS = (replace(PAIR, lam=0.2), replace(PAIR, teacher="mlp:width=128"))
"""Two teachers of one student, with λ 0.2 and 0.4 for ``fixed``, 0.7 for ``tracked``."""


class Example(Comparison):
    name = "an example"
    mean_decides = "frameworks"
    framework_decides: ClassVar = {"dkd": "dkd"}


EXPERIMENT = Example(pairs=PAIRS, frameworks=("kd", "dkd"), seeds=(0, 1, 2))
NAMES = ["mlp:width=64 → mlp:width=8", "mlp:width=128 → mlp:width=8"]
IN_WORDS = ["MLP, 64 wide → MLP, 8 wide", "MLP, 128 wide → MLP, 8 wide"]


def wide(run):
    return (run if run.stage == "teacher" else run.teacher).model.options["width"] == 128


def answer(run):
    """Students from scratch are at 40, those of MLL at 50, and of λ = 0 at 51.

    `fixed` gains over MLL 4 and 2 by kd and dkd of the first teacher, −1 and −3 of the second, ± a
    point by seed; `tracked` a point more.
    """
    if run.stage == "teacher":
        scratch = run.model.options["width"] == 8
        return accuracy(40 if scratch else 70 - 5 * ("MCMI" in run.label))
    gain = {"kd": 4, "dkd": 2}[run.distiller.name] - 5 * wide(run) + run.seed - 1
    gain += "tracked" in run.label
    untreated = {"MLL": 0, UNTREATED: 1}
    return accuracy(50 + untreated.get(run.label, gain))


def below_scratch(framework):
    """Students of that framework have 20 points less, all of them."""

    def other(run):
        fields = answer(run)
        if run.stage == "student" and run.distiller.name == framework:
            fields["metrics"]["test"]["accuracy_percent"] -= 20
        return fields

    return other


def collapsed(framework, seeds, kind="MCMI fixed"):
    """The second pair's students of a kind of teacher collapse in one framework and some seeds."""

    def answer_without(run):
        lost = run.stage == "student" and run.distiller.name == framework and run.seed in seeds
        if lost and wide(run) and run.label.startswith(kind):
            return {"status": "collapsed"}
        return answer(run)

    return answer_without


def findings(answer, experiment=EXPERIMENT):
    return experiment.findings(made_up_lab(answer))


def primary(found, decides, policy):
    (one,) = [f for f in found if (f.decides, f.policy) == (decides, policy)]
    return one


def test_runs_are_teachers_students_and_students_from_scratch():
    runs = EXPERIMENT.runs()
    from_scratch = 3  # both pairs have the same student
    students = 2 * 2 * 3 * 4
    assert len(runs) == len({run.key for run in runs}) == 2 * 3 * 4 + from_scratch + students


def test_every_student_stands_in_its_own_row():
    table = EXPERIMENT.student_table(made_up_lab(answer))
    assert list(table.pair.unique()) == NAMES
    for row in table.itertuples():
        assert row.framework == row.distiller_name
        assert row.pair == f"mlp:width={row.teacher_model_width} → mlp:width=8"


def test_last_epoch():
    last = EXPERIMENT.last(made_up_lab(answer))
    assert list(last.fixed_over_mll_mean) == [4, 2, -1, -3]
    assert list(last.fixed_over_untreated_mean) == [3, 1, -2, -4]
    assert list(last.tracked_over_untreated_mean) == [4, 2, -1, -3]
    assert list(last.scratch_mean) == [40] * 4 and last.trains.all()
    assert list(last.pair) == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert list(last.framework) == ["kd", "dkd"] * 2


def test_the_mean_over_pairs_and_frameworks_is_primary():
    found = findings(answer)
    for policy, mean in (("fixed", -0.5), ("tracked", 0.5)):
        one = primary(found, "frameworks", policy)
        assert one.claim == (
            f"the students of MCMI {policy} beat those of fine-tuned λ=0, mean over 4 of 4 pairs "
            "and frameworks"
        )
        assert one.difference.mean == pytest.approx(mean)
        assert one.against_mll.mean == pytest.approx(mean + 1)
        assert (one.difference.n, one.control) == (3, UNTREATED)
    fixed, tracked = (primary(found, "frameworks", policy) for policy in ("fixed", "tracked"))
    assert (fixed.lam, fixed.networks) == (None, "2 pairs; λ = 0.2, 0.4")
    assert fixed.treatment == "MCMI fixed, λ per pair"
    assert (tracked.lam, tracked.networks) == (0.7, "2 pairs; λ = 0.7")
    assert tracked.treatment == "MCMI tracked λ=0.7"


def test_fine_tuning_alone_has_its_own_mean_which_decides_nothing():
    (alone,) = [f for f in findings(answer) if f.control == "MLL"]
    assert alone.claim == (
        "the students of fine-tuned λ=0 beat those of MLL, mean over 4 of 4 pairs and frameworks"
    )
    assert (alone.difference.mean, alone.decides, alone.policy) == (1, None, "–")
    assert (alone.treatment, alone.lam, alone.against_mll) == (UNTREATED, None, None)


def test_a_framework_may_decide_a_claim_of_its_own():
    one = primary(findings(answer), "dkd", "fixed")
    assert one.claim == (
        "DKD: the students of MCMI fixed beat those of fine-tuned λ=0, mean over pairs"
    )
    assert one.difference.mean == pytest.approx(-1.5)
    assert one.against_mll.mean == pytest.approx(-0.5)


def test_rows_are_exploratory():
    rows = [f for f in findings(answer) if f.claim.startswith("MLP")]
    assert len(rows) == 4 * 2 and not any(f.primary for f in rows)
    last = rows[-2]
    assert last.claim == (
        f"{IN_WORDS[1]}, DKD: the students of MCMI fixed λ=0.4 beat those of fine-tuned λ=0"
    )
    assert (last.difference.mean, last.against_mll.mean) == (-4, -3)
    assert (last.lam, last.policy, last.networks) == (0.4, "fixed", NAMES[1])


def test_one_pair_states_its_lambda_and_says_each_thing_once():
    found = findings(answer, replace(EXPERIMENT, pairs=PAIRS[:1]))
    mean = found[0]
    assert mean.claim.endswith("beat those of fine-tuned λ=0, mean over 2 of 2 frameworks")
    assert (mean.lam, mean.networks, mean.difference.mean) == (0.2, NAMES[0], 2)
    assert (mean.policy, mean.treatment) == ("fixed", "MCMI fixed λ=0.2")
    assert [f.decides for f in found] == [*["frameworks"] * 2, None, "dkd", "dkd", None, None]
    assert [f.claim.partition(":")[0] for f in found[3:5]] == ["DKD", "DKD"]
    assert all(f.claim.startswith("KD: the students of MCMI") for f in found[5:])


def test_a_framework_that_does_not_train_is_left_out_of_the_mean_and_says_so():
    found = findings(below_scratch("dkd"))
    mean = primary(found, "frameworks", "fixed")
    assert mean.difference.mean == pytest.approx(0.5)  # of 3 and −2
    assert mean.claim.endswith("mean over 2 of 4 pairs and frameworks (2 do not train)")
    dkd = primary(found, "dkd", "fixed")
    assert dkd.claim.startswith("DKD (does not train in 2 of 2 pairs): the students of")
    assert dkd.difference.mean == pytest.approx(-1.5)
    rows = [f.claim for f in found if f.claim.startswith(IN_WORDS[0])]
    assert [f"{IN_WORDS[0]}, DKD (does not train): " in claim for claim in rows] == [
        *(False, False, True, True)
    ]
    assert list(EXPERIMENT.last(made_up_lab(below_scratch("dkd"))).trains) == [True, False] * 2


def test_students_as_good_as_from_scratch_have_trained():
    def equal(run):
        is_scratch = run.stage == "teacher" and run.model.options["width"] == 8
        return accuracy(50) if is_scratch else answer(run)

    assert EXPERIMENT.trains(made_up_lab(equal)).all()


def test_without_students_from_scratch_nothing_is_known_to_have_trained():
    def no_scratch(run):
        is_scratch = run.stage == "teacher" and run.model.options["width"] == 8
        return {"status": "collapsed"} if is_scratch else answer(run)

    assert not EXPERIMENT.trains(made_up_lab(no_scratch)).any()
    assert {f.decides for f in findings(no_scratch)} == {"dkd", None}


def test_a_collapsed_run_drops_one_row_of_every_mean():
    """So that all are over the same frameworks."""
    found = findings(collapsed("kd", seeds=(2,)))
    for policy, mean in (("fixed", 0), ("tracked", 1)):  # of 3, 1 and −4, and of 4, 2 and −3
        one = primary(found, "frameworks", policy)
        assert one.difference.mean == pytest.approx(mean)
        assert one.against_mll.mean == pytest.approx(mean + 1)
        assert one.claim.endswith("mean over 3 of 4 pairs and frameworks (1 is not done)")
    (alone,) = [f for f in found if f.control == "MLL"]
    assert alone.claim.endswith("mean over 3 of 4 pairs and frameworks (1 is not done)")
    rows = [f.claim for f in found if f.claim.startswith(f"{IN_WORDS[1]}, KD")]
    assert len(rows) == 1 and "tracked" in rows[0]  # two seeds are too few


def test_what_is_left_out_is_told_in_plural_and_singular():
    def without_both(run):
        lost = run.stage == "student" and run.distiller.name == "kd" and run.seed == 2
        return {"status": "collapsed"} if lost and wide(run) else below_scratch("dkd")(run)

    one_pair = replace(EXPERIMENT, pairs=PAIRS[:1])
    ((claim, *_), (other, *_)) = (
        [f.claim for f in found if f.decides == "frameworks"]
        for found in (findings(without_both), findings(below_scratch("dkd"), one_pair))
    )
    assert claim.endswith("1 of 4 pairs and frameworks (2 do not train, 1 is not done)")
    assert other.endswith("by KD alone of 2 frameworks (1 does not train)")
    two = findings(collapsed("kd", seeds=(2,), kind="MLL"), one_pair)
    assert two[0].claim.endswith("mean over 2 of 2 frameworks")


@pytest.mark.parametrize("lost", [(), ("teacher",), ("student",)])
def test_one_seed_of_one_pair_has_a_table_and_no_finding(lost):
    experiment = replace(EXPERIMENT, pairs=PAIRS[:1], seeds=(0,))
    lab = made_up_lab(lambda run: {"status": "collapsed"} if run.stage in lost else answer(run))
    assert experiment.findings(lab) == []
    last = experiment.last(lab)
    assert list(last.fixed_mean.isna()) == [bool(lost)] * 2 or lost == ("teacher",)
    assert last.fixed_over_mll_mean.isna().all()
    assert experiment.teacher_table(lab).isna().all(axis=None)


def test_a_framework_that_decides_goes_by_the_seeds_that_are_left():
    one = primary(findings(collapsed("dkd", seeds=(2,))), "dkd", "fixed")
    assert one.difference.n == 2
    gone = primary(findings(collapsed("dkd", seeds=(0, 1, 2))), "dkd", "fixed")
    assert gone.difference == pytest.approx((1, 1 - 2.484, 1 + 2.484, 3), abs=1e-3)


def test_a_pair_without_our_variant():
    pairs = (PAIRS[0], replace(PAIRS[1], tracked_lam=None))
    experiment = replace(EXPERIMENT, pairs=pairs)
    tracked = primary(findings(answer, experiment), "frameworks", "tracked")
    assert tracked.claim.endswith("mean over 2 of 2 pairs and frameworks")
    assert (tracked.lam, tracked.networks, tracked.difference.mean) == (0.7, NAMES[0], 3)
    lacking = experiment.last(made_up_lab(answer)).tracked_mean.isna()
    assert list(lacking) == [False, False, True, True]
    without = replace(EXPERIMENT, pairs=pairs[1:])
    assert {f.policy for f in findings(answer, without)} == {"fixed", "–"}


def test_a_collapsed_run_has_no_best_epoch():
    """It has metrics, and a history that ends before its collapse."""

    def half_way(run):
        fields = answer(run) | {"history": {"test_accuracy_percent": [40.0, None]}}
        if run.stage == "student" and "MCMI" in run.label and run.seed == 2:
            fields |= {"status": "collapsed"}
            fields["history"] = {"test_accuracy_percent": [99.0, None]}
        return fields

    lab = made_up_lab(half_way)
    assert EXPERIMENT.student_table(lab).best_test_accuracy_percent.max() == 99
    best = EXPERIMENT.compared(lab, "best_test_accuracy_percent")
    assert list(best.fixed_mean) == [40] * 4
    assert list(best.fixed_over_mll_n) == [2] * 4
    last = EXPERIMENT.last(lab)
    assert list(last.fixed_over_mll_n) == [2] * 4
    assert list(last.fixed_mean) == [53.5, 51.5, 48.5, 46.5]  # seeds 0 and 1, not the mean of three


def test_no_row_is_done():
    def nothing(run):
        return {"status": "incompatible"} if run.stage == "student" else answer(run)

    assert findings(nothing) == []
    lab = made_up_lab(nothing)
    assert set(EXPERIMENT.last(lab).status) == {"12 of 12 incompatible"}


def test_teachers():
    table = EXPERIMENT.teacher_table(made_up_lab(answer))
    assert list(table) == ["test_accuracy_percent", "train_cmi_nats"]
    assert list(table.index) == [
        (name, label, "done")
        for name, lam in zip(NAMES, (0.2, 0.4), strict=True)
        for label in ("MLL", UNTREATED, f"MCMI fixed λ={lam}", "MCMI tracked λ=0.7")
    ]
    assert [interval.mean for interval in table[METRIC]] == [70, 70, 65, 65] * 2


def test_teachers_that_collapsed_are_counted():
    def half_collapsed(run):
        if run.label == "MCMI fixed λ=0.4" and run.seed > 0:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    lab = made_up_lab(half_collapsed)
    table = EXPERIMENT.teacher_table(lab)
    assert table.loc[(NAMES[1], "MCMI fixed λ=0.4", "2 of 3 collapsed")].isna().all()
    assert list(EXPERIMENT.last(lab).status) == ["done"] * 2 + ["2 of 12 not run"] * 2


def test_the_note_counts_seeds():
    assert EXPERIMENT.note(made_up_lab(answer)) == (
        "ten Gaussians; students of 20 epochs, last epoch, on test; gains paired by seed, mean and "
        "95 % t-interval, n = 3 seeds"
    )
    assert EXPERIMENT.note(made_up_lab(collapsed("kd", (2,)))).endswith("n ≤ 3 seeds")


def test_the_mean_of_each_pair_is_over_what_trains():
    table = EXPERIMENT.with_mean(made_up_lab(answer))
    means = table.iloc[4:]
    assert list(means.framework) == ["mean of 2"] * 2
    assert list(means.pair) == NAMES
    assert list(means.fixed_over_untreated_mean) == pytest.approx([2, -3])
    assert list(means.tracked_over_mll_mean) == pytest.approx([4, -1])
    assert list(means.scratch_mean) == [40] * 2
    assert list(means.trains) == [True, True]
    without = EXPERIMENT.with_mean(made_up_lab(below_scratch("dkd")))
    assert list(without.framework[4:]) == ["mean of 1"] * 2
    assert list(without.fixed_over_untreated_mean[4:]) == pytest.approx([3, -2])
    lost = EXPERIMENT.with_mean(made_up_lab(collapsed("kd", (2,))))
    assert list(lost.framework[4:]) == ["mean of 2", "mean of 1"]
    assert list(lost.fixed_over_untreated_mean[4:]) == pytest.approx([2, -4])


def test_a_mean_over_all_but_some_frameworks_trains_or_not():
    lab = made_up_lab(below_scratch("dkd"))
    both, kd = EXPERIMENT.mean_without(lab), EXPERIMENT.mean_without(lab, "dkd")
    assert list(both.framework) == ["mean of 2"] * 2
    assert list(both.fixed_over_untreated_mean) == pytest.approx([2, -3])
    assert list(both.mll_mean) == [40, 40]  # 50 and 30
    assert list(kd.framework) == ["mean of 1"] * 2
    assert list(kd.fixed_over_untreated_mean) == pytest.approx([3, -2])


def test_a_mean_over_one_framework_is_called_by_its_name():
    experiment = replace(EXPERIMENT, pairs=PAIRS[:1])
    found = experiment.findings(made_up_lab(below_scratch("dkd")))
    assert found[0].claim == (
        "the students of MCMI fixed beat those of fine-tuned λ=0, by KD alone of 2 frameworks "
        "(1 does not train)"
    )
    assert found[0].difference.mean == pytest.approx(3)


def test_where_nothing_trains_there_is_no_mean():
    none = below_scratch("kd")
    experiment = replace(EXPERIMENT, frameworks=("kd",))
    assert list(experiment.with_mean(made_up_lab(none)).framework) == ["kd"] * 2


def test_settings_state_lambda_and_epochs_of_every_pair():
    lines = str(EXPERIMENT).splitlines()
    epochs = "teacher 20 epochs, fine-tuning 5, student 20"
    assert lines[-2:] == [
        f"{NAMES[0]}: MCMI fixed λ=0.2, MCMI tracked λ=0.7; {epochs}",
        f"{NAMES[1]}: MCMI fixed λ=0.4, MCMI tracked λ=0.7; {epochs}",
    ]
