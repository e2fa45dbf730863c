from dataclasses import replace

import pandas as pd
import pytest
from made_up import FIXED_DATA, LABELS, PAIR, accuracy, made_up_lab

from mcmi_core.base.statistics import Interval, mean_interval
from mcmi_core.experiments.few_shot import FewShot, authors_accuracy, authors_gain, beside_authors
from mcmi_core.experiments.reference import authors_few_shot

EXPERIMENT = FewShot(
    pair=PAIR,
    seeds=(0, 1, 2),
    fractions={"kd": (0.05, 0.5, 1.0), "crd:num_negatives=8": (0.05,)},
)
MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS
GAIN = {MLL: 0, UNTREATED: 1, FIXED: 2, TRACKED: 5, TRUTH: 9}
"""Points at 5 %; half of it at 50 %, nothing with all the data. A seed adds a tenth to MCMI's."""


def answer(run):
    """Without a teacher students have 10 points less than MLL's, whatever they see."""
    if run.stage == "measurement":
        return {"result": {"lam": [0.4, 0.7], "raised_percent": [10 + run.of.seed, 30.0]}}
    if run.stage == "bayes":
        return teacher(80)
    if run.stage == "teacher":
        alone = run.model == PAIR.student_from_scratch(0).model
        return accuracy(40) if alone else teacher(70)
    share = {0.05: 1, 0.5: 0.5, 1.0: 0}[run.part.fraction]
    return accuracy(50 + share * GAIN[run.label] + run.seed / 10 * ("MCMI" in run.label))


def teacher(percent):
    train = {"accuracy_percent": 99.0, "ll_nats": -0.1, "cmi_nats": 0.2}
    return {"metrics": {"train": train, "test": {"accuracy_percent": percent}}}


def losing(label, seeds):
    """Some teachers collapsed, so that their students were not run."""

    def some_collapse(run):
        if run.label == label and run.seed in seeds:
            return {"status": "collapsed"} if run.stage == "teacher" else None
        return answer(run)

    return made_up_lab(some_collapse)


def by_claim(findings):
    return {finding.claim: finding for finding in findings}


def test_mcmi_against_its_controls_at_every_fraction():
    found = by_claim(EXPERIMENT.findings(made_up_lab(answer)))
    means = {claim: finding.difference.mean for claim, finding in found.items()}
    expected = {}
    for distiller, fraction, share in (
        ("kd", "5%", 1),
        ("kd", "50%", 0.5),
        ("kd", "100%", 0),
        ("crd", "5%", 1),
    ):
        about = f"{distiller.upper()}, {fraction} of the data: the student of"
        expected[f"{about} {FIXED} beats that of {UNTREATED}"] = share * 1 + 0.1
        expected[f"{about} {TRACKED} beats that of {UNTREATED}"] = share * 4 + 0.1
        expected[f"{about} {UNTREATED} beats that of {MLL}"] = share * 1
        if distiller != "crd":  # which cannot compare the truth's features
            expected[f"{about} {TRUTH} beats that of {MLL}"] = share * 9
        expected[f"{about} {MLL} beats that of no teacher"] = 10
    assert {claim: mean for claim, mean in means.items() if "gains" not in claim} == pytest.approx(
        expected
    )
    first = found[f"KD, 5% of the data: the student of {TRACKED} beats that of {UNTREATED}"]
    assert first.against_mll.mean == pytest.approx(5.1)


def test_is_the_gain_larger_where_there_is_less():
    found = by_claim(EXPERIMENT.findings(made_up_lab(answer)))
    means = {c: finding.difference.mean for c, finding in found.items() if "gains" in c}
    at = "at 5% than at 50% of the data"
    assert means == pytest.approx(
        {
            f"KD: {FIXED} gains more over {UNTREATED} {at}": 0.5,
            f"KD: {TRACKED} gains more over {UNTREATED} {at}": 2,
            f"KD: {UNTREATED} gains more over {MLL} {at}": 0.5,
            f"KD: {TRUTH} gains more over {MLL} {at}": 4.5,
            f"KD: {MLL} gains more over no teacher {at}": 0,
        }
    )
    tracked = found[f"KD: {TRACKED} gains more over {UNTREATED} {at}"]
    assert tracked.against_mll.mean == pytest.approx(2.5)


def test_which_comparison_decides_which_claim():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    primary = [(f.decides, f.treatment, f.control) for f in findings if f.primary]
    keys = ("few_shot", "all_data", "few_shot_crd", "fewer_more")
    assert sorted(primary) == sorted(
        (key, treatment, UNTREATED) for key in keys for treatment in (FIXED, TRACKED)
    )
    few_shot = [f.claim for f in findings if f.decides == "few_shot"]
    assert all(claim.startswith("KD, 5% of the data") for claim in few_shot)


def test_other_frameworks_and_all_the_data_by_crd_decide_nothing():
    experiment = replace(EXPERIMENT, fractions={"dkd": (0.05, 0.5), "crd": (1.0,)})
    assert not any(finding.primary for finding in experiment.findings(made_up_lab(answer)))


