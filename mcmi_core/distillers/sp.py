"""Similarity preserving distillation (Tung and Mori, 2019): samples as similar as for the teacher.

CE + 3000 · ‖Ĝ(s) − Ĝ(t)‖²_F / N²,   Ĝ = X Xᵀ with unit rows, X the last maps, flattened
"""

from torch import Tensor, nn

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.losses import similarity_loss


class SP(Distiller):
    """Difference of the samples' inner products, on the last stage.

    Options:
        weight: of the distillation term.

    Raises:
        ValueError: a network without a stage before its last features.
    """

    uses_features = True

    weight: float = 3000.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Require a stage before the last features of both networks."""
        for role, network in (("student", student), ("teacher", teacher)):
            shapes = feature_shapes(network, sample)
            if len(shapes) < 2:
                raise IncompatibleNetworks(
                    "sp compares the features before the last ones, got only "
                    f"{shapes} from {role} {type(network).__name__}"
                )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``sp``: weight · mean squared difference of normalised inner products."""
        return {"sp": self.weight * similarity_loss(student.features[-2], teacher.features[-2])}
