"""The house style of the figures, and how they are saved: pdf, png and the numbers as csv.

Methods keep one colour AND one marker in every figure, so that no colour carries meaning alone;
the palette is seaborn's colour-blind-safe one.
"""

import base64
import hashlib
import re
from io import BytesIO
from textwrap import fill, wrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import output_root
from mcmi_core.experiments.finding import TIERS
from mcmi_core.experiments.words import method_in_words

_PALETTE = sns.color_palette("colorblind")
# Some have colours of their own: the palette's yellow and pink are too pale for points on white,
# and it has three oranges.
_METHODS = {
    "MLL": (_PALETTE[7], "o"),
    "fine-tuned": ("#857a00", "p"),
    "MCMI fixed": (_PALETTE[0], "s"),
    "MCMI tracked": (_PALETTE[1], "^"),
    "true BCPD": (_PALETTE[2], "D"),
    "from scratch": ("#5b2a86", "h"),
    "temperature": ("#d6197f", "v"),
    "label smoothing": ("#6a4fd0", ">"),
    "entropy bonus": ("#0090b0", "X"),
    "early stopping": ("#6d3200", "<"),
    "MSE": ("black", "*"),
}

TITLE_WIDTH = 44
"""Characters in a line of a panel's title: as wide as the narrowest panels."""

WIDEST, SMALLEST = 9.0, 8.0
"""Of a figure, in inches, and of its text, in points: what a page that shows 900 pixels of it, 100
to an inch, leaves readable."""


def use_house_style() -> None:
    """Set the style of figures and of printed tables for this session."""
    pd.set_option("display.width", 240, "display.max_colwidth", None, "display.max_rows", None)
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette="colorblind",
        rc={
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "pdf.fonttype": 42,  # text in the pdf stays text
            "svg.hashsalt": "mcmi",
        },
    )


def method_style(label: str) -> dict:
    """Colour and marker of a method; the λ in its label does not matter.

    Raises:
        ValueError: a method without a style.
    """
    for name, (color, marker) in _METHODS.items():
        if label == name or label.startswith(name + " "):
            return {"color": color, "marker": marker}
    raise ValueError(f"no style for method {label!r}; choose from {', '.join(_METHODS)}")


def plot_intervals(axes: Axes, intervals: pd.Series, *, label: str) -> None:
    """Draw a method's intervals as a curve with error bars.

    Args:
        axes: where.
        intervals: :class:`Interval` by position on the horizontal axis.
        label: the method, for colour, marker and legend.
    """
    axes.errorbar(
        intervals.index,
        [interval.mean for interval in intervals],
        yerr=[interval.high - interval.mean for interval in intervals],
        label=method_in_words(label),
        capsize=3,
        **method_style(label),
    )


def plot_methods(axes: Axes, intervals: pd.Series) -> None:
    """Draw one interval per method, methods from top to bottom.

    Args:
        axes: where; the horizontal axis carries the values.
        intervals: :class:`Interval` by method label.
    """
    for position, (label, interval) in enumerate(intervals.items()):
        error = interval.high - interval.mean
        axes.errorbar(interval.mean, position, xerr=error, capsize=3, **method_style(label))
    axes.set_yticks(range(len(intervals)), map(method_in_words, intervals.index))
    axes.invert_yaxis()
    axes.margins(y=0.15)


def title_panel(axes: Axes, text: str, width: int = TITLE_WIDTH) -> None:
    """Title a panel by networks and data, in lines of at most ``width`` characters.

    Options in code get a space after their commas, where a line can end.
    """
    axes.set_title(fill(re.sub(",(?=[a-z])", ", ", text), width), fontsize="small")


