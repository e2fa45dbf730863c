"""What a result is (a run), where it lives (the store), and how it comes about."""

from mcmi_core.runs.config import (
    BayesTeacher,
    Measurement,
    Part,
    Run,
    Student,
    Teacher,
    TeacherHeads,
    parse_run,
)
from mcmi_core.training.recipe import Recipe

__all__ = [
    "BayesTeacher",
    "Measurement",
    "Part",
    "Recipe",
    "Run",
    "Student",
    "Teacher",
    "TeacherHeads",
    "parse_run",
]
