"""Committing evidence: records, figures, the notebooks' outputs and the README's table."""

import math
import re
import shutil
import time
from collections.abc import Sequence

import pandas as pd

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import PROJECT, records_root
from mcmi_core.base.statistics import Interval
from mcmi_core.report.notebooks import (
    execute_notebook,
    list_notebooks,
    notebook_path,
    refresh_outputs,
)
from mcmi_core.report.scoreboard import markdown_scoreboard

README = PROJECT / "README.md"
FIGURES = PROJECT / "figures"
BLOCKS = ("results", "claims")
"""Parts of the README that are made from the committed figures' numbers."""


def update_evidence(
    profile: str, only: Sequence[str] = (), minutes_of_training: float = math.inf
) -> None:
    """Replace the committed evidence of a profile by what its notebooks give now.

    Executes every notebook on the store (training what is missing), takes over the figures and
    exactly the records that they used, then replays the notebooks from those in place.

    Args:
        profile: ``smoke``, ``gpu`` or ``paper``.
        only: names of notebooks, if not all: their records and figures are added to those of the
            others, and from then on their stored outputs show this profile.
        minutes_of_training: after which training stops; the epochs under way are lost.

    Raises:
        ValueError: ``only`` names a notebook that does not exist.
        OutOfTime: not all is trained; nothing was replaced, and the next call goes on.
        NotebookFailed: a notebook failed; nothing was replaced.
    """
    deadline = time.time() + 60 * minutes_of_training
    for name in only:
        notebook_path(name)
    notebooks = only or list_notebooks()
    built = PROJECT / "build" / "evidence" / profile
    shutil.rmtree(built, ignore_errors=True)
    for name in notebooks:
        execute_notebook(name, built, {"profile": profile, "train": True}, deadline)
    for part, target in (("records", records_root() / profile), ("figures", FIGURES / profile)):
        if not only:
            shutil.rmtree(target, ignore_errors=True)
        if (built / part).exists():  # a single notebook may save no figure
            shutil.copytree(built / part, target, dirs_exist_ok=True)
    for name in notebooks:
        refresh_outputs(name, profile if only else None)
    write_atomically(README, with_results(README.read_text(encoding="utf-8")))


def with_results(readme: str) -> str:
    """The README with its tables made anew from the committed figures' numbers.

    Raises:
        CompanionError: the README lacks a block for one of them.
    """
    for name, table in zip(BLOCKS, (results_table(), claims_table()), strict=True):
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not block.search(readme):
            raise CompanionError(f"README.md has no '<!-- {name} -->' ... '<!-- end of {name} -->'")
        readme = block.sub(lambda found, table=table: found[1] + table + found[2], readme)
    return readme


def claims_table(profile: str = "smoke") -> str:
    """The scoreboard of `99_claims`, one row per claim, as a Markdown table."""
    return markdown_scoreboard(pd.read_csv(FIGURES / profile / "99_claims.csv"))


def results_table(profile: str = "smoke") -> str:
    """What `12_bayes_oracle` measured, as a Markdown table: means with 95 % intervals."""
    numbers = pd.read_csv(FIGURES / profile / "12_bayes_oracle.csv")
    intervals = {
        (row.label, row.metric): Interval(row.mean, row.low, row.high, row.n)
        for row in numbers.itertuples()
    }
    lines = [
        "| teacher | CMI, nats | KL(P* ‖ teacher), nats | student on all data, % | on 5 %, % |",
        "|---|---|---|---|---|",
    ]
    for label in numbers.label.unique():
        cells = [f"{intervals[label, m]:.2f}" for m in ("train_cmi_nats", "train_bcpd_kl_nats")]
        for student in ("student", "few_shot_student"):
            accuracy = intervals[label, f"{student}_accuracy_percent"].mean
            gain = intervals.get((label, f"{student}_gain_points"))
            cells.append(f"{accuracy:.1f} ({gain:+.1f})" if gain else f"{accuracy:.1f}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
