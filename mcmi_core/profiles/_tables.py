"""The pairs of the paper's Tables 1 and 2 on any data, at the learning rates of their networks."""

from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import TablePair, fine_tuning_rate, learning_rate
from mcmi_core.runs import Recipe

IMAGENET_RECIPE = Recipe(
    epochs=100, batch_size=256, learning_rate=0.1, weight_decay=1e-4, milestones=(30, 60, 90)
)
"""The customary one."""

IMAGENET_FINE_TUNING = IMAGENET_RECIPE.model_copy(
    update={"epochs": 10, "schedule": "cosine", "learning_rate": 0.01}
)
"""Ours: a tenth of the training, from a tenth of its rate; the paper does not say."""

IMAGENET_FRAMEWORKS = ("kd", "at", "dkd", "reviewkd")
"""Of the paper's eleven: CRD's memory, read as a whole, does not fit ImageNet."""


def table_pair(row: TablePair, data: str, recipe: Recipe, fine_tuning: Recipe) -> Pair:
    """A pair of the paper's Table 1 on some data, at the learning rates of its networks."""
    rates = learning_rate(row.teacher), learning_rate(row.student)
    teacher_recipe, student_recipe = (
        recipe.model_copy(update={"learning_rate": rate}) for rate in rates
    )
    return Pair(
        data=data,
        teacher=row.teacher,
        student=row.student,
        lam=row.lam,
        recipe=teacher_recipe,
        student_recipe=student_recipe,
        fine_tuning=fine_tuning.model_copy(update={"learning_rate": fine_tuning_rate(row.teacher)}),
        distillers=row.distillers,
    )


def imagenet_pair(row: TablePair, data: str, epochs: int = 100) -> Pair:
    """A pair of the paper's Table 2 on some data, with ImageNet's customary recipe."""
    recipe = IMAGENET_RECIPE.shortened(epochs)
    fine_tuning = IMAGENET_FINE_TUNING.shortened(max(1, epochs // 10))
    return Pair(
        data=data,
        teacher=row.teacher,
        student=row.student,
        lam=row.lam,
        recipe=recipe,
        fine_tuning=fine_tuning,
        distillers=row.distillers,
    )
