"""01 · Does temperature raise CMI, and do students follow it? (Figure 1)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class TemperatureAndCmi(Experiment):
    """Does temperature raise CMI, and do students follow it? (Figure 1)"""

    name: ClassVar[str] = "01_temperature_and_cmi"

    pairs: tuple[Pair, ...]
    temperatures: tuple[float, ...]
    """Of the teacher in plain KD; 4 is the customary one."""
    seeds: tuple[int, ...]
