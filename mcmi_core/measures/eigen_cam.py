"""Eigen-CAM: where a network looks, and how much of the image that is.

For one image, the rows of A (H·W, D) are a feature map's positions, its columns the channels. With
A = U S Vᵀ, the map is the projection of every position on the first right-singular vector,

    A v₁ = s₁ u₁,

the rank-one picture that loses least of A. It asks for no class and no gradient.

Source: Muhammad and Yeasin, "Eigen-CAM: class activation map using principal components", 2020. The
package `grad-cam` first takes each channel's mean over positions from A; ``centred=True`` does so.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.data.augmentation import centre_crop
from mcmi_core.data.loader import evaluation_batches
from mcmi_core.data.split import Dataset, Split
from mcmi_core.measures.evaluation import batch_size
from mcmi_core.measures.pictures import png_text
from mcmi_core.models._base import features_and_logits

DIGITS = 3
"""Decimals of the maps in a record."""


def eigen_cam(maps: Tensor, *, centred: bool = False) -> Tensor:
    """The Eigen-CAM of every image, from 0 to 1: max(A v₁, 0), divided by its largest value.

    v₁ is known up to its sign; taken is the one with ⟨A v₁, mean activation over channels⟩ ≥ 0,
    both seen as vectors of positions. Maps after a ReLU then lose nothing to the clipping, since
    v₁ of a non-negative A has no two signs; centred ones lose what is below their mean.

    Args:
        maps: (N, D, H, W), the feature maps of N images.
        centred: take the mean over positions from every channel first.

    Returns:
        (N, H, W), float64; all 0 for an image whose A is 0.

    Raises:
        ValueError: maps that are not (N, D, H, W), or not finite.
    """
    if maps.ndim != 4:
        raise ValueError(f"maps must have shape (N, D, H, W), got {tuple(maps.shape)}")
    if not maps.isfinite().all():
        raise ValueError("maps must be finite, got NaN or inf")
    rows = maps.double().flatten(2).transpose(1, 2)  # (N, H·W, D)
    if centred:
        rows = rows - rows.mean(dim=1, keepdim=True)
    projection = rows @ _first_right_singular_vector(rows)[:, :, None]  # (N, H·W, 1)
    projection = projection.squeeze(2)
    agreement = (projection * rows.mean(dim=2)).sum(dim=1, keepdim=True)  # (N, 1)
    heat = torch.where(agreement < 0, -projection, projection).clamp_min(0)
    largest = heat.amax(dim=1, keepdim=True)
    heat = torch.where(largest > 0, heat / largest, 0)
    return heat.view(len(maps), *maps.shape[2:])


def _first_right_singular_vector(rows: Tensor) -> Tensor:
    """v₁ of each matrix (N, P, D), as the last eigenvector of its smaller product: (N, D)."""
    if rows.shape[2] <= rows.shape[1]:
        return torch.linalg.eigh(rows.mT @ rows).eigenvectors[:, :, -1]
    left = torch.linalg.eigh(rows @ rows.mT).eigenvectors[:, :, -1]  # (N, P)
    return F.normalize((left[:, None] @ rows).squeeze(1), dim=1)  # Aᵀ u₁ = s₁ v₁


def coverage(heat: Tensor) -> Tensor:
    """Share of the positions that a map covers, its participation ratio: (Σ h)² / (H·W · Σ h²).

    1/(H·W) where one position has all of it, 1 where all have the same, 0 for a map of zeros; k
    equal positions among zeros give k/(H·W). No scale and no threshold have a part in it.

    Args:
        heat: (N, H, W), not negative.

    Returns:
        (N,), in [0, 1].

    Raises:
        ValueError: maps that are not (N, H, W), or a negative value.
    """
    rows = _positions(heat)
    squares = len(rows[0]) * rows.square().sum(dim=1)
    return torch.where(squares > 0, rows.sum(dim=1).square() / squares, 0)


def place_information(heat: Tensor, labels: Tensor) -> Tensor:
    """I(X; S | Y), nats: how much a place S, drawn in proportion to the map, says about the image.

    The CMI of the maps: 0 where all maps of a class are alike, whatever they show. A map of zeros
    prefers no place.

    Args:
        heat: (N, H, W), not negative.
        labels: (N,) integer classes.

    Returns:
        Scalar, float64, 0 ≤ I ≤ log(H·W).

    Raises:
        ValueError: maps that are not (N, H, W), a negative value, or labels that do not fit.
    """
    from mcmi_core.cmi import conditional_mutual_information  # seconds, which a replay can spare

    rows = _positions(heat)
    total = rows.sum(dim=1, keepdim=True)
    places = torch.where(total > 0, rows / total, 1 / rows.shape[1])  # (N, H·W)
    return conditional_mutual_information(places, labels)


def _positions(heat: Tensor) -> Tensor:
    if heat.ndim != 3:
        raise ValueError(f"heat maps must have shape (N, H, W), got {tuple(heat.shape)}")
    if (heat < 0).any():
        raise ValueError(f"heat maps must not be negative, got {heat.min().item():.4g}")
    return heat.double().flatten(1)


def eigen_cam_coverage(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    centred: bool = False,
) -> dict[str, list[float]]:
    """How much of the image the Eigen-CAMs cover, for the stem (stage 0) and every stage.

    Columns, over the whole split: ``stage_index``, ``positions`` (H·W), ``coverage_percent``
    (mean of :func:`coverage`) and ``place_information_nats`` (:func:`place_information`).

    Raises:
        ValueError: a network whose features are no maps.
    """
    size = batch_size(dataset, device)
    heats = [
        [eigen_cam(maps, centred=centred) for maps in _stage_maps(model, batch.inputs)]
        for batch in evaluation_batches(dataset, split, batch_size=size, device=device)
    ]
    stages = [torch.cat(batches) for batches in zip(*heats, strict=True)]  # (N, H, W) each
    return {
        "stage_index": list(range(len(stages))),
        "positions": [heat[0].numel() for heat in stages],
        "coverage_percent": [100 * coverage(heat).mean().item() for heat in stages],
        "place_information_nats": [place_information(h, split.labels).item() for h in stages],
    }


def eigen_cam_maps(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    stage: int,
    classes: int = 3,
    samples: int = 4,
    centred: bool = False,
) -> dict[str, list]:
    """The Eigen-CAMs of the first images of the first classes: enough to draw without weights.

    Columns: ``class_index``, ``picture`` (base64 of a PNG) and ``heat`` (H rows of W values from 0
    to 1).

    Args:
        model: with ``features``.
        dataset: with images as uint8.
        split: where the images are.
        device: of the model.
        stage: whose map; 0 is the stem.
        classes: number of classes, in the order of their labels.
        samples: images of each, in the order of the split.
        centred: as in :func:`eigen_cam`.

    Raises:
        ValueError: a network whose features are no maps, no such stage, no pictures.
    """
    if split.inputs.dtype != torch.uint8:
        raise ValueError(f"{dataset.name} has no pictures: inputs are {split.inputs.dtype}")
    chosen = torch.cat(
        [(split.labels == label).nonzero().flatten()[:samples] for label in range(classes)]
    )
    pictures = centre_crop(split.subset(chosen).inputs.to(device), dataset.image_size)
    maps = _stage_maps(model, dataset.normalise(pictures))
    if not 0 <= stage < len(maps):
        raise ValueError(f"no stage {stage}; choose from 0 to {len(maps) - 1}")
    heat = eigen_cam(maps[stage], centred=centred)
    return {
        "class_index": split.labels[chosen].tolist(),
        "picture": [png_text(picture) for picture in pictures],
        "heat": [[[round(h, DIGITS) for h in row] for row in one] for one in heat.tolist()],
    }


@torch.no_grad()
def _stage_maps(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """The maps (N, D, H, W) among the features, stem first; the model in eval mode."""
    features, _ = features_and_logits(model.eval(), inputs)
    if maps := [feature for feature in features if feature.ndim == 4]:
        return maps
    raise ValueError(
        f"Eigen-CAM needs feature maps (N, D, H, W); {type(model).__name__} has features of shape "
        f"{', '.join(str(tuple(feature.shape)) for feature in features)}"
    )
