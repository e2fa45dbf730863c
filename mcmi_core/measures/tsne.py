"""Features of a network on a plane."""

import torch
from torch import nn

from mcmi_core.data.loader import evaluation_batches
from mcmi_core.data.split import Dataset, Split
from mcmi_core.measures.evaluation import batch_size
from mcmi_core.models._base import features_and_logits


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

    part = split if samples >= len(split) else split.fraction(samples / len(split), seed=seed)
    size = batch_size(dataset, device)
    batches = evaluation_batches(dataset, part, batch_size=size, device=device)
    vectors = torch.cat([features_and_logits(model, batch.inputs)[0][-1] for batch in batches])
    reducer = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    places = reducer.fit_transform(vectors.cpu().numpy())  # (N, 2)
    places = places.round(3)  # finer than any figure shows
    horizontal, vertical = (column.tolist() for column in places.astype(float).T)
    return {"horizontal": horizontal, "vertical": vertical, "class_index": part.labels.tolist()}
