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

    Args:
        student: the network to train.
        teacher: the network to learn from, with as many stages.
        sample: some normalised inputs.
        weight: of the distillation term.
        p: exponent of the activations, ≥ 1.
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
        weight: float = 1000.0,
        p: float = 2.0,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(student, teacher, cross_entropy_weight=cross_entropy_weight)
        paired_map_shapes(student, teacher, sample, slice(1, -1))
        self.weight = weight
        self.p = p

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``at``: weight · attention loss of the stage maps."""
        loss = attention_loss(student.features[1:-1], teacher.features[1:-1], self.p)
        return {"at": self.weight * loss}