@pytest.mark.parametrize(
    ("sampling", "replicate"),
    [("stratified", "weights and the few samples"), ("first", "weights")],
)
def test_samples_that_every_seed_draws_are_part_of_a_replicate(sampling, replicate):
    experiment = replace(EXPERIMENT, pair=FIXED_DATA, sampling=sampling)
    for finding in experiment.findings(made_up_lab(answer)):
        everything = finding.claim.startswith("KD, 100%")
        assert finding.replicate == ("weights" if everything else replicate)


def test_seeds_whose_teacher_collapsed_do_not_count():
    lab = losing(TRACKED, {2})
    findings = EXPERIMENT.findings(lab)
    n = {
        treatment: {f.difference.n for f in findings if f.treatment == treatment}
        for treatment in (FIXED, TRACKED)
    }
    assert n == {FIXED: {3}, TRACKED: {2}}
    assert EXPERIMENT.outcomes(lab)[TRACKED] == "4 of 12 not run"
    assert EXPERIMENT.outcomes(lab)[FIXED] == "done"
    assert EXPERIMENT.seeds_text(lab).startswith("n ≤ ")
    assert EXPERIMENT.seeds_text(made_up_lab(answer)).startswith("n = ")


def test_the_table_says_how_many_seeds_are_left():
    n = EXPERIMENT.beside_authors(losing(TRACKED, {2})).n.to_dict()
    assert (n["kd", "5 %", FIXED], n["kd", "5 %", TRACKED]) == ("3", "2")


def test_rows_keep_their_order_where_the_first_seed_collapsed():
    kd = EXPERIMENT.accuracy(losing(TRACKED, {0}))["kd", 0.05]
    assert list(kd.index) == [MLL, UNTREATED, FIXED, TRACKED, TRUTH, "from scratch"]


def test_settings_are_a_sentence():
    assert EXPERIMENT.in_words() == (
        "Students see 5, 50 and 100 % of the data by KD and 5 % of the data by CRD, the same share "
        "of every class, drawn anew for each seed. Seeds: 0, 1, 2."
    )


def test_of_one_seed_there_is_no_finding():
    findings = EXPERIMENT.findings(losing(TRACKED, {1, 2}))
    assert TRACKED not in {finding.treatment for finding in findings}
    assert FIXED in {finding.treatment for finding in findings}


def test_teachers_with_the_share_of_images_on_which_mcmi_acts():
    table = EXPERIMENT.teachers(losing(FIXED, (0,)))
    assert list(table.index) == [MLL, UNTREATED, FIXED, TRACKED, TRUTH]
    assert [interval.n for interval in table.train_ll_nats] == [3, 3, 2, 3, 3]
    assert [interval.mean for interval in table.test_accuracy_percent] == [70, 70, 70, 70, 80]
    assert [interval.mean for interval in table.train_cmi_nats] == pytest.approx([0.2] * 5)
    assert table.raised_percent.dropna().to_dict() == {  # of all MLL teachers
        FIXED: mean_interval([10, 11, 12]),
        TRACKED: mean_interval([30, 30, 30]),
    }
    table = EXPERIMENT.teachers(losing(TRACKED, (0, 1)))
    assert TRACKED not in table.index  # one seed has no interval


def test_all_students_of_a_seed_are_asked_for():
    runs = EXPERIMENT.runs()
    of_kd, of_crd, alone = 3 * 3 * 5, 3 * 4, 3 * 3  # a student from scratch serves both frameworks
    assert len(runs) == len({run.key for run in runs}) == of_kd + of_crd + alone + 3
    *students, first, second, third = runs
    assert [share.of for share in (first, second, third)] == [PAIR.mll(seed) for seed in range(3)]
    assert {student.part.seed for student in students} == {0, 1, 2}
    assert {student.part.sampling for student in students} == {"stratified"}


def test_seeds_whose_teacher_collapsed_were_asked_for():
    found = by_claim(EXPERIMENT.findings(losing(TRACKED, (0,))))
    tracked = [each for claim, each in found.items() if f"{TRACKED} beats" in claim]
    assert {(each.difference.n, each.asked) for each in tracked} == {(2, 3)}


def test_a_student_from_scratch_stands_beside_each_framework():
    table = EXPERIMENT.table(made_up_lab(answer))
    alone = table[table.label == "from scratch"]
    seeds = alone.groupby(["distiller", "fraction"]).seed.apply(tuple)
    settings = [("crd", 0.05), ("kd", 0.05), ("kd", 0.5), ("kd", 1.0)]
    assert seeds.to_dict() == dict.fromkeys(settings, (0, 1, 2))


def test_authors_trials_become_intervals_where_they_were_repeated():
    trials = authors_few_shot()
    mine = trials[(trials.distiller == "kd") & (trials.fraction == 0.05) & (trials.label == "MLL")]
    interval = authors_accuracy()["kd", 0.05, "MLL"]
    assert interval.mean == pytest.approx(mine.accuracy_percent.mean())
    assert interval.n == len(mine) > 1


