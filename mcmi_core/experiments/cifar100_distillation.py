"""06 · Does MCMI help in every distillation framework? (Table 1)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class Cifar100Distillation(Experiment):
    """Does MCMI help in every distillation framework? (Table 1)"""

    name: ClassVar[str] = "06_cifar100_distillation"

    pairs: tuple[Pair, ...]
    frameworks: tuple[str, ...]
    seeds: tuple[int, ...]
