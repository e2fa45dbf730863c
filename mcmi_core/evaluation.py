"""What a network does on a split: accuracy, LL, CMI, entropy and, where known, BCPD error."""

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from mcmi_core.cmi import (
    BayesDivergence,
    ConditionalMutualInformation,
    LogLikelihood,
    PredictionEntropy,
)
from mcmi_core.data.loader import evaluation_batches
from mcmi_core.data.split import Dataset, Split

BATCH_SIZE = 512
"""Samples that the network sees at once."""

METRIC_SIZE = 2**18
"""Logits that the metrics see at once: with few classes, a call costs more than its numbers."""


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    variant: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Logits (N, C) of ``model``, in eval mode, for every sample of ``split`` in its order.

    With ``variant``, for that variant of every sample; see :mod:`mcmi_core.data.augmentation`.
    """
    model.eval()
    batches = evaluation_batches(
        dataset, split, batch_size=batch_size, device=device, variant=variant
    )
    return torch.cat([model(batch.inputs) for batch in batches])


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Evaluate ``model`` in eval mode on every sample of ``split`` once.

    Args:
        model: network from inputs to logits (N, C).
        dataset: the data set that ``split`` belongs to.
        split: what to evaluate on.
        device: where.
        temperature: T; P_x = softmax(logits / T).

    Returns:
        ``accuracy_percent`` (and ``top5_accuracy_percent`` from 20 classes on), ``ll_nats``,
        ``cmi_nats``, ``entropy_nats`` = H(Ŷ|X) and, where the split knows the true posterior P*,
        ``bcpd_kl_nats`` = mean KL(P* ‖ P).

    Raises:
        ValueError: logits that contain NaN.
    """
    classes = dataset.num_classes
    accuracies = {"accuracy_percent": MulticlassAccuracy(classes, average="micro")}
    if classes >= 20:
        accuracies["top5_accuracy_percent"] = MulticlassAccuracy(classes, top_k=5, average="micro")
    information = MetricCollection(
        {
            "ll_nats": LogLikelihood(classes, temperature),
            "cmi_nats": ConditionalMutualInformation(classes, temperature),
            "entropy_nats": PredictionEntropy(classes, temperature),
        },
        compute_groups=False,
    ).to(device)
    accuracy = MetricCollection(accuracies, compute_groups=False).to(device)
    divergence = BayesDivergence(classes, temperature).to(device)

    batches = max(METRIC_SIZE // (classes * BATCH_SIZE), 1)
    for indices in torch.arange(len(split)).split(batches * BATCH_SIZE):
        part = split.subset(indices).to(device)
        logits = predict_logits(model, dataset, part, device)
        accuracy.update(logits, part.labels)
        information.update(logits, part.labels)
        if part.posterior is not None:
            divergence.update(logits, part.labels, part.posterior)

    results = {name: 100 * value.item() for name, value in accuracy.compute().items()}
    results |= {name: value.item() for name, value in information.compute().items()}
    if split.posterior is not None:
        results["bcpd_kl_nats"] = divergence.compute().item()
    return results
