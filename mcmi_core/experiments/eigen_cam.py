"""03 · Does an MCMI teacher look at more of an image? (Figure 3)"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class EigenCam(Experiment):
    """Does an MCMI teacher look at more of an image? (Figure 3)"""

    name: ClassVar[str] = "03_eigen_cam"

    pair: Pair
    """Whose teachers Eigen-CAM shows: of real images, with maps."""
    stage: int
    """Whose map is drawn: the last, or one that still has places to tell apart."""
    seeds: tuple[int, ...]
