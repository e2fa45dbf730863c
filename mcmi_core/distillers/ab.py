"""Activation boundaries (Heo, Lee, Yun and Choi, 2019): fire where the teacher fires.

Epochs 1 to 30: Σ_i 2^(i−L) · 0.003 · Σ_(positions, channels) [t > 0] (1 − s)₊² + [t ≤ 0] (1 + s)₊²,
mean over the batch, with s the student's map of stage i of L through a 1x1 convolution and batch
norm. From then on: cross-entropy.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers._initial import Initialisation
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.losses import full_precision

SCALE = 3 / 1000
"""The authors' factor on the sum over a sample's neurons."""


def activation_boundary_loss(student_map: Tensor, teacher_map: Tensor, margin: float) -> Tensor:
    """Squared hinge: [t > 0] · (margin − s)₊² + [t ≤ 0] · (margin + s)₊².

    Sum over channels and positions, mean over the batch. It asks on which side of its boundary a
    neuron is, and by which margin, not for its value.

    Args:
        student_map: s, (N, C, H, W), of either sign.
        teacher_map: t, (N, C, H, W); before or after a ReLU, which keeps the side.
        margin: ≥ 0.

    Returns:
        Scalar, at least float32.
    """
    student_map = full_precision(student_map)
    distance = torch.where(teacher_map > 0, margin - student_map, margin + student_map)
    return F.relu(distance).square().sum() / len(student_map)


class AB(Initialisation):
    """Activation boundaries, an initialisation.

    The paper compares maps before their ReLU. A model shows them after it: that loses nothing of
    the teacher, of which only the side t > 0 counts, but the student's connector sees s₊ and
    learns no boundary below it. So every stage has a connector here, also where the channels
    agree, as without one s could not be negative. A map that has no ReLU is taken as it is.

    Args:
        student: the network to train.
        teacher: the network to learn from, its stages of the student's number and sizes.
        sample: normalised inputs, to see the shapes of the maps.
        initial_epochs: in which this is the only loss, and in which the classifier rests.
        weight: of this loss.
        margin: of the hinge.
        cross_entropy_weight: of the cross-entropy afterwards.

    Raises:
        ValueError: stages that differ in number or size, or a value out of range.

    Source: Heo et al., "Knowledge transfer via distillation of activation boundaries formed by
    hidden neurons", AAAI 2019; factors of layers and of the sum as in the authors' code.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        sample: Tensor,
        *,
        initial_epochs: int = 30,
        weight: float = 1.0,
        margin: float = 1.0,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(
            student,
            teacher,
            initial_epochs=initial_epochs,
            cross_entropy_weight=cross_entropy_weight,
        )
        if not margin >= 0:
            raise ValueError(f"margin must be ≥ 0, got {margin}")
        self.weight = weight
        self.margin = margin
        pairs = paired_map_shapes(
            student, teacher, sample, slice(1, -1), same="size", key=lambda shape: shape[1:]
        )
        self.connectors = nn.ModuleList(
            nn.Sequential(nn.Conv2d(s[0], t[0], 1, bias=False), nn.BatchNorm2d(t[0]))
            for s, t in pairs
        )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``ab``: weight · 0.003 · Σ_i 2^(i−L) · loss of stage i."""
        losses = [
            activation_boundary_loss(connector(student_map), teacher_map, self.margin)
            for connector, student_map, teacher_map in zip(
                self.connectors, student.features[1:-1], teacher.features[1:-1], strict=True
            )
        ]
        # The deepest stage counts fully, each one before it half as much as the next.
        total = sum(loss / 2**depth for depth, loss in enumerate(reversed(losses)))
        return {"ab": self.weight * SCALE * total}
