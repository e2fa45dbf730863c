"""Contrastive representation distillation (Tian, Krishnan and Isola, 2020): tell samples apart.

CE + 0.8 · (L_student + L_teacher), where for each side, with x₀ the score of a sample's embedding
against the other network's memory of the same sample, x_k against that of K samples of other
classes, n samples in the training split and q = K/n,

    L = −[log(x₀ / (x₀ + q + ε)) + Σ_k log(q / (x_k + q + ε))],   x = exp(⟨·,·⟩ / 0.07) / Z,

ε = 1e-7. Embeddings are linear, 128-d and of unit norm; Z = n · mean of the first batch's scores.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_positive
from mcmi_core.base.device import available_memory
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.losses import exact_products, full_precision

EPSILON = 1e-7

NUMBERS_PER_SCORE = 15
"""That a step holds at once for each pair of a batch's and a training image, as measured."""


MOST_NEGATIVES = 1_000_000
"""Of a sample; each takes 8 bytes or more."""


class OtherClasses(nn.Module):
    """Draws samples of other classes, uniformly and with replacement, without a loop.

    Sorted by class, the samples of one class form a block. A place outside of it is drawn as a
    number below n − (size of the block); from the start of the block on, that size is added.

    Args:
        labels: (n,), of the training split.

    Raises:
        ValueError: there is only one class.
    """

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        classes, kinds, sizes = labels.unique(return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise ValueError(
                f"crd needs negatives of other classes, but all labels are {classes.tolist()}"
            )
        starts = sizes.cumsum(0) - sizes
        self.register_buffer("order", labels.argsort(stable=True), persistent=False)
        self.register_buffer("block_start", starts[kinds], persistent=False)  # (n,)
        self.register_buffer("block_size", sizes[kinds], persistent=False)  # (n,)

    def forward(self, indices: Tensor, number: int) -> Tensor:
        """Indices (N, number) of samples whose class is not that of the sample at ``indices``."""
        start = self.block_start[indices, None]  # (N, 1)
        size = self.block_size[indices, None]
        # A remainder of 62 random bits is uniform to 1e-12; scaled floats would round.
        bits = torch.randint(2**62, (len(indices), number), device=indices.device)
        rank = bits % (len(self.order) - size)
        return self.order[rank + size * (rank >= start)]


def contrastive_loss(scores: Tensor, indices: Tensor, counts: Tensor) -> Tensor:
    """−[log(x₀ / (x₀ + q + ε)) + Σ_k log(q / (x_k + q + ε))], nats, mean over the batch.

    Args:
        scores: x (N, n), of each sample of the batch against every place of a memory bank.
        indices: (N,), the place of each sample's own, x₀.
        counts: (N, n), how often each place is among the K negatives of a sample; rows sum to K.

    Returns:
        Scalar.
    """
    noise = counts.sum(dim=1) / scores.shape[1]  # q, (N,)
    own = scores.gather(1, indices[:, None]).squeeze(1)  # (N,)
    positive = (own / (own + noise + EPSILON)).log()
    negative = (noise[:, None] / (scores + noise[:, None] + EPSILON)).log()
    return -(positive + (counts * negative).sum(dim=1)).mean()


class Memory(nn.Module):
    """One network's last embedding of every training sample; the other's are compared with them.

    Args:
        size: n, samples in the training split.
        dimension: D, of the embeddings.
        temperature: of the scores.
        momentum: weight of the old memory when a new embedding is written.
    """

    def __init__(self, size: int, dimension: int, temperature: float, momentum: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.momentum = momentum
        bound = math.sqrt(3 / dimension)  # for memories of unit length on average
        self.register_buffer("bank", torch.empty(size, dimension).uniform_(-bound, bound))
        self.register_buffer("scale", torch.tensor(math.nan))  # Z

    def scores(self, embeddings: Tensor, indices: Tensor, counts: Tensor) -> Tensor:
        """exp(⟨embedding, memory⟩ / temperature) / Z for embeddings (N, D): (N, n).

        The first call sets Z to n · mean over each sample's own memory and its negatives.

        Args:
            embeddings: (N, D), of unit length.
            indices: (N,), the places of these samples.
            counts: (N, n), how often each place is a negative of each sample.
        """
        # Of a copy, which the gradient needs: the bank itself is soon written to.
        with exact_products(embeddings):
            raw = (embeddings @ self.bank.clone().T / self.temperature).exp()  # (N, n)
        with torch.no_grad():
            # `where` chooses on the device; an `if` would wait for it.
            used = counts.scatter_add(1, indices[:, None], torch.ones_like(counts[:, :1]))
            first = raw.shape[1] * (used * raw).sum() / used.sum()
            self.scale.copy_(torch.where(self.scale.isnan(), first, self.scale))
        return raw / self.scale

    @torch.no_grad()
    def write(self, embeddings: Tensor, indices: Tensor) -> None:
        """memory ← m · memory + (1 − m) · embedding, of unit length, at ``indices``.

        A sample that a batch holds twice, as where few are cycled, adds both its embeddings.
        """
        same = (indices[:, None] == indices).to(embeddings.dtype)  # (N, N)
        with exact_products(embeddings):
            sums = same @ embeddings  # (N, D)
        moved = self.momentum * self.bank[indices] + (1 - self.momentum) * sums
        self.bank.index_copy_(0, indices, F.normalize(moved, dim=1))


def _unit_vectors(features: Tensor, embedding: nn.Linear) -> Tensor:
    """Embeddings (N, D) of unit length."""
    with exact_products(features):
        return F.normalize(embedding(full_precision(features)), dim=1)


class CRD(Distiller):
    """Contrastive representation distillation.

    Scores are computed against the whole bank at once, and a negative that was drawn twice counts
    twice: cheaper than copying 16,384 memories per sample, and no gradient is summed in an order
    that changes from run to run. The authors' code draws without replacement where a split has
    more than K samples of other classes; here a draw is always with replacement.

    Options:
        weight: of the sum of both losses.
        num_negatives: K, per sample.
        temperature: of the scores.
        momentum: m of the memory banks.
        embedding_dimension: of the space that both features are mapped into.

    Raises:
        ValueError: a value out of range, or labels of one class only.

    Source: Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020; the
    banks start at random as in the authors' code.
    """

    uses_features = True

    weight: float = 0.8
    num_negatives: int = 16384
    temperature: float = 0.07
    momentum: float = 0.5
    embedding_dimension: int = 128

    def set_up(
        self, student: nn.Module, teacher: nn.Module, sample: Tensor, labels: Tensor
    ) -> None:
        """Build embeddings, memories and what draws negatives.

        The labels are in the order of the training split, of which ``batch.indices`` are places.
        """
        if not 1 <= self.num_negatives <= MOST_NEGATIVES:
            raise ValueError(
                f"num_negatives must be in 1..{MOST_NEGATIVES:,}, got {self.num_negatives}"
            )
        check_positive(self.embedding_dimension, "embedding_dimension")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        student_width = math.prod(feature_shapes(student, sample)[-1])
        teacher_width = math.prod(feature_shapes(teacher, sample)[-1])
        self.student_embedding = nn.Linear(student_width, self.embedding_dimension)
        self.teacher_embedding = nn.Linear(teacher_width, self.embedding_dimension)
        memory = (len(labels), self.embedding_dimension, self.temperature, self.momentum)
        self.student_memory = Memory(*memory)
        self.teacher_memory = Memory(*memory)
        self.negatives = OtherClasses(labels)

    def prepare(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """See whether a step fits into the memory.

        Raises:
            ValueError: it does not.
        """
        samples, images = len(next(iter(batches)).labels), len(self.student_memory.bank)
        needed = NUMBERS_PER_SCORE * 4 * samples * images
        free = available_memory(self.student_memory.bank.device)
        if needed > free:
            raise ValueError(
                f"crd compares the {samples} images of a batch with all {images:,} of the training "
                f"split, which takes about {needed / 2**30:.1f} GiB of memory, and "
                f"{free / 2**30:.1f} are free; take smaller batches, less data or another distiller"
            )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``crd``: weight · (L_student + L_teacher), nats; the batch is remembered afterwards."""
        student_vectors = _unit_vectors(student.features[-1], self.student_embedding)  # (N, D)
        teacher_vectors = _unit_vectors(teacher.features[-1], self.teacher_embedding)
        indices = batch.indices
        drawn = self.negatives(indices, self.num_negatives)  # (N, K)
        counts = student_vectors.new_zeros(len(indices), len(self.student_memory.bank))
        counts.scatter_add_(1, drawn, counts.new_ones(drawn.shape))  # (N, n)
        student_scores = self.teacher_memory.scores(student_vectors, indices, counts)
        teacher_scores = self.student_memory.scores(teacher_vectors, indices, counts)
        loss = contrastive_loss(student_scores, indices, counts) + contrastive_loss(
            teacher_scores, indices, counts
        )
        self.student_memory.write(student_vectors, indices)
        self.teacher_memory.write(teacher_vectors, indices)
        return {"crd": self.weight * loss}
