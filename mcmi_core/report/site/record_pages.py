"""For each experiment of each profile with records: its findings and the runs behind them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mcmi_core.base.statistics import Interval
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import TIERS
from mcmi_core.profiles import get_profile
from mcmi_core.report.site.html_tables import Cell, interval_cells, raw_html, sortable_table
from mcmi_core.report.site.run_words import seed_of, what
from mcmi_core.report.tables import n_text
from mcmi_core.runs.config import Run
from mcmi_core.runs.records import Record, Records

_FINDINGS = ("finding", "difference", "95 % interval", "unit", "n", "control", "against MLL")
_FINDINGS += ("95 % interval, MLL", "verdict", "kind")
_RUNS = ("stage", "teacher", "what", "seed", "status", "test accuracy, %", "builds on", "record")
_RUNS += ("commit", "hardware", "date")


class Page(NamedTuple):
    """The records of an experiment in a profile."""

    profile: str
    name: str
    """Of the experiment."""
    data: str
    """In words."""
    runs: int
    """With a record."""
    findings: int
    text: str
    """In MyST Markdown."""

    @property
    def path(self) -> str:
        """Relative to the project's root."""
        return f"records/{self.profile}/{self.name}.md"


def record_pages(records: Path, figures: Path, profiles: Iterable[str] = TIERS) -> list[Page]:
    """A page for each experiment of each profile of evidence that has records.

    Args:
        records: the folder of committed records.
        figures: the folder of committed figures, with the findings.
        profiles: whose.

    Raises:
        StoreError: a record is damaged.
    """
    pages = []
    for profile in profiles:
        source = Records(records / profile)
        by_name: dict[str, list[Experiment]] = {}
        for experiment in get_profile(profile).experiments:
            by_name.setdefault(experiment.name, []).append(experiment)
        for name, experiments in by_name.items():
            page = _page(name, profile, experiments, source, figures / profile)
            if page.runs:
                pages.append(page)
    return pages


