"""10 · Is it CMI, or would anything do that softens a teacher?"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class Alternatives(Experiment):
    """Is it CMI, or would anything do that softens a teacher?"""

    name: ClassVar[str] = "10_alternatives"

    pair: Pair
    objectives: tuple[str, ...]
    """To fine-tune the MLL teacher by; the pair's own MCMI among them."""
    temperatures: tuple[float, ...]
    """Of KD from the MLL teacher, beside the customary 4."""
    stops: tuple[int, ...]
    """Epochs after which MLL training is stopped early."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""
