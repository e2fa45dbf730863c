"""What a result is: a run, fully described by a typed and validated configuration.

Runs form a chain: an MLL teacher starts from random weights, an MCMI teacher from an MLL teacher, a
student learns from either (or from one that was given auxiliary heads, or from another student),
and a measurement is taken on any of them. A run contains its whole chain, and the hash of that is
its key: equal key, equal result.
"""

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from mcmi_core.base.registry import Component
from mcmi_core.components import (
    DATASETS,
    DISTILLERS,
    MEASUREMENTS,
    MODELS,
    NEED_HEADS,
    OBJECTIVES,
)
from mcmi_core.training.recipe import Config, Recipe

if TYPE_CHECKING:
    from mcmi_core.data.split import Split

UNTREATED = "fine-tuned λ=0"
"""Label of MCMI's control: the same fine-tuning without CMI, where no centroid matters."""

RUN_FORMAT = 1
"""Raised when the meaning of a configuration changes, so that no old result answers for it."""


class Part(Config):
    """Which part of the training split a run sees. Default: all of it."""

    fraction: float = Field(1.0, gt=0, le=1)
    sampling: Literal["stratified", "first"] = "stratified"
    omit: tuple[int, ...] = ()
    """Classes left out."""
    seed: int = Field(0, ge=0)

    def select(self, train: "Split") -> "tuple[Split, int]":
        """The part, and the samples in one epoch of it.

        A fraction is cycled: its epochs are as long as those of the data it was taken from
        (few-shot protocol of the paper), so that few samples do not mean few updates.

        Raises:
            ValueError: an omitted class that does not exist, or nothing left.
        """
        kept = train.omit(self.omit) if self.omit else train
        if self.fraction == 1:
            return kept, len(kept)
        few = kept.fraction(self.fraction, seed=self.seed, sampling=self.sampling)
        return few, len(kept)


def _component(registry):
    return Annotated[Component, AfterValidator(registry.complete)]


_Data = _component(DATASETS)


class _Run(Config):
    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that identify this run and its chain."""
        canonical = json.dumps(
            {"format": RUN_FORMAT, "run": self.model_dump(mode="json")}, sort_keys=True
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def id(self) -> str:
        """Readable file name: what the run is, then its key."""
        return "-".join([self.stage, self.data.name, *self._method(), self.key]).replace("_", "-")

    def _method(self) -> list[str]:
        return []

    @property
    def label(self) -> str:
        """Short name for tables and legends; that of the teacher or measured run, if it has one."""
        return self.parent.label

    @property
    def parent(self) -> "Run | None":
        """The run that must be there before this one can start."""
        return None

    @property
    def epochs(self) -> int:
        """Training epochs, for progress bars; 0 where nothing is trained."""
        return 0

    @property
    def threads(self) -> int:
        """On a CPU; of a measurement, those of the measured run."""
        return self.parent.threads if self.parent else 1

    def chain(self) -> "list[Run]":
        """This run after all that it builds on, first things first."""
        return [*(self.parent.chain() if self.parent else []), self]

    @model_validator(mode="after")
    def _same_data(self) -> Self:
        if self.parent and self.parent.data != self.data:
            raise ValueError(
                f"{self.stage}: data {self.data} is not that of its {self.parent.stage}, "
                f"{self.parent.data}"
            )
        return self


class _TrainedRun(_Run):
    data: _Data
    part: Part = Part()
    recipe: Recipe = Recipe()
    seed: int = Field(0, ge=0)

    @property
    def epochs(self) -> int:
        return self.recipe.epochs

    @property
    def threads(self) -> int:
        return self.recipe.threads


class Teacher(_TrainedRun):
    """A network trained on labels alone: a teacher, or a student from scratch."""

    stage: Literal["teacher"] = "teacher"
    model: _component(MODELS)
    objective: _component(OBJECTIVES)
    start: "Network | None" = None
    """The network whose weights it starts from (MCMI starts from MLL); None: random weights."""

    @model_validator(mode="after")
    def _same_network(self) -> "Teacher":
        if self.start and self.start.model != self.model:
            raise ValueError(f"{self.model} cannot start from the weights of {self.start.model}")
        return self

    @property
    def parent(self) -> "Run | None":
        """The network that it starts from."""
        return self.start

    @property
    def label(self) -> str:
        """Short name for tables and legends: ``MLL``, ``MCMI fixed λ=0.25``, ``mse``.

        With λ = 0 it is :data:`UNTREATED`.
        """
        if self.objective.name == "mll":
            return "MLL"
        if self.objective.name != "mcmi":
            return str(self.objective)
        options = self.objective.options
        if options["lam"] == 0:
            return UNTREATED
        return f"MCMI {options['centroids']} λ={options['lam']:g}"

    def _method(self) -> list[str]:
        return [self.model.name, self.objective.name]


class BayesTeacher(_Run):
    """The true posterior of data that knows it: the best possible teacher, not trained."""

    stage: Literal["bayes"] = "bayes"
    data: _Data

    @property
    def label(self) -> str:
        """Short name for tables and legends."""
        return "true BCPD"


class TeacherHeads(_TrainedRun):
    """A finished teacher that is given auxiliary heads, for distillers that need them.

    The teacher stays as it is: only its heads are trained.
    """

    stage: Literal["heads"] = "heads"
    teacher: "Network"

    @property
    def model(self) -> Component:
        """The teacher's model."""
        return self.teacher.model

    @property
    def parent(self) -> "Run | None":
        """The teacher that gets the heads."""
        return self.teacher

    def _method(self) -> list[str]:
        return self.teacher._method()


