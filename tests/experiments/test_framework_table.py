"""Kinds of teachers side by side: pairing by seed, rows for what has no result, means over rows."""

import math

import pandas as pd
import pytest

from mcmi_core.experiments.framework_table import compare_teachers, gain_of, mean_gain, whole

METRIC = "test_accuracy_percent"
LABELS = {"mll": "MLL", "untreated": "fine-tuned λ=0", "fixed": "MCMI fixed λ=0.2"}
SCRATCH = pd.DataFrame({"pair": "a → b", "seed": [0, 1, 2], METRIC: [50.0, 51, 52]}).assign(
    status="done"
)


def students(framework, pair="a → b", **values):
    """A row for each kind of teacher and seed; None: collapsed, with a number not to be counted."""
    rows = [
        {"label": LABELS[kind], "seed": seed, METRIC: 99.0 if value is None else value}
        | {"status": "collapsed" if value is None else "done"}
        for kind, numbers in values.items()
        for seed, value in enumerate(numbers)
    ]
    return pd.DataFrame(rows).assign(pair=pair, framework=framework)


KD = students("kd", mll=[60, 70, 80], untreated=[61, 71, 81], fixed=[61, 72, 83])


def test_means_deviations_and_paired_gains():
    row = compare_teachers(KD, SCRATCH, METRIC).iloc[0]
    assert (row.scratch_mean, row.scratch_sd) == (51, 1)
    assert (row.mll_mean, row.mll_sd, row.untreated_mean) == (70, 10, 71)
    assert (row.fixed_mean, row.fixed_sd) == (72, 11)
    half = 4.302652729749464 / math.sqrt(3)  # t(2) at 97.5 %, sd of (1, 2, 3) is 1
    over_mll, over_untreated = (gain_of(row, "fixed", each) for each in ("mll", "untreated"))
    assert over_mll == pytest.approx((2, 2 - half, 2 + half, 3))
    assert over_untreated == pytest.approx((1, 1 - half, 1 + half, 3))
    assert row.status == "done"
    assert gain_of(row, "tracked", "mll").n == 0
    assert not any(column.startswith("tracked") for column in row.index)


def test_the_order_of_rows_does_not_matter():
    shuffled = KD.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        compare_teachers(KD, SCRATCH, METRIC), compare_teachers(shuffled, SCRATCH, METRIC)
    )
    pd.testing.assert_series_equal(
        mean_gain(KD, METRIC, "fixed", "mll"), mean_gain(shuffled, METRIC, "fixed", "mll")
    )


def test_what_collapsed_or_cannot_be_is_a_row():
    impossible = students("fsp", mll=[1, 1], untreated=[1, 1], fixed=[1, 1])
    table = compare_teachers(
        pd.concat(
            [
                students("at", mll=[60, 70], untreated=[60, 70], fixed=[61, None]),
                impossible.assign(status="incompatible", **{METRIC: float("nan")}),
            ]
        ),
        SCRATCH,
        METRIC,
    )
    assert list(table.framework) == ["at", "fsp"]
    assert list(table.status) == ["1 of 6 collapsed", "6 of 6 incompatible"]
    assert list(table.fixed_over_untreated_n) == [1, 0]
    assert table.fixed_mean[0] == 61
    assert table.fixed_over_mll_mean.isna().all()


def test_no_run_has_the_metric():
    table = KD.drop(columns=METRIC).assign(status="incompatible")
    assert compare_teachers(table, SCRATCH, METRIC).fixed_over_mll_n.item() == 0
    assert mean_gain(table, METRIC, "fixed", "mll").empty
    assert compare_teachers(KD, SCRATCH.drop(columns=METRIC), METRIC).scratch_mean.isna().all()


@pytest.mark.parametrize("label", ["true BCPD", "MCMI", "MLLM"])
def test_other_teachers_are_refused(label):
    table = KD.replace({"label": {"MLL": label}})
    message = f"teachers must be MLL, fine-tuned λ=0, MCMI fixed, MCMI tracked, got '{label}'"
    for call in (
        lambda: compare_teachers(table, SCRATCH, METRIC),
        lambda: mean_gain(table, METRIC, "fixed", "mll"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_two_runs_for_one_seed_and_teacher_are_refused():
    with pytest.raises(ValueError, match="duplicate entries"):
        compare_teachers(pd.concat([KD, KD]), SCRATCH, METRIC)


def test_the_mean_gain_is_over_rows_seed_by_seed():
    table = pd.concat([KD, students("at", mll=[50, 50, 50], fixed=[54, 56, 58])])
    assert dict(mean_gain(table, METRIC, "fixed", "mll")) == {0: 2.5, 1: 4, 2: 5.5}


def test_the_mean_gain_leaves_out_seeds_that_lack_a_run_and_rows_that_lack_all():
    table = pd.concat(
        [
            students("kd", mll=[60, 60, 60], fixed=[61, 62, None]),
            students("at", mll=[50, 50, 50], fixed=[None] * 3),
        ]
    )
    assert dict(mean_gain(table, METRIC, "fixed", "mll")) == {0: 1, 1: 2}


def test_a_collapsed_run_spoils_its_own_pair_and_no_other_with_the_same_student():
    """vgg13 → mobilenetv2 and resnet50 → mobilenetv2 are two rows, though of one student."""
    one, other = "vgg13 → mobilenetv2", "resnet50 → mobilenetv2"
    table = pd.concat(
        [
            students("kd", one, mll=[60, 60], untreated=[60, 60], fixed=[61, 63]),
            students("kd", other, mll=[50, 50], untreated=[50, 50], fixed=[90, None]),
            students("at", other, mll=[70, 70], untreated=[None, 70], fixed=[70, 70]),
            students("pkt", other, mll=[70, 70], untreated=[70, 70]),
        ]
    )
    assert dict(whole(table)) == {
        **{(one, "kd"): True, (other, "kd"): False, (other, "at"): False, (other, "pkt"): True}
    }


@pytest.mark.parametrize("status", ["done", "collapsed"])
def test_one_pair_with_one_seed(status):
    one_seed, scratch = (table[table.seed == 0].assign(status=status) for table in (KD, SCRATCH))
    row = compare_teachers(one_seed, scratch, METRIC).iloc[0]
    values = [row.scratch_mean, row.mll_mean, row.fixed_mean]
    assert values == [50, 60, 61] if status == "done" else pd.isna(values).all()
    assert pd.isna([row.scratch_sd, row.fixed_sd, row.fixed_over_mll_mean]).all()


def test_a_pair_without_students_from_scratch():
    row = compare_teachers(KD, SCRATCH.assign(pair="c → b"), METRIC).iloc[0]
    assert pd.isna(row.scratch_mean) and row.mll_mean == 70
