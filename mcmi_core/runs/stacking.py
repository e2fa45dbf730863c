"""Which runs are trained at once by one process; see :mod:`mcmi_core.training.stacked`."""

from mcmi_core.components import DISTILLERS
from mcmi_core.runs.config import BayesTeacher, Run, Student

ALIGNED = 32
"""Hidden widths that are multiples of it give each of K stacked models the same bits as alone in a
stack: kernels sum so many columns at a time, and would treat the last ones of a model otherwise."""


def axis(run: Run) -> str | None:
    """What runs that are trained as one share: all of their configuration but seeds and teachers.

    Returns:
        Equal texts for runs that can be trained together. None for a run that is trained alone: it
        is no student, its distiller reads features, its recipe asks for bf16 or several threads, or
        its network has convolutions or a width that is not :data:`ALIGNED`. K convolutions at once
        are one grouped convolution, which is slower than K convolutions in turn.
    """
    if (
        not isinstance(run, Student)
        or run.model.name != "mlp"
        or run.model.options["width"] % ALIGNED
        or run.recipe.precision != "float32"
        or run.recipe.threads != 1
        or DISTILLERS.load(run.distiller.name).uses_features
    ):
        return None
    varied = {"seed": True, "teacher": True, "data": {"seed"}, "part": {"seed"}}
    # The true posterior's logits are float64; a stack would convert all others to that.
    exact = isinstance(run.teacher, BayesTeacher)
    return f"{run.model_dump_json(exclude=varied)} {exact=}"


def side_by_side(run: Run) -> str:
    """What runs share that take about as long, so that one GPU trains them side by side."""
    varied = {"seed", "teacher", "start", "of", "objective"}
    return run.model_dump_json(exclude=dict.fromkeys(varied, True) | {"part": {"seed"}})
