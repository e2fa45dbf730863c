"""02 · Does MLL training lower CMI? (Figure 2)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class MllTrainingDynamics(Experiment):
    """Does MLL training lower CMI? (Figure 2)"""

    name: ClassVar[str] = "02_mll_training_dynamics"

    pairs: tuple[Pair, ...]
    seeds: tuple[int, ...]
