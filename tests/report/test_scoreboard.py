"""The scoreboard as text: a verdict stands beside policy, λ, control, data and n."""

import numpy as np
import pandas as pd
import pytest

from mcmi_core.report.scoreboard import markdown_scoreboard, readable_scoreboard

FINDING = {
    "statement": "P(y|x)",
    "paper": "+3",
    "notebook": "12_b",
    "decision": "partly",
    "claim": "with 5 %: I(X; Y | Z) grows",
    "mean": 1.0,
    "low": 0.5,
    "high": 1.5,
    "n": 5.0,
    "unit": "points",
    "replicate": "data and weights",
    "treatment": "MCMI tracked λ=0.7",
    "control": "MLL",
    "policy": "tracked",
    "lam": 0.7,
    "data": "digits",
    "networks": "big → small",
    "recipe": "student 6 epochs",
}
WITHOUT_MCMI = FINDING | {
    "claim": "CMI falls",
    "mean": -1.0,
    "low": -2.0,
    "high": 0.0,
    "n": 3.0,
    "unit": "nats",
    "treatment": "T = 4",
    "control": "T = 1",
    "policy": "–",
    "lam": np.nan,
}
SEVERAL_LAMBDAS = FINDING | {
    "claim": "MCMI's students beat MLL's",
    "treatment": "MCMI fixed, λ per pair",
    "policy": "fixed",
    "lam": np.nan,
}
EMPTY = dict.fromkeys(FINDING, np.nan) | {
    "statement": "Q",
    "paper": "Figure 9",
    "notebook": "13_c",
    "decision": "not measured",
}


@pytest.fixture(params=["in memory", "from csv"])
def board(request, tmp_path):
    """As the notebook has it, and as it is read from the committed figures."""
    board = pd.DataFrame([FINDING, WITHOUT_MCMI, EMPTY])
    if request.param == "in memory":
        return board
    board.to_csv(tmp_path / "board.csv", index=False)
    return pd.read_csv(tmp_path / "board.csv")


def test_every_row_says_what_its_verdict_depends_on(board):
    table = readable_scoreboard(board)
    assert list(table.index) == [
        ("P(y|x)", "+3", "partly"),
        ("P(y|x)", "+3", "partly"),
        ("Q", "Figure 9", "not measured"),
    ]
    assert list(table.iloc[0]) == [
        "with 5 %: I(X; Y | Z) grows",
        "+1.00 [+0.50, +1.50] points",
        "5",
        "data and weights",
        "MCMI tracked λ=0.7 against MLL",
        "big → small on digits; student 6 epochs",
        "12_b",
    ]
    assert table["compared"].iloc[1] == "T = 4 against T = 1"
    assert list(table.iloc[2]) == ["–"] * 6 + ["13_c"]


def test_a_policy_without_one_lambda():
    table = readable_scoreboard(pd.DataFrame([SEVERAL_LAMBDAS]))
    assert list(table["compared"]) == ["MCMI fixed, λ per pair against MLL"]
    assert "| MCMI fixed, λ per pair against MLL |" in markdown_scoreboard(
        pd.DataFrame([SEVERAL_LAMBDAS])
    )


def test_one_line_per_claim_in_markdown(board):
    head, rule, first, second = markdown_scoreboard(board).splitlines()
    assert head.count("|") == rule.count("|") == first.replace("\\|", "").count("|") == 8
    found = (
        "with 5 %: I(X; Y \\| Z) grows: +1.00 [+0.50, +1.50] points, n = 5"
        "<br>CMI falls: -1.00 [-2.00, +0.00] nats, n = 3"
    )
    compared = "MCMI tracked λ=0.7 against MLL<br>T = 4 against T = 1"
    measured_on = "big → small on digits; student 6 epochs"  # once, as both findings are
    assert first == (
        f"| P(y\\|x) | +3 | {found} | {compared} | {measured_on} | **partly** | "
        "[12](notebooks/12_b.ipynb) |"
    )
    assert second == (
        "| Q | Figure 9 | – | – | – | **not measured** | [13](notebooks/13_c.ipynb) |"
    )
