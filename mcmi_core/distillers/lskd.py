"""KD of standardised logits (Sun et al., 2024): match their shape, not their size.

0.1 · CE + 9 · T² · KL(softmax(Z(t)) ‖ softmax(Z(s))),   Z(z) = (z − mean) / (std · T), T = 2
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import kd_loss, standardise_logits


class LSKD(Distiller):
    """KD whose temperature is T times the standard deviation of each sample's logits.

    The standard deviation has divisor C, as in the paper; the authors' code has C − 1, which is
    half a percent more for 100 classes.

    Options:
        temperature: T, the base temperature.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.
    """

    shareable = True

    temperature: float = 2.0
    weight: float = 9.0
    cross_entropy_weight: float = 0.1

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``lskd``: weight · T² · KL of the standardised logits, nats."""
        loss = kd_loss(
            standardise_logits(student.logits, self.temperature),
            standardise_logits(teacher.logits, self.temperature),
            temperature=1.0,
        )
        return {"lskd": self.weight * self.temperature**2 * loss}
