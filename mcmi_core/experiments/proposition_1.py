"""13 · Do the features tell what the output tells? Both sides counted (Proposition 1)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class Proposition1(Experiment):
    """Do the features tell what the output tells? Both sides counted (Proposition 1)"""

    name: ClassVar[str] = "13_proposition_1"

    pair: Pair
    """Of MLP teachers."""
    seeds: tuple[int, ...]
    bits: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """That features are quantised to."""
