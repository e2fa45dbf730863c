"""Hierarchical self-supervised augmented KD (Yang, An, Cai and Xu, 2021): heads on all stages.

Every image is seen in four rotations. With KL over the 4C joint classes of a stage's auxiliary
head, and over the C classes of the network itself,

    CE(unrotated rows) + Σ_heads T² · KL(teacher ‖ student) + T² · KL(teacher ‖ student),   T = 3

The teacher's heads are trained before, on the frozen teacher: Σ_heads CE(joint labels).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.losses import full_precision, kd_loss
from mcmi_core.models.auxiliary import (
    ROTATIONS,
    AuxiliaryHeads,
    HeadedNetwork,
    joint_labels,
    rotations,
)


class HeadsLoss(Criterion):
    """What a teacher's auxiliary heads minimise: each its cross-entropy with the joint labels.

    The authors add the cross-entropy of the network itself, a constant where it is frozen.
    """

    shareable = True

    def terms(self, model: HeadedNetwork, batch: Batch) -> dict[str, Tensor]:
        """``head_1``, ``head_2``, ...: cross-entropy over all rotated rows, nats."""
        with torch.no_grad():
            features, _ = model.features(rotations(batch.inputs))
        labels = joint_labels(batch.labels)
        return {
            f"head_{stage}": F.cross_entropy(full_precision(logits), labels)
            for stage, logits in enumerate(model.heads(features), start=1)
        }


class HSAKD(Distiller):
    """Hierarchical self-supervised augmented knowledge distillation.

    The student's heads belong to the distiller: their loss trains the student's stages, and the
    finished student has none. All rows pass through the student at once, so that its batch
    statistics are those of rotated images, as in the authors' code.

    Options:
        temperature: T of all divergences.
        heads_weight: of the heads' divergences.
        weight: of the divergence of the networks themselves.
        cross_entropy_weight: of the cross-entropy with the labels.

    Raises:
        ValueError: a teacher without heads, different numbers of stages, or a student without
            stages.

    Source: Yang, An, Cai and Xu, "Hierarchical self-supervised augmented knowledge distillation",
    IJCAI 2021.
    """

    shareable = True
    uses_features = True

    temperature: float = 3.0
    heads_weight: float = 1.0
    weight: float = 1.0

    def set_up(self, student: nn.Module, teacher: nn.Module) -> None:
        """Build the student's heads, as many as the teacher has."""
        if not isinstance(teacher, HeadedNetwork):
            raise ValueError(
                f"hsakd needs a teacher with auxiliary heads, got {type(teacher).__name__}"
            )
        self.heads = AuxiliaryHeads(student)
        if len(self.heads) != len(teacher.heads):
            raise IncompatibleNetworks(
                f"hsakd needs as many stages in both networks, got {len(self.heads)} in student "
                f"{type(student).__name__} and {len(teacher.heads)} in teacher "
                f"{type(teacher.backbone).__name__}"
            )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``heads`` and ``kd``, of outputs for the rotated rows (4N, ...)."""
        divergences = [
            kd_loss(student_logits, teacher_logits, self.temperature)
            for student_logits, teacher_logits in zip(
                self.heads(student.features), self.teacher.heads(teacher.features), strict=True
            )
        ]
        main = kd_loss(student.logits, teacher.logits, self.temperature)
        return {"heads": self.heads_weight * sum(divergences), "kd": self.weight * main}

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of forward on the rotated batch, and cross-entropy on its unrotated rows."""
        rotated = rotations(batch.inputs)
        student = self._output(model, rotated)
        with torch.no_grad():
            teacher = self._output(self.teacher, rotated)
        terms = self(student, teacher, batch)
        if self.cross_entropy_weight:
            upright = full_precision(student.logits[::ROTATIONS])
            cross_entropy = F.cross_entropy(upright, batch.labels.long())
            terms = {"cross_entropy": self.cross_entropy_weight * cross_entropy} | terms
        return terms
