"""Tables as a notebook shows them."""

import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.finding import Finding
from mcmi_core.report.tables import interval_columns, readable_findings

FINDING = Finding(
    claim="MCMI's student beats MLL's",
    quantity="student's test accuracy",
    unit="points",
    difference=Interval(1.234, -0.5, 2.968, 3),
    replicate="weights",
    data="digits",
    networks="resnet20 → resnet8",
    recipe="teacher 10 epochs",
    policy="tracked",
    lam=0.7,
    treatment="MCMI tracked λ=0.7",
    control="MLL",
    primary=True,
    profile="made up",
)


def test_a_finding_is_one_row_of_text():
    table = readable_findings([FINDING])
    assert table.index.name == "claim, true if the difference is positive"
    assert table.loc["MCMI's student beats MLL's"].to_dict() == {
        "difference [95 %]": "+1.23 [-0.50, +2.97] points",
        "n": 3,
        "control": "MLL",
        "verdict": "open",
        "kind": "primary",
    }


def test_no_finding_is_an_empty_table():
    """Where runs collapsed and left too few seeds."""
    table = readable_findings([])
    assert table.empty
    assert list(table.columns) == list(readable_findings([FINDING]).columns)


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
