"""What a network does on a split: accuracy, LL, CMI, entropy and, where known, BCPD error."""

import math

import torch
from torch import Tensor, nn

from mcmi_core.base.processes import number, rank, sum_over_processes
from mcmi_core.cmi import OutputSums, bayes_divergence
from mcmi_core.data.loader import evaluation_batches
from mcmi_core.data.split import Dataset, Split

MOST_AT_ONCE = {"cpu": 512, "cuda": 2048}
"""Samples that the network sees at once, at most: more would gain nothing."""

PIXELS_AT_ONCE = {"cpu": 64 * 32**2, "cuda": 2048 * 32**2}
"""Pixels of such a batch, at most: a CPU takes twice as long for maps that its caches cannot hold,
and a card has only so much memory."""

SUMMED_AT_ONCE = 2**18
"""Logits that are summed at once; for fewer, to start an operation takes longer than to do it."""

TOP_5_FROM = 20
"""Classes from which on top-5 accuracy says something."""


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    variant: int | None = None,
) -> Tensor:
    """Logits (N, C) of ``model``, in eval mode, for every sample of ``split`` in its order.

    With ``variant``, for that variant of every sample; see :mod:`mcmi_core.data.augmentation`.
    """
    model.eval()
    size = batch_size(dataset, device)
    batches = evaluation_batches(dataset, split, batch_size=size, device=device, variant=variant)
    return torch.cat([model(batch.inputs) for batch in batches])


def batch_size(dataset: Dataset, device: torch.device) -> int:
    """Samples that a network sees at once when it is evaluated."""
    kind = "cuda" if device.type == "cuda" else "cpu"
    return max(1, min(MOST_AT_ONCE[kind], PIXELS_AT_ONCE[kind] // dataset.image_size**2))


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Evaluate ``model`` in eval mode on every sample of ``split`` once.

    Of several processes that share a run, all have to call it: each takes some of the batches, and
    all return the same.

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
    ranks = {"accuracy_percent": 1} | (
        {"top5_accuracy_percent": 5} if classes >= TOP_5_FROM else {}
    )
    hits = torch.zeros(max(ranks.values()), dtype=torch.int64, device=device)
    sums = OutputSums.zeros(classes, device)
    divergence_sum = torch.zeros((), dtype=torch.float64, device=device)

    size = batch_size(dataset, device)
    # Whole batches, so that the network sees the same ones however many processes there are.
    batches = -(-len(split) // size)
    start, stop = (batches * place // number() * size for place in (rank(), rank() + 1))
    for part in split.slices(max(SUMMED_AT_ONCE // (classes * size), 1) * size, start, stop):
        part = part.to(device)
        logits = predict_logits(model, dataset, part, device)
        sums.update(logits, part.labels, temperature)
        highest = logits.topk(len(hits))
        hit = (highest.indices == part.labels[:, None]) & (highest.values > -math.inf)
        hits += hit.sum(dim=0)
        if part.posterior is not None:
            divergence_sum += bayes_divergence(logits, part.posterior, temperature).sum()

    sums, hits = sums.over_processes(), sum_over_processes(hits)
    results = {name: 100 * hits[:k].sum().item() / len(split) for name, k in ranks.items()}
    results["ll_nats"] = sums.log_likelihood.item()
    results["cmi_nats"] = sums.cmi.item()
    results["entropy_nats"] = sums.entropy.item()
    if split.posterior is not None:
        results["bcpd_kl_nats"] = sum_over_processes(divergence_sum).item() / len(split)
    return results
