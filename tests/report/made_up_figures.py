"""Numbers of made-up figures, from which the documents' tables are made."""

import made_up_board
import pandas as pd

CONTROL = "fine-tuned λ=0"
METRICS = (
    "train_cmi_nats",
    "train_bcpd_kl_nats",
    "test_bcpd_kl_nats",
    "student_accuracy_percent",
    "student_gain_points",
    "few_shot_student_accuracy_percent",
    "few_shot_student_gain_points",
)
BLOCK = (
    "# T\n<!-- results -->\nold\n<!-- end of results -->\n"
    "<!-- claims -->\nolder\n<!-- end of claims -->\nrest\n"
)
README = "# R\n<!-- summary -->\nold\n<!-- end of summary -->\nrest\n"
PAPER = "# P\n<!-- verdicts -->\nold\n<!-- end of verdicts -->\nrest\n"


def numbers() -> pd.DataFrame:
    rows = [
        {"label": label, "metric": metric, "mean": 1.234, "low": 1.1, "high": 2.0, "n": 5}
        for metric in METRICS
        for label in ("MLL", CONTROL, "from scratch")
        if not (label == CONTROL and "gain" in metric)
        if not (label == "from scratch" and "nats" in metric)
    ]
    return pd.DataFrame(rows)


def save(folder):
    """As the notebooks save them."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers().to_csv(folder / "12_bayes_oracle_oracle.csv", index=False)
    made_up_board.board().to_csv(folder / "99_claims.csv", index=False)
    made_up_board.exploratory().to_csv(folder / "99_claims_exploratory.csv", index=False)
