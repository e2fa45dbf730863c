"""Checks on tensors that several modules share; each message quotes what it got."""

from torch import Tensor


def check_pair(values: Tensor, labels: Tensor, name: str) -> None:
    """Require ``values`` (N, C) floating point and ``labels`` (N,) integer, N ≥ 1.

    Looks at shapes and types only, so it never waits for a GPU.

    Raises:
        ValueError: a wrong shape or type.
    """
    if values.ndim != 2 or not values.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of shape (N, C), "
            f"got {values.dtype} of shape {tuple(values.shape)}"
        )
    if labels.shape != values.shape[:1] or labels.is_floating_point():
        raise ValueError(
            f"labels must be an integer tensor of shape ({values.shape[0]},), "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if len(labels) == 0:
        raise ValueError(f"{name} and labels hold no sample")


def check_label_range(labels: Tensor, num_classes: int) -> None:
    """Require every label in [0, num_classes).

    Raises:
        ValueError: the first label outside that range.
    """
    if len(labels) == 0:
        return
    lowest, highest = (bound.item() for bound in labels.aminmax())  # in every step, so it is short
    if lowest < 0 or highest >= num_classes:
        outside = labels[(labels < 0) | (labels >= num_classes)]
        raise ValueError(f"label {outside[0].item()} is outside 0..{num_classes - 1}")


def check_probabilities(probs: Tensor) -> None:
    """Require rows of ``probs`` (N, C) to be probability distributions, to 1e-3.

    Raises:
        ValueError: NaN, negative entries, or a row that does not sum to 1; quotes the first.
    """
    valid = (probs >= 0).all(dim=1) & ((probs.sum(dim=1) - 1).abs() < 1e-3)
    if not valid.all():
        row = int((~valid).nonzero()[0])
        raise ValueError(
            f"probs must hold probability distributions, but row {row} has minimum "
            f"{probs[row].min().item():.4g} and sum {probs[row].sum().item():.4g}; "
            "apply softmax to logits first"
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


def check_positive(value: float, name: str) -> None:
    """Require ``value`` > 0.

    Raises:
        ValueError: zero, negative or NaN.
    """
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")


def check_not_negative(value: float, name: str) -> None:
    """Require ``value`` ≥ 0.

    Raises:
        ValueError: negative or NaN.
    """
    if not value >= 0:
        raise ValueError(f"{name} must be ≥ 0, got {value}")
