"""99 · Every primary comparison of the scoreboard, as effects with intervals, by their verdicts.

Claims from top to bottom, a column per tier. Claims whose effects have the same scale share a block
of rows and its axis. Students' claims have one figure, teachers' another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcmi_core.experiments.claims import NOT_MEASURED
from mcmi_core.experiments.pair import POLICIES
from mcmi_core.experiments.words import data_in_words


@dataclass(frozen=True)
class Block:
    """Claims that share an axis."""

    axis: str
    """What the axis shows, with its unit."""
    claims: dict[str, str]
    """Short words by key of the claim."""


STUDENTS = (
    Block(
        "difference in test accuracy, points",
        {
            "all_data": "KD, all the data",
            "few_shot": "KD, few examples",
            "fewer_more": "KD: gains more with fewer examples",
            "few_shot_crd": "CRD, few examples",
            "frameworks": "mean over frameworks, all the data",
            "dkd": "DKD, all the data",
            "imagenet": "mean over frameworks, 20 classes (stand-in for ImageNet)",
            "early_stopping": "KD, few examples: better than early stopping",
            "alternatives": "KD, few examples: better than the best other way",
            "temperature_student": "better at the temperature of highest CMI than at T = 1",
        },
    ),
    Block(
        "difference in accuracy on the omitted class, points",
        {"zero_shot": "recognises a class that it never saw"},
    ),
)
"""Of the figure on students."""

TEACHERS = (
    Block(
        "control − MCMI, test accuracy, points",
        {"teacher_accuracy": "the MCMI teacher is less accurate"},
    ),
    Block("MCMI − control, points of the image", {"eigen_cam": "it looks at more of the image"}),
    Block(
        "difference, nats",
        {
            "bcpd_train": "closer to P* on training inputs",
            "bcpd_test": "closer to P* on new inputs",
            "temperature": "temperature raises CMI",
            "dynamics": "CMI falls as MLL goes on",
        },
    ),
    Block(
        "slope, points of the student per tenfold size",
        {
            "size_mcmi": "the larger, the better its student",
            "size_more": "size helps more than without CMI",
        },
    ),
    Block(
        "correlation r",
        {"bcpd_predicts": "the closer to P*, the better its student: over kinds of teachers"},
    ),
)
"""Of the figure on teachers."""

_STYLES = {
    "holds": {"color": "#1b7837", "marker": "^"},
    "holds; not against MLL": {
        "color": "#1b7837",
        "marker": "^",
        "markerfacecolor": "white",
    },
    "negligible": {"color": "black", "marker": "s", "markersize": 4},
    "open": {"color": "0.55", "marker": "o", "markersize": 5},
    "opposite": {"color": "#c51b7d", "marker": "v"},
}
"""By verdict: a colour and a marker, of which either says it."""
_LIES = {
    "holds": "holds: above 0",
    "holds; not against MLL": "holds, but not against MLL",
    "negligible": "negligible: includes 0, within ±1 point",
    "open": "open: includes 0",
    "opposite": "opposite: below 0",
}
"""By verdict: where its interval lies."""
_BESIDE_MLL = {"color": "#2b6cb0", "marker": "d", "markersize": 3, "linewidth": 0.8}
_BELOW = 0.3
"""Of a row: how far below its middle the difference to MLL is drawn."""
_NAME_WIDTH = 30
_ROW, _AXIS = 0.27, 0.85
"""Inches of a row, and of what a block has beside its rows."""
_ABOUT = (
    "Difference to the control (the same teacher, fine-tuned as long without CMI) unless a row "
    "names another.\nfixed: the paper's method. tracked: our variant. Right of the dashed line: "
    "as claimed"
)


def claims_of(board: pd.DataFrame, blocks: Sequence[Block]) -> pd.DataFrame:
    """The part of the scoreboard that a figure of these blocks draws."""
    return board[board.key.isin([key for block in blocks for key in block.claims])]


def draw_claims(board: pd.DataFrame, blocks: Sequence[Block]) -> Figure:
    """A row per claim and kind of MCMI, an interval per tier; thin below it, that against MLL.

    Args:
        board: of :func:`~mcmi_core.experiments.claims.scoreboard`. A tier in which none of these
            claims is measured has no column; the others say how many replicates most rows
            asked for. A row that has another number, such as one whose runs collapsed, says so.
        blocks: from top to bottom. Claims that the board does not have get no rows.
    """
    board = claims_of(board, blocks)
    measured = board[board.verdict != NOT_MEASURED]
    tiers = [tier for tier in board.tier.unique() if tier in set(measured.tier)]
    rows = [_rows(board, block) for block in blocks]
    blocks = [block for block, of_block in zip(blocks, rows, strict=True) if len(of_block)]
    rows = [of_block for of_block in rows if len(of_block)]
    heights = [_ROW * len(of_block) + _AXIS for of_block in rows] or [1]
    figure, panels = plt.subplots(
        *(len(heights), max(len(tiers), 1)),
        figsize=(9, sum(heights) + 0.8),
        height_ratios=heights,
        sharex="row",
        sharey="row",
        squeeze=False,
    )
    for line, block, of_block in zip(panels, blocks, rows, strict=False):
        for axes, tier in zip(line, tiers, strict=False):
            _draw_block(axes, of_block, measured[measured.tier == tier])
            axes.tick_params(labelsize="x-small", left=False)
        _name_rows(line[0], of_block)
        axis = f"{block.axis} (right of 0: as claimed)"
        line[len(tiers) // 2].set_xlabel(axis, fontsize="small")
    for axes, tier in zip(panels[0], tiers, strict=False):
        n = _usual_n(measured[measured.tier == tier])
        axes.set_title(f"{tier}\nn = {n:g}", fontsize="small", fontweight="bold")
    _explain(figure)
    return figure


def _rows(board: pd.DataFrame, block: Block) -> pd.DataFrame:
    """From top to bottom ``key``, ``place`` of the data set in its tier, ``policy``; ``name``."""
    rows = []
    for key, words in block.claims.items():
        of_claim = _placed(board[board.key == key])
        policies = [policy for policy in (*POLICIES, "–") if policy in set(of_claim.policy)]
        for place in range(int(of_claim.place.max()) + 1 if len(of_claim) else 0):
            [*data] = of_claim.data[of_claim.place == place].dropna().unique()
            name = words if place == 0 else f"the same: {data_in_words(data[0])}"
            rows += [(key, place, policy, name) for policy in policies or ["–"]]
    return pd.DataFrame(rows, columns=["key", "place", "policy", "name"])


def _usual_n(rows: pd.DataFrame) -> float:
    """How many replicates most of them asked for."""
    return rows.asked.mode().iloc[0]


def _placed(of_claim: pd.DataFrame) -> pd.DataFrame:
    """Rows of one claim with ``place``, the number of their data set within its tier, from 0."""
    place = of_claim.groupby("tier").data.transform(lambda data: pd.factorize(data)[0].clip(0))
    return of_claim.assign(place=place.astype(int))


def _draw_block(axes: Axes, rows: pd.DataFrame, of_tier: pd.DataFrame) -> None:
    """The intervals of one tier, each in its row; behind, bands hold a claim's rows together."""
    axes.axvline(0, color="0.4", linestyle="--", linewidth=1)
    usual = None if of_tier.empty else _usual_n(of_tier)
    for number, (key, group) in enumerate(rows.groupby(["key", "place"], sort=False)):
        if number % 2:
            axes.axhspan(group.index[0] - 0.5, group.index[-1] + 0.5, color="0.95", zorder=0)
        found = _placed(of_tier[of_tier.key == key[0]])
        found = found[found.place == key[1]]
        for _, row in found.iterrows():
            [at] = group.index[group.policy == row.policy]
            _draw_row(axes, at, row)
            if row.n != usual:
                _say_n(axes, at, row)
        if found.empty:
            middle = (group.index[0] + group.index[-1]) / 2
            beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate("not measured", (0, middle), color="0.45", fontsize=8, **beside)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _draw_row(axes: Axes, at: float, row: pd.Series) -> None:
    style = {"markersize": 6} | _STYLES[_kind(row.verdict)]
    error = [[row["mean"] - row.low], [row.high - row["mean"]]]  # that of r is not symmetric
    axes.errorbar(row["mean"], at, xerr=error, capsize=2, linewidth=1.2, **style)
    if pd.notna(row.mll_mean):
        axes.plot([row.mll_low, row.mll_high], [at + _BELOW] * 2, **_BESIDE_MLL | {"marker": ""})
        axes.plot(row.mll_mean, at + _BELOW, **_BESIDE_MLL)


