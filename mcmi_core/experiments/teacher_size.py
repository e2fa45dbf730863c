"""05 · Do larger teachers teach better? (Figure 5)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class TeacherSize(Experiment):
    """Do larger teachers teach better? (Figure 5)"""

    name: ClassVar[str] = "05_teacher_size"

    pairs: tuple[Pair, ...]
    """One student with teachers of growing size."""
    seeds: tuple[int, ...]
