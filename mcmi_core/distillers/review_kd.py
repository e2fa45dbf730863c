"""Knowledge review (Chen, Liu, Zhao and Jia, 2021): shallow teacher stages teach deeper ones.

CE + min(epoch / 20, 1) · Σ_i HCL(f_i, t_i), epochs counted from 1. t_i is the teacher's map of
stage i, and f_i the student's, fused with all deeper ones from the deepest up:

    m_i = a · C₁(s_i) + b · (m_{i+1} at the size of s_i),   (a, b) = sigmoid(C(both))
    f_i = C₃(m_i at the size of t_i)

a and b weigh positions; C₁ and C₃ are 1x1 and 3x3 convolutions with batch norm, C is 1x1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output, feature_shapes
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.distillers._phases import WarmUp
from mcmi_core.losses import hcl_loss

WIDEST = 512
"""Fused maps have as many channels as the student's pooled feature, but at most these."""

STAGES = slice(1, -1)


class Fusion(nn.Module):
    """Attention-based fusion of one of the student's maps with the next deeper fused map.

    Args:
        student_width: channels of the student's map.
        teacher_width: channels of the teacher's.
        width: channels of fused maps.
        deepest: whether this is the student's deepest map, which is fused with no other.
    """

    def __init__(
        self, student_width: int, teacher_width: int, width: int, *, deepest: bool
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv2d(student_width, width, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.attention = None if deepest else nn.Conv2d(2 * width, 2, 1)
        self.leave = nn.Sequential(
            nn.Conv2d(width, teacher_width, 3, padding=1, bias=False),
            nn.BatchNorm2d(teacher_width),
        )
        for convolution in (self.enter[0], self.leave[0]):
            nn.init.kaiming_uniform_(convolution.weight, a=1)

    def forward(
        self, student_map: Tensor, deeper: Tensor | None, size: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """f_i, ``(N, teacher_width, *size)``, and m_i, ``(N, width, *size)``.

        Args:
            student_map: s_i, (N, student_width, H, W).
            deeper: m_{i+1}, (N, width, H', W'); None for the deepest.
            size: of the teacher's map.
        """
        fused = self.enter(student_map)
        if self.attention is not None:
            deeper = F.interpolate(deeper, fused.shape[-2:])
            weights = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid()  # (N, 2, H, W)
            fused = fused * weights[:, :1] + deeper * weights[:, 1:]
        fused = F.interpolate(fused, size)
        return self.leave(fused), fused


class ReviewKD(WarmUp):
    """Knowledge review.

    It compares the stages' maps and, as maps of 1x1, the pooled features, but not the stem, as the
    authors' code does. That code takes maps before their ReLU; the models here return them after
    it, where a stage ends with one.

    Options:
        weight: of the loss; 5 for resnet32x4 → resnet8x4.
        warmup_epochs: first epoch of full weight.

    Raises:
        ValueError: stages that differ in number, networks without maps, or a value out of range.

    Source: Chen et al., "Distilling knowledge via knowledge review", CVPR 2021.
    """

    shareable = True
    uses_features = True

    weight: float = 1.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build a fusion for each stage and for the pooled features."""
        super().set_up(student, teacher)
        widths = [(s[0], t[0]) for s, t in paired_map_shapes(student, teacher, sample, STAGES)]
        pooled = feature_shapes(student, sample)[-1][0], feature_shapes(teacher, sample)[-1][0]
        width = min(WIDEST, pooled[0])
        self.fusions = nn.ModuleList(
            Fusion(*pair, width, deepest=pair is pooled) for pair in (*widths, pooled)
        )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``reviewkd``: weight · min(epoch / warmup_epochs, 1) · Σ_i HCL(f_i, t_i)."""
        student_maps, teacher_maps = _levels(student.features), _levels(teacher.features)
        fused_maps, deeper = [], None
        for fusion, student_map, teacher_map in zip(
            reversed(self.fusions), reversed(student_maps), reversed(teacher_maps), strict=True
        ):
            fused_map, deeper = fusion(student_map, deeper, teacher_map.shape[-2:])
            fused_maps.insert(0, fused_map)
        return {"reviewkd": self.weight_now * hcl_loss(fused_maps, teacher_maps)}


def _levels(features: list[Tensor]) -> list[Tensor]:
    """The stages' maps and the pooled vector as a map (N, D, 1, 1)."""
    return [*features[STAGES], features[-1][:, :, None, None]]
