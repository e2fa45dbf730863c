"""Variational information distillation (Ahn et al., 2019): predict the teacher's maps.

CE + Σ_stages mean ½ ((μ(s) − t)² / v_c + log v_c),   v_c = softplus(log_scale_c) + 1e-5
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.losses import average_pool, vid_loss
from mcmi_core.losses.maps import SMALLEST_VARIANCE


class VID(Distiller):
    """Likelihood of the teacher's maps under a Gaussian with learnt means and variances.

    Options:
        weight: of the distillation term.
        initial_variance: of every channel; above 1e-5.

    Raises:
        ValueError: networks that differ in the number of stages, or too small a variance.
    """

    shareable = True
    uses_features = True

    weight: float = 1.0
    initial_variance: float = 5.0

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build a regressor and the log-scales of each stage."""
        if not self.initial_variance > SMALLEST_VARIANCE:
            raise ValueError(
                f"initial_variance must be above {SMALLEST_VARIANCE}, got {self.initial_variance}"
            )
        shapes = paired_map_shapes(student, teacher, sample, slice(1, -1))
        self.regressors = nn.ModuleList(_regressor(s[0], t[0]) for s, t in shapes)
        softplus_inverse = math.log(math.expm1(self.initial_variance - SMALLEST_VARIANCE))
        self.log_scales = nn.ParameterList(
            torch.full((teacher_shape[0],), softplus_inverse) for _, teacher_shape in shapes
        )

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``vid``: weight · negative log-likelihood, nats without log 2π, of either sign."""
        stages = zip(
            self.regressors,
            self.log_scales,
            student.features[1:-1],
            teacher.features[1:-1],
            strict=True,
        )
        return {"vid": self.weight * sum(_stage_loss(*stage) for stage in stages)}


def _regressor(student_channels: int, teacher_channels: int) -> nn.Sequential:
    """Three 1x1 convolutions with ReLU between them."""
    widths = (student_channels, *[teacher_channels] * 3)
    layers = [nn.Conv2d(before, after, 1, bias=False) for before, after in pairwise(widths)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def _stage_loss(
    regressor: nn.Module, log_scale: Tensor, student_map: Tensor, teacher_map: Tensor
) -> Tensor:
    # A larger student's map is pooled before it is regressed, as the regressor is not linear.
    size = tuple(map(min, student_map.shape[-2:], teacher_map.shape[-2:]))
    return vid_loss(regressor(average_pool(student_map, size)), teacher_map, log_scale)
