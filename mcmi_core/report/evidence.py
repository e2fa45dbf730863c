"""Committing evidence: records, figures, the notebooks' outputs and the README's table."""

import math
import re
import shutil
from collections.abc import Sequence

import pandas as pd

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import PROJECT, records_root
from mcmi_core.base.statistics import Interval
from mcmi_core.profiles import Profile
from mcmi_core.report.notebooks import (
    execute_notebooks,
    list_notebooks,
    notebook_path,
    refresh_outputs,
)
from mcmi_core.report.scoreboard import markdown_scoreboard

README = PROJECT / "README.md"
FIGURES = PROJECT / "figures"
BLOCKS = ("results", "claims")
"""Parts of the README that are made from the committed figures' numbers."""


def update_evidence(profile: Profile, only: Sequence[str] = (), deadline: float = math.inf) -> None:
    """Replace the committed evidence of a profile by what its notebooks give now.

    Trains what is missing, executes the notebooks on the records, takes over these and the
    figures, then replays the notebooks in place.

    Args:
        profile: whose.
        only: names of notebooks, if not all: their records and figures are added to those of the
            others, and from then on their stored outputs show this profile.
        deadline: when training stops, in seconds since 1970; the epochs under way are lost.

    Raises:
        ValueError: ``only`` names a notebook that does not exist.
        OutOfTime: not all is trained; nothing was replaced, and the next call goes on.
        RunsFailed: training failed; nothing was replaced.
        NotebookFailed: a notebook failed; nothing was replaced.
    """
    for name in only:
        notebook_path(name)
    notebooks = only or list_notebooks()
    built = PROJECT / "build" / "evidence" / profile.name
    shutil.rmtree(built, ignore_errors=True)
    records, figures = built / "records", built / "figures"
    profile.train(profile.behind(notebooks), deadline, records)
    execute_notebooks(notebooks, built, {"profile": profile.name}, records)
    for made, target in ((records / profile.name, records_root()), (figures, FIGURES)):
        if not only:
            shutil.rmtree(target / profile.name, ignore_errors=True)
        if made.exists():  # a notebook may have no runs, or save no figure
            shutil.copytree(made, target / profile.name, dirs_exist_ok=True)
    for name in notebooks:
        refresh_outputs(name, profile.name if only else None)
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
