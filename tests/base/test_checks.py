"""What the checks let through, and the whole message of what they refuse."""

import re

import pytest
import torch
from torch.func import vmap

from mcmi_core.base.checks import (
    check_label_range,
    check_labelled,
    check_not_negative,
    check_pair,
    check_positive,
    check_probabilities,
    check_same_shape,
)

LABELS = torch.tensor([0, 2])
NAN, INF = float("nan"), float("inf")


FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("dtype", FLOATS)
def test_pairs_of_any_precision_pass(dtype):
    check_pair(torch.full((2, 3), NAN, dtype=dtype), LABELS, "logits")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_become_int64(dtype):
    labels = check_pair(torch.zeros(2, 3), LABELS.to(dtype), "logits")
    assert labels.dtype == torch.int64 and labels.tolist() == [0, 2]
    labels = check_pair(torch.zeros(2, 3), LABELS > 0, "logits")
    assert labels.dtype == torch.int64 and labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (
            [[0.0, 1.0]],
            LABELS,
            "logits must be a tensor, got list; torch.as_tensor(logits) would do",
        ),
        (
            torch.zeros(2, 3),
            LABELS.numpy(),
            "labels must be a tensor, got ndarray; torch.as_tensor(labels) would do",
        ),
        (
            torch.zeros(2, 3, dtype=torch.int64),
            LABELS,
            "logits must be a floating-point tensor, got torch.int64; logits.float() would do",
        ),
        (
            torch.zeros(2),
            LABELS,
            "logits must have shape (N, C), got (2,); torch.stack([torch.zeros_like(logits), "
            "logits], 1) would do for those of class 1 against class 0",
        ),
        (
            torch.zeros(2, 1),
            LABELS,
            "logits must have shape (N, C), got (2, 1); torch.stack([torch.zeros_like("
            "logits.squeeze(1)), logits.squeeze(1)], 1) would do for those of class 1 against "
            "class 0",
        ),
        (
            torch.zeros(2, 3, 1),
            LABELS,
            "logits must have shape (N, C), got (2, 3, 1); logits.movedim(1, -1).flatten(0, -2) "
            "would do if the classes are axis 1, logits.flatten(0, -2) if they are the last",
        ),
        (
            torch.zeros(2, 3),
            torch.tensor([0]),
            "labels must be an integer tensor of shape (2,), got torch.int64 of shape (1,)",
        ),
        (
            torch.zeros(2, 3),
            LABELS[:, None],
            "labels must be an integer tensor of shape (2,), got torch.int64 of shape (2, 1); "
            "labels.squeeze(1) would do",
        ),
        (
            torch.zeros(2, 3),
            torch.eye(3)[LABELS],
            "labels must be an integer tensor of shape (2,), got torch.float32 of shape (2, 3); "
            "labels.argmax(1) would do for one-hot or soft labels",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(2, 2, dtype=torch.int64),
            "labels must be an integer tensor of shape (4,), got torch.int64 of shape (2, 2); "
            "labels.flatten() would do",
        ),
        (
            torch.zeros(2, 3),
            LABELS.float(),
            "labels must be an integer tensor of shape (2,), got torch.float32 of shape (2,); "
            "labels.long() would do if they are whole numbers",
        ),
        (
            torch.zeros(2, 3, device="meta"),
            LABELS,
            "labels must be on the device of logits, meta, got cpu; labels.to(logits.device) "
            "would do",
        ),
        (torch.zeros(0, 3), LABELS[:0], "logits and labels hold no sample"),
    ],
)
def test_pairs_of_wrong_shape_or_type_are_refused(values, labels, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_pair(values, labels, "logits")


def test_a_pair_may_be_allowed_to_be_empty():
    assert check_pair(torch.zeros(0, 3), LABELS[:0], "logits", may_be_empty=True).shape == (0,)


def test_a_pair_is_named_by_its_caller():
    message = "probs must have shape (N, C), got (2,); torch.stack([1 - probs, probs], 1)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_pair(torch.zeros(2), LABELS, "probs")


def test_labels_are_looked_at_where_nothing_waits_for_it():
    with pytest.raises(ValueError, match=r"^label 2 is outside 0\.\.1; labels count from 0, so 2 "):
        check_labelled(torch.zeros(2, 2), LABELS)
    assert check_labelled(torch.zeros(2, 2).to("meta"), LABELS.to("meta")).device.type == "meta"
    check_stacked = vmap(lambda labels: check_labelled(torch.zeros(2, 2), labels))
    assert check_stacked(LABELS[None]).tolist() == [[0, 2]]


def test_labels_in_range_pass():
    check_label_range(torch.tensor([0, 1, 2]), 3)
    check_label_range(torch.tensor([], dtype=torch.int64), 3)


@pytest.mark.parametrize(("labels", "first"), [([0, 3, -1], 3), ([2, -1, 3], -1)])
def test_the_first_label_out_of_range_is_named(labels, first):
    with pytest.raises(ValueError, match=rf"^label {first} is outside 0\.\.2$"):
        check_label_range(torch.tensor(labels), 3)


@pytest.mark.parametrize(
    ("label", "remedy"),
    [
        (-100, "probs[keep] and labels[keep], keep = labels >= 0, leave such samples out"),
        (3, "labels count from 0, so 3 needs at least 4 classes"),
    ],
)
def test_a_label_out_of_range_is_told_what_would_do(label, remedy):
    message = f"label {label} is outside 0..2; {remedy}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_label_range(torch.tensor([0, label]), 3, "probs")


@pytest.mark.parametrize("dtype", FLOATS)
def test_distributions_pass(dtype):
    """Zeros are fine. Rounding is too: that of 32 bits, and that of the type."""
    logits = torch.randn(1000, 100, generator=torch.Generator().manual_seed(0))
    check_probabilities(logits.softmax(1).to(dtype))
    check_probabilities(torch.tensor([[0, 1, 0], [0.25, 0.25, 0.5]], dtype=dtype))
    check_probabilities(torch.tensor([[0.3336, 0.3336, 0.3337]]))  # sums to 1.0009
    check_probabilities(torch.zeros(0, 3))


@pytest.mark.parametrize(
    ("row", "minimum", "total"),
    [
        ([0.5, 0.6, -0.1], "-0.1", "1"),
        ([0.5, 0.3, 0.3], "0.3", "1.1"),
        ([0.5, 0.3, 0.198], "0.198", "0.998"),
        ([2.0, -1.0, 0.5], "-1", "1.5"),
        ([0.5, NAN, 0.5], "nan", "nan"),
        ([0.5, INF, 0.5], "0.5", "inf"),
    ],
)
def test_the_first_row_that_is_no_distribution_is_named(row, minimum, total):
    probs = torch.tensor([[0.2, 0.3, 0.5], row, [9.0, 9.0, 9.0]])
    message = (
        f"probs must hold probability distributions, but row 1 has minimum {minimum} and sum "
        f"{total}; apply softmax to logits first"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_probabilities(probs)


def test_equal_shapes_pass_whatever_the_types():
    check_same_shape(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64), "maps")


def test_other_shapes_are_refused_even_if_they_broadcast():
    message = "student_map and teacher_map must have the same shape, got (2, 3) and (1, 3)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_same_shape(torch.zeros(2, 3), torch.zeros(1, 3), "student_map and teacher_map")


def test_positive_values_pass():
    for value in (1, 4.0, 1e-300):
        check_positive(value, "temperature")


@pytest.mark.parametrize("value", [0, -0.0, -4.0, NAN, -INF])
def test_values_that_are_not_positive_are_refused(value):
    with pytest.raises(ValueError, match=f"^temperature must be positive, got {value}$"):
        check_positive(value, "temperature")


def test_zero_and_positive_values_pass_where_none_may_be_negative():
    for value in (0, -0.0, 1e-300, 4):
        check_not_negative(value, "margin")


@pytest.mark.parametrize("value", [-1, -1e-300, NAN, -INF])
def test_negative_values_are_refused(value):
    with pytest.raises(ValueError, match=f"^margin must be ≥ 0, got {value}$"):
        check_not_negative(value, "margin")
