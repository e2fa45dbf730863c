"""09 · How much CMI, with which centroids, and where does training collapse?"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class LambdaAndCentroids(Experiment):
    """How much CMI, with which centroids, and where does training collapse?"""

    name: ClassVar[str] = "09_lambda_and_centroids"

    pair: Pair
    lambdas: tuple[float, ...]
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a student sees."""
