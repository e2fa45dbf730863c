"""The scoreboard as text: a verdict stands beside method, λ, control, data and n."""

import pandas as pd
import pytest
from made_up_board import MEASURED, NOT_MEASURED, TRACKED, exploratory
from made_up_board import board as made_up_board

from mcmi_core.report.scoreboard import (
    claimed,
    markdown_comparisons,
    markdown_scoreboard,
    measured_on,
    readable_scoreboard,
)
from mcmi_core.report.tables import NO_BREAK


@pytest.fixture(params=["in memory", "from csv"])
def board(request, tmp_path):
    """As the notebook has it, and as it is read from the committed figures."""
    board = made_up_board()
    if request.param == "in memory":
        return board
    board.to_csv(tmp_path / "board.csv", index=False)
    return pd.read_csv(tmp_path / "board.csv")


def test_every_row_has_its_verdict_beside_the_numbers(board):
    table = readable_scoreboard(board).replace(NO_BREAK, " ", regex=True)
    assert table.index.names == ["claim", "tier"]
    assert table.index[1] == ("P(y|x) is better", "truth known")
    assert table.iloc[0].to_dict() == {
        "compared": "fixed λ=0.25",
        "difference [95 %]": "+1.00 [+0.50, +1.50]",
        "against MLL [95 %]": "+2.00 [-0.25, +4.25]",
        "n": "5 / 4",
        "verdict": "holds; against MLL open",
    }
    assert table.index[3] == ("P(y|x) is better", "photographs, CPU: cats, dogs")
    without_mcmi = table.iloc[4]  # what is not measured has no row
    assert without_mcmi.compared == "epoch 5 against epoch 20"
    assert without_mcmi["difference [95 %]"] == "+0.125 [+0.062, +0.188] nats"
    assert (without_mcmi["against MLL [95 %]"], without_mcmi["n"]) == ("–", "5")


def test_what_it_was_measured_on_is_said_once(board):
    table = measured_on(board)
    assert list(table.index) == [
        ("02_mll_training_dynamics", "photographs, CPU"),
        ("08_few_shot", "truth known"),
        *[("08_few_shot", "photographs, CPU")] * 2,
    ]
    assert table.iloc[1].to_dict() == {
        "data": "ten Gaussians",
        "networks": "big → small",
        "epochs": "student 6 epochs",
        "a replicate varies": "data and weights",
    }
    pairs = MEASURED | {"networks": "mlp:width=8 / resnet20 → mlp:width=4"}
    [networks] = measured_on(pd.DataFrame([pairs])).networks
    assert networks == "MLP, 8 wide / ResNet-20 → MLP, 4 wide"


def test_claims_have_the_papers_figure_measured_or_not(board):
    table = claimed(board)
    assert list(table.columns[2:]) == ["truth known", "photographs, CPU"]
    better, falls = table.loc["P(y|x) is better"], table.loc["CMI falls"]
    assert better.tolist() == ["+3", "08_few_shot", "measured", "measured"]
    assert falls.tolist() == ["Figure 2", "02_mll_training_dynamics", "–", "measured"]


def test_a_claim_is_named_once_and_what_is_decided_is_bold(board):
    text = markdown_comparisons(board).replace(NO_BREAK, " ")
    head, rule, *lines = text.splitlines()
    assert head.startswith("| claim | tier | compared | difference [95 %] | against MLL")
    assert rule.count("---") == 7
    assert lines[0] == (
        r"| **P(y\|x) is better** | truth known | fixed λ=0.25 | +1.00 [+0.50, +1.50] | "
        "+2.00 [-0.25, +4.25] | 5 / 4 | **holds**; against MLL open |"
    )
    assert lines[1].startswith("|  |  | tracked λ=0.7 | -4.00")
    assert lines[1].endswith("| **opposite** |")
    assert lines[2].startswith("|  | photographs, CPU: CIFAR-10")
    assert lines[4].startswith("| **CMI falls** | photographs, CPU | epoch 5")
    starred = markdown_comparisons(pd.DataFrame([MEASURED | {"statement": "closer to P*"}]))
    assert r"| **closer to P\*** |" in starred


def test_replicates_that_collapsed_are_said():
    lacking = pd.DataFrame([MEASURED | {"n": 2.0, "mll_n": 2.0}])
    assert readable_scoreboard(lacking).n.item() == "2 of 5"
    assert "+1.0 [+0.5, +1.5], n=2 of 5 |" in markdown_scoreboard(lacking, exploratory())
    assert markdown_scoreboard(lacking, exploratory()).endswith("a run collapsed.\n")


def test_one_line_per_claim_in_markdown_with_a_column_per_tier(board):
    head, rule, first, second, blank, count = markdown_scoreboard(board, exploratory()).splitlines()
    assert head == "| claim | paper | truth known | photographs, CPU |"
    assert rule.count("|") == first.replace("\\|", "").count("|") == second.count("|") == 5
    known = (
        "fixed λ=0.25: **holds; against MLL open** +1.0 [+0.5, +1.5], n=5 / 4<br>"
        "tracked λ=0.7: **opposite** -4.0 [-6.0, -2.0], n=5 / 4"
    )
    photographs = (
        "cifar10-jpeg, fixed λ=0.25: **holds; against MLL open** +1.0 [+0.5, +1.5], n=5 / 4<br>"
        "cats, dogs, fixed λ=0.25: **open** +1.0 [+0.5, +1.5], n=5 / 4"
    )
    statement = "P(y\\|x) is better ([08](../notebooks/08_few_shot.ipynb))"
    assert first == f"| {statement} | +3 | {known} | {photographs} |"
    assert second == (
        "| CMI falls ([02](../notebooks/02_mll_training_dynamics.ipynb)) | Figure 2 | – | "
        "epoch 5: **holds** +0.12 [+0.06, +0.19] nats, n=5 |"
    )
    assert blank == ""
    assert count == (
        "5 primary comparisons: 2 “holds; against MLL open”, 1 “opposite”, 1 “open”, 1 “holds”. 50 "
        "exploratory comparisons by the same experiments: 10 exclude zero, 3 after Holm's "
        "adjustment for the number in each. Unless a cell names another, MCMI's control is the "
        'same teacher, fine-tuned as long without CMI (λ = 0); "MLL" in a verdict is the '
        "difference to the MLL teacher."
    )


def test_a_method_without_one_lambda():
    several = MEASURED | {"treatment": "MCMI fixed, λ per pair", "lam": float("nan")}
    text = markdown_scoreboard(pd.DataFrame([several, TRACKED]), exploratory())
    assert "fixed, λ per pair: **holds; against MLL open**" in text


def test_another_control_than_fine_tuning_alone_is_named():
    stopped = MEASURED | {"control": "early stopping epoch=18"}
    text = markdown_scoreboard(pd.DataFrame([stopped, TRACKED]), exploratory())
    assert "| fixed λ=0.25 against early stopping, epoch 18: **holds" in text
    assert "<br>tracked λ=0.7: **opposite**" in text


def test_a_board_on_which_nothing_is_measured():
    board = pd.DataFrame([NOT_MEASURED])
    text = markdown_scoreboard(board, exploratory().iloc[:0])
    assert "| Figure 2 | – |\n\n0 primary comparisons. 0 exploratory comparisons by" in text
    assert readable_scoreboard(board).empty
