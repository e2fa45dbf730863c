"""Tables as a notebook shows them."""

from dataclasses import replace

import pandas as pd
import pytest

from mcmi_core.base.statistics import Interval, mean_interval
from mcmi_core.experiments.finding import Finding
from mcmi_core.experiments.pair import FROM_SCRATCH
from mcmi_core.report import tables
from mcmi_core.report.tables import (
    NO_BREAK,
    count_text,
    difference_text,
    in_words,
    interval_columns,
    n_text,
    readable_findings,
    readable_intervals,
    shared_control,
    summary_in_words,
)

FINDING = Finding(
    claim="MCMI's student beats the other",
    quantity="student's test accuracy",
    unit="points",
    difference=Interval(1.234, -0.5, 2.968, 3),
    asked=3,
    replicate="weights",
    data="digits",
    networks="resnet20 → resnet8",
    recipe="teacher 10 epochs",
    policy="tracked",
    lam=0.7,
    treatment="MCMI tracked λ=0.7",
    control="fine-tuned λ=0",
    decides="few_shot",
    decided_in=None,
    against_mll=Interval(2, 1, 3, 3),
    negligible=1.0,
    profile="made up",
    tier="made up",
)
BARELY = mean_interval([0.2, 1.9, 1.1, 1.3, 0.4])  # p = 0.035
CLEARLY = mean_interval([-1.9, -2.1, -2.0, -2.2, -1.8])


def test_intervals_as_text_with_n_of_the_first():
    first, second = Interval(1.234, 1, 1.5, 3), Interval(2, 1, 3, 2)
    columns = {"train_accuracy_percent": [first, second], "train_cmi_nats": [float("nan"), first]}
    table = pd.DataFrame(columns, ["MLL", "MCMI"])
    assert readable_intervals(table).to_dict("list") == {
        "training accuracy, %": ["1.2 [1.0, 1.5]", "2.0 [1.0, 3.0]"],
        "training CMI, nats": ["–", "1.234 [1.000, 1.500]"],
        "n": [3, 2],
    }
    two_digits = readable_intervals(table, percent_digits=2)["training accuracy, %"]
    assert two_digits["MLL"] == "1.23 [1.00, 1.50]"


def test_a_table_in_words():
    index = pd.MultiIndex.from_tuples(
        [("mlp:width=64 → mlp:width=8 on oracle", "early stopping epoch=10")],
        names=["pair", "label"],
    )
    table = pd.DataFrame({"train_cmi_nats": [0.1], "test_accuracy_percent": [60], "n": [5]}, index)
    words = in_words(table)
    assert list(words.columns) == ["training CMI, nats", "test accuracy, %", "n"]
    assert list(words.index.names) == ["pair", "teacher"]
    pair = "ten Gaussians: MLP, 64 wide → MLP, 8 wide"
    assert words.to_numpy().tolist() == [[0.1, 60, 5]]
    assert list(words.index) == [(pair, "early stopping, epoch 10")]
    assert list(table.index.names) == ["pair", "label"]  # what goes into the csv keeps its names

    flat = in_words(table.reset_index())
    assert flat.pair[0] == pair
    assert flat.teacher[0] == "early stopping, epoch 10"
    wide = in_words(table.unstack("label"))
    assert wide.columns.names == [None, "teacher"]
    assert wide.columns[0] == ("training CMI, nats", "early stopping, epoch 10")


def test_a_teacher_may_be_a_network_on_data():
    table = pd.DataFrame({"runs": ["done"]}, pd.Index(["resnet20 on oracle"], name="teacher"))
    assert list(in_words(table).index) == ["ten Gaussians: ResNet-20"]


def test_a_name_in_code_without_words_is_refused():
    with pytest.raises(ValueError, match="no words for 'train_taste_units'; there are some for"):
        in_words(pd.DataFrame({"train_taste_units": [1]}))


