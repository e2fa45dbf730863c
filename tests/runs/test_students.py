"""A student's run: first epochs scale with the recipe, and heads come by themselves."""

import pytest
from small_runs import DATA, mll_teacher

from mcmi_core.runs.config import BayesTeacher, Student, TeacherHeads
from mcmi_core.runs.students import HEADS_RECIPE, student_run
from mcmi_core.training.recipe import Recipe

TEACHER = mll_teacher(seed=3)


def run(distiller, epochs=240, teacher=TEACHER, **settings):
    recipe = Recipe().shortened(epochs)
    settings = {"data": DATA, "model": "resnet8"} | settings
    return student_run(distiller=distiller, teacher=teacher, recipe=recipe, **settings)


@pytest.mark.parametrize(
    ("distiller", "epochs", "option", "value"),
    [
        ("dkd", 240, "warmup_epochs", 20),
        ("dkd", 60, "warmup_epochs", 5),
        ("dkd", 6, "warmup_epochs", 1),
        ("dkd:warmup_epochs=7", 60, "warmup_epochs", 7),
        ("dkd:warmup_epochs=0", 60, "warmup_epochs", 0),
        ("reviewkd", 120, "warmup_epochs", 10),
        ("fsp", 24, "initial_epochs", 3),
        ("ft", 240, "initial_epochs", 30),
    ],
)
def test_first_epochs_scale(distiller, epochs, option, value):
    assert run(distiller, epochs).distiller.options[option] == value


def test_other_runs_are_what_they_would_be():
    plain = Student(
        data=DATA, model="resnet8", distiller="kd", teacher=TEACHER, recipe=Recipe().shortened(6)
    )
    assert run("kd", 6).key == plain.key


def test_heads_come_by_themselves():
    heads = run("hsakd").teacher
    assert isinstance(heads, TeacherHeads)
    assert (heads.teacher, heads.seed, heads.data) == (TEACHER, 3, TEACHER.data)
    assert heads.recipe == HEADS_RECIPE.model_copy(update={"evaluate_every": 20})
    assert run("kd").teacher == TEACHER
    short = run("hsakd", heads_recipe=Recipe(epochs=2, schedule="cosine")).teacher.recipe
    assert (short.epochs, short.evaluate_every) == (2, 2)


def test_the_true_posterior_has_no_heads():
    with pytest.raises(ValueError, match="learns from a teacher with auxiliary heads"):
        run("hsakd", teacher=BayesTeacher(data=DATA))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="unknown distiller 'dkdd'"):
        run("dkdd")
    with pytest.raises(ValueError, match="unknown option 'gamma' of distiller 'dkd'"):
        run("dkd:gamma=1")
