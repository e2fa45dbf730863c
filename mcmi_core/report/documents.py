"""The tables of README and of the pages on results and on the paper, from the committed figures."""

import re
from pathlib import Path

import pandas as pd

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import PROJECT
from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.claims import NOT_MEASURED
from mcmi_core.profiles import get_profile
from mcmi_core.report.scoreboard import markdown_claims, markdown_scoreboard
from mcmi_core.report.verdicts import markdown_verdicts

README = PROJECT / "README.md"
RESULTS = PROJECT / "docs" / "results.md"
PAPER = PROJECT / "docs" / "paper.md"
FIGURES = PROJECT / "figures"
SHOWN = "cpu"
"""The profile whose figures the pages show; its scoreboard has all tiers of evidence."""
BLOCKS = {"README.md": ("summary",), "results.md": ("results", "claims"), "paper.md": ("verdicts",)}
"""Parts of a document that are such tables, by its name."""


SUMMARY = ("all_data", "few_shot", "zero_shot")
"""Claims that README shows: the paper's main ones."""


def with_results(document: Path) -> str:
    """A document's text with its tables made anew from the committed figures' numbers.

    Raises:
        CompanionError: the document lacks a block for one of them.
    """
    tables = {"results": results_table, "claims": claims_table, "verdicts": verdicts_table}
    tables["summary"] = summary_table
    text = document.read_text(encoding="utf-8")
    for name in BLOCKS[document.name]:
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not block.search(text):
            lacks = f"has no '<!-- {name} -->' ... '<!-- end of {name} -->'"
            raise CompanionError(f"{document.name} {lacks}")
        table = tables[name]()
        text = block.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


def summary_table() -> str:
    """The claims of :data:`SUMMARY` on the scoreboard, where something is measured, for README."""
    board = pd.read_csv(FIGURES / SHOWN / "99_claims.csv")
    chosen = board[board.key.isin(SUMMARY) & (board.verdict != NOT_MEASURED)]
    return markdown_claims(chosen, "notebooks")


def claims_table() -> str:
    """The scoreboard of `99_claims`, a row per claim, in Markdown, as seen from ``docs``."""
    board, made = (
        pd.read_csv(FIGURES / SHOWN / f"99_claims{part}.csv") for part in ("", "_exploratory")
    )
    return markdown_scoreboard(board, made)


def verdicts_table() -> str:
    """The verdicts of `99_claims` in words, one row per claim, as seen from ``docs``."""
    board = pd.read_csv(FIGURES / SHOWN / "99_claims.csv")
    return markdown_verdicts(board, "../notebooks")


def results_table() -> str:
    """What `12_bayes_oracle` measured, as a Markdown table: means with 95 % intervals.

    A student from scratch has no teacher to measure. In parentheses: the gain over the student of
    the teacher fine-tuned without CMI (λ = 0).
    """
    [experiment] = get_profile(SHOWN).named("12_bayes_oracle")
    numbers = pd.read_csv(FIGURES / SHOWN / f"{experiment.figure_name()}.csv")
    intervals = {
        (row.label, row.metric): Interval(row.mean, row.low, row.high, row.n)
        for row in numbers.itertuples()
    }
    lines = [
        "| teacher | CMI on training inputs, nats | KL(P* ‖ teacher) on training inputs, nats "
        "| on test inputs, nats | student on all data, % | on 5 %, % |",
        "|---|---|---|---|---|---|",
    ]
    for label in numbers.label.unique():
        cells = []
        for metric in ("train_cmi_nats", "train_bcpd_kl_nats", "test_bcpd_kl_nats"):
            measured = intervals.get((label, metric))
            cells.append(f"{measured:z.2f}" if measured else "–")
        for student in ("student", "few_shot_student"):
            accuracy = intervals[label, f"{student}_accuracy_percent"].mean
            gain = intervals.get((label, f"{student}_gain_points"))
            cells.append(f"{accuracy:.1f} ({gain:+.1f})" if gain else f"{accuracy:.1f}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
