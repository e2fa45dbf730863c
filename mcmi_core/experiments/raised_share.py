"""On how many training images MCMI can act at its start: a measurement of MLL teachers, by λ."""

from collections.abc import Collection

import pandas as pd

from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Measurement


def measure_raised(
    pair: Pair, seeds: Collection[int], lambdas: Collection[float]
) -> list[Measurement]:
    """One of each seed's MLL teacher, for all λ
    (:func:`~mcmi_core.measures.predictions.raised_share`).
    """
    what = "raised_share:lambdas=" + "+".join(map(str, lambdas))
    return [Measurement(of=pair.mll(seed), what=what) for seed in seeds]


def raised_percent(lab: Lab, measurements: Collection[Measurement], asked: pd.DataFrame) -> list:
    """Percent of training images with a wrong class that MCMI raises, at the rows' seeds and λ.

    Args:
        lab: that has the records.
        measurements: of :func:`measure_raised`.
        asked: columns ``seed`` and ``λ``; where λ was not measured (λ = 0), the share is NaN.
    """
    shares = lab.collect_results(measurements, ["lam", "raised_percent"])
    shares = shares.set_index(["of_seed", "lam"]).raised_percent
    return shares.reindex(pd.MultiIndex.from_frame(asked[["seed", "λ"]])).to_list()
