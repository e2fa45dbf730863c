"""Attention transfer (Zagoruyko and Komodakis, 2017): look where the teacher looks.

CE + 1000 · Σ_stages mean (a(s) − a(t))²,   a = unit vector of the channels' mean |x|^p,   p = 2
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.losses import attention_loss


class AT(Distiller):
    """Attention transfer between the stages.

    Options:
        weight: of the distillation term.
        p: exponent of the activations, ≥ 1.

    Raises:
        ValueError: networks that differ in the number of stages.
    """

    shareable = True
    uses_features = True

    weight: float = 1000.0
    p: float = 2.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Require the same number of stages in both networks."""
        paired_map_shapes(student, teacher, sample, slice(1, -1))

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``at``: weight · attention loss of the stage maps."""
        loss = attention_loss(student.features[1:-1], teacher.features[1:-1], self.p)
        return {"at": self.weight * loss}
