from math import atanh, sqrt, tanh

import numpy as np
import pandas as pd
import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.teachers_and_gains import (
    closeness_predicts,
    correlation_interval,
    correlations,
)

LAB = made_up_lab(lambda run: None)
"""Findings need its profile only."""


def points(**columns):
    """Kinds of teachers of the families A, A, B, C, D, E, ..."""
    number = len(columns["gain_points"])
    families = ["A", *"ABCDEFGHIJ"][:number]
    names = [f"{family} {place}" for place, family in enumerate(families)]
    index = pd.MultiIndex.from_arrays([families, names], names=["family", "method"])
    return pd.DataFrame(columns, index)


def test_the_other_quantity_is_held_constant():
    """Gain is 10 · CMI − 2 · entropy; by itself it follows neither fully."""
    cmi, entropy = [0.1, 0.3, 0.2, 0.5, 0.4, 0.0], [1.0, 0.2, 0.9, 0.4, 1.5, 0.3]
    gain = [10 * c - 2 * e for c, e in zip(cmi, entropy, strict=True)]
    kinds = points(cmi_nats=cmi, entropy_nats=entropy, gain_points=gain)
    table = correlations(kinds, ["cmi_nats", "entropy_nats"])
    assert table.r["cmi_nats", "entropy_nats"] == pytest.approx(1)
    assert table.r["entropy_nats", "cmi_nats"] == pytest.approx(-1)
    plain = table.loc["cmi_nats", "nothing"]
    assert plain.r == pytest.approx(kinds.gain_points.corr(kinds.cmi_nats))
    assert 0 < plain.r < 1
    assert plain.teachers == 6
    whole = correlation_interval(kinds.cmi_nats, kinds.gain_points)
    assert (plain.low, plain.high) == pytest.approx((whole.low, whole.high))


def test_what_is_held_constant_widens_the_interval_as_a_point_less_would():
    rng = np.random.default_rng(0)
    kinds = points(**{n: rng.normal(size=9) for n in ("cmi_nats", "entropy_nats", "gain_points")})
    row = correlations(kinds, ["cmi_nats"]).loc["cmi_nats", "entropy_nats"]
    half = 1.959964 / 5**0.5  # 9 − 1 − 3
    ends = np.tanh(np.arctanh(row.r) + np.array([-half, half]))
    assert (row.low, row.high) == pytest.approx(tuple(ends), abs=1e-6)


def test_a_correlation_that_one_family_makes_is_said_to_be_none():
    """Gains have nothing to do with CMI but for one family, which has much of both."""
    cmi = [0.0, 0.1, 0.0, 0.1, 0.0, 0.1, 5.0]
    gain = [0.0, 0.1, 0.2, 0.0, 0.1, 0.2, 8.0]
    entropy = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9, 0.2]
    kinds = points(cmi_nats=cmi, entropy_nats=entropy, gain_points=gain)
    row = correlations(kinds, ["cmi_nats"]).loc["cmi_nats", "nothing"]
    rest = kinds.iloc[:-1]
    weakest = rest.gain_points.corr(rest.cmi_nats)
    assert row.r > 0.99
    assert (row.weakest_without, row.smallest) == ("F", pytest.approx(weakest))
    assert row.sign_changes == (weakest < 0)


@pytest.mark.parametrize(("number", "rows"), [(4, 0), (5, 0), (6, 3)])
def test_at_least_four_kinds_are_left_without_any_family(number, rows):
    values = [0.1, 0.4, 0.2, 0.8, 0.5, 0.3][:number]
    kinds = points(
        cmi_nats=values, entropy_nats=[v**2 for v in values], gain_points=[v**3 for v in values]
    )
    assert len(correlations(kinds, ["cmi_nats"])) == rows


def test_interval_of_a_correlation():
    """r of 1, 2, 3, 4, 5 and 2, 1, 4, 3, 5 is 0.8; Fisher's error is 1 / √2."""
    first, second = pd.Series([1.0, 2, 3, 4, 5]), pd.Series([2.0, 1, 4, 3, 5])
    interval = correlation_interval(first, second)
    half = 1.959964 / sqrt(2)
    assert interval.mean == pytest.approx(0.8)
    assert interval.low == pytest.approx(tanh(atanh(0.8) - half), abs=1e-6)
    assert interval.high == pytest.approx(tanh(atanh(0.8) + half), abs=1e-6)
    assert interval.n == 5


@pytest.mark.parametrize(
    ("first", "second"), [([1.0, 2, 3], [1.0, 2, 4]), ([1.0] * 4, [1.0, 2, 3, 4])]
)
def test_no_interval_of_three_kinds_or_of_equal_ones(first, second):
    assert correlation_interval(pd.Series(first), pd.Series(second)) is None
    assert correlation_interval(pd.Series(second), pd.Series(first)) is None


def test_closeness_predicts():
    kinds = points(bcpd_kl_nats=[5.0, 4, 3, 2, 1], gain_points=[2.0, 1, 4, 3, 5])
    [finding] = closeness_predicts(LAB, PAIR, kinds, 0.05)
    assert finding.difference.mean == pytest.approx(0.8)
    assert (finding.decides, finding.replicate) == ("bcpd_predicts", "kind of teacher")
    assert (finding.unit, finding.verdict, finding.difference.n) == ("r", "open", 5)
    assert (finding.treatment, finding.control) == (
        "teachers closer to P*",
        "teachers farther from it",
    )
    assert (finding.policy, finding.lam) == ("–", None)
    assert "student on 5% of the data" in finding.claim


def test_closeness_to_what_nobody_knows_predicts_nothing():
    kinds = points(gain_points=[2.0, 1, 4, 3, 5])
    assert closeness_predicts(LAB, FIXED_DATA, kinds, 0.05) == []


def test_three_kinds_decide_nothing():
    kinds = points(bcpd_kl_nats=[5.0, 4, 3], gain_points=[2.0, 1, 4])
    assert closeness_predicts(LAB, PAIR, kinds, 0.05) == []
