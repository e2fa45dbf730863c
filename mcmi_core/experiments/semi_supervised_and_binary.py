"""11 · Does it help a student without labels, and with two classes only?"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedAndBinary(Experiment):
    """Does it help a student without labels, and with two classes only?"""

    name: ClassVar[str] = "11_semi_supervised_and_binary"

    pair: Pair
    seeds: tuple[int, ...]
    binary_pair: Pair
    """Of data with two classes and a known posterior."""
    binary_lambdas: tuple[float, ...]
    binary_seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that has labels, or that a student sees."""
