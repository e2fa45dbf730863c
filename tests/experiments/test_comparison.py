"""MLL against MCMI: pairing by seed, and rows for what has no result."""

import math

import pandas as pd
import pytest

from mcmi_core.experiments.comparison import compare_teachers, readable, save_latex

METRIC = "test_accuracy_percent"


def students(framework, mll, mcmi, statuses=("done",) * 6):
    rows = [
        {"label": label, "seed": seed, METRIC: value}
        for label, values in (("MLL", mll), ("MCMI fixed λ=0.2", mcmi))
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows).assign(pair="a → b", framework=framework)
    return table.assign(status=list(statuses)[: len(table)])


def test_means_deviations_and_the_paired_gain():
    table = compare_teachers(students("kd", [60.0, 70.0, 80.0], [61.0, 72.0, 83.0]), METRIC)
    row = table.iloc[0]
    assert (row.mll_mean, row.mll_sd, row.mcmi_mean, row.mcmi_sd) == (70, 10, 72, 11)
    half = 4.302652729749464 / math.sqrt(3)  # t(2) at 97.5 %, sd of (1, 2, 3) is 1
    assert row.gain_mean == pytest.approx(2)
    assert (row.gain_low, row.gain_high) == pytest.approx((2 - half, 2 + half))
    assert (row.n, row.status) == (3, "done")


def test_the_order_of_rows_does_not_matter():
    table = students("kd", [60.0, 70.0, 80.0], [61.0, 72.0, 83.0])
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        compare_teachers(table, METRIC), compare_teachers(shuffled, METRIC)
    )


def test_what_collapsed_or_cannot_be_is_a_row():
    nan = float("nan")
    lost = ["done", "done", "done", "done", "collapsed", "not run"]
    impossible = ["incompatible"] * 4
    table = compare_teachers(
        pd.concat(
            [
                students("at", [60.0, 70.0, 80.0], [61.0, nan, nan], lost),
                students("fsp", [nan, nan], [nan, nan], impossible),
            ]
        ),
        METRIC,
    )
    assert list(table.framework) == ["at", "fsp"]
    assert list(table.status) == ["1 of 6 collapsed; 1 of 6 not run", "4 of 4 incompatible"]
    assert list(table.n) == [1, 0]
    assert table.gain_mean.isna().all()
    assert list(readable(table)["MCMI, %"]) == ["61.0 ± –", "– ± –"]
    assert list(readable(table)["gain, points"]) == ["– [–, –]"] * 2


def test_no_run_has_the_metric():
    table = students("kd", [1.0, 2.0], [1.0, 2.0], ["incompatible"] * 4).drop(columns=METRIC)
    assert compare_teachers(table, METRIC).n.item() == 0


def test_other_teachers_are_refused():
    table = students("kd", [1.0], [2.0]).replace({"label": {"MLL": "true BCPD"}})
    with pytest.raises(ValueError, match="must be MLL or MCMI, got true"):
        compare_teachers(table, METRIC)


def test_latex_is_saved_beside_the_csv(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    save_latex(readable(compare_teachers(students("kd", [1, 2], [3, 5]), METRIC)), "name", "Data.")
    text = (tmp_path / "figures" / "name.tex").read_text()
    assert r"MLL, \%" in text and "+2.5 [-3.9, +8.9]" in text and r"\caption{Data.}" in text
