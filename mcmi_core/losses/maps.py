"""Losses of stage maps (N, C, H, W).

Where the sizes of a pair of maps may differ, the larger is average-pooled to the smaller: each
output position is the mean of an even share of the input, as in adaptive average pooling.
"""

from collections.abc import Sequence
from itertools import pairwise, starmap

import torch
from torch import Tensor
from torch.nn import functional as F

from mcmi_core.base.checks import check_floating, check_number, check_same_shape
from mcmi_core.losses._checks import check_map_lists, check_maps, check_same_batch
from mcmi_core.losses._numerics import common_precision, exact_products, full_precision, unit

CONTEXT_SIZES = (4, 2, 1)
"""Positions per side of the pooled maps that the hierarchical context loss compares."""

SMALLEST_VARIANCE = 1e-5
"""What VID adds to each predicted variance."""


def average_pool(feature_map: Tensor, size: tuple[int, int]) -> Tensor:
    """Adaptive average pooling to ``size``, whose gradient is deterministic on GPUs too.

    Output row i is the mean of the input rows from ⌊iH/h⌋ to ⌈(i+1)H/h⌉ − 1; columns likewise.

    Args:
        feature_map: (N, C, H, W).
        size: (h, w), each ≥ 1.

    Returns:
        (N, C, h, w), at least float32.
    """
    feature_map = full_precision(feature_map)
    height, width = feature_map.shape[-2:]
    if (height, width) == tuple(size):
        return feature_map
    rows = _shares(height, size[0], feature_map)  # (h, H)
    columns = _shares(width, size[1], feature_map)  # (w, W)
    with exact_products(feature_map):
        return rows @ feature_map @ columns.T


