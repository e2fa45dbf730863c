"""Proposition 1, I(X; Ŷ | Y) ≤ I(X; f_X | Y), where both sides can be counted.

f_X is an intermediate feature, quantised to a few bits, so that it is finite; Ŷ is drawn from what
the REST of the network makes of the quantised feature. Then Y → X → f_X → Ŷ is a Markov chain, the
premise of the proposition; with logits of the feature as it was it would be none.

Source: Ye et al., ICLR 2024, section 4, Proposition 1.
"""

import torch
from torch import Tensor, nn

from mcmi_core.data.split import Dataset, Split
from mcmi_core.measures.information import entropy_by_class, information_by_class, mean_over_classes
from mcmi_core.models._base import features_and_logits
from mcmi_core.models.mlp import MLP


def quantise(features: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Divide features into at most 2^bits cells; each is replaced by the mean of its cell.

    Bit b says on which side of the median a feature lies along principal component b. The cells
    of fewer bits are therefore unions of those of more.

    Args:
        features: (N, D).
        bits: from 1 to min(N, D).

    Returns:
        The cell of every feature, (N,) integers from 0 with no gaps, and its mean (N, D).

    Raises:
        ValueError: features that are not (N, D), or more bits than components.
    """
    if features.ndim != 2:
        raise ValueError(f"features must have shape (N, D), got {tuple(features.shape)}")
    if not 1 <= bits <= min(features.shape):
        raise ValueError(f"bits must be from 1 to {min(features.shape)}, got {bits}")
    centred = (features - features.mean(dim=0)).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)  # (D, D), the largest last
    scores = centred @ directions.flip(1)[:, :bits]  # (N, bits)
    codes = (scores > scores.quantile(0.5, dim=0)).long()
    _, cells = codes.unique(dim=0, return_inverse=True)
    return cells, _cell_means(features, cells)


def _cell_means(features: Tensor, cells: Tensor) -> Tensor:
    counts = torch.bincount(cells).to(features.dtype)[:, None]
    sums = features.new_zeros(len(counts), features.shape[1]).index_add(0, cells, features)
    return (sums / counts)[cells]


@torch.no_grad()
def proposition_1(
    *, model: nn.Module, dataset: Dataset, split: Split, device: torch.device, bits: tuple[int, ...]
) -> dict[str, list]:
    """Both sides of Proposition 1 for every layer of an ``mlp`` and several quantisations.

    X is uniform over the samples of ``split``. A line per layer and number of bits, and one with
    ``bits`` None for the feature as it is, which on finitely many samples is finite too. Columns:
    ``layer`` (1, 2, ... hidden; 0: the logits), ``bits``, ``cells`` (different values of f_X),
    ``output_nats`` = I(X; Ŷ | Y), ``feature_nats`` = I(X; f_X | Y), and ``smallest_gap_nats``, the
    least over classes y of I(X; f_X | Y = y) − I(X; Ŷ | Y = y).

    Args:
        model: an ``mlp``.
        dataset: of ``split``.
        split: whose samples X stands for.
        device: of the model.
        bits: see :func:`quantise`.

    Raises:
        ValueError: another kind of network, or bits out of range.
    """
    if not isinstance(model, MLP):
        name = type(model).__name__
        raise ValueError(f"Proposition 1 is counted for the layers of an mlp, got {name}")
    model.eval()
    hidden, logits = features_and_logits(model, dataset.normalise(split.inputs.to(device)))
    stages = [*model.layers, model.head]
    rows = []
    for depth, feature in enumerate([*hidden, logits], start=1):
        rest = nn.Sequential(*stages[depth:])
        quantised = [(b, *quantise(feature, b)) for b in bits]
        unchanged = (None, feature.unique(dim=0, return_inverse=True)[1], feature)
        for b, cells, values in [*quantised, unchanged]:
            layer = depth if depth < len(stages) else 0
            rows.append({"layer": layer, "bits": b} | _both_sides(rest(values), cells, split))
    return {name: [row[name] for row in rows] for name in rows[0]}


def _both_sides(logits: Tensor, cells: Tensor, split: Split) -> dict[str, float]:
    """One line of the result, for the logits (N, C) of the quantised features' cells (N,)."""
    labels, classes = split.labels.to(logits.device), logits.shape[1]
    output = information_by_class(logits.double().softmax(dim=1), labels, classes)  # (C,)
    feature = entropy_by_class(cells, labels, classes)  # (C,)
    return {
        "cells": int(cells.max()) + 1,
        "output_nats": mean_over_classes(output, labels).item(),
        "feature_nats": mean_over_classes(feature, labels).item(),
        "smallest_gap_nats": (feature - output)[labels.unique()].min().item(),
    }
