"""07 · And on ImageNet, top-1 and top-5? (Table 2)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class ImagenetDistillation(Experiment):
    """And on ImageNet, top-1 and top-5? (Table 2)"""

    name: ClassVar[str] = "07_imagenet_distillation"
    data_is_checked: ClassVar[bool] = False

    pairs: tuple[Pair, ...]
    frameworks: tuple[str, ...]
    seeds: tuple[int, ...]
