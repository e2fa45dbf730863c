"""Knowledge distillation (Hinton, Vinyals and Dean, 2015): match softened outputs.

0.1 · CE + 0.9 · T² · KL(softmax(t/T) ‖ softmax(s/T)),   T = 4
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import kd_loss


class KD(Distiller):
    """Plain KD.

    Options:
        temperature: T, softens both outputs in the distillation term.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.
    """

    shareable = True

    temperature: float = 4.0
    weight: float = 0.9
    cross_entropy_weight: float = 0.1

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``kd``: weight · T² · KL, nats."""
        return {"kd": self.weight * kd_loss(student.logits, teacher.logits, self.temperature)}