def _say_n(axes: Axes, at: float, row: pd.Series) -> None:
    """Beside an interval: how many replicates it has, of how many that were asked for."""
    of_asked = f" of {row.asked:g}" if row.n < row.asked else ""
    beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
    axes.annotate(f"n = {row.n:g}{of_asked}", (row.high, at), color="0.3", **beside)


def _kind(verdict: str) -> str:
    """A verdict without what it says of MLL, but for what holds against the control alone."""
    word, _, beside = verdict.partition("; ")
    return f"{word}; not against MLL" if word == "holds" and beside else word


def _name_rows(axes: Axes, rows: pd.DataFrame) -> None:
    """The policy at each row, and the claim once, left of its rows."""
    axes.set_yticks(rows.index, rows.policy.where(rows.policy != "–", ""), fontsize="x-small")
    for _, group in rows.groupby(["key", "place"], sort=False):
        axes.annotate(
            fill(group.name.iloc[0], _NAME_WIDTH),
            (0, (group.index[0] + group.index[-1]) / 2),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-52, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize="x-small",
        )


def _explain(figure: Figure) -> None:
    """What is compared, and what colours and markers mean, above all panels."""
    handles = [
        plt.Line2D([], [], label=_LIES[verdict], **({"markersize": 6} | style))
        for verdict, style in _STYLES.items()
    ]
    handles.append(plt.Line2D([], [], label="thin, below it: difference to MLL", **_BESIDE_MLL))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=3,
        fontsize="x-small",
        title=_ABOUT,
        title_fontsize="x-small",
    )
