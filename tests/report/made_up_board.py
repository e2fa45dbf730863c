"""A made-up scoreboard: one claim in two tiers and on two data sets, and one without MCMI."""

import numpy as np
import pandas as pd

MEASURED = {
    "key": "few_shot",
    "statement": "P(y|x) is better",
    "paper": "+3",
    "notebook": "08_few_shot",
    "claim": "its student beats the other",
    "quantity": "student's test accuracy",
    "mean": 1.0,
    "low": 0.5,
    "high": 1.5,
    "n": 5.0,
    "asked": 5.0,
    "unit": "points",
    "replicate": "data and weights",
    "treatment": "MCMI fixed λ=0.25",
    "control": "fine-tuned λ=0",
    "mll_mean": 2.0,
    "mll_low": -0.25,
    "mll_high": 4.25,
    "mll_n": 4.0,
    "policy": "fixed",
    "lam": 0.25,
    "data": "oracle",
    "networks": "big → small",
    "recipe": "student 6 epochs",
    "verdict": "holds; against MLL open",
    "decides": "few_shot",
    "profile": "cpu",
    "tier": "truth known",
}
TRACKED = MEASURED | {
    "treatment": "MCMI tracked λ=0.7",
    "policy": "tracked",
    "lam": 0.7,
    "mean": -4.0,
    "low": -6.0,
    "high": -2.0,
    "verdict": "opposite",
}
PHOTOGRAPHS = MEASURED | {
    "data": "imagefolder:folder=cifar10-jpeg,image_size=16",
    "tier": "photographs, CPU",
}
MORE_PHOTOGRAPHS = PHOTOGRAPHS | {"data": 'imagefolder:folder="cats, dogs"', "verdict": "open"}
NOT_MEASURED = dict.fromkeys(MEASURED, np.nan) | {
    "key": "dynamics",
    "statement": "CMI falls",
    "paper": "Figure 2",
    "notebook": "02_mll_training_dynamics",
    "verdict": "not measured",
    "decides": "dynamics",
    "tier": "truth known",
}
WITHOUT_MCMI = MEASURED | {
    "key": "dynamics",
    "statement": "CMI falls",
    "paper": "Figure 2",
    "notebook": "02_mll_training_dynamics",
    "mean": 0.125,
    "low": 0.0625,
    "high": 0.1875,
    "unit": "nats",
    "treatment": "epoch 5",
    "control": "epoch 20",
    "mll_mean": np.nan,
    "mll_low": np.nan,
    "mll_high": np.nan,
    "mll_n": np.nan,
    "policy": "–",
    "lam": np.nan,
    "tier": "photographs, CPU",
    "verdict": "holds",
    "decides": "dynamics",
}


def board() -> pd.DataFrame:
    rows = [MEASURED, TRACKED, PHOTOGRAPHS, MORE_PHOTOGRAPHS, NOT_MEASURED, WITHOUT_MCMI]
    return pd.DataFrame(rows)


def exploratory() -> pd.DataFrame:
    """How many comparisons were made beside."""
    columns = ["notebook", "profile", "data", "exploratory", "exclude_zero", "after_holm"]
    rows = [
        ("08_few_shot", "cpu", "oracle", 20, 6, 3),
        ("09_lambda_and_centroids", "cpu", "oracle", 30, 4, 0),
    ]
    return pd.DataFrame(rows, columns=columns)
