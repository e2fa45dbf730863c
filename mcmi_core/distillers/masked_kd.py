"""KD from a teacher that is silent about some classes: the control of zero-shot experiments.

A student can learn of a class that it never saw only from its teacher. So if the teacher's
probability of that class is removed and the others are renormalised,

    P'_x = softmax(t' / T),   t'_k = t_k, but −∞ for the masked classes k,

the student's accuracy on that class must be about 0.
"""

import math

import torch
from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers.kd import KD


class MaskedKD(KD):
    """Plain KD from the teacher's distribution over the other classes.

    Options:
        classes: those that the teacher says nothing about.
        temperature: T, as in plain KD.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.

    Raises:
        ValueError: no class to mask, one that the teacher does not know, or no class left.
    """

    classes: tuple[int, ...]

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Check the classes against those that the teacher has an output for."""
        if not self.classes:
            raise ValueError("masked_kd needs classes to mask, such as classes=9+7; kd masks none")
        with torch.no_grad():
            known = range(teacher(sample).shape[1])
        for label in self.classes:
            if label not in known:
                raise ValueError(f"cannot mask class {label}; there are 0..{len(known) - 1}")
        masked = torch.tensor([label in self.classes for label in known], device=sample.device)
        if masked.all():
            raise ValueError(f"masking classes {sorted(self.classes)} leaves none of {len(known)}")
        # A list of classes as an index would be copied to the GPU, and waited for, in every step.
        self.register_buffer("masked", masked, persistent=False)  # (C,)

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``kd``: weight · T² · KL(masked teacher ‖ student), nats."""
        logits = teacher.logits.masked_fill(self.masked, -math.inf)
        return super().forward(student, Output(teacher.features, logits), batch)
