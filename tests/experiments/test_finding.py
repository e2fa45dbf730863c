import pytest
from made_up import FIXED_DATA, PAIR, MadeUpRecords, made_up_lab

from mcmi_core.base.statistics import Interval, mean_interval
from mcmi_core.experiments.finding import (
    TIERS,
    TRUTH_KNOWN,
    adjusted_verdicts,
    by_label,
    exploratory_counts,
    finding,
    findings_table,
)
from mcmi_core.experiments.lab import Lab

LAB = made_up_lab(lambda run: None)
ABOVE, ACROSS, BELOW = Interval(2, 1, 3, 5), Interval(1, -1, 3, 5), Interval(-2, -3, -1, 5)
SMALL = Interval(0.1, -0.7, 0.9, 5)


def made(pair=PAIR, difference=ABOVE, lab=LAB, **changes):
    settings = {"quantity": "student's test accuracy", "asked": 3} | changes
    if not {"teacher", "treatment"} & set(settings):
        settings["teacher"] = pair.mcmi(0)
    return finding(lab, pair, "MCMI's student beats MLL's", difference, **settings)


def test_what_the_pair_says():
    result = made()
    assert (result.data, result.networks) == ("oracle", "mlp:width=64 → mlp:width=8")
    assert result.recipe == "teacher 20 epochs, fine-tuning 5, student 20"
    assert (result.policy, result.lam, result.control) == ("fixed", 0.4, "MLL")
    assert (result.unit, result.primary, result.profile) == ("points", False, "made up")
    assert (result.decides, result.decided_in, result.against_mll) == (None, None, None)
    assert result.exploratory


@pytest.mark.parametrize(
    ("teacher", "policy", "lam", "treatment"),
    [
        (PAIR.mcmi(3), "fixed", 0.4, "MCMI fixed λ=0.4"),
        (PAIR.mcmi(3, centroids="tracked"), "tracked", 0.7, "MCMI tracked λ=0.7"),
        (PAIR.mcmi(0, lam=1.0), "fixed", 1.0, "MCMI fixed λ=1"),
        (PAIR.mcmi(0, lam=1e-5), "fixed", 1e-5, "MCMI fixed λ=1e-05"),
        (PAIR.mcmi(0, lam=1.23456789), "fixed", 1.23456789, "MCMI fixed λ=1.23457"),
        (PAIR.mll(0), "–", None, "MLL"),
        (PAIR.bayes(0), "–", None, "true BCPD"),
        (PAIR.fine_tuned(0, "label_smoothing:share=0.1"), "–", None, "label_smoothing:share=0.1"),
    ],
)
def test_policy_and_lambda_are_the_teachers(teacher, policy, lam, treatment):
    result = made(teacher=teacher)
    assert (result.policy, result.lam, result.treatment) == (policy, lam, treatment)


def test_a_treatment_that_is_no_teacher_has_no_policy():
    result = made(treatment="T = 4", control="T = 1")
    assert (result.treatment, result.policy, result.lam) == ("T = 4", "–", None)


def test_a_treatment_of_a_teachers_students():
    result = made(treatment="all labels", teacher=PAIR.mcmi(0))
    assert (result.treatment, result.policy, result.lam) == ("all labels", "fixed", 0.4)


def test_something_is_compared():
    with pytest.raises(ValueError, match="a finding needs a teacher, or a treatment in words"):
        made(teacher=None)


def test_what_a_replicate_varies():
    assert made(PAIR).replicate == "data and weights"
    assert made(FIXED_DATA).replicate == "weights"
    assert made(FIXED_DATA, few_samples=True).replicate == "weights and the few samples"
    assert made(PAIR, few_samples=True).replicate == "data and weights"


def test_what_is_said_instead():
    said = {"control": "T = 1", "unit": "nats", "networks": "mlp:width=64"}
    result = made(**said, decides="few_shot", against_mll=SMALL)
    assert (result.control, result.unit, result.networks) == tuple(said.values())
    assert (result.primary, result.decides, result.against_mll) == (True, "few_shot", SMALL)


@pytest.mark.parametrize("profile", TIERS)
def test_evidence_has_a_tier(profile):
    lab = Lab(profile, MadeUpRecords(lambda run: None))
    assert made(FIXED_DATA, lab=lab).tier == TIERS[profile]
    assert made(PAIR, lab=lab).tier == TRUTH_KNOWN


@pytest.mark.parametrize("pair", [PAIR, FIXED_DATA])
def test_what_is_no_evidence_is_a_tier_of_its_own(pair):
    assert made(pair).tier == "made up"


@pytest.mark.parametrize(
    ("difference", "against_mll", "word"),
    [
        (ABOVE, None, "holds"),
        (ABOVE, ABOVE, "holds"),
        (ABOVE, ACROSS, "holds; against MLL open"),
        (ABOVE, SMALL, "holds; against MLL open"),
        (ABOVE, BELOW, "holds; worse than MLL"),
        (BELOW, None, "opposite"),
        (BELOW, ABOVE, "opposite; better than MLL"),
        (BELOW, ACROSS, "opposite"),
        (BELOW, BELOW, "opposite"),
        (ACROSS, None, "open"),
        (ACROSS, ABOVE, "open; better than MLL"),
        (ACROSS, ACROSS, "open"),
        (ACROSS, BELOW, "open; worse than MLL"),
        (SMALL, None, "negligible"),
        (SMALL, ABOVE, "negligible; better than MLL"),
        (SMALL, ACROSS, "negligible"),
        (SMALL, BELOW, "negligible; worse than MLL"),
        (Interval(0, -1, 0.5, 5), None, "open"),  # 1 point is not negligible
        (Interval(1, 0, 2, 5), None, "open"),  # above zero is above zero
        (Interval(-1, -2, 0, 5), None, "open"),
        (Interval(0.5, 0.4, 0.6, 5), None, "holds"),  # however small
    ],
)
def test_verdict(difference, against_mll, word):
    assert made(difference=difference, against_mll=against_mll).verdict == word


