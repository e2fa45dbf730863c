"""A teacher and its student on some data, and every run that can be asked of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcmi_core.base.registry import Component
from mcmi_core.runs.config import BayesTeacher, Measurement, Part, Student, Teacher
from mcmi_core.runs.students import student_run
from mcmi_core.training.recipe import Recipe

PAPER_RECIPE = Recipe()
PAPER_FINE_TUNING = Recipe(epochs=20, schedule="cosine")


@dataclass(frozen=True)
class Pair:
    """A teacher and its student on one data set, and how they are trained.

    Components are written as on the command line: ``mlp:width=512``.
    """

    data: str
    teacher: str
    student: str
    lam: float
    """λ of the MCMI teacher, where an experiment does not vary it."""
    centroids: str = "fixed"
    """Centroid policy of the MCMI teacher: ``fixed``, as in the paper, or ``tracked``."""
    recipe: Recipe = PAPER_RECIPE
    """For the MLL teacher and every student."""
    fine_tuning: Recipe = PAPER_FINE_TUNING
    """For the MCMI teacher, from the MLL teacher on."""
    resample: bool = False
    """Draw new (synthetic) data for every seed, so that intervals cover the data as well."""
    student_recipe: Recipe | None = None
    """For every student, where that is not ``recipe``."""
    distillers: tuple[str, ...] = ()
    """Frameworks with other options for this pair than by default, such as ``dkd:beta=2``."""

    def mll(self, seed: int) -> Teacher:
        """The MLL teacher, both splits evaluated as it is trained: its dynamics are a result.

        After every epoch, or dense early and sparse late, where the recipe says so.
        """
        every = min(1, self.recipe.evaluate_every)
        recipe = self.recipe.model_copy(update={"evaluate_every": every, "evaluate_train": True})
        return Teacher(
            data=self._data(seed), model=self.teacher, objective="mll", recipe=recipe, seed=seed
        )

    def mcmi(self, seed: int, *, lam: float | None = None, centroids: str | None = None) -> Teacher:
        """The MCMI teacher, fine-tuned from the MLL teacher of the same seed."""
        objective = Component(
            name="mcmi",
            lam=self.lam if lam is None else lam,
            centroids=centroids or self.centroids,
        )
        return self.fine_tuned(seed, objective)

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
        own_options = {text.partition(":")[0]: text for text in self.distillers}
        return student_run(
            data=self._data(seed),
            model=self.student,
            teacher=teacher,
            distiller=own_options.get(distiller, distiller),
            part=Part(fraction=fraction, sampling=sampling, omit=omit, seed=seed),
            recipe=self.student_recipe or self.recipe,
            heads_recipe=self.fine_tuning,
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

    @property
    def data_name(self) -> str:
        """The data set without its options: ``oracle``."""
        return self.data.partition(":")[0]

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


def distinct_teachers(pairs: Iterable[Pair]) -> list[Pair]:
    """One pair for each MLL teacher: pairs that share it are one question about teachers."""
    return list({pair.mll(0).key: pair for pair in pairs}.values())
