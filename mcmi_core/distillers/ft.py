"""Factor transfer (Kim, Park and Kwak, 2018): match a paraphrase of the teacher's last maps.

Epochs 1 to 30: the paraphraser, an autoencoder, learns the teacher's maps: ‖D(E(t)) − t‖², mean
over elements; the student is not trained. From then on, with F_t = E(t) and F_s the translator's
output for the student's maps, each divided by its L2 norm per sample,

    CE + 200 · |F_t/‖F_t‖ − F_s/‖F_s‖|,   mean over elements.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_positive
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Output
from mcmi_core.distillers._pairs import paired_map_shapes
from mcmi_core.distillers._phases import TwoPhases
from mcmi_core.losses import average_pool, full_precision


def factor_loss(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Mean absolute difference of the factors (N, C, H, W), each flattened and of unit norm.

    The larger of the two is average-pooled to the smaller first.

    Returns:
        Scalar, at least float32.
    """
    size = tuple(map(min, student_factor.shape[-2:], teacher_factor.shape[-2:]))
    student_factor, teacher_factor = (
        F.normalize(average_pool(factor, size).flatten(1), dim=1)
        for factor in (student_factor, teacher_factor)
    )
    return F.l1_loss(student_factor, teacher_factor)


class FT(TwoPhases):
    """Factor transfer between the maps of the last stages.

    Options:
        initial_epochs: in which only the paraphraser learns; with 0, it stays random.
        weight: of the factor loss.
        reconstruction_weight: of the paraphraser's loss. At the paper's learning rate of 0.05,
            0.2 makes its steps as large as the rate of 0.01 in CRD's code does for ResNets.
        rate: channels of the factors over channels of the teacher's maps.

    Raises:
        ValueError: a network without maps, or a value out of range.

    Source: Kim, Park and Kwak, "Paraphrasing complex network: network compression via factor
    transfer", NeurIPS 2018. Factors are normalised as there. The weight is that of CRD's code,
    which first reduces the factors to one map, their mean square over channels.
    """

    shareable = True

    initial_epochs: int = 30
    weight: float = 200.0
    reconstruction_weight: float = 0.2
    rate: float = 0.5

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build the paraphraser (encoder and decoder) and the translator."""
        super().set_up(student, teacher)
        check_positive(self.reconstruction_weight, "reconstruction_weight")
        [(student_shape, teacher_shape)] = paired_map_shapes(
            student, teacher, sample, slice(-2, -1)
        )
        student_width, teacher_width = student_shape[0], teacher_shape[0]
        factor_width = int(self.rate * teacher_width)
        if factor_width < 1:
            raise ValueError(
                f"rate must leave at least 1 of {teacher_width} channels, got {self.rate}"
            )
        self.encoder = _layers(nn.Conv2d, [teacher_width, teacher_width, *2 * [factor_width]])
        self.decoder = _layers(
            nn.ConvTranspose2d, [factor_width, factor_width, *2 * [teacher_width]]
        )
        self.translator = _layers(
            nn.Conv2d, [student_width, student_width, *2 * [factor_width]], norm=True
        )

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """``reconstruction`` in the first phase; then cross-entropy and the terms of forward."""
        if not self.initial:
            return super().terms(model, batch)
        with torch.no_grad():
            teacher_map = full_precision(self.teacher.features(batch.inputs)[0][-2])
        error = F.mse_loss(self.decoder(self.encoder(teacher_map)), teacher_map)
        return {"reconstruction": self.reconstruction_weight * error}

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``ft``: weight · factor loss; the paraphraser is fixed by now."""
        with torch.no_grad():
            teacher_factor = self.encoder(teacher.features[-2])
        student_factor = self.translator(student.features[-2])
        return {"ft": self.weight * factor_loss(student_factor, teacher_factor)}


def _layers(convolution: type[nn.Module], widths: list[int], norm: bool = False) -> nn.Sequential:
    """3x3 convolutions from width to width, each with a leaky ReLU, and batch norm if wanted."""
    layers = []
    for before, width in pairwise(widths):
        layers.append(convolution(before, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] * norm
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)
