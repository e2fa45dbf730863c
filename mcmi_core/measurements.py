"""What can be measured on a finished run beyond its standard metrics.

A measurement is a function of a model, its data set and one split that returns named columns:
equally long lists, small enough for a record. To add one: write it and add its line below.
"""

import torch
from torch import nn

from mcmi_core.cam import eigen_cam_coverage, eigen_cam_maps
from mcmi_core.data.split import Dataset, Split
from mcmi_core.proposition import proposition_1
from mcmi_core.registry import Registry


def temperature_sweep(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    temperatures: tuple[float, ...],
) -> dict[str, list[float]]:
    """CMI, LL and entropy (nats) of softmax(logits / T) for every temperature T."""
    from mcmi_core.evaluation import evaluate  # seconds, which a replay should not wait

    rows = [evaluate(model, dataset, split, device, temperature=t) for t in temperatures]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {"temperature": list(temperatures)} | columns


def confusion_matrix(
    *, model: nn.Module, dataset: Dataset, split: Split, device: torch.device
) -> dict[str, list[int]]:
    """How many samples of each ``true_class`` are taken for each ``predicted_class``: C² rows."""
    from mcmi_core.evaluation import predict_logits

    classes = dataset.num_classes
    predicted = predict_logits(model, dataset, split, device).argmax(dim=1)
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

    from mcmi_core.evaluation import predict_logits

    probs = predict_logits(model, dataset, split, device).double().softmax(dim=1)  # (N, C)
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


@torch.no_grad()
def tsne(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    samples: int = 400,
    perplexity: float = 30.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Features before the last layer, brought to two dimensions by t-SNE: one row per sample.

    Args:
        model: network whose :meth:`features` end with the vectors (N, D) that its head reads.
        dataset: the data set that ``split`` belongs to.
        split: where samples are taken from.
        device: where.
        samples: how many, in equal shares from every class; all if there are no more.
        perplexity: of t-SNE, smaller than the number of samples.
        seed: of the choice of samples and of t-SNE.

    Returns:
        ``horizontal`` and ``vertical``, without unit or direction, and ``class_index``.

    Raises:
        ValueError: a perplexity that is too large.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008, as in scikit-learn.
    """
    from sklearn.manifold import TSNE

    from mcmi_core.data.loader import evaluation_batches
    from mcmi_core.evaluation import BATCH_SIZE

    part = split if samples >= len(split) else split.fraction(samples / len(split), seed=seed)
    batches = evaluation_batches(dataset, part, batch_size=BATCH_SIZE, device=device)
    vectors = torch.cat([model.features(batch.inputs)[0][-1] for batch in batches]).cpu().numpy()
    reducer = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    places = reducer.fit_transform(vectors).round(3)  # (N, 2); finer than any figure shows
    horizontal, vertical = (column.tolist() for column in places.astype(float).T)
    return {"horizontal": horizontal, "vertical": vertical, "class_index": part.labels.tolist()}


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
    from mcmi_core.evaluation import evaluate

    _, rest = split.divide(fraction, seed=seed)
    return {name: [value] for name, value in evaluate(model, dataset, rest, device).items()}


MEASUREMENTS = Registry(
    "measurement",
    {
        "temperature_sweep": temperature_sweep,
        "unseen": unseen,
        "confusion_matrix": confusion_matrix,
        "by_class": by_class,
        "tsne": tsne,
        "network_size": network_size,
        "eigen_cam_coverage": eigen_cam_coverage,
        "eigen_cam_maps": eigen_cam_maps,
        "proposition_1": proposition_1,
    },
    context=("model", "dataset", "split", "device"),
)
