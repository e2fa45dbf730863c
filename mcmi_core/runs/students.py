"""How a student's run is put together: what a framework needs of its teacher and its recipe."""

from typing import Any

from mcmi_core.base.registry import Component
from mcmi_core.components import DISTILLERS, NEED_HEADS
from mcmi_core.runs.config import BayesTeacher, Student, Teacher, TeacherHeads
from mcmi_core.training.recipe import Recipe

FIRST_EPOCHS = ("initial_epochs", "warmup_epochs")
"""Options that count epochs at the start of a training of the paper's length."""

HEADS_RECIPE = Recipe(epochs=20, schedule="cosine")
"""For auxiliary heads on a finished teacher: as long as the paper's fine-tuning, and like it."""


def student_run(
    *,
    distiller: str | Component,
    teacher: Teacher | BayesTeacher | Student,
    recipe: Recipe,
    heads_recipe: Recipe = HEADS_RECIPE,
    **settings: Any,
) -> Student:
    """A student's run, with what its distiller takes for granted.

    A distiller that learns from auxiliary heads (HSAKD) gets its teacher with heads, trained in a
    run of their own that students share. First epochs, if the distiller has an option for them
    (:data:`FIRST_EPOCHS`) that is not given, scale with the recipe as its milestones do: they
    are the same share of every training, and at least one epoch.

    Args:
        distiller: such as ``"dkd:beta=2"``.
        teacher: a network without heads, or the truth.
        recipe: of the student.
        heads_recipe: of the teacher's auxiliary heads, if any.
        settings: the other fields of :class:`~mcmi_core.runs.config.Student`.

    Raises:
        ValueError: unknown distiller or option, or heads asked of a teacher that cannot have them.
        pydantic.ValidationError: a setting out of range.
    """
    given = Component.model_validate(distiller)
    complete = DISTILLERS.complete(given)
    scaled = {
        name: max(1, round(complete.options[name] * recipe.epochs / Recipe().epochs))
        for name in FIRST_EPOCHS
        if complete.options.get(name) and name not in given.options
    }
    if given.name in NEED_HEADS and isinstance(teacher, Teacher | Student):
        # The network itself stands still: one look at the end is enough.
        recipe_at_end = heads_recipe.model_copy(update={"evaluate_every": heads_recipe.epochs})
        teacher = TeacherHeads(
            data=teacher.data, teacher=teacher, recipe=recipe_at_end, seed=teacher.seed
        )
    return Student(
        distiller=Component(name=given.name, **complete.options | scaled),
        teacher=teacher,
        recipe=recipe,
        **settings,
    )
