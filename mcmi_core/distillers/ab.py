"""Activation boundaries (Heo, Lee, Yun and Choi, 2019): fire where the teacher fires.

Epochs 1 to 30: Σ_i 2^(i−L) · 0.003 · Σ_(positions, channels) [t > 0] (1 − s)₊² + [t ≤ 0] (1 + s)₊²,
mean over the batch, with s the student's map of stage i of L through a 1x1 convolution and batch
norm. From then on: cross-entropy.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_not_negative
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.distillers._phases import Initialisation
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

    The paper compares maps before their ReLU, the models here return them after it. Nothing of the
    teacher is lost, as only whether t > 0 counts. The student's connector, however, sees s₊ and
    cannot learn boundaries below 0. Every stage has a connector here, even where the channels
    agree: without one, s could not be negative. A map without a ReLU is taken as it is.

    Options:
        initial_epochs: in which this is the only loss, and the classifier is not trained.
        weight: of this loss.
        margin: of the hinge, ≥ 0.
        cross_entropy_weight: of the cross-entropy afterwards.

    Raises:
        ValueError: stages that differ in number or size, or a value out of range.

    Source: Heo et al., "Knowledge transfer via distillation of activation boundaries formed by
    hidden neurons", AAAI 2019; factors of layers and of the sum as in the authors' code.
    """

    shareable = True

    initial_epochs: int = 30
    weight: float = 1.0
    margin: float = 1.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build a connector for each stage."""
        super().set_up(student, teacher)
        check_not_negative(self.margin, "margin")
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
