"""Comparisons of kinds of teachers as text and as LaTeX."""

import pandas as pd
import pytest

from mcmi_core.report.tables import accuracies_and_gains, readable, save_latex

NAN = float("nan")
ROWS = {
    "pair": "a → b",
    "framework": ["kd", "at"],
    "scratch_mean": [50.0, 62.0],
    "scratch_sd": [0.5, 0.5],
    "mll_mean": [51.5, 61.0],
    "mll_sd": [0.7, NAN],
    "untreated_mean": [52.0, 62.0],
    "untreated_sd": [1.0, 1.0],
    "fixed_mean": [54.0, NAN],
    "fixed_sd": [1.4, NAN],
}
GAINS = {
    "fixed_over_untreated": (2.0, -3.0, 7.0, 2),
    "fixed_over_mll": (2.5, -3.9, 8.9, 2),
}


def comparison(**more):
    table = pd.DataFrame(ROWS | more)
    for name, values in GAINS.items():
        for part, value in zip(("mean", "low", "high", "n"), values, strict=True):
            table[f"{name}_{part}"] = [value, 0 if part == "n" else NAN]
    return table.assign(status=["done", "2 of 4 collapsed"], trains=[True, False])


def test_means_deviations_and_gains_as_text():
    table = readable(comparison())
    assert dict(table.loc[0]) == {
        "pair": "a → b",
        "framework": "kd",
        "from scratch, %": "50.0 ± 0.5",
        "MLL, %": "51.5 ± 0.7",
        "fine-tuned λ=0, %": "52.0 ± 1.0",
        "MCMI fixed, %": "54.0 ± 1.4",
        "fixed − λ=0, points": "+2.0 [-3.0, +7.0]",
        "fixed − MLL, points": "+2.5 [-3.9, +8.9]",
        "n": "2",
        "status": "done",
    }


def test_what_is_not_known_is_a_dash_and_what_does_not_train_says_so():
    row = readable(comparison()).loc[1]
    assert (row["MLL, %"], row["MCMI fixed, %"]) == ("61.0 ± –", "– ± –")
    assert (row["fixed − MLL, points"], row.n) == ("– [–, –]", "0")
    assert row.status == "2 of 4 collapsed; below from scratch"


def test_our_variant_has_its_columns_where_there_is_one():
    gains = {
        f"tracked_over_{control}_{part}": [1.0, 1.0]
        for control in ("untreated", "mll")
        for part in ("mean", "low", "high")
    }
    seeds = {"tracked_over_untreated_n": [3, 3], "tracked_over_mll_n": [3, 3]}
    means = {"tracked_mean": [55.0, 55.0], "tracked_sd": [1.0, 1.0]}
    row = readable(comparison(**means, **gains, **seeds)).loc[0]
    assert row["MCMI tracked, %"] == "55.0 ± 1.0"
    assert row["tracked − λ=0, points"] == row["tracked − MLL, points"] == "+1.0 [+1.0, +1.0]"
    assert row.n == "2 / 3"


def test_columns_before_the_pair_stay():
    wider = comparison()
    wider.insert(0, "accuracy", ["top-1", "top-5"])
    assert list(readable(wider))[:4] == ["accuracy", "pair", "framework", "from scratch, %"]


def test_accuracies_and_gains_are_two_tables_by_framework():
    accuracies, gains = accuracies_and_gains(comparison())
    assert list(accuracies.index) == list(gains.index) == ["KD", "AT"]
    assert list(accuracies) == [
        *("from scratch, %", "MLL, %", "fine-tuned λ=0, %", "MCMI fixed, %", "status")
    ]
    assert list(gains) == ["fixed − λ=0, points", "fixed − MLL, points", "n"]
    two_pairs = comparison(pair=["resnet56 → resnet20", "vgg13 → vgg8"])
    two_pairs.insert(0, "accuracy", "top-1")
    accuracies, _ = accuracies_and_gains(two_pairs)
    assert accuracies.index[0] == ("top-1", "ResNet-56 → ResNet-20", "KD")


@pytest.mark.parametrize("digits", [0, 2])
def test_digits(digits):
    assert (
        readable(comparison(), digits).loc[0, "MLL, %"] == f"{51.5:.{digits}f} ± {0.7:.{digits}f}"
    )


def test_latex_is_saved_beside_the_csv(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    save_latex(comparison(), "name", "Data.")
    text = (tmp_path / "figures" / "name.tex").read_text()
    assert r"MLL, \%" in text and "+2.5 [-3.9, +8.9]" in text and r"\caption{Data.}" in text
