import pandas as pd
import pytest

from mcmi_core.experiments.outcomes import outcome_by, seeds_text

RUNS = pd.DataFrame(
    {
        "label": ["MLL"] * 3 + ["MCMI"] * 3 + ["other"] * 3,
        "status": ["done"] * 4 + ["collapsed", "done", "done", "collapsed", "not run"],
    }
)


def test_what_became_of_the_runs():
    assert outcome_by(RUNS, "label").to_dict() == {
        "MLL": "done",
        "MCMI": "1 of 3 collapsed",
        "other": "1 of 3 collapsed; 1 of 3 not run",
    }


@pytest.mark.parametrize(("label", "text"), [("MLL", "n = 3 seeds"), ("MCMI", "n ≤ 3 seeds")])
def test_how_many_seeds_there_are(label, text):
    assert seeds_text(RUNS.status[RUNS.label == label], (0, 1, 2)) == text
