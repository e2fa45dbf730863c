"""Numbers of made-up figures, from which the README's tables are made."""

import pandas as pd

METRICS = (
    "train_cmi_nats",
    "train_bcpd_kl_nats",
    "student_accuracy_percent",
    "student_gain_points",
    "few_shot_student_accuracy_percent",
    "few_shot_student_gain_points",
)
BLOCK = (
    "# T\n<!-- results -->\nold\n<!-- end of results -->\n"
    "<!-- claims -->\nolder\n<!-- end of claims -->\nrest\n"
)


def numbers() -> pd.DataFrame:
    rows = [
        {"label": label, "metric": metric, "mean": 1.234, "low": 1.1, "high": 2.0, "n": 5}
        for metric in METRICS
        for label in ("MLL", "true BCPD")
        if not (label == "MLL" and "gain" in metric)
    ]
    return pd.DataFrame(rows)


def board() -> pd.DataFrame:
    rows = [
        {"statement": "A", "paper": "+3", "claim": "m | y", "mean": 1, "low": 0.5, "high": 1.5},
        {"statement": "A", "paper": "+3", "claim": "o", "mean": -1, "low": -2, "high": 0},
        {"statement": "B", "paper": "Figure 9", "decision": "not measured"},
    ]
    about = {
        "decision": "partly",
        "n": 5,
        "unit": "points",
        "treatment": "MCMI tracked λ=0.7",
        "control": "MLL",
        "policy": "tracked",
        "lam": 0.7,
        "data": "d",
        "networks": "big → small",
        "recipe": "student 6 epochs",
    }
    board = pd.DataFrame([about | row for row in rows[:2]] + rows[2:])
    board.loc[1, ["treatment", "control", "policy", "lam", "n"]] = ["T = 4", "T = 1", "–", None, 3]
    return board.assign(notebook="12_b")


def save(folder):
    """As the notebooks save them."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers().to_csv(folder / "12_bayes_oracle.csv", index=False)
    board().to_csv(folder / "99_claims.csv", index=False)
