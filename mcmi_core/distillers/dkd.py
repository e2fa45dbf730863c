"""Decoupled knowledge distillation (Zhao et al., 2022): the label apart from the other classes.

CE + min(epoch / 20, 1) · (α · TCKD + β · NCKD),   α = 1, β = 8, T = 4, epochs counted from 1
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers._phases import WarmUp
from mcmi_core.losses import dkd_loss


class DKD(WarmUp):
    """Target part and non-target part of KD, each with a weight of its own.

    The paper's β: 8, but 2 for ResNet-56 → 20 and ResNet-110 → 32, and 6 for VGG-13 → VGG-8,
    VGG-13 → MobileNetV2 and WRN-40-2 → WRN-16-2 or WRN-40-1.

    Options:
        temperature: T, softens both outputs.
        alpha: α, weight of the label against the rest.
        beta: β, weight of the other classes.
        weight: of the distillation term.
        warmup_epochs: first epoch of full weight, as in the published runs.
    """

    shareable = True

    temperature: float = 4.0
    alpha: float = 1.0
    beta: float = 8.0
    weight: float = 1.0

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``dkd``: warm-up · weight · (α · TCKD + β · NCKD), nats."""
        loss = dkd_loss(
            student.logits, teacher.logits, batch.labels, self.alpha, self.beta, self.temperature
        )
        return {"dkd": self.weight_now * loss}
