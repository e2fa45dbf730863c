"""Which runs can be trained as one; see :mod:`mcmi_core.training.stacked`."""

from mcmi_core.components import DISTILLERS
from mcmi_core.runs.config import Run, Student


def axis(run: Run) -> str | None:
    """All of a run's configuration but seeds and teachers, which runs trained as one share.

    Returns:
        Equal texts for runs that can be trained together. None for a run that is trained alone: it
        is no student, its distiller reads features, its recipe asks for bf16, or its
        network has convolutions. K convolutions at once are one grouped convolution, which is
        slower than K convolutions in turn.
    """
    if (
        not isinstance(run, Student)
        or run.model.name != "mlp"
        or run.recipe.precision != "float32"
        or DISTILLERS.load(run.distiller.name).uses_features
    ):
        return None
    varied = {"seed": True, "teacher": True, "data": {"seed"}, "part": {"seed"}}
    return run.model_dump_json(exclude=varied)
