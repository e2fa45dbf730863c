"""Losses of how the samples of a batch relate to one another; widths may differ unless said."""

from itertools import starmap

import torch
from torch import Tensor
from torch.nn import functional as F

from mcmi_core.base.checks import check_number, check_same_shape
from mcmi_core.losses._checks import check_same_batch
from mcmi_core.losses._numerics import SHORTEST, common_precision, exact_products, unit

PKT_EPSILON = 1e-7
"""What PKT adds to norms and probabilities."""


def similarity_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Similarity preserving: ‖Ĝ(s) − Ĝ(t)‖²_F / N².

    G = X Xᵀ, (N, N), for X the samples flattened; Ĝ has the rows of G divided by their L2 norms.
    So: mean over all N² entries. The row of a zero sample stays 0.

    Args:
        student_map: (N, ...).
        teacher_map: (N, ...).

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: different batch sizes, or an empty batch.

    Source: Tung and Mori, "Similarity-preserving knowledge distillation", ICCV 2019.
    """
    check_same_batch(student_map, teacher_map, "student_map and teacher_map")
    maps = common_precision(student_map, teacher_map)
    return F.mse_loss(*map(_similarities, maps))


def _similarities(maps: Tensor) -> Tensor:
    """Ĝ, (N, N)."""
    maps = maps.flatten(start_dim=1)
    with exact_products(maps):
        return unit(maps @ maps.T)


def pkt_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Probabilistic knowledge transfer: KL(P(t) ‖ P(s)) of similarities, nats.

        P = (1 + c) / 2 with rows divided by their sums;   c = cosine similarities, (N, N)
        mean over ALL N² entries of P(t) · log((P(t) + ε) / (P(s) + ε)),   ε = 1e-7

    A cosine divides by the norms plus ε each. The mean makes this 1/N of the mean KL per row.

    Args:
        student_features: (N, D).
        teacher_features: (N, D').

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: different batch sizes, or an empty batch.

    Source: Passalis and Tefas, "Learning deep representations with probabilistic knowledge
    transfer", ECCV 2018.
    """
    check_same_batch(student_features, teacher_features, "student_features and teacher_features")
    features = common_precision(student_features, teacher_features)
    student_probs, teacher_probs = map(_similarity_distribution, features)
    ratios = (teacher_probs + PKT_EPSILON) / (student_probs + PKT_EPSILON)
    return (teacher_probs * ratios.log()).mean()


def _similarity_distribution(features: Tensor) -> Tensor:
    """Row i holds the probabilities of the neighbours of sample i, (N, N)."""
    features = features.flatten(start_dim=1)
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    features = features / (norms + PKT_EPSILON)
    with exact_products(features):
        similarities = (features @ features.T + 1) / 2
    return similarities / similarities.sum(dim=1, keepdim=True)


def rkd_loss(
    student_features: Tensor,
    teacher_features: Tensor,
    distance_weight: float = 25,
    angle_weight: float = 50,
) -> Tensor:
    """Relational KD: distance_weight · distances + angle_weight · angles, no unit.

        distances: smooth-L1 of d_ij / mean of the non-zero d,   mean over all N² pairs
        angles: smooth-L1 of the cosine at k of (i, k, j),   mean over all N³ triples

    d_ij is the Euclidean distance of samples i and j; its mean is differentiated through. The
    cosine is that between x_i − x_k and x_j − x_k, 0 where either is 0. Smooth-L1 turns linear
    at 1. Memory: N² (D + D') and N³ numbers.

    Args:
        student_features: (N, D).
        teacher_features: (N, D').
        distance_weight: of the distances.
        angle_weight: of the angles.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: different batch sizes, or an empty batch.

    Source: Park et al., "Relational knowledge distillation", CVPR 2019.
    """
    check_same_batch(student_features, teacher_features, "student_features and teacher_features")
    check_number(distance_weight, "distance_weight")
    check_number(angle_weight, "angle_weight")
    features = common_precision(student_features, teacher_features)
    student, teacher = map(_distances_and_cosines, features)
    distances, angles = starmap(F.smooth_l1_loss, zip(student, teacher, strict=True))
    return distance_weight * distances + angle_weight * angles


def _distances_and_cosines(features: Tensor) -> tuple[Tensor, Tensor]:
    """Pairwise distances over their mean (N, N), and cosines [k, i, j] of triples (N, N, N)."""
    features = features.flatten(start_dim=1)
    # Differences, not inner products: |x|² + |y|² − 2⟨x, y⟩ would cancel.
    edges = features[None] - features[:, None]  # (N, N, D), [k, i] = x_i − x_k
    distances = torch.linalg.vector_norm(edges, dim=2)
    directions = edges / torch.where(distances > SHORTEST, distances, 1.0)[..., None]
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    scaled = distances / torch.where(mean > 0, mean, 1.0)
    with exact_products(directions):
        return scaled, directions @ directions.mT


def correlation_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Correlation congruence: mean over the N − 1 neighbours of ⟨d_i, d_{i+1}⟩, d = |s − t|.

    Sum over dimensions. 0 for a batch of one, which has no neighbours.

    Args:
        student_embedding: s, (N, D).
        teacher_embedding: t, (N, D).

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: shapes that differ or are not (N, ...), or an empty batch.

    Source: Peng et al., "Correlation congruence for knowledge distillation", ICCV 2019.
    """
    names = "student_embedding and teacher_embedding"
    check_same_batch(student_embedding, teacher_embedding, names)
    check_same_shape(student_embedding, teacher_embedding, names)
    student_embedding, teacher_embedding = common_precision(student_embedding, teacher_embedding)
    distances = (student_embedding - teacher_embedding).abs()
    return (distances[:-1] * distances[1:]).sum() / max(len(distances) - 1, 1)