@pytest.mark.parametrize(
    ("about", "negligible", "word"),
    [
        ({}, 1, "negligible"),
        ({"negligible": 0.9}, 0.9, "open"),
        ({"negligible": None}, None, "open"),
        ({"unit": "nats"}, None, "open"),
        ({"unit": "points per tenfold size"}, None, "open"),
    ],
)
def test_only_of_accuracies_somebody_can_say_what_is_negligible(about, negligible, word):
    result = made(difference=SMALL, **about)
    assert (result.negligible, result.verdict) == (negligible, word)


def test_what_is_decided_here_is_not_decided_elsewhere():
    with pytest.raises(ValueError, match="'few_shot' is decided here, or in 08_few_shot; not both"):
        made(decides="few_shot", decided_in="08_few_shot")


BARELY = mean_interval([0.2, 1.9, 1.1, 1.3, 0.4])
"""p = 0.035: it excludes zero alone, but not among three."""
CLEARLY = mean_interval([1.9, 2.1, 2.0, 2.2, 1.8])


def test_exploratory_verdicts_are_adjusted_for_their_number():
    assert made(difference=BARELY).verdict == "holds"
    assert adjusted_verdicts([made(difference=BARELY)]) == ["holds"]
    three = [made(difference=each) for each in (BARELY, ACROSS, CLEARLY)]
    assert adjusted_verdicts(three) == ["open", "open", "holds"]
    negative = Interval(-BARELY.mean, -BARELY.high, -BARELY.low, 5)
    both = [made(difference=negative), made(difference=BARELY)]
    assert [each.verdict for each in both] == ["opposite", "holds"]
    assert adjusted_verdicts(both) == ["open", "open"]


def test_differences_to_mll_beside_them_are_adjusted_among_themselves():
    alone = made(difference=CLEARLY, against_mll=BARELY)
    assert adjusted_verdicts([alone, made(difference=ACROSS)]) == ["holds", "open"]
    two = [alone, made(difference=BARELY, against_mll=CLEARLY)]
    two += [made(difference=ACROSS, against_mll=ACROSS)]
    assert adjusted_verdicts(two) == ["holds; against MLL open", "open; better than MLL", "open"]


def test_what_does_not_decide_keeps_its_word():
    mixed = [made(difference=SMALL), made(difference=ACROSS, against_mll=CLEARLY)]
    assert adjusted_verdicts(mixed) == ["negligible", "open; better than MLL"]
    barely_small = made(difference=mean_interval([0.1, 0.4, 0.3, 0.35, 0.05]))
    assert adjusted_verdicts([barely_small]) == ["holds"]
    assert adjusted_verdicts([barely_small, *[made(difference=ACROSS)] * 9])[0] == "open"
    assert adjusted_verdicts([]) == []


@pytest.mark.parametrize("about", [{"decides": "few_shot"}, {"decided_in": "08_few_shot"}])
def test_what_is_not_exploratory_is_neither_adjusted_nor_counted(about):
    other = made(difference=BARELY, against_mll=BARELY, **about)
    assert not other.exploratory
    assert adjusted_verdicts([other] * 9) == ["holds"] * 9
    assert adjusted_verdicts([other, made(difference=BARELY), other]) == ["holds"] * 3
    assert exploratory_counts([other] * 9)["exploratory"] == 0


def test_exploratory_findings_are_counted():
    findings = [made(difference=each) for each in (BARELY, ACROSS, CLEARLY)]
    counts = exploratory_counts([*findings, made(decides="few_shot")])
    assert counts == {"exploratory": 3, "exclude_zero": 2, "after_holm": 1}
    assert exploratory_counts([]) == {"exploratory": 0, "exclude_zero": 0, "after_holm": 0}


def test_table_of_findings():
    mll = made(
        difference=BELOW, teacher=PAIR.mll(0), decides="few_shot", against_mll=SMALL._replace(n=4)
    )
    table = findings_table([made(), mll])
    columns = (
        "claim quantity mean low high n asked unit replicate treatment control mll_mean mll_low"
    )
    rest = "mll_high mll_n policy lam data networks recipe verdict decides profile tier"
    assert list(table.columns) == f"{columns} {rest}".split()
    assert list(table.asked) == [3, 3]
    assert list(table.treatment) == ["MCMI fixed λ=0.4", "MLL"]
    assert list(table["mean"]) == [2, -2]
    beside = ["mll_mean", "mll_low", "mll_high", "mll_n"]
    assert table.loc[1, beside].tolist() == [0.1, -0.7, 0.9, 4]
    assert table.loc[0, beside].isna().all()
    assert table.decides.fillna("–").tolist() == ["–", "few_shot"]
    assert list(table.verdict) == ["holds", "opposite"]
    assert list(table.lam.isna()) == [False, True]


def test_a_table_has_adjusted_verdicts():
    table = findings_table([made(difference=BARELY)] * 3)
    assert list(table.verdict) == ["open"] * 3


def test_a_teacher_of_each_label():
    teachers = by_label([PAIR.mll(0), PAIR.untreated(0), PAIR.mll(1)])
    assert list(teachers) == ["MLL", "fine-tuned λ=0"]
    assert teachers["fine-tuned λ=0"] == PAIR.untreated(0)
