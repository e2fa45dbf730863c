"""Probabilistic knowledge transfer (Passalis and Tefas, 2018): the same neighbours, as likely.

CE + 30000 · mean over N² of P(t) log(P(t) / P(s)),   P = rows of (1 + cosine) / 2 that sum to 1
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import pkt_loss


class PKT(Distiller):
    """Divergence of the neighbours' distributions, on the pooled vectors.

    Args:
        student: the network to train.
        teacher: the network to learn from.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.
    """

    uses_features = True

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        weight: float = 30000.0,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(student, teacher, cross_entropy_weight=cross_entropy_weight)
        self.weight = weight

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``pkt``: weight · mean entry of the divergence, nats."""
        return {"pkt": self.weight * pkt_loss(student.features[-1], teacher.features[-1])}
