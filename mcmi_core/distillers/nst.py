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

    Options:
        weight: of the distillation term.

    Raises:
        ValueError: networks that differ in the number of stages.
    """

    shareable = True
    uses_features = True

    weight: float = 50.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Require the same number of stages in both networks."""
        paired_map_shapes(student, teacher, sample, slice(1, -1))

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``nst``: weight · squared discrepancy of the stage maps."""
        loss = nst_loss(student.features[1:-1], teacher.features[1:-1])
        return {"nst": self.weight * loss}
