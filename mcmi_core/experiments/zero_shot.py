"""04 · Does a student recognise classes that it never saw? (Figure 4)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Experiment):
    """Does a student recognise classes that it never saw? (Figure 4)"""

    name: ClassVar[str] = "04_zero_shot"

    pair: Pair
    teachers: tuple[tuple[str, float], ...]
    """Centroid policy and λ of the MCMI teachers, that of the pair among them."""
    omitted_sets: tuple[tuple[int, ...], ...]
    """Classes that the student's data omits."""
    seeds: tuple[int, ...]
