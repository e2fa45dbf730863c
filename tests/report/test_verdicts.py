"""The scoreboard in short: a verdict in words for each method, data set and tier, and no number."""

import pandas as pd
from made_up_board import MEASURED, NOT_MEASURED, TRACKED
from made_up_board import board as made_up_board

from mcmi_core.report.verdicts import markdown_verdicts


def test_one_line_per_claim_and_a_line_per_method_and_data_set():
    head, rule, first, second = markdown_verdicts(made_up_board(), "../notebooks").splitlines()
    assert head == "| claim | paper | truth known | photographs, CPU |"
    assert rule == "|---|---|---|---|"
    assert first == (
        "| P(y\\|x) is better ([08](../notebooks/08_few_shot.ipynb)) | +3 | "
        "fixed: **holds; against MLL open**<br>tracked: **opposite** | "
        "cifar10-jpeg, fixed: **holds; against MLL open**<br>cats, dogs, fixed: **open** |"
    )
    falls = "CMI falls ([02](../notebooks/02_mll_training_dynamics.ipynb))"
    assert second == f"| {falls} | Figure 2 | – | **holds** |"


def test_seeds_that_collapsed_are_said():
    lacking = pd.DataFrame([MEASURED | {"n": 2.0}, TRACKED])
    cell = "fixed: **holds; against MLL open** (2 of 5 seeds)<br>tracked: **opposite** |"
    assert cell in markdown_verdicts(lacking, "..")


def test_a_tier_without_any_verdict_has_no_column_and_is_named():
    nowhere = NOT_MEASURED | {"tier": "the paper's data"}
    text = markdown_verdicts(pd.DataFrame([MEASURED, nowhere]), "..")
    assert text.startswith("| claim | paper | truth known |\n|---|---|---|\n")
    assert text.endswith("| Figure 2 | – |\n\nNot measured yet: the paper's data.\n")
