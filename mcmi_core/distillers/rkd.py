"""Relational knowledge distillation (Park et al., 2019): the same distances and angles.

CE + 25 · smooth-L1 of relative distances + 50 · smooth-L1 of the angles' cosines
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import rkd_loss


class RKD(Distiller):
    """Distances of pairs and angles of triples of samples, on the pooled vectors.

    Options:
        weight: of the distillation term.
        distance_weight: of the distances within it.
        angle_weight: of the angles within it.
    """

    uses_features = True

    weight: float = 1.0
    distance_weight: float = 25.0
    angle_weight: float = 50.0

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``rkd``: weight · relational loss of the pooled vectors."""
        loss = rkd_loss(
            student.features[-1], teacher.features[-1], self.distance_weight, self.angle_weight
        )
        return {"rkd": self.weight * loss}
