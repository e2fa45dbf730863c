"""DIST (Huang et al., 2022): match relations of probabilities, not the probabilities.

CE + T² · (β · (1 − mean ρ of rows) + γ · (1 − mean ρ of columns)),   β = γ = 2, T = 4
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import dist_loss


class DIST(Distiller):
    """Correlations between classes and between samples; the defaults are those for CIFAR-100.

    Options:
        temperature: T, softens both outputs; 1 on ImageNet.
        beta: β, weight of the relation between classes.
        gamma: γ, weight of the relation between samples.
        weight: of the distillation term.
    """

    temperature: float = 4.0
    beta: float = 2.0
    gamma: float = 2.0
    weight: float = 1.0

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``dist``: weight · T² · (β · inter + γ · intra)."""
        loss = dist_loss(student.logits, teacher.logits, self.beta, self.gamma, self.temperature)
        return {"dist": self.weight * loss}
