import pandas as pd
import pytest

from mcmi_core.experiments.seeds_left import gains_left, outcome_by, summarise_left

RUNS = pd.DataFrame(
    {
        "label": ["MLL"] * 3 + ["MCMI"] * 3 + ["other"] * 3,
        "seed": [0, 1, 2] * 3,
        "status": ["done"] * 4 + ["collapsed", "done", "done", "collapsed", "not run"],
        "x": [1.0, 2.0, 9.0, 2.0, None, 12.0, 5.0, None, None],
    }
)
DONE = RUNS[RUNS.status == "done"]


def test_what_has_too_few_seeds_is_left_out():
    summary = summarise_left(DONE, ["label"], ["x"])
    assert list(summary.index) == ["MLL", "MCMI"]
    assert {label: (x.mean, x.n) for label, x in summary.x.items()} == {
        "MLL": (4, 3),
        "MCMI": (7, 2),
    }
    assert summarise_left(DONE[:1], ["label"], ["x"]).empty


def test_differences_are_over_seeds_that_both_have():
    gain = gains_left(DONE, "x", control="MLL")
    assert list(gain.index) == ["MCMI"]
    assert (gain["MCMI"].mean, gain["MCMI"].n) == (2, 2)  # seeds 0 and 2; not 7 − 4
    assert gains_left(DONE, "x", control="none").empty
    assert gains_left(DONE[:0], "x", control="MLL").empty


def test_differences_within_each_setting():
    table = pd.concat([DONE.assign(part=0.5), DONE.assign(part=1.0, x=10 * DONE.x)])
    gain = gains_left(table, "x", control="MLL", by=["part"])
    assert gain.index.names == ["part", "label"]
    assert {place: interval.mean for place, interval in gain.items()} == pytest.approx(
        {(0.5, "MCMI"): 2, (1.0, "MCMI"): 20}
    )


def test_what_became_of_the_runs():
    assert outcome_by(RUNS, "label").to_dict() == {
        "MLL": "all done",
        "MCMI": "1 of 3 collapsed",
        "other": "1 of 3 collapsed; 1 of 3 not run",
    }