def _shares(length: int, parts: int, like: Tensor) -> Tensor:
    """(parts, length): row i averages the i-th share of ``length`` positions."""
    part = torch.arange(parts, device=like.device)[:, None]
    position = torch.arange(length, device=like.device)
    first = part * length // parts
    last = ((part + 1) * length - 1) // parts
    inside = ((position >= first) & (position <= last)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def _to_common_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps in one type, average-pooled to the smaller height and the smaller width."""
    first, second = common_precision(first, second)
    size = tuple(map(min, first.shape[-2:], second.shape[-2:]))
    return average_pool(first, size), average_pool(second, size)


def hint_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Hint (FitNet): mean squared error over all elements.

    Args:
        student_map: (N, C, H, W), after the regressor that gives it the teacher's shape.
        teacher_map: (N, C, H, W).

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: shapes that differ, or an empty batch.

    Source: Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.
    """
    check_same_batch(student_map, teacher_map, "student_map and teacher_map")
    check_same_shape(student_map, teacher_map, "student_map and teacher_map")
    return F.mse_loss(*common_precision(student_map, teacher_map))


def attention_loss(student_maps: list[Tensor], teacher_maps: list[Tensor], p: float = 2) -> Tensor:
    """Attention transfer: squared distance of normalised attention maps.

        a(x) = mean over channels of |x|^p, flattened, divided by its L2 norm per sample

    Mean over samples and positions of (a(s) − a(t))², SUM over layers. The larger map of a pair is
    average-pooled to the smaller; channels may differ. The attention of a zero map is 0.

    Args:
        student_maps: (N, C, H, W) per layer.
        teacher_maps: (N, C', H', W') per layer.
        p: exponent ≥ 1; below, the gradient at 0 would be infinite.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: lists or shapes that do not match, an empty batch, or p < 1.

    Source: Zagoruyko and Komodakis, "Paying more attention to attention", ICLR 2017.
    """
    check_map_lists(student_maps, teacher_maps)
    check_number(p, "p")
    if not p >= 1:
        raise ValueError(f"p must be ≥ 1, got {p}")
    layers = map(_to_common_size, student_maps, teacher_maps)
    return sum(F.mse_loss(_attention(s, p), _attention(t, p)) for s, t in layers)


def _attention(feature_map: Tensor, p: float) -> Tensor:
    """(N, HW), unit length."""
    return unit(feature_map.abs().pow(p).mean(dim=1).flatten(start_dim=1))


def vid_loss(predicted_mean: Tensor, teacher_map: Tensor, log_scale: Tensor) -> Tensor:
    """Variational information distillation: Gaussian negative log-likelihood without log 2π.

        ½ ((μ − t)² / v_c + log v_c),   v_c = softplus(log_scale_c) + 1e-5,   nats

    Mean over all elements. The larger map is average-pooled to the smaller.

    Args:
        predicted_mean: μ, (N, C, H, W), from the student's map.
        teacher_map: t, (N, C, H', W').
        log_scale: (C,), one variance per channel of the teacher.

    Returns:
        Scalar of either sign, at least float32.

    Raises:
        ValueError: channels or batches that do not match, or an empty batch.

    Source: Ahn et al., "Variational information distillation for knowledge transfer", CVPR 2019.
    """
    check_maps(predicted_mean, teacher_map, "predicted_mean and teacher_map")
    check_floating(log_scale, "log_scale")
    channels = teacher_map.shape[1]
    if predicted_mean.shape[1] != channels or log_scale.shape != (channels,):
        raise ValueError(
            "predicted_mean, teacher_map and log_scale must have the same channels, got "
            f"{tuple(predicted_mean.shape)}, {tuple(teacher_map.shape)} and "
            f"{tuple(log_scale.shape)}"
        )
    predicted_mean, teacher_map, log_scale = common_precision(
        predicted_mean,
        teacher_map,
        log_scale[:, None, None],  # (C, 1, 1)
    )
    predicted_mean, teacher_map = _to_common_size(predicted_mean, teacher_map)
    variance = F.softplus(log_scale) + SMALLEST_VARIANCE
    squared_errors = (predicted_mean - teacher_map).square()
    return 0.5 * (squared_errors / variance + variance.log()).mean()


def nst_loss(student_maps: list[Tensor], teacher_maps: list[Tensor]) -> Tensor:
    """Neuron selectivity transfer: k(t, t) + k(s, s) − 2 k(s, t), a squared MMD.

        k(a, b) = mean over samples and channel pairs (c, c') of ⟨a_c, b_c'⟩²

    with a_c the map of channel c, flattened and divided by its L2 norm; a zero channel stays 0.
    SUM over layers. The larger map of a pair is average-pooled to the smaller; channels may differ.

    Args:
        student_maps: (N, C, H, W) per layer.
        teacher_maps: (N, C', H', W') per layer.

    Returns:
        Scalar ≥ 0 up to rounding, at least float32.

    Raises:
        ValueError: lists or shapes that do not match, or an empty batch.

    Source: Huang and Wang, "Like what you like: knowledge distill via neuron selectivity
    transfer", 2017.
    """
    check_map_lists(student_maps, teacher_maps)
    return sum(map(_squared_discrepancy, student_maps, teacher_maps))


def _squared_discrepancy(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """k(t, t) + k(s, s) − 2 k(s, t) of one layer."""
    pair = _to_common_size(student_map, teacher_map)
    s, t = (unit(feature_map.flatten(start_dim=2)) for feature_map in pair)  # (N, C, HW)
    return (
        _mean_squared_product(t, t) + _mean_squared_product(s, s) - 2 * _mean_squared_product(s, t)
    )


def _mean_squared_product(first: Tensor, second: Tensor) -> Tensor:
    """Mean of ⟨a, b⟩² over samples and all pairs of rows of (N, C, D) and (N, C', D)."""
    with exact_products(first):
        return (first @ second.mT).square().mean()  # over (N, C, C')


def hcl_loss(student_maps: list[Tensor], teacher_maps: list[Tensor]) -> Tensor:
    """Hierarchical context loss (ReviewKD): mean squared errors at several resolutions.

        (MSE(s, t) + Σ_i 2⁻ⁱ · MSE(pool_i(s), pool_i(t))) / (1 + Σ_i 2⁻ⁱ)

    i = 1, 2, … counts the sizes l among 4, 2, 1 that are below the height of the map; pool_i is
    average pooling to l×l. Each MSE is a mean over all elements; SUM over layers.

    Args:
        student_maps: (N, C, H, W) per layer.
        teacher_maps: (N, C, H, W) per layer.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: lists or shapes that differ, or an empty batch.

    Source: Chen et al., "Distilling knowledge via knowledge review", CVPR 2021.
    """
    check_map_lists(student_maps, teacher_maps)
    pairs = list(zip(student_maps, teacher_maps, strict=True))
    for layer, pair in enumerate(pairs):
        check_same_shape(*pair, f"student_maps[{layer}] and teacher_maps[{layer}]")
    differences = [student - teacher for student, teacher in starmap(common_precision, pairs)]
    return sum(map(_mean_square_at_all_sizes, differences))


def _mean_square_at_all_sizes(difference: Tensor) -> Tensor:
    """Weighted mean of the mean squares of a difference of maps and of its pooled versions."""
    sizes = [size for size in CONTEXT_SIZES if size < difference.shape[2]]
    # Pooling is linear: pool the difference, not both maps.
    versions = [difference] + [average_pool(difference, (size, size)) for size in sizes]
    weights = [0.5**i for i in range(len(versions))]
    weighted = (w * v.square().mean() for w, v in zip(weights, versions, strict=True))
    return sum(weighted) / sum(weights)


def fsp_loss(student_maps: list[Tensor], teacher_maps: list[Tensor]) -> Tensor:
    """Flow of solution procedure: mean squared error of the products of consecutive maps.

        G_i = ⟨channel c of map i, channel c' of map i + 1⟩ / positions,   (N, C_i, C_{i+1})

    Within such a pair of maps the larger is average-pooled to the smaller. Mean over all elements
    of (G_i(s) − G_i(t))², SUM over the consecutive pairs.

    Args:
        student_maps: (N, C_i, H, W) for two layers or more.
        teacher_maps: (N, C_i, H', W') per layer: the same channels.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: fewer than two maps, lists or channels that do not match, or an empty batch.

    Source: Yim et al., "A gift from knowledge distillation", CVPR 2017.
    """
    check_map_lists(student_maps, teacher_maps, at_least=2)
    for layer, (student_map, teacher_map) in enumerate(
        zip(student_maps, teacher_maps, strict=True)
    ):
        if student_map.shape[1] != teacher_map.shape[1]:
            raise ValueError(
                f"student_maps[{layer}] and teacher_maps[{layer}] must have the same channels, "
                f"got {tuple(student_map.shape)} and {tuple(teacher_map.shape)}"
            )
    # Here, and not in each pair, so that the gradients of a map's two pairs add up in float32.
    maps, layers = common_precision(*student_maps, *teacher_maps), len(student_maps)
    return sum(map(F.mse_loss, _flows(maps[:layers]), _flows(maps[layers:])))


def _flows(maps: Sequence[Tensor]) -> list[Tensor]:
    """G_i, (N, C_i, C_{i+1}), of each pair of consecutive maps."""
    flows = []
    for first, second in pairwise(maps):
        first, second = (x.flatten(start_dim=2) for x in _to_common_size(first, second))
        with exact_products(first):
            flows.append(first @ second.mT / first.shape[2])
    return flows
