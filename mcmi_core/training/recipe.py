"""How a network is trained, as a configuration."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from mcmi_core.base.messages import meant, quoted
from mcmi_core.base.registry import Component

RATE_IS_FOR = 64
"""Samples in a batch that ``learning_rate`` is meant for, where it is scaled: the paper's."""


class Config(BaseModel):
    """A frozen configuration that refuses unknown fields, and numbers that JSON cannot write."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, fields: Any) -> Any:
        for name in fields if isinstance(fields, Mapping) else ():
            if name not in cls.model_fields:
                raise ValueError(
                    f"unknown field {quoted(name)} of {cls.__name__}; choose from "
                    f"{', '.join(cls.model_fields)}{meant(name, cls.model_fields)}"
                )
        return fields


class Recipe(Config):
    """How a network is trained: SGD with a learning-rate schedule. Defaults: the paper's."""

    epochs: int = Field(240, ge=1, le=1_000_000)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[NonNegativeInt, ...] = (150, 180, 210)
    """Epochs after which ``step`` multiplies the learning rate by ``decay``."""
    decay: float = Field(0.1, gt=0)
    evaluate_every: int = Field(1, ge=0)
    """Epochs between evaluations; 0: dense early and sparse late, after each of the first ten, then
    after every tenth of the training. The last epoch is always evaluated, on both splits."""
    evaluate_train: bool = False
    """Whether the evaluations in between look at the training split too: at 10,000 samples of it,
    if it has more, while the last one is of all."""
    # Newer than the first records. With the values that were then the only ones, these are left out
    # of what is stored and hashed, so that their keys stay valid.
    precision: Literal["float32", "bf16"] = Field("float32", exclude_if=lambda p: p == "float32")
    """Of training steps: ``bf16`` runs networks under autocast. Weights, momentum, batch
    statistics, losses and every evaluation are float32: IEEE's, on a GPU too, not TF32, which is
    PyTorch's default for convolutions there."""
    threads: int = Field(1, ge=1, le=1024, exclude_if=lambda threads: threads == 1)
    """On a CPU. Their number changes the order of sums, and so last digits: it is part of what a
    run is, and never a matter of the machine."""
    scale_rate: Literal["no", "linear", "sqrt"] = Field("no", exclude_if=lambda rule: rule == "no")
    """How the learning rate follows the batch size: ``linear`` multiplies it by batch_size / 64,
    ``sqrt`` by the square root of that. 0.025 for 64 is the customary 0.1 for 256 on ImageNet."""
    warm_up_epochs: int = Field(0, ge=0, exclude_if=lambda epochs: epochs == 0)
    """First epochs, in which the rate rises in equal steps from the unscaled one to the scaled one,
    which epoch warm_up_epochs + 1 has. Source: Goyal et al., "Accurate, large minibatch SGD:
    training ImageNet in 1 hour", 2017, where it rises with every step."""

    @model_validator(mode="after")
    def _warms_up_to_another_rate(self) -> Self:
        if self.warm_up_epochs and self.scale_rate == "no":
            raise ValueError(
                f"warm_up_epochs={self.warm_up_epochs} needs scale_rate=linear or scale_rate=sqrt, "
                "as it leads from the unscaled learning rate to the scaled one"
            )
        return self

    def evaluates_after(self, epoch: int) -> bool:
        """Whether there is an evaluation after epoch ``epoch`` (from 1)."""
        if epoch == self.epochs:
            return True
        every = self.evaluate_every or (1 if epoch <= 10 else max(1, self.epochs // 10))
        return epoch % every == 0

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of epoch ``epoch`` (from 0); ``cosine`` falls from the full rate to 0."""
        rate = self._full_rate_at(epoch)
        if self.schedule == "cosine":
            return rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return rate * self.decay ** sum(epoch >= m for m in self.milestones)

    def _full_rate_at(self, epoch: int) -> float:
        """Before the schedule makes it smaller."""
        exponent = {"no": 0, "sqrt": 0.5, "linear": 1}[self.scale_rate]
        scaled = self.learning_rate * (self.batch_size / RATE_IS_FOR) ** exponent
        if epoch >= self.warm_up_epochs:
            return scaled
        return self.learning_rate + (scaled - self.learning_rate) * epoch / self.warm_up_epochs

    def shortened(self, epochs: int) -> "Recipe":
        """The same recipe in fewer epochs, milestones and warm-up scaled with them."""
        checked = Recipe(**self.model_dump() | {"epochs": epochs})
        scaled = {
            "milestones": tuple(round(m * epochs / self.epochs) for m in self.milestones),
            "warm_up_epochs": round(self.warm_up_epochs * epochs / self.epochs),
        }
        return Recipe(**checked.model_dump() | scaled)

    def changed(self, options: str) -> "Recipe":
        """The same recipe with some fields changed, written as a component's options are.

        Args:
            options: ``batch_size=32,precision=bf16``; several numbers are separated by ``+``.

        Raises:
            ValueError: a field that no recipe has, or ``epochs``, with which milestones would have
                to scale (:meth:`shortened`).
            pydantic.ValidationError: a value out of range.
        """
        given = Component.model_validate(f"recipe:{options}").options
        fields = [name for name in Recipe.model_fields if name != "epochs"]
        if unknown := given.keys() - set(fields):
            raise ValueError(
                f"unknown field {quoted(min(unknown))} of a recipe; choose from "
                f"{', '.join(fields)}{meant(min(unknown), fields)}"
            )
        if "milestones" in given:
            given["milestones"] = given["milestones"].split("+")
        return Recipe(**self.model_dump() | given)


SMALLER_STEPS = ("mobilenetv2", "shufflenetv1", "shufflenetv2")
"""Models that train at a lower rate."""


def learning_rate(model: str) -> float:
    """The paper's for training from random weights: 0.05, or 0.01 for MobileNetV2, ShuffleNets."""
    return 0.01 if model in SMALLER_STEPS else 0.05


def fine_tuning_rate(model: str) -> float:
    """The paper's for fine-tuning by MCMI: 0.05, or 0.005 for MobileNetV2 and ShuffleNets."""
    return 0.005 if model in SMALLER_STEPS else 0.05
