"""KD where only some of the training samples have a label: cross-entropy on those, KD on all.

    c · mean over labelled samples of CE + w · T² · KL(softmax(t/T) ‖ softmax(s/T)),   T = 4

A batch holds a random number of labelled samples, often none. An unbiased estimate of the mean over
all of them is Σ CE over those in the batch / (batch size · share of labelled samples).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.data.loader import Batch
from mcmi_core.data.split import UNLABELLED, Split
from mcmi_core.distillers._base import Output
from mcmi_core.distillers.kd import KD
from mcmi_core.losses import full_precision


class SemiKD(KD):
    """Plain KD of a student that sees the labels of a few samples only.

    Options:
        labelled_fraction: share of every class that keeps its labels, in (0, 1); at least one
            sample of each. They are the samples of a few-shot student with the same seed.
        seed: of the choice.
        temperature: T, softens both outputs in the distillation term.
        weight: w, of the distillation term.
        cross_entropy_weight: c, of the cross-entropy with the labels.

    Raises:
        ValueError: a fraction out of range.
    """

    labelled_fraction: float
    seed: int = 0

    def set_up(self, student: nn.Module, teacher: nn.Module, labels: Tensor) -> None:
        """Replace the labels to hide by −1, so that no term can see them."""
        self.labelled_weight = self.cross_entropy_weight
        self.cross_entropy_weight = 0.0  # of the term that would see all labels
        places = Split(torch.arange(len(labels), device=labels.device), labels)
        labelled = places.fraction(self.labelled_fraction, seed=self.seed)
        known = torch.full_like(labels, UNLABELLED)
        known[labelled.inputs] = labelled.labels
        self.share = len(labelled) / len(places)
        self.register_buffer("known_labels", known, persistent=False)  # (N,)

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``kd``: weight · T² · KL; ``cross_entropy`` of the labelled samples; nats."""
        labels = self.known_labels[batch.indices]  # (batch size,)
        cross_entropy = F.cross_entropy(
            full_precision(student.logits), labels, ignore_index=UNLABELLED, reduction="sum"
        )
        weight = self.labelled_weight / (self.share * len(labels))
        return super().forward(student, teacher, batch) | {"cross_entropy": weight * cross_entropy}
