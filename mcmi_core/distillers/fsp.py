"""Flow of the solution procedure (Yim, Joo, Bae and Kim, 2017): match products of maps.

Epochs 1 to 30: Σ_i MSE(G_i(s), G_i(t)), with G_i the inner products of the channels of two
consecutive maps, divided by positions. From then on: cross-entropy.
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.distillers._phases import Initialisation
from mcmi_core.losses import fsp_loss


class FSP(Initialisation):
    """Flow of the solution procedure, an initialisation; it compares all maps from the stem up.

    Options:
        initial_epochs: in which this is the only loss, and the classifier is not trained.
        weight: of this loss.
        cross_entropy_weight: of the cross-entropy afterwards.

    Raises:
        ValueError: maps that differ in number or width, or a value out of range.

    Source: Yim et al., "A gift from knowledge distillation: fast optimization, network
    minimization and transfer learning", CVPR 2017. That paper pools the larger map of a pair by
    its maximum; here, as in CRD's code, by its mean.
    """

    shareable = True

    initial_epochs: int = 30
    weight: float = 1.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Require maps of the same number and widths; their sizes may differ."""
        super().set_up(student, teacher)
        paired_map_shapes(
            student, teacher, sample, slice(0, -1), same="width", key=lambda shape: shape[:1]
        )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``fsp``: weight · Σ_i MSE(G_i(s), G_i(t))."""
        return {"fsp": self.weight * fsp_loss(student.features[:-1], teacher.features[:-1])}
