"""A run in a few words, for a table in which its key is beside it."""

import re

from mcmi_core.experiments.words import framework_in_words, network_in_words
from mcmi_core.runs.config import BayesTeacher, Measurement, Part, Run, Student, TeacherHeads


def what(run: Run) -> str:
    """``ResNet-8 by KD on 5 % of the data``: what is trained or measured."""
    return re.sub(r",(?! )", ", ", _what(run))  # so that a narrow cell can break options


def _what(run: Run) -> str:
    if isinstance(run, BayesTeacher):
        return "the true probabilities"
    if isinstance(run, Measurement):
        return f"{run.what} on {run.split} data"
    network = network_in_words(str(run.model))
    if isinstance(run, TeacherHeads):
        return f"auxiliary heads of {network}"
    if isinstance(run, Student):
        return f"{network} by {_method(run)}{_part(run.part)}"
    return f"{network} by {run.objective}{_part(run.part)}"


def seed_of(run: Run) -> int | None:
    """Of the run, or of what it measures; None: nothing is drawn."""
    while isinstance(run, Measurement):
        run = run.parent
    return getattr(run, "seed", None)


def _method(run: Student) -> str:
    options = str(run.distiller).partition(":")[2]
    name = framework_in_words(str(run.distiller))
    return f"{name} ({options})" if options else name


def _part(part: Part) -> str:
    words = "" if part.fraction == 1 else f" on {100 * part.fraction:g} % of the data"
    if part.omit:
        words += f" without class {', '.join(map(str, part.omit))}"
    return words