class Student(_TrainedRun):
    """A network that learns from a teacher, which may have been a student itself."""

    stage: Literal["student"] = "student"
    model: _component(MODELS)
    distiller: _component(DISTILLERS)
    teacher: "Teacher | BayesTeacher | TeacherHeads | Student" = Field(discriminator="stage")

    @property
    def label(self) -> str:
        """Short name for tables and legends: its teacher's; ``MLL via resnet20`` of a student's."""
        network = self.teacher.teacher if isinstance(self.teacher, TeacherHeads) else self.teacher
        passed_on = f" via {network.model.name}" if isinstance(network, Student) else ""
        return f"{self.teacher.label}{passed_on}"

    @model_validator(mode="after")
    def _teacher_has_heads(self) -> "Student":
        if self.distiller.name in NEED_HEADS and not isinstance(self.teacher, TeacherHeads):
            raise ValueError(
                f"distiller {self.distiller.name!r} learns from a teacher with auxiliary heads, "
                f"TeacherHeads(teacher=...), got {type(self.teacher).__name__} "
                f"{self.teacher.label!r}"
            )
        return self

    @property
    def parent(self) -> "Run | None":
        """The teacher that it learns from."""
        return self.teacher

    def _method(self) -> list[str]:
        return [self.model.name, self.distiller.name]


Network = Annotated[Teacher | Student, Field(discriminator="stage")]
"""A trained network: what can be fine-tuned, given heads, and learnt from."""

for refers_to_networks in (Teacher, TeacherHeads, Student):
    refers_to_networks.model_rebuild()


class Measurement(_Run):
    """Something measured on a finished run, such as its CMI at several temperatures."""

    stage: Literal["measurement"] = "measurement"
    of: Teacher | BayesTeacher | Student = Field(discriminator="stage")
    what: _component(MEASUREMENTS)
    split: Literal["train", "test"] = "train"

    @property
    def data(self) -> Component:
        """The data set of the measured run."""
        return self.of.data

    @property
    def parent(self) -> "Run | None":
        """The measured run."""
        return self.of

    def _method(self) -> list[str]:
        return [self.what.name]


Run = Annotated[
    Teacher | BayesTeacher | TeacherHeads | Student | Measurement, Field(discriminator="stage")
]
_RUN = TypeAdapter(Run)


def parse_run(config: dict) -> Run:
    """The run that a configuration (as stored in a record) describes.

    Raises:
        pydantic.ValidationError: an unknown field or component, or a value out of range.
    """
    return _RUN.validate_python(config)
