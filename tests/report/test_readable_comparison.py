"""Comparisons of MLL and MCMI teachers as text and as LaTeX."""

import pandas as pd

from mcmi_core.report.tables import readable, save_latex

NAN = float("nan")
COMPARISON = pd.DataFrame(
    {
        "pair": "a → b",
        "framework": ["kd", "at"],
        "mll_mean": [1.5, 61.0],
        "mll_sd": [0.7, NAN],
        "mcmi_mean": [4.0, NAN],
        "mcmi_sd": [1.4, NAN],
        "gain_mean": [2.5, NAN],
        "gain_low": [-3.9, NAN],
        "gain_high": [8.9, NAN],
        "n": [2, 0],
        "status": ["done", "2 of 4 collapsed"],
    }
)


def test_means_deviations_and_gains_as_text():
    table = readable(COMPARISON)
    assert list(table.loc[0]) == [
        *("a → b", "kd"),
        *("1.5 ± 0.7", "4.0 ± 1.4", "+2.5 [-3.9, +8.9]", 2, "done"),
    ]


def test_what_is_not_known_is_a_dash():
    row = readable(COMPARISON).loc[1]
    assert (row["MLL, %"], row["MCMI, %"]) == ("61.0 ± –", "– ± –")
    assert (row["gain, points"], row.status) == ("– [–, –]", "2 of 4 collapsed")


def test_columns_before_the_pair_stay():
    wider = COMPARISON.copy()
    wider.insert(0, "accuracy", ["top-1", "top-5"])
    assert list(readable(wider))[:4] == ["accuracy", "pair", "framework", "MLL, %"]


def test_latex_is_saved_beside_the_csv(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    save_latex(readable(COMPARISON), "name", "Data.")
    text = (tmp_path / "figures" / "name.tex").read_text()
    assert r"MLL, \%" in text and "+2.5 [-3.9, +8.9]" in text and r"\caption{Data.}" in text