def index_pages(pages: Sequence[Page]) -> dict[str, str]:
    """A page of all profiles, and one for each, by path."""
    made = {}
    for profile in dict.fromkeys(page.profile for page in pages):
        own = [page for page in pages if page.profile == profile]
        rows = [
            (
                Cell(page.name, link=f"{page.name}.html"),
                Cell(page.data),
                Cell(str(page.findings), page.findings),
                Cell(str(page.runs), page.runs),
            )
            for page in own
        ]
        table = sortable_table("experiments", ("experiment", "data", "findings", "runs"), rows)
        made[f"records/{profile}/index.md"] = f"# Records of profile {profile}\n\n{table}"
    profiles = [path.removeprefix("records/").removesuffix(".md") for path in made]
    made["records/index.md"] = (
        "# Records\n\nEvery number of the site is the result of runs, and every run has a record: "
        "its whole configuration, what was measured, and where. Here they are, by experiment, each "
        "with a link to its file.\n\n"
        "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(profiles) + "\n```\n"
    )
    return made


def anchor(data: str) -> str:
    """Of the part of a page that is about a data set, by its title: ``cifar10-jpeg``."""
    return f"data-{data}"


def _page(
    name: str, profile: str, experiments: Sequence[Experiment], source: Records, figures: Path
) -> Page:
    parts, number, count = [], 0, 0
    for experiment in experiments:
        chain = {link.key: link for run in experiment.runs() for link in run.chain()}
        records = {key: source.record(run) for key, run in chain.items()}
        found = {key: record for key, record in records.items() if record}
        if not found:
            continue
        number += len(found)
        path = figures / f"{experiment.figure_name('findings')}.csv"
        findings = pd.read_csv(path) if path.exists() else None
        count += 0 if findings is None else len(findings)
        parts.append(_part(experiment, profile, findings, chain, found))
    subjects = (experiment.subject for experiment in experiments)
    up = f"[Records](../index.md) › [profile {profile}](index.md)"
    head = f"---\nnosearch: true\norphan: true\n---\n\n{up}\n\n"
    head += f"# Records of {name}, profile {profile}\n\n"
    head += f"[The notebook](../../notebooks/{name}.ipynb) explains and draws them."
    return Page(
        profile=profile,
        name=name,
        data="; ".join(dict.fromkeys(subjects)),
        runs=number,
        findings=count,
        text="\n\n".join([head, *parts]),
    )


def _part(
    experiment: Experiment,
    profile: str,
    findings: pd.DataFrame | None,
    chain: dict[str, Run],
    found: dict[str, Record],
) -> str:
    """What a page says of one data set."""
    title = next(experiment.all_pairs()).data_title
    subject = experiment.subject[0].upper() + experiment.subject[1:]
    parts = [raw_html(f"<span id='{anchor(title)}'></span>"), f"## {subject}"]
    if findings is not None:
        csv = f"{experiment.figure_name('findings')}.csv"
        parts += [
            f"### Findings\n\nA difference is positive where the finding's sentence is true "
            f"({raw_link('csv', f'../../figures/{profile}/{csv}')}).",
            sortable_table("findings", _FINDINGS, map(_finding, findings.itertuples())),
        ]
    missing = len(chain) - len(found)
    lacking = f" {missing} have no record: they were not run." if missing else ""
    rows = [_run(run, found.get(key), chain) for key, run in chain.items()]
    parts += [
        "### Runs",
        raw_html(f"<p>{escape(_provenance(found.values()) + lacking)}</p>"),
        sortable_table("runs", _RUNS, rows, ids=[f"run-{key}" for key in chain]),
    ]
    return "\n\n".join(parts)


def raw_link(text: str, target: str) -> str:
    """A link that no one resolves: to a file that is copied to the site."""
    return f"<a href='{target}'>{text}</a>"


def _provenance(records: Iterable[Record]) -> str:
    """How many runs, where and when, in a sentence for each hardware."""
    records = list(records)
    minutes = sum(float(record.provenance.get("seconds", 0)) for record in records) / 60
    lines = [f"{len(records)} runs with a record, {minutes:.0f} minutes of training."]
    machines = Counter((r.provenance["hardware"], r.provenance["torch"]) for r in records)
    for (hardware, torch), number in machines.most_common():
        lines.append(f"{number} on {hardware}, torch {torch}.")
    return " ".join(lines)


def _finding(row) -> tuple[Cell, ...]:
    difference = Interval(row.mean, row.low, row.high, row.n)
    has_mll = not pd.isna(row.mll_mean)
    beside = Interval(row.mll_mean, row.mll_low, row.mll_high, row.mll_n) if has_mll else None
    kind = "exploratory" if pd.isna(row.decides) else f"primary: {row.decides}"
    return (
        Cell(row.claim),
        *interval_cells(difference, row.unit),
        Cell(row.unit),
        Cell(n_text(row.n, row.mll_n, row.asked), row.n),
        Cell(row.control),
        *interval_cells(beside, row.unit),
        Cell(row.verdict),
        Cell(kind),
    )


def _run(run: Run, record: Record | None, chain: dict[str, Run]) -> tuple[Cell, ...]:
    about = record.provenance if record else {}
    seed, parent = seed_of(run), run.parent
    accuracy = record.metrics.get("test", {}).get("accuracy_percent") if record else None
    return (
        Cell(run.stage),
        Cell(run.label),
        Cell(what(run)),
        Cell("–") if seed is None else Cell(str(seed), seed),
        Cell(record.status if record else "not run"),
        Cell("–") if accuracy is None else Cell(f"{accuracy:.2f}", accuracy),
        Cell("–") if parent is None else Cell(parent.key[:8], link=f"#run-{parent.key}"),
        Cell(run.key, link=f"{run.id}.json" if record else None),
        Cell(str(about.get("commit", "–"))),
        Cell(str(about.get("hardware", "–"))),
        Cell(str(about.get("date", "–"))),
    )
