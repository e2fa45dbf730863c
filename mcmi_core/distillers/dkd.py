"""Decoupled knowledge distillation (Zhao et al., 2022): the label apart from the other classes.

CE + min(epoch / 20, 1) · (α · TCKD + β · NCKD),   α = 1, β = 8, T = 4, epochs counted from 1
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import dkd_loss


class DKD(Distiller):
    """Target part and non-target part of KD, each with a weight of its own.

    The paper's β: 8, but 2 for ResNet-56 → 20 and ResNet-110 → 32, and 6 for VGG-13 → VGG-8,
    VGG-13 → MobileNetV2 and WRN-40-2 → WRN-16-2 or WRN-40-1.

    Args:
        student: the network to train.
        teacher: the network to learn from.
        temperature: T, softens both outputs.
        alpha: α, weight of the label against the rest.
        beta: β, weight of the other classes.
        weight: of the distillation term.
        warmup_epochs: epochs after which the term counts fully: in epoch e (from 1) it counts
            min(e / warmup_epochs, 1), as in the published runs; 0 for none.
        cross_entropy_weight: of the cross-entropy with the labels.

    Raises:
        ValueError: negative warm-up.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        temperature: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
        weight: float = 1.0,
        warmup_epochs: int = 20,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(student, teacher, cross_entropy_weight=cross_entropy_weight)
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be ≥ 0, got {warmup_epochs}")
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta
        self.weight = weight
        self.warmup_epochs = warmup_epochs
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Set the share of the term; ``epoch`` counts from 0."""
        self.warmup = min((epoch + 1) / max(self.warmup_epochs, 1), 1.0)

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``dkd``: warm-up · weight · (α · TCKD + β · NCKD), nats."""
        loss = dkd_loss(
            student.logits, teacher.logits, batch.labels, self.alpha, self.beta, self.temperature
        )
        return {"dkd": self.warmup * self.weight * loss}
