"""Synthetic data whose Bayes conditional distribution P*(y|x) is known exactly.

Classes are Gaussians of unit covariance and equal prior in a latent space; their means are random
points on a sphere. A random orthonormal map embeds them in the space that networks see. For the
latent point z of x, with class means μ_k,

    P*(k|x) = softmax_k(⟨z, μ_k⟩ − |μ_k|² / 2).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.data.split import Dataset, Split


class GaussianPosterior(nn.Module):
    """The exact log-posterior of the oracle data, as a network without parameters.

    Args:
        embedding: (dimension, latent_dimension) with orthonormal columns.
        means: (classes, latent_dimension).
    """

    def __init__(self, embedding: Tensor, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("embedding", embedding)
        self.register_buffer("means", means)

    def forward(self, inputs: Tensor) -> Tensor:
        """log P*(y|x) of inputs (N, ...) with ``dimension`` elements each: (N, classes)."""
        latent = inputs.flatten(1).to(self.embedding.dtype) @ self.embedding  # (N, latent)
        scores = latent @ self.means.T - self.means.square().sum(1) / 2
        return scores.log_softmax(dim=1)


def oracle(
    *,
    classes: int = 10,
    latent_dimension: int = 16,
    dimension: int = 256,
    separation: float = 2.3,
    train_size: int = 4000,
    test_size: int = 4000,
    images: bool = False,
    seed: int = 0,
) -> Dataset:
    """Gaussian classes with known posterior; every class has as many samples as any other.

    Args:
        classes: C.
        latent_dimension: where the Gaussians live.
        dimension: of the vectors that networks see.
        separation: radius of the sphere of class means, in standard deviations.
        train_size: samples to train on.
        test_size: samples to test on.
        images: show the vectors as square images of one channel.
        seed: of means, embedding and samples.

    Raises:
        ValueError: a value out of range.
    """
    if classes < 2 or min(train_size, test_size) < classes:
        raise ValueError(
            f"oracle needs at least 2 classes and a sample of each in both splits, got classes="
            f"{classes}, train_size={train_size}, test_size={test_size}"
        )
    if not 1 <= latent_dimension <= dimension:
        raise ValueError(
            f"latent_dimension must be in 1..dimension, got {latent_dimension} and {dimension}"
        )
    if not separation >= 0:
        raise ValueError(f"separation must be at least 0, got {separation}")
    side = math.isqrt(dimension)
    if images and side**2 != dimension:
        raise ValueError(f"images need a square dimension, such as 256, got {dimension}")

    # float64 throughout, so that the posterior is exact, and rounds to the same float32 everywhere.
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, latent_dimension, generator=generator, dtype=torch.float64)
    means = separation * F.normalize(means, dim=1)
    embedding = torch.randn(dimension, latent_dimension, generator=generator, dtype=torch.float64)
    embedding, _ = torch.linalg.qr(embedding)
    classifier = GaussianPosterior(embedding, means)

    def draw(size: int) -> Split:
        labels = torch.arange(size) % classes
        noise = torch.randn(size, latent_dimension, generator=generator, dtype=torch.float64)
        inputs = ((means[labels] + noise) @ embedding.T).float()
        posterior = classifier(inputs).exp().float()
        return Split(inputs.view(-1, 1, side, side) if images else inputs, labels, posterior)

    names = tuple(f"Gaussian {k}" for k in range(classes))
    return Dataset("oracle", draw(train_size), draw(test_size), names, bayes_classifier=classifier)
