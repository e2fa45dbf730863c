"""What every distiller shares: its options, the teacher, and the cross-entropy term."""

from inspect import Parameter, Signature, get_annotations, signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_not_negative, check_positive
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.losses import full_precision
from mcmi_core.models._base import features_and_logits

GREEK_WEIGHTS = ("alpha", "beta", "gamma")


class Output(NamedTuple):
    """A network's features and logits of a batch."""

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

    Raises:
        IncompatibleNetworks: the network does not show its features.
    """
    training = network.training
    features, _ = features_and_logits(network.eval(), sample)
    network.train(training)
    return [tuple(feature.shape[1:]) for feature in features]


class Distiller(Criterion):
    """A student's loss: ``cross_entropy_weight`` · CE plus the terms of :meth:`forward`.

    The annotated attributes of a class are its options, and are given by keyword:

        class KD(Distiller):
            temperature: float = 4.0

        KD(student, teacher, temperature=2.0)

    An option without a default is required. A class has its own options first, then those of its
    bases. What it must check or build before training belongs in :meth:`set_up`.

    The teacher is run in eval mode, without gradient, and is not part of the distiller's state:
    checkpoints hold the student and the distiller's own heads only.

    Args:
        student: the network to train.
        teacher: the network to learn from.
        sample: some normalised inputs, if the distiller's :meth:`set_up` asks for them.
        labels: (N,) of the training split, if it asks for them.

    Options:
        cross_entropy_weight: weight ≥ 0 of the cross-entropy with the labels.

    Raises:
        TypeError: an unknown option, or a required one that is missing.
        ValueError: a negative weight, or a temperature that is not positive.
    """

    cross_entropy_weight: float = 1.0

    uses_features = False
    """Whether :meth:`forward` reads stage features; if not, none are computed."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__signature__ = _signature(cls)

    def __init__(self, *context: Any, **options: Any) -> None:
        super().__init__()
        accepted = self.__signature__.parameters
        for name in options:
            if name not in accepted:
                raise TypeError(
                    f"{type(self).__name__} has no option {name!r}; it takes {', '.join(accepted)}"
                )
        given = self.__signature__.bind(*context, **options)
        given.apply_defaults()
        for name, value in given.kwargs.items():
            setattr(self, name, value)
            if name == "temperature":
                check_positive(value, name)
            elif name.endswith("weight") or name in GREEK_WEIGHTS:
                check_not_negative(value, name)
        # In a tuple, so that the teacher is no submodule: neither saved nor put into train mode.
        self._teacher = (given.arguments["teacher"].eval().requires_grad_(False),)
        self.register_buffer("_remembered", None, persistent=False)
        self.set_up(*given.args)

    def set_up(self, student: nn.Module, teacher: nn.Module) -> None:
        """Check the options and build heads; by default there is nothing to do.

        An override may also ask for ``sample`` and ``labels``: its parameters are those of the
        distiller. The options are set before it is called.
        """

    @property
    def teacher(self) -> nn.Module:
        """The teacher, in eval mode."""
        return self._teacher[0]

    @property
    def stackable(self) -> bool:
        """Whether the teacher's logits are remembered, one variant of each sample.

        A teacher that is still run is no part of the state that is stacked, and the logits of many
        variants would be too large to be copied into a stack.
        """
        return self._remembered is not None and len(self._remembered) == 1

    def remember(self, logits: Tensor) -> None:
        """Take the teacher's logits from here, instead of running it in every step.

        For training data with numbered variants, and distillers that read no features.

        Args:
            logits: (V, N, C), of every variant of every sample of the training split. If they are
                too large for the device of the batches, they may stay on the CPU; in every step,
                the CPU then waits for the device to say which of them it needs.
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
            cross_entropy = F.cross_entropy(full_precision(student.logits), batch.labels.long())
            terms = {"cross_entropy": self.cross_entropy_weight * cross_entropy} | terms
        return terms

    def _recall(self, batch: Batch) -> Tensor:
        place = self._remembered.device
        logits = self._remembered[batch.variants.to(place), batch.indices.to(place)]
        return logits.to(batch.inputs.device)

    def _output(self, network: nn.Module, inputs: Tensor) -> Output:
        if self.uses_features:
            return Output(*features_and_logits(network, inputs))
        return Output([], network(inputs))


def _signature(distiller: type[Distiller]) -> Signature:
    """What :meth:`Distiller.set_up` asks for, then the options by keyword."""
    annotations = {}
    for base in distiller.__mro__:
        if issubclass(base, Distiller):
            for name, annotation in get_annotations(base, eval_str=True).items():
                annotations.setdefault(name, annotation)
    _, *context = signature(distiller.set_up).parameters.values()
    options = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=getattr(distiller, name, Parameter.empty),
            annotation=annotation,
        )
        for name, annotation in annotations.items()
    ]
    return Signature([*context, *options])


Distiller.__signature__ = _signature(Distiller)
