"""Checks on tensors that several modules share; each message quotes what it got and what would do.

Shapes, types and devices are looked at, which never waits for a GPU; a check of values says so.
"""

import math

import torch
from torch import Tensor

from mcmi_core.base.messages import shortened

MOST_CLASSES = 100_000
"""C: ImageNet-21k has a fifth of them, and the (C, C) centroids of so many take 40 GB."""


def check_floating(values: Tensor, name: str) -> None:
    """Require a floating-point tensor.

    Raises:
        ValueError: no tensor, or one of another type.
    """
    _check_tensor(values, name)
    if not values.is_floating_point():
        remedy = "" if values.is_complex() else f"; {name}.float() would do"
        raise ValueError(f"{name} must be a floating-point tensor, got {values.dtype}{remedy}")


def check_outputs(values: Tensor, name: str) -> None:
    """Require ``values`` (N, C), C ≥ 2, floating point.

    Raises:
        ValueError: no tensor, a wrong shape or type.
    """
    check_floating(values, name)
    if values.ndim == 2 and values.shape[1] != 1:
        return
    if values.ndim in (1, 2):
        one = name if values.ndim == 1 else f"{name}.squeeze(1)"
        other = f"1 - {one}" if name == "probs" else f"torch.zeros_like({one})"
        remedy = f"; torch.stack([{other}, {one}], 1) would do for those of class 1 against class 0"
    elif values.ndim == 0:
        remedy = ""
    else:
        remedy = (
            f"; {name}.movedim(1, -1).flatten(0, -2) would do if the classes are axis 1, "
            f"{name}.flatten(0, -2) if they are the last"
        )
    raise ValueError(f"{name} must have shape (N, C), got {tuple(values.shape)}{remedy}")


def check_pair(values: Tensor, labels: Tensor, name: str, may_be_empty: bool = False) -> Tensor:
    """Require ``values`` (N, C) floating point and ``labels`` (N,) integer or bool, on one device.

    Args:
        values: of any floating-point type.
        labels: of any integer type, or bool.
        name: of the values, for messages.
        may_be_empty: whether N may be 0.

    Returns:
        The labels as int64: as an index, uint8 would be taken for a mask.

    Raises:
        ValueError: no tensors, a wrong shape or type, different devices, or no sample.
    """
    check_outputs(values, name)
    _check_tensor(labels, "labels")
    if labels.shape != values.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels must be an integer tensor of shape ({len(values)},), "
            f"got {labels.dtype} of shape {tuple(labels.shape)}{_remedy(labels, len(values))}"
        )
    check_same_device(labels, "labels", values, name)
    if len(labels) == 0 and not may_be_empty:
        raise ValueError(f"{name} and labels hold no sample")
    return labels.long()


def _remedy(labels: Tensor, samples: int) -> str:
    if labels.ndim == 2 and len(labels) == samples:
        if labels.shape[1] == 1:
            return "; labels.squeeze(1) would do"
        return "; labels.argmax(1) would do for one-hot or soft labels"
    if labels.ndim != 1 and labels.numel() == samples:
        return "; labels.flatten() would do"
    if labels.ndim == 1 and len(labels) == samples:
        return "; labels.long() would do if they are whole numbers"
    return ""


def check_labelled(
    logits: Tensor, labels: Tensor, name: str = "logits", may_be_empty: bool = False
) -> Tensor:
    """:func:`check_pair`, and labels in [0, C) where these can be read without a wait.

    Returns:
        The labels as int64.

    Raises:
        ValueError: as :func:`check_pair`; on the CPU also a label out of range.
    """
    labels = check_pair(logits, labels, name, may_be_empty)
    if at_hand(labels):
        check_label_range(labels, logits.shape[1], name)
    return labels


