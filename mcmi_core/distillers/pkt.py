"""Probabilistic knowledge transfer (Passalis and Tefas, 2018): equally likely neighbours.

CE + 30000 · mean over N² of P(t) log(P(t) / P(s)),   P = rows of (1 + cosine) / 2 that sum to 1
"""

from torch import Tensor

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import pkt_loss


class PKT(Distiller):
    """Divergence of the neighbours' distributions, on the pooled vectors.

    Options:
        weight: of the distillation term.
    """

    uses_features = True

    weight: float = 30000.0

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``pkt``: weight · mean entry of the divergence, nats."""
        return {"pkt": self.weight * pkt_loss(student.features[-1], teacher.features[-1])}
