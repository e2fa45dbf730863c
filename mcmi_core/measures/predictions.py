"""Measurements of a network's outputs: at other temperatures, class by class, on unseen samples."""

import math

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import NonFiniteLogits
from mcmi_core.data.augmentation import centre_crop
from mcmi_core.data.split import Dataset, Split
from mcmi_core.losses import times_log
from mcmi_core.measures.evaluation import evaluate, predict_logits
from mcmi_core.measures.pictures import png_text


def temperature_sweep(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    temperatures: tuple[float, ...],
) -> dict[str, list[float]]:
    """CMI, LL and entropy (nats) of softmax(logits / T) for every temperature T."""

    rows = [evaluate(model, dataset, split, device, temperature=t) for t in temperatures]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {"temperature": list(temperatures)} | columns


DECIMALS = 4
"""Of the logits in a record."""


def outputs(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    samples: int | None = None,
) -> dict[str, list]:
    """The logits of single samples, to look at: a row for each.

    Args:
        model: network from inputs to logits (N, C).
        dataset: the data set that ``split`` belongs to.
        split: whose samples.
        device: where.
        samples: the first of each class, in the order of the labels; None: all, in their order.

    Returns:
        ``class_index``; ``logits``, C numbers with :data:`DECIMALS` decimals; ``class_names``, C
        texts; where the inputs are images, ``picture`` (base64 of a PNG).

    Raises:
        NonFiniteLogits: NaN among the logits.
        ValueError: ``samples`` below 1.
    """
    if samples is not None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        of_class = [split.labels == label for label in range(dataset.num_classes)]
        split = split.subset(torch.cat([rows.nonzero().flatten()[:samples] for rows in of_class]))
    logits = _predict(model, dataset, split, device)
    columns = {
        "class_index": split.labels.tolist(),
        "logits": [[round(z, DECIMALS) for z in row] for row in logits.tolist()],
        "class_names": [list(dataset.class_names)] * len(split.labels),
    }
    if split.inputs.dtype == torch.uint8:
        pictures = centre_crop(split.inputs, dataset.image_size)
        columns["picture"] = [png_text(picture) for picture in pictures]
    return columns


def confusion_matrix(
    *, model: nn.Module, dataset: Dataset, split: Split, device: torch.device
) -> dict[str, list[int]]:
    """How many samples of each ``true_class`` are taken for each ``predicted_class``: C² rows."""

    classes = dataset.num_classes
    predicted = _predict(model, dataset, split, device).argmax(dim=1)
    cells = classes * split.labels.to(device) + predicted  # (N,)
    return {
        "true_class": [true for true in range(classes) for _ in range(classes)],
        "predicted_class": list(range(classes)) * classes,
        "samples": torch.bincount(cells, minlength=classes**2).tolist(),
    }


def by_class(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    bins: int = 15,
) -> dict[str, list[float]]:
    """Accuracy and calibration of every class k: C rows, percent.

    Calibration asks whether P_x[k] can be believed, over ALL samples: among the samples of one
    class alone, even the true posterior would seem wrong.

    Args:
        model: network from inputs to logits (N, C).
        dataset: the data set that ``split`` belongs to.
        split: what to look at; every class has samples.
        device: where.
        bins: of equal width, that P_x[k] is sorted into.

    Returns:
        ``class_index``; ``accuracy_percent`` of the samples of class k; ``frequency_percent``, how
        many samples there are; ``probability_percent``, the mean of P_x[k] over all samples, which
        a calibrated network has equal to the frequency; ``calibration_error_percent`` =
        Σ_bins (share of samples) · |mean P_x[k] − share of class k|, at least the distance of the
        two.

    Raises:
        ValueError: a class without samples.

    Source: the classwise calibration error of Kull et al., "Beyond temperature scaling", 2019.
    """
    from torchmetrics.functional.classification import binary_calibration_error

    probs = _predict(model, dataset, split, device).double().softmax(dim=1)  # (N, C)
    labels, predicted = split.labels.to(device), probs.argmax(dim=1)
    rows = []
    for label, beliefs in enumerate(probs.T.contiguous()):  # (N,)
        members = labels == label
        if not members.any():
            raise ValueError(f"class {label} has no samples in the split; by_class needs some")
        error = binary_calibration_error(beliefs, members.long(), n_bins=bins, norm="l1")
        shares = (
            (predicted[members] == label).double().mean(),
            members.double().mean(),
            beliefs.mean(),
            error,
        )
        rows.append([label, *(100 * share.item() for share in shares)])
    names = ("class_index", "accuracy_percent", "frequency_percent", "probability_percent")
    columns = zip(*rows, strict=True)
    return dict(zip((*names, "calibration_error_percent"), map(list, columns), strict=True))