def test_a_summary_has_the_digits_of_its_units():
    interval = Interval(1.2345, -1, 1.5, 3)
    names = ["test_accuracy_percent", "train_cmi_nats", "gain_points", "status"]
    table = pd.DataFrame([[interval] * 3 + ["done"], [1.0, 2.0, None, "collapsed"]], columns=names)
    assert summary_in_words(table).to_dict("list") == {
        "test accuracy, %": ["1.2 [-1.0, 1.5]", "1.0"],
        "training CMI, nats": ["1.234 [-1.000, 1.500]", "2.000"],
        "gain over MLL, points": ["+1.2 [-1.0, +1.5]", "–"],
        "status": ["done", "collapsed"],
    }


def test_small_differences_get_a_second_digit_of_points():
    table = pd.DataFrame({"gain_points": [Interval(-0.48, -0.91, -0.05, 10)]})
    [text] = summary_in_words(table, points_digits=2)["gain over MLL, points"]
    assert text == "-0.48 [-0.91, -0.05]"


def exploratory(difference: Interval, claim: str = "exploratory") -> Finding:
    about = {"claim": claim, "difference": difference, "asked": difference.n}
    return replace(FINDING, **about, decides=None, against_mll=None)


def test_a_finding_is_one_row_of_text():
    table = readable_findings([FINDING]).replace(NO_BREAK, " ", regex=True)
    assert table.columns.name == "claim"
    assert table.loc["MCMI's student beats the other"].to_dict() == {
        "difference, points [95 %]": "+1.23 [-0.50, +2.97]",
        "n": "3",
        "against MLL, points [95 %]": "+2.00 [+1.00, +3.00]",
        "verdict": "open; better than MLL",
    }


def test_an_interval_stays_on_one_line():
    [text] = readable_findings([FINDING])["difference, points [95 %]"]
    assert text.split(" ") == [text]


def test_what_varies_has_a_column():
    other = replace(FINDING, unit="nats", control="early stopping epoch=10", against_mll=None)
    table = readable_findings([FINDING, other]).replace(NO_BREAK, " ", regex=True)
    assert list(table["difference [95 %]"]) == [
        "+1.23 [-0.50, +2.97] points",
        "+1.234 [-0.500, +2.968] nats",
    ]
    assert list(table.against) == ["fine-tuned λ=0", "early stopping, epoch 10"]
    assert list(table["against MLL [95 %]"]) == ["+2.00 [+1.00, +3.00] points", "–"]
    assert "against MLL, nats [95 %]" not in readable_findings([other])


def test_what_all_are_compared_with_is_for_the_heading():
    assert shared_control([FINDING, FINDING]) == "fine-tuned λ=0"
    assert shared_control([FINDING, replace(FINDING, control="MLL")]) is None
    assert shared_control([]) is None


def test_no_column_repeats_the_control_that_every_claim_names():
    claims = {"MLL": "a beats MLL", FROM_SCRATCH: "MLL beats no teacher"}
    named = [replace(FINDING, control=control, claim=claim) for control, claim in claims.items()]
    assert "against" not in readable_findings(named)
    assert "against" in readable_findings([*named, FINDING])


def test_claims_are_in_words():
    claim = "MCMI teaches better than label smoothing share=0.1"
    assert list(readable_findings([replace(FINDING, claim=claim)]).index) == [
        "MCMI teaches better than label smoothing 0.1"
    ]


def test_exploratory_findings_are_adjusted_for_their_number():
    several = [exploratory(BARELY, "a"), exploratory(BARELY, "b"), exploratory(CLEARLY)]
    assert list(readable_findings(several).verdict) == ["open (Holm)"] * 2 + ["opposite"]
    assert list(readable_findings([exploratory(BARELY)]).verdict) == ["holds"]


def test_what_includes_zero_by_itself_is_open_without_holm():
    both = [exploratory(Interval(0, -2, 2, 5), "a"), exploratory(CLEARLY)]
    assert list(readable_findings(both).verdict) == ["open", "opposite"]