def test_gains_are_over_the_control_and_beside_it_over_mll():
    lab = made_up_lab(answer)
    gain, over_mll = EXPERIMENT.gain(lab), EXPERIMENT.gain(lab, over_mll=True)
    assert gain["kd", 0.05, TRACKED].mean == pytest.approx(4.1)
    assert over_mll["kd", 0.05, TRACKED].mean == pytest.approx(5.1)
    assert gain["kd", 0.5, MLL].mean == pytest.approx(-0.5)
    assert over_mll["crd", 0.05, "from scratch"].mean == pytest.approx(-10)
    assert UNTREATED not in gain.index.unique("label")
    assert MLL not in over_mll.index.unique("label")


def test_ours_stand_beside_the_authors_at_equal_fractions():
    def intervals(rows):
        names = ["distiller", "fraction", "label"]
        index = pd.MultiIndex.from_tuples(rows, names=names)
        return pd.Series([Interval(*numbers) for numbers in rows.values()], index)

    ours = intervals(
        {
            ("kd", 0.05, MLL): (60, 59, 61, 3),
            ("kd", 0.05, TRACKED): (64, 63, 65, 3),
            ("kd", 0.05, "from scratch"): (40, 39, 41, 3),
            ("crd", 0.05, MLL): (50, 49, 51, 3),
        }
    )
    authors = intervals(
        {
            ("kd", 0.05, MLL): (52, 51, 53, 5),
            ("kd", 0.05, "MCMI fixed λ=0.15"): (58, 57, 59, 5),
            ("kd", 0.5, MLL): (1, 0, 2, 5),
            ("kd", 0.5, "MCMI fixed λ=0.15"): (3, 2, 4, 5),
        }
    )
    gain = intervals({("kd", 0.05, MLL): (-1, -2, 0, 3), ("kd", 0.05, TRACKED): (3, 2, 4, 3)})
    over_mll = intervals({("kd", 0.05, TRACKED): (4, 3, 5, 3)})
    authors_over_mll = pd.Series({("kd", 0.05): Interval(6, 5, 7, 5)})
    table = beside_authors(ours, gain, over_mll, authors, authors_over_mll)
    theirs = "authors, CIFAR-100: MCMI fixed λ=0.15"
    rows = {
        ("kd", "5 %", MLL): ["60.0 [59.0, 61.0]", "-1.0 [-2.0, +0.0]", "", "3"],
        ("kd", "5 %", TRACKED): [
            *("64.0 [63.0, 65.0]", "+3.0 [+2.0, +4.0]", "+4.0 [+3.0, +5.0]", "3")
        ],
        ("kd", "5 %", "from scratch"): ["40.0 [39.0, 41.0]", "", "", "3"],
        ("kd", "5 %", theirs): ["58.0 [57.0, 59.0]", "", "+6.0 [+5.0, +7.0]", "5"],
        ("crd", "5 %", MLL): ["50.0 [49.0, 51.0]", "", "", "3"],
    }
    assert list(table) == ["accuracy, %", "gain over λ=0, points", "gain over MLL, points", "n"]
    assert {setting: list(row) for setting, row in table.iterrows()} == rows
    assert list(table.index) == list(rows)
    assert table.index.names == ["distiller", "data", "label"]


def test_the_authors_gain_has_an_interval_where_settings_were_repeated():
    gain = authors_gain()
    assert gain["kd", 0.05].mean == pytest.approx(5.722)
    assert gain["kd", 0.05].low == pytest.approx(5.18, abs=0.005)
    assert gain["crd", 0.75].n == 3
    assert 0.01 not in gain.index.unique("fraction")


def test_the_experiments_own_table_and_note():
    lab = made_up_lab(answer)
    table = EXPERIMENT.beside_authors(lab)
    theirs = table.loc[("kd", "5 %", "authors, CIFAR-100: MCMI fixed λ=0.15")]
    assert theirs["gain over MLL, points"] == "+5.7 [+5.2, +6.3]"
    assert table.loc[("kd", "5 %", TRACKED), "gain over λ=0, points"].startswith("+4.1 [")
    assert EXPERIMENT.note(lab) == (
        "ten Gaussians: MLP, 64 wide → MLP, 8 wide, stratified subsets; last epoch; gains paired "
        "by seed, mean and 95 % t-interval, n = 3 seeds; authors: Welch's interval, n ≤ 5"
    )
    two = replace(EXPERIMENT, seeds=EXPERIMENT.seeds[:2])
    assert "mean without interval, n = 2 seeds; authors" in two.note(lab)


def test_numbers_are_ours_and_the_authors():
    numbers = EXPERIMENT.numbers(made_up_lab(answer))
    assert list(numbers.index.unique("source")) == [
        *("ours, accuracy", "ours, gain over λ=0", "ours, gain over MLL"),
        "authors, gain over MLL, CIFAR-100, best epoch on test",
    ]
    ours = numbers["ours, gain over λ=0", "kd", 0.05, TRACKED]
    assert ours.mean == pytest.approx(4.1)
    assert numbers["ours, gain over MLL", "kd", 0.05, TRACKED].mean == pytest.approx(5.1)
