"""KD from a teacher that is silent about some classes: the control of zero-shot experiments.

What a student knows of a class that it never saw, it has from its teacher. So a teacher whose
probability for that class is taken away and shared out among the others,

    P'_x = softmax(t' / T),   t'_k = t_k, but −∞ for the masked classes k,

must leave its student at an accuracy of about 0 there.
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers.kd import KD

SILENT = -1e4
"""Stands for −∞: e^(SILENT / T) is 0 in float32 up to T = 90, and 0 · SILENT is 0, not NaN."""


class MaskedKD(KD):
    """Plain KD from the teacher's distribution over the other classes.

    Args:
        student: the network to train.
        teacher: the network to learn from.
        classes: those that the teacher says nothing about.
        temperature: T, as in plain KD.
        weight: of the distillation term.
        cross_entropy_weight: of the cross-entropy with the labels.

    Raises:
        ValueError: no class to mask; from :meth:`forward`, a class that the teacher does not
            know, or no class left.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        classes: tuple[int, ...],
        temperature: float = 4.0,
        weight: float = 0.9,
        cross_entropy_weight: float = 0.1,
    ) -> None:
        super().__init__(
            student,
            teacher,
            temperature=temperature,
            weight=weight,
            cross_entropy_weight=cross_entropy_weight,
        )
        if not classes:
            raise ValueError("masked_kd needs classes to mask, such as classes=9+7; kd masks none")
        self.classes = classes

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``kd``: weight · T² · KL(masked teacher ‖ student), nats."""
        known = range(teacher.logits.shape[1])
        if unknown := [label for label in self.classes if label not in known]:
            raise ValueError(f"cannot mask class {unknown[0]}; there are 0..{len(known) - 1}")
        if len(set(self.classes)) == len(known):
            raise ValueError(f"masking classes {sorted(self.classes)} leaves none of {len(known)}")
        masked = teacher.logits.clone()
        masked[:, list(self.classes)] = SILENT
        return super().forward(student, Output(teacher.features, masked), batch)