def test_a_primary_one_is_not_adjusted_nor_is_one_decided_in_another_notebook():
    primary = replace(FINDING, difference=BARELY)
    elsewhere = replace(FINDING, decides=None, decided_in="08_few_shot", difference=BARELY)
    table = readable_findings([primary, elsewhere, *[exploratory(BARELY)] * 3])
    assert list(table.verdict) == ["holds", "holds", *["open (Holm)"] * 3]


def test_the_difference_to_mll_has_its_own_n():
    findings = [replace(FINDING, against_mll=Interval(2, 1, 3, n)) for n in (3, 2)]
    assert list(readable_findings(findings).n) == ["3", "3 / 2"]
    assert [n_text(5.0, n, 5.0) for n in (None, 4.0, 5.0)] == ["5", "5 / 4", "5"]
    assert n_text(5.0, float("nan"), 5.0) == "5"
    assert [n_text(2, 2, 5), n_text(3, 2, 5)] == ["2 of 5", "3 / 2 of 5"]  # runs collapsed


def test_no_finding_is_an_empty_table():
    """Where runs collapsed and left too few seeds."""
    table = readable_findings([])
    assert table.empty
    assert list(table.columns) == ["difference [95 %]", "n", "verdict"]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("points", "+1.23 [-0.50, +2.97] points"),
        ("nats", "+1.234 [-0.500, +2.968] nats"),
        ("points per tenfold size", "+1.23 [-0.50, +2.97] points per tenfold size"),
    ],
)
def test_differences_have_the_decimals_of_their_unit(unit, text):
    assert difference_text(FINDING.difference, unit) == text


@pytest.mark.parametrize(
    ("findings", "text"),
    [
        ([], "0 primary comparisons, 0 exploratory: 0 exclude zero, 0 after Holm's adjustment"),
        (
            [FINDING, exploratory(BARELY)],
            "1 primary comparison, 1 exploratory: 1 exclude zero, 1 after Holm's adjustment",
        ),
        (
            [FINDING] * 2
            + [exploratory(each) for each in (BARELY, CLEARLY, Interval(0, -1, 1, 5))],
            "2 primary comparisons, 3 exploratory: 2 exclude zero, 1 after Holm's adjustment",
        ),
        (
            [replace(FINDING, decides=None, decided_in="08_few_shot"), exploratory(BARELY)],
            "0 primary comparisons, 1 decided in other notebooks, 1 exploratory: 1 exclude zero, "
            "1 after Holm's adjustment",
        ),
    ],
)
def test_comparisons_are_counted(findings, text):
    assert count_text(findings) == text


def test_intervals_become_columns():
    index = pd.MultiIndex.from_tuples([("a", 1.0), ("b", 2.0)], names=["label", "bits"])
    table = interval_columns(pd.Series([Interval(2, 1, 3, 5), Interval(0, -1, 1, 4)], index))
    assert table.to_dict("records") == [
        {"label": "a", "bits": 1.0, "mean": 2, "low": 1, "high": 3, "n": 5},
        {"label": "b", "bits": 2.0, "mean": 0, "low": -1, "high": 1, "n": 4},
    ]


def test_the_metric_may_have_a_column_of_its_own():
    intervals = pd.Series({"MLL": Interval(2, 1, 3, 5)}).rename_axis("label")
    table = interval_columns(intervals, "train_cmi_nats")
    assert list(table.columns) == ["metric", "label", "mean", "low", "high", "n"]
    assert list(table.metric) == ["train_cmi_nats"]


def test_a_table_stands_below_its_heading(monkeypatch):
    shown = []
    monkeypatch.setattr(tables, "display", lambda *objects: shown.extend(objects))
    tables.show_table("ten Gaussians", pd.DataFrame({"n": [1]}))
    assert shown[0].data == "**ten Gaussians**" and shown[1].n[0] == 1
