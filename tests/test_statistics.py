"""Intervals against scipy's own tests and their coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from mcmi_core.statistics import mean_interval, paired_difference


def test_interval_equals_scipys():
    values = [1.0, 2.5, 0.3, 4.1]
    interval = mean_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.mean, interval.n) == (pytest.approx(np.mean(values)), 4)


def test_paired_interval_equals_scipys_paired_test():
    treatment, control = [3.0, 5.0, 4.5], [2.0, 4.8, 4.0]
    interval = paired_difference(treatment, control, confidence=0.9)
    low, high = stats.ttest_rel(treatment, control).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_coverage_is_the_stated_confidence():
    random = np.random.default_rng(0)
    covered = [
        interval.low <= 0 <= interval.high
        for interval in (mean_interval(random.normal(size=5)) for _ in range(2000))
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_interval_says_whether_it_excludes_zero():
    assert mean_interval([1, 1.1, 0.9]).excludes_zero
    assert mean_interval([-1, -1.1, -0.9]).excludes_zero
    assert not mean_interval([1, -1.1, 0.9]).excludes_zero


def test_interval_formats_as_mean_and_bounds():
    assert f"{mean_interval([1, 2, 3]):.1f}" == "2.0 [-0.5, 4.5]"


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        mean_interval([1])
    with pytest.raises(ValueError, match="must be finite"):
        mean_interval([1, math.nan])
    with pytest.raises(ValueError, match="2 treatment values cannot pair with 3"):
        paired_difference([1, 2], [1, 2, 3])
