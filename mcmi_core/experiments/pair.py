"""A teacher and its student on some data, and every run that can be asked of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mcmi_core.base.registry import Component
from mcmi_core.experiments.words import data_in_words, network_in_words
from mcmi_core.runs.config import BayesTeacher, Measurement, Part, Student, Teacher
from mcmi_core.runs.students import student_run
from mcmi_core.training.recipe import Recipe

FROM_SCRATCH = "from scratch"
"""Label, in tables of students, of one that has no teacher."""
POLICIES = ("fixed", "tracked")
"""Of MCMI's centroids: the paper's method, and our variant."""
EARLY_STOPPING = "early stopping"
"""In labels of MLL teachers that were stopped early."""

PAPER_RECIPE = Recipe()
PAPER_FINE_TUNING = Recipe(epochs=20, schedule="cosine")


@dataclass(frozen=True)
class Pair:
    """A teacher and its student on one data set, and how they are trained.

    Components are written as on the command line: ``mlp:width=512``.

    Raises:
        ValueError: a λ that is not above 0.
    """

    data: str
    teacher: str
    student: str
    lam: float
    """λ of the paper's method, MCMI with ``fixed`` centroids."""
    tracked_lam: float | None = None
    """λ of our variant, MCMI with ``tracked`` centroids; None: there is no such teacher."""
    recipe: Recipe = PAPER_RECIPE
    """For the MLL teacher and every student."""
    fine_tuning: Recipe = PAPER_FINE_TUNING
    """For MCMI teachers, and their control, from the MLL teacher on."""
    resample: bool = False
    """Draw new (synthetic) data for every seed, so that intervals cover the data as well."""
    student_recipe: Recipe | None = None
    """For every student, where that is not ``recipe``."""
    distillers: tuple[str, ...] = ()
    """Frameworks with other options for this pair than by default, such as ``dkd:beta=2``."""

    def __post_init__(self) -> None:
        for lam in (self.lam, self.tracked_lam):
            if lam is not None and lam <= 0:
                raise ValueError(f"λ must be above 0, which is the control's, got {lam:g}")

    def mll(self, seed: int) -> Teacher:
        """The MLL teacher, both splits evaluated as it is trained: its dynamics are a result.

        After every epoch, or dense early and sparse late, where the recipe says so.
        """
        every = min(1, self.recipe.evaluate_every)
        recipe = self.recipe.model_copy(update={"evaluate_every": every, "evaluate_train": True})
        return Teacher(
            data=self._data(seed), model=self.teacher, objective="mll", recipe=recipe, seed=seed
        )

    def untreated(self, seed: int) -> Teacher:
        """The control of MCMI: the MLL teacher of the same seed, fine-tuned without CMI (λ = 0).

        It has as many epochs at the same rates as an MCMI teacher; only CMI is missing.
        """
        return self.mcmi(seed, lam=0.0)

    def mcmi(self, seed: int, *, lam: float | None = None, centroids: str = "fixed") -> Teacher:
        """An MCMI teacher, fine-tuned from the MLL teacher of the same seed.

        Args:
            seed: of the MLL teacher, too.
            lam: λ; None: the pair's for these centroids.
            centroids: ``fixed``, the paper's method, or ``tracked``, our variant.

        Raises:
            ValueError: no λ, and the pair has none for these centroids.
        """
        if lam is None:
            lam = {"fixed": self.lam, "tracked": self.tracked_lam}[centroids]
        if lam is None:
            raise ValueError(f"{self} has no λ for {centroids} centroids; give one")
        return self.fine_tuned(seed, Component(name="mcmi", lam=lam, centroids=centroids))

    def mcmi_teachers(self, seed: int) -> list[Teacher]:
        """The paper's method, and our variant where the pair has a λ for it."""
        policies = POLICIES[:1] if self.tracked_lam is None else POLICIES
        return [self.mcmi(seed, centroids=policy) for policy in policies]

    def teachers(self, seed: int) -> list[Teacher | BayesTeacher]:
        """All that are compared: MLL, fine-tuned without CMI, MCMI; last the truth, if known."""
        truth = [self.bayes(seed)] if self.posterior_is_known else []
        return [*self.trained_teachers(seed), *truth]

    def trained_teachers(self, seed: int) -> list[Teacher]:
        """All networks that are compared: MLL, its fine-tuning without CMI, MCMI."""
        return [self.mll(seed), self.untreated(seed), *self.mcmi_teachers(seed)]

    def fine_tuned(self, seed: int, objective: str | Component) -> Teacher:
        """The MLL teacher of the same seed, fine-tuned by any objective, as MCMI does it."""
        return Teacher(
            data=self._data(seed),
            model=self.teacher,
            objective=objective,
            start=self.mll(seed),
            recipe=self.fine_tuning,
            seed=seed,
        )

    def from_scratch(self, seed: int, objective: str | Component) -> Teacher:
        """A teacher trained by any objective from random weights on, with the MLL recipe."""
        return Teacher(
            data=self._data(seed),
            model=self.teacher,
            objective=objective,
            recipe=self.recipe,
            seed=seed,
        )

    def early_stopped(self, seed: int, epochs: int) -> Teacher:
        """The MLL teacher as it was after some epochs: the same training, stopped there.

        Its learning rate is that of the whole recipe, not of one shortened to those epochs, which
        would be another training.
        """
        recipe = self.recipe.model_copy(update={"epochs": epochs})
        return Teacher(
            data=self._data(seed), model=self.teacher, objective="mll", recipe=recipe, seed=seed
        )

    def bayes(self, seed: int) -> BayesTeacher:
        """The true posterior as a teacher."""
        return BayesTeacher(data=self._data(seed))

    def distill(
        self,
        teacher: Teacher | BayesTeacher,
        seed: int,
        *,
        distiller: str = "kd",
        fraction: float = 1.0,
        sampling: str = "stratified",
        omit: tuple[int, ...] = (),
    ) -> Student:
        """A student of ``teacher``, on all or part of the training data.

        If the pair has its own options for a framework, ask for the framework by its bare name. For
        how first epochs and auxiliary heads come about, see
        :func:`~mcmi_core.runs.students.student_run`.
        """
        part = Part(fraction=fraction, sampling=sampling, omit=omit, seed=seed)
        own_options = {text.partition(":")[0]: text for text in self.distillers}
        return student_run(
            data=self._data(seed),
            model=self.student,
            teacher=teacher,
            distiller=own_options.get(distiller, distiller),
            part=part,
            recipe=self.student_recipe or self.recipe,
            heads_recipe=self.fine_tuning,
            seed=seed,
        )

    def student_from_scratch(
        self,
        seed: int,
        *,
        fraction: float = 1.0,
        sampling: str = "stratified",
        omit: tuple[int, ...] = (),
    ) -> Teacher:
        """The control of distillation: the student's network, trained on the labels alone.

        On the same part of the data as the students of :meth:`distill`, with their recipe. In
        tables its label is :data:`FROM_SCRATCH`; see :func:`name_from_scratch`.
        """
        return Teacher(
            data=self._data(seed),
            model=self.student,
            objective="mll",
            part=Part(fraction=fraction, sampling=sampling, omit=omit, seed=seed),
            recipe=self.student_recipe or self.recipe,
            seed=seed,
        )

    def on_unseen_training_data(self, student: Student) -> Measurement:
        """A few-shot student on the training samples that it was not given: to choose settings."""
        part = student.part
        return Measurement(of=student, what=f"unseen:fraction={part.fraction},seed={part.seed}")

    @property
    def posterior_is_known(self) -> bool:
        """Whether the truth can teach (:meth:`bayes`): on synthetic data only."""
        return self.data_name == "oracle"

    def require_posterior(self) -> None:
        """For an experiment that compares with P*.

        Raises:
            ValueError: P* of the data is not known.
        """
        if not self.posterior_is_known:
            raise ValueError(f"P* must be known, as on oracle data; got {self.data}")

    @property
    def data_name(self) -> str:
        """The data set without its options: ``oracle``."""
        return self.data.partition(":")[0]

    @property
    def data_title(self) -> str:
        """The data in a word, for names of figures: ``oracle``, or the folder of images."""
        options = Component.model_validate(self.data).options
        return options.get("folder", self.data_name)

    @property
    def networks_in_words(self) -> str:
        """``ResNet-20 → ResNet-8``: for titles and headings."""
        return f"{network_in_words(self.teacher)} → {network_in_words(self.student)}"

    @property
    def data_in_words(self) -> str:
        """``CIFAR-10 photographs, 16 px, 1,000 a class``: for titles and headings."""
        return data_in_words(self.data)

    @property
    def recipe_text(self) -> str:
        """Epochs of each stage, in words, and the precision of the steps, if it is not float32."""
        students = self.student_recipe or self.recipe
        precision = "" if students.precision == "float32" else f", {students.precision}"
        return (
            f"teacher {self.recipe.epochs} epochs, fine-tuning {self.fine_tuning.epochs}, "
            f"student {students.epochs}{precision}"
        )

    def __str__(self) -> str:
        return f"{self.teacher} → {self.student} on {self.data}"

    def _data(self, seed: int) -> str:
        if not self.resample:
            return self.data
        return f"{self.data}{',' if ':' in self.data else ':'}seed={seed}"


def early_stopping_setting(epoch: int) -> str:
    """An MLL teacher stopped after an epoch, among others of its kind: ``epoch=10``."""
    return f"epoch={epoch}"


def early_stopping_text(epoch: int) -> str:
    """Label of its students in tables: ``early stopping epoch=10``."""
    return f"{EARLY_STOPPING} {early_stopping_setting(epoch)}"


def distinct_teachers(pairs: Iterable[Pair]) -> list[Pair]:
    """One pair for each MLL teacher: pairs that share it are one question about teachers."""
    return list({pair.mll(0).key: pair for pair in pairs}.values())


def name_from_scratch(students: pd.DataFrame) -> pd.DataFrame:
    """A table of students in which those without a teacher have the label :data:`FROM_SCRATCH`.

    Args:
        students: one row per run, with columns ``stage`` and ``label``.
    """
    return students.assign(label=students.label.mask(students.stage == "teacher", FROM_SCRATCH))