def plot_picture(axes: Axes, picture: str) -> None:
    """Draw a picture, which may be grey, as it is.

    Args:
        axes: where; loses its ticks.
        picture: base64 of an image file, as in records.
    """
    axes.imshow(Image.open(BytesIO(base64.b64decode(picture))).convert("RGB"))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def save_figure(figure: Figure, name: str, data: pd.DataFrame, *, profile: str, note: str) -> None:
    """Show a figure, save it as ``NAME.pdf`` and ``NAME.png``, and what it plots as ``NAME.csv``.

    The files are byte-identical when the numbers are, so that version control shows a change only
    where there is one. Digests of the csv and of what is drawn are printed: pictures are not
    compared when a notebook is checked, but its stored text is, so no plotted value moves unseen.
    Below the picture are links to these files and to the records behind them.

    Args:
        figure: the figure; closed afterwards.
        name: file name without ending.
        data: every plotted number.
        profile: stated in the figure.
        note: data and number of seeds, stated in the figure.

    Raises:
        ValueError: the figure is wider than :data:`WIDEST`, or has text below :data:`SMALLEST`.
        StoreError: the folder cannot be written.
    """
    _refuse_if_unreadable(figure, name)
    together = re.sub(r"\bn = (\d+) ", "n\u00a0=\u00a0\\1\u00a0", note)  # in one line
    footer = _evenly(f"profile {profile} · {together}", int(14 * figure.get_figwidth()))
    footer = footer.replace("\u00a0", " ")
    figure.text(1, -0.01, footer, fontsize=SMALLEST, ha="right", va="top")
    folder = output_root() / "figures"
    numbers = _without_noise(drawn_numbers(figure))
    digest = _digest(" ".join(f"{number:.6g}" for number in numbers))
    figure.draw_without_rendering()  # the layout takes as long as a picture: one for all of them
    figure.set_layout_engine("none")
    for ending, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        drawn = BytesIO()
        figure.savefig(drawn, format=ending, metadata=metadata, bbox_inches="tight")
        write_atomically(folder / f"{name}.{ending}", drawn.getvalue(), durable=False)
    display(figure, Markdown(_links(name, profile)))
    plt.close(figure)
    save_table(data, name)
    print(f"{name}, {len(numbers)} numbers as drawn: sha256 {digest}")


def _evenly(text: str, width: int) -> str:
    """In as few lines as the width allows, of about the same length: no word stands alone."""
    fewest = len(wrap(text, width))
    return next(
        fill(text, narrow) for narrow in range(1, width + 1) if len(wrap(text, narrow)) <= fewest
    )


def _refuse_if_unreadable(figure: Figure, name: str) -> None:
    """A figure that a page would shrink, or that has text too small to read, is not saved."""
    if figure.get_figwidth() > WIDEST:
        raise ValueError(
            f"{name} is {figure.get_figwidth():g} inches wide; at most {WIDEST:g} are shown as "
            "large as they are: put panels below each other"
        )
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text.get_fontsize() < SMALLEST:
            raise ValueError(
                f"{name}: {text.get_text()!r} has {text.get_fontsize():.1f} points; at least "
                f"{SMALLEST:g} can be read"
            )


def _links(name: str, profile: str) -> str:
    """To the files of a figure, as a notebook sees them, and to the records of its runs."""
    evidence = profile in TIERS
    folder = f"../figures/{profile}" if evidence else "figures"
    records = f" · [records](../records/{profile})" if evidence else ""
    return f"[numbers]({folder}/{name}.csv) · [pdf]({folder}/{name}.pdf){records}"


def drawn_numbers(figure: Figure) -> np.ndarray:
    """Coordinates and values of all that a figure draws: lines, areas, points, bars and pixels.

    Returns:
        (n,) numbers in units of the axes, in order of drawing within each kind.
    """
    arrays = []
    for axes in figure.axes:
        arrays += [line.get_xydata() for line in axes.lines]
        arrays += [
            patch.get_path().transformed(patch.get_patch_transform()).vertices
            for patch in axes.patches
        ]
        arrays += [image.get_array() for image in axes.images]
        for collection in axes.collections:
            arrays += [collection.get_array()]
            if isinstance(collection, PathCollection):
                arrays += [collection.get_offsets()]
            else:
                arrays += [path.vertices for path in collection.get_paths()]
    return np.concatenate([np.ravel(array) for array in arrays if array is not None])


def save_table(table: pd.DataFrame, name: str) -> None:
    """Save a table as ``NAME.csv`` with six significant digits, and print its digest.

    Raises:
        StoreError: the folder cannot be written.
    """
    rounded = {column: _without_noise(table[column]) for column in table.select_dtypes("float")}
    save_text(table.assign(**rounded).to_csv(index=False, float_format="%.6g"), f"{name}.csv")


def save_text(text: str, file_name: str) -> None:
    """Save a text beside the figures and print its digest, which a notebook's stored output keeps.

    Raises:
        StoreError: the folder cannot be written.
    """
    write_atomically(output_root() / "figures" / file_name, text, durable=False)
    print(f"{file_name}: sha256 {_digest(text)}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_noise(numbers):
    """To twelve decimals: what is beyond differs between processors, and would decide ties."""
    return np.round(numbers, 12) + 0.0  # + 0 makes a 0 of −0
