"""Exact mutual information of finite random variables, in nats: sums over whole tables.

No estimate and no sampling: every joint probability is known, so what these functions return is
true up to rounding.

Source: Cover and Thomas, "Elements of information theory", 2nd edition, chapter 2.
"""

import torch
from torch import Tensor

from mcmi_core.base.checks import check_label_range, check_probabilities


def mutual_information(joint: Tensor) -> Tensor:
    """I(A; B) = Σ p(a, b) · log( p(a, b) / (p(a) p(b)) ), with 0 · log 0 = 0.

    Args:
        joint: (A, B), p(a, b).

    Returns:
        Scalar, float64, nats, 0 ≤ I ≤ log min(A, B).

    Raises:
        ValueError: no table, a negative or NaN entry, entries that do not sum to 1.
    """
    if joint.ndim != 2:
        raise ValueError(f"joint must be a table (A, B), got shape {tuple(joint.shape)}")
    joint = joint.double()
    if not (joint >= 0).all() or not abs(joint.sum() - 1) < 1e-6:
        raise ValueError(
            f"joint must hold probabilities that sum to 1, got minimum {joint.min().item():.4g} "
            f"and sum {joint.sum().item():.4g}"
        )
    independent = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0)  # (A, B)
    ratio = torch.where(joint > 0, joint / independent, 1)
    return torch.xlogy(joint, ratio).sum().clamp_min(0)  # rounding may leave −1e-17


def information_by_class(channel: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """I(X; Z | Y = y) of every class y, for X uniform over the samples of that class.

    The table of class y holds p(x, z | y) = p(z | x) / n_y, for its n_y samples x.

    Args:
        channel: (N, K), p(z | x): a row for every sample x. A function z(x) has one-hot rows.
        labels: (N,), y(x).
        num_classes: C.

    Returns:
        (C,), float64, nats; 0 for a class without samples.

    Raises:
        ValueError: rows that are no distributions, a label out of range, or unequal lengths.
    """
    if channel.ndim != 2 or labels.shape != channel.shape[:1]:
        raise ValueError(
            f"channel (N, K) and labels (N,) do not fit: {tuple(channel.shape)} and "
            f"{tuple(labels.shape)}"
        )
    check_probabilities(channel)
    check_label_range(labels, num_classes)
    channel = channel.double() / channel.double().sum(dim=1, keepdim=True)
    information = channel.new_zeros(num_classes)
    for label in labels.unique():
        rows = channel[labels == label]
        information[label] = mutual_information(rows / len(rows))
    return information


def entropy_by_class(cells: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """I(X; f(X) | Y = y) = H(f(X) | Y = y) of a function f with values ``cells``, by counting.

    The same as :func:`information_by_class` of the one-hot rows of ``cells``, for any number of
    cells: a function leaves no noise, H(f(X) | X) = 0.

    Args:
        cells: (N,) integers from 0, f(x) of every sample x.
        labels: (N,), y(x).
        num_classes: C.

    Returns:
        (C,), float64, nats; 0 for a class without samples.

    Raises:
        ValueError: unequal lengths, or a label out of range.
    """
    if cells.shape != labels.shape:
        raise ValueError(f"{len(cells)} cells and {len(labels)} labels do not fit")
    check_label_range(labels, num_classes)
    information = torch.zeros(num_classes, dtype=torch.float64, device=labels.device)
    for label in labels.unique():
        counts = cells[labels == label].unique(return_counts=True)[1].double()
        shares = counts / counts.sum()
        information[label] = -torch.xlogy(shares, shares).sum()
    return information


def mean_over_classes(by_class: Tensor, labels: Tensor) -> Tensor:
    """I(·; · | Y) = Σ_y p(y) · I(·; · | Y = y), with p(y) the share of samples.

    Args:
        by_class: (C,), nats.
        labels: (N,).
    """
    counts = torch.bincount(labels, minlength=len(by_class))
    return (by_class * counts).sum() / counts.sum()
