"""Which runs can be trained as one; see :mod:`mcmi_core.training.stacked`."""

from mcmi_core.distillers import DISTILLERS
from mcmi_core.runs import Run, Student


def axis(run: Run) -> str | None:
    """What runs that can share a model axis have in common: all but their seeds and teachers.

    Returns:
        Equal texts for runs that can be trained together. None for one that is trained alone: it is
        no student, learns from features, asks for an engine, or has convolutions, of which K at
        once are one grouped convolution, which is slower than one after the other.
    """
    if (
        not isinstance(run, Student)
        or run.model.name != "mlp"
        or (run.recipe.precision, run.recipe.engine) != ("float32", "eager")
        or DISTILLERS[run.distiller.name].uses_features
    ):
        return None
    varied = {"seed": True, "teacher": True, "data": {"seed"}, "part": {"seed"}}
    return run.model_dump_json(exclude=varied)
