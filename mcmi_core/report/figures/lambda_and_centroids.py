"""09 · What λ and the centroid policy do to the teacher and its student, and where it collapses."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mcmi_core.base.statistics import Interval
from mcmi_core.report.plots import plot_intervals

_TITLES = {
    "train_ll_nats": "Teacher LL, nats",
    "train_cmi_nats": "Teacher CMI, nats",
    "test_accuracy_gain": "Teacher: gain over MLL, points",
    "student_accuracy_gain": "Student: gain over MLL's, points",
}
_CROSS_HEIGHTS = {"fixed": 0.02, "tracked": 0.08}
"""Of a panel: where a policy's crosses lie, so that they do not hide each other."""


def draw_lambda_and_centroids(summary: pd.DataFrame, collapsed: pd.DataFrame) -> Figure:
    """One panel per metric against λ; a cross at the bottom where a seed's teacher collapsed.

    Args:
        summary: of :meth:`~mcmi_core.experiments.lambda_and_centroids.LambdaAndCentroids.summary`.
        collapsed: number of teachers that collapsed: a row per policy, a column per λ.
    """
    figure, panels = plt.subplots(1, len(_TITLES), figsize=(15, 3.5))
    policy_of = summary.index.get_level_values("policy")
    for axes, (metric, title) in zip(panels, _TITLES.items(), strict=True):
        for policy, height in _CROSS_HEIGHTS.items():
            intervals = summary.loc[policy_of == policy, metric].droplevel("policy").dropna()
            plot_intervals(axes, intervals, label=f"MCMI {policy}")
            lost = [lam for lam, count in collapsed.loc[policy].items() if count]
            axes.plot(
                lost,
                [height] * len(lost),
                "x",
                transform=axes.get_xaxis_transform(),
                color=axes.lines[-1].get_color(),
                label="collapsed" if lost else None,
            )
        mll = [value for value in summary.loc[policy_of == "MLL", metric]]
        level = mll[0].mean if mll and isinstance(mll[0], Interval) else 0
        axes.axhline(level, color="0.4", linestyle="--", label="MLL")
        axes.set(title=title, xlabel="λ")
    panels[0].legend(fontsize="small")
    return figure
