"""12 · How far is each teacher from the true P*, and what does it cost the student?"""

from dataclasses import dataclass
from typing import ClassVar

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair


@dataclass(frozen=True, kw_only=True)
class BayesOracle(Experiment):
    """How far is each teacher from the true P*, and what does it cost the student?"""

    name: ClassVar[str] = "12_bayes_oracle"

    pair: Pair
    """On data whose posterior is known."""
    lam_fixed: float
    """λ with centroids ``fixed``."""
    lam_tracked: float
    """λ with centroids ``tracked``."""
    seeds: tuple[int, ...]
    few: float = 0.05
    """Fraction of the training data that a few-shot student sees."""