def at_hand(tensor: Tensor) -> bool:
    """Whether its values can be read: on the CPU, and neither compiled nor within torch.func."""
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def check_label_range(labels: Tensor, num_classes: int, name: str | None = None) -> None:
    """Require every label in [0, num_classes). Reads them, for which it waits for a GPU.

    Args:
        labels: integers.
        num_classes: C.
        name: of the tensor that the labels belong to, for the remedy.

    Raises:
        ValueError: the first label outside that range.
    """
    if len(labels) == 0:
        return
    lowest, highest = (bound.item() for bound in labels.aminmax())  # in every step, so it is short
    if lowest < 0 or highest >= num_classes:
        label = labels[(labels < 0) | (labels >= num_classes)][0].item()
        remedy = ""
        if name and label < 0:
            remedy = f"; {name}[keep] and labels[keep], keep = labels >= 0, leave such samples out"
        elif name:
            remedy = f"; labels count from 0, so {label} needs at least {label + 1} classes"
        raise ValueError(f"label {label} is outside 0..{num_classes - 1}{remedy}")


def check_probabilities(probs: Tensor) -> None:
    """Require rows of ``probs`` (N, C) to be probability distributions, to 1e-3.

    To 4e-3 in bfloat16, whose rounding errs by up to half of that. Waits for a GPU.

    Raises:
        ValueError: NaN, negative entries, or a row that does not sum to 1; quotes the first.
            A tensor without numbers, on the device meta.
    """
    if probs.is_meta:
        raise ValueError("probs must hold numbers, got a tensor on the device meta")
    tolerance = 4e-3 if probs.dtype == torch.bfloat16 else 1e-3
    totals = probs.sum(dim=1, dtype=torch.float64)
    valid = (probs >= 0).all(dim=1) & ((totals - 1).abs() < tolerance)
    if not valid.all():
        row = int((~valid).nonzero()[0])
        raise ValueError(
            f"probs must hold probability distributions, but row {row} has minimum "
            f"{probs[row].min().item():.4g} and sum {totals[row].item():.4g}; "
            "apply softmax to logits first"
        )


def check_same_device(moved: Tensor, moved_name: str, other: Tensor, name: str) -> None:
    """Require a tensor on the device of another.

    Args:
        moved: which would have to be moved, or a tensor of what would.
        moved_name: how to call that.
        other: to whose device.
        name: of it.

    Raises:
        ValueError: the devices differ.
    """
    if moved.device != other.device:
        raise ValueError(
            f"{moved_name} must be on the device of {name}, {other.device}, got {moved.device}; "
            f"{moved_name}.to({name}.device) would do"
        )


def check_same_shape(first: Tensor, second: Tensor, names: str) -> None:
    """Require two tensors of one shape.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"{names} must have the same shape, got {tuple(first.shape)} and {tuple(second.shape)}"
        )


def is_number(value: object) -> bool:
    """Whether it is a single number, NumPy's and tensors of one included; text and None are not."""
    return hasattr(type(value), "__float__") and getattr(value, "ndim", 0) == 0


def check_number(value: float, name: str) -> None:
    """Require a single number.

    Raises:
        ValueError: anything else.
    """
    if not is_number(value):
        raise ValueError(f"{name} must be a number, got {value!r}")


def check_count(value: int, name: str, least: int, most: int) -> None:
    """Require a whole number ``value`` from ``least`` to ``most``.

    Raises:
        ValueError: another number, or none.
    """
    if not hasattr(type(value), "__index__") or isinstance(value, bool | Tensor):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most:,}, got {shortened(str(value))}")


def check_positive(value: float, name: str) -> None:
    """Require a finite ``value`` > 0.

    Raises:
        ValueError: zero, negative, infinite, NaN or no number.
    """
    check_number(value, name)
    if not 0 < value < math.inf:
        finite = " and finite" if value == math.inf else ""
        raise ValueError(f"{name} must be positive{finite}, got {value}")


def check_not_negative(value: float, name: str) -> None:
    """Require ``value`` ≥ 0.

    Raises:
        ValueError: negative, NaN or no number.
    """
    check_number(value, name)
    if not value >= 0:
        raise ValueError(f"{name} must be ≥ 0, got {value}")


def _check_tensor(values: object, name: str) -> None:
    if not isinstance(values, Tensor):
        raise ValueError(
            f"{name} must be a tensor, got {type(values).__name__}; "
            f"torch.as_tensor({name}) would do"
        )
    if values.layout != torch.strided:
        raise ValueError(
            f"{name} must be a dense tensor, got {values.layout}; {name}.to_dense() would do"
        )
