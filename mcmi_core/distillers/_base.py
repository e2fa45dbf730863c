"""What every distiller shares: who is trained, who only looks on, and the cross-entropy term."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.losses import full_precision


class Output(NamedTuple):
    """A network's view of a batch."""

    features: list[Tensor]
    """Stage maps (N, C, H, W) from the stem up, then the pooled vector (N, D); may be empty."""
    logits: Tensor
    """(N, C)."""


@torch.no_grad()
def feature_shapes(network: nn.Module, sample: Tensor) -> list[tuple[int, ...]]:
    """Shapes of a network's features for one input: (C, H, W) of each map, (D,) of each vector.

    Args:
        network: left in the mode that it was in, its batch statistics unchanged.
        sample: some normalised inputs (N, ...).
    """
    training = network.training
    features, _ = network.eval().features(sample)
    network.train(training)
    return [tuple(feature.shape[1:]) for feature in features]


class Distiller(Criterion):
    """A student's loss: ``cross_entropy_weight`` · CE plus the terms of :meth:`forward`.

    The teacher is run in eval mode, without gradient, and is not part of the distiller's state:
    checkpoints hold the student and the distiller's own heads only.

    Args:
        student: the network to train; its shapes are known when heads are built.
        teacher: the network to learn from.
        cross_entropy_weight: weight of the cross-entropy with the labels.
    """

    uses_features = False
    """Whether :meth:`forward` reads stage features; if not, none are computed."""

    needs_heads = False
    """Whether the teacher must have auxiliary heads, which are trained in a run of their own."""

    def __init__(
        self, student: nn.Module, teacher: nn.Module, *, cross_entropy_weight: float = 1.0
    ) -> None:
        super().__init__()
        if not cross_entropy_weight >= 0:
            raise ValueError(f"cross_entropy_weight must be ≥ 0, got {cross_entropy_weight}")
        self.cross_entropy_weight = cross_entropy_weight
        # In a tuple, so that the teacher is no submodule: neither saved nor put into train mode.
        self._teacher = (teacher.eval().requires_grad_(False),)
        self.register_buffer("_remembered", None, persistent=False)

    @property
    def teacher(self) -> nn.Module:
        """The teacher, in eval mode."""
        return self._teacher[0]

    @property
    def stackable(self) -> bool:
        """Whether the teacher, no part of the distiller's state, is not needed any more.

        Logits of many variants are too large to lie once more in a stack, or mapped from a file.
        """
        return self._remembered is not None and len(self._remembered) == 1

    def networks(self) -> list[nn.Module]:
        """The teacher."""
        return [self.teacher]

    def remember(self, logits: Tensor) -> None:
        """Take the teacher's logits from here, instead of running it in every step.

        For training data with numbered variants, and distillers that read no features.

        Args:
            logits: (V, N, C), of every variant of every sample of the training split. Where they
                are too many for the device of the batches, they may stay on the CPU; every step
                then waits for the device, to tell the CPU which it needs.
        """
        self._remembered = logits

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """Weighted distillation terms by name."""
        raise NotImplementedError

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted cross-entropy and the distillation terms of a batch."""
        student = self._output(model, batch.inputs)
        if self._remembered is None:
            with torch.no_grad():
                teacher = self._output(self.teacher, batch.inputs)
        else:
            teacher = Output([], self._recall(batch))
        terms = self(student, teacher, batch)
        if self.cross_entropy_weight:
            cross_entropy = F.cross_entropy(full_precision(student.logits), batch.labels)
            terms = {"cross_entropy": self.cross_entropy_weight * cross_entropy} | terms
        return terms

    def _recall(self, batch: Batch) -> Tensor:
        place = self._remembered.device
        logits = self._remembered[batch.variants.to(place), batch.indices.to(place)]
        return logits.to(batch.inputs.device)

    def _output(self, network: nn.Module, inputs: Tensor) -> Output:
        if self.uses_features:
            return Output(*network.features(inputs))
        return Output([], network(inputs))