def raised_share(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    lambdas: tuple[float, ...],
) -> dict[str, list[float]]:
    """On how many samples MCMI would raise the probability of some wrong class, by λ.

    The MCMI loss of a sample x of class y, Q_y held constant, has in the logit of a wrong class k
    the gradient

        d/dz_k [CE − λ · KL(P_x ‖ Q_y)] = P_x[k] · (1 − λ · (log(P_x[k] / Q_y[k]) − KL(P_x ‖ Q_y)))

    so a step raises k only where P_x[k] > Q_y[k] · exp(1/λ + KL(P_x ‖ Q_y)): 55 times the centroid
    at λ = 0.25, 4.2 times at λ = 0.7, even without the KL. On all other samples MCMI lowers every
    wrong class, more strongly or more weakly than cross-entropy does.

    Args:
        model: network from inputs to logits (N, C).
        dataset: the data set that ``split`` belongs to.
        split: what to look at. Q_y is the mean of its P_x, class by class.
        device: where.
        lambdas: each finite and above 0.

    Returns:
        ``lam``, and ``raised_percent``, the share of samples with at least one such class: a row
        for each λ, in the order given. Computed in float64, from logarithms.

    Raises:
        ValueError: a λ out of range.
    """
    if not lambdas or not all(0 < lam < math.inf for lam in lambdas):
        raise ValueError(f"lambdas must be finite numbers above 0, got {lambdas}")
    logits = _predict(model, dataset, split, device)
    labels = split.labels.to(device)
    largest = []  # by class: each sample's largest log(P[k] / Q[k]) − KL over wrong classes k
    for label in labels.unique().tolist():
        log_probs = logits[labels == label].double().log_softmax(dim=1)  # (N_y, C)
        log_centroid = log_probs.logsumexp(dim=0) - math.log(len(log_probs))  # (C,)
        # An excluded class, of probability 0, has no ratio and cannot be raised.
        excluded = log_probs == -math.inf
        log_ratios = (log_probs - log_centroid).masked_fill(excluded, -math.inf)
        divergence = times_log(log_probs.exp(), log_ratios).sum(dim=1)  # (N_y,)
        log_ratios[:, label] = -math.inf
        largest.append(log_ratios.amax(dim=1) - divergence)
    excess = torch.cat(largest)
    shares = [100 * (excess > 1 / lam).double().mean().item() for lam in lambdas]
    return {"lam": list(lambdas), "raised_percent": shares}


def _predict(model: nn.Module, dataset: Dataset, split: Split, device: torch.device) -> Tensor:
    """Logits (N, C); of NaN, a measurement would say something all the same.

    Raises:
        NonFiniteLogits: NaN among them.
    """
    logits = predict_logits(model, dataset, split, device)
    if logits.isnan().any():
        raise NonFiniteLogits("the logits contain NaN")
    return logits


def network_size(
    *, model: nn.Module, dataset: Dataset, split: Split, device: torch.device
) -> dict[str, list[int]]:
    """Number of trained ``parameters``: one row."""
    return {"parameters": [sum(parameter.numel() for parameter in model.parameters())]}


def unseen(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    fraction: float,
    seed: int,
) -> dict[str, list[float]]:
    """The standard metrics on the rest of a split, for a network that saw a fraction of it: 1 row.

    What a few-shot student makes of the training samples that it did not get chooses between
    settings without a look at the test split. Its teacher did get them: a choice, not a result.

    Args:
        model: the few-shot network.
        dataset: its data set.
        split: the split that its part was taken from.
        device: where.
        fraction: of a stratified part.
        seed: of the part.

    Raises:
        ValueError: a fraction out of range.
    """

    _, rest = split.divide(fraction, seed=seed)
    return {name: [value] for name, value in evaluate(model, dataset, rest, device).items()}
