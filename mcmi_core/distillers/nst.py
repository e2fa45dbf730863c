"""Neuron selectivity transfer (Huang and Wang, 2017): the same patterns, over all channels.

CE + 50 · Σ_stages k(t, t) + k(s, s) − 2 k(s, t),   k(a, b) = mean ⟨a_c, b_c'⟩² of unit channels
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.losses import nst_loss


class NST(Distiller):
    """Maximum mean discrepancy of the channels' maps, stage by stage.

    Args:
        student: the network to train.
        teacher: the network to learn from, with as many stages.
        sample: some normalised inputs.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.

    Raises:
        ValueError: networks whose stages do not match.
    """

    uses_features = True

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        sample: Tensor,
        *,
        weight: float = 50.0,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(student, teacher, cross_entropy_weight=cross_entropy_weight)
        paired_map_shapes(student, teacher, sample, slice(1, -1))
        self.weight = weight

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``nst``: weight · squared discrepancy of the stage maps."""
        loss = nst_loss(student.features[1:-1], teacher.features[1:-1])
        return {"nst": self.weight * loss}
