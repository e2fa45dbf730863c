"""What the site's pages say, and that its links lead where they lead in the repository."""

import json
import re
from pathlib import Path
from shutil import copy, copytree

import nbformat
import pandas as pd
import pytest
from sphinx.cmd.build import build_main

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import PROJECT
from mcmi_core.base.statistics import Interval
from mcmi_core.profiles import get_profile
from mcmi_core.report.documents import FIGURES
from mcmi_core.report.site.api_pages import GROUPS, api_pages
from mcmi_core.report.site.docstrings import escape_bars
from mcmi_core.report.site.html_tables import Cell, interval_cells, sortable_table
from mcmi_core.report.site.linked import links_in, pages_and_files
from mcmi_core.report.site.record_pages import index_pages, record_pages
from mcmi_core.report.site.run_words import seed_of, what
from mcmi_core.report.site.scoreboard_page import scoreboard_page
from mcmi_core.runs.config import Measurement

RECORDS = PROJECT / "records"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- tables ----------------------------------------------------------------------------------


def test_a_table_escapes_its_texts_and_keeps_its_numbers():
    rows = [[Cell("a < b & 'c'", link="x.html?a=1&b='2'"), Cell("+1.00", 1 / 3)]]
    table = sortable_table("rows", ["<h>", "n"], rows, ids=["run-1"])
    assert "a &lt; b &amp; &#x27;c&#x27;" in table
    assert "href='x.html?a=1&amp;b=&#x27;2&#x27;'" in table
    assert "<td data-value='0.333333333'>+1.00</td>" in table
    assert "<tr id='run-1'>" in table
    assert "&lt;h&gt;" in table


def test_a_difference_is_sorted_by_its_mean_and_its_interval_by_the_lower_end():
    difference = Interval(1.234, -0.5, 2.968, 5)
    assert interval_cells(difference, "points") == (
        Cell("+1.23", 1.234),
        Cell("[-0.50, +2.97]", -0.5),
    )
    assert interval_cells(difference, "nats")[0].text == "+1.234"
    assert interval_cells(None, "points") == (Cell("–"), Cell("–"))


# --- documents -------------------------------------------------------------------------------


def test_links_are_those_of_the_text():
    text = "[a](x/a.md#part) ![p](p.png) `[b](b.md)` [c](https://c.org/c.md) [d](#here)\n\n"
    text += "| h |\n|---|\n| [e](<e f.csv>) |\n\n```\n[g](g.md)\n```\n"
    assert list(links_in(text)) == ["x/a.md", "e f.csv"]


def test_what_links_lead_to_follows(tmp_path):
    write(tmp_path / "README.md", "[guide](docs/guide.md), [code](a.py), [folder](numbers)")
    write(tmp_path / "docs/guide.md", "[up](../README.md), [more](more.md), [records](../records)")
    write(tmp_path / "docs/more.md", "[one](../numbers/1.csv)")
    write(tmp_path / "numbers/1.csv", "1")
    write(tmp_path / "a.py", "print()")
    pages, files = pages_and_files(tmp_path, ["README.md"])
    assert sorted(pages) == ["a.py.md", "docs/guide.md", "docs/more.md", "numbers/index.md"]
    assert files == ["numbers/1.csv"]
    assert "print()" in pages["a.py.md"]
    assert "[1.csv](<1.csv>)" in pages["numbers/index.md"]


def test_a_link_in_a_notebook_follows_too_and_one_that_leads_nowhere_is_an_error(tmp_path):
    cell = nbformat.v4.new_markdown_cell("[numbers](../n.csv)")
    shown = nbformat.v4.new_output("display_data", {"text/markdown": "[pdf](../n.pdf)"})
    code = nbformat.v4.new_code_cell("1", outputs=[shown])
    notebook = nbformat.v4.new_notebook(cells=[cell, code])
    write(tmp_path / "notebooks/1.ipynb", nbformat.writes(notebook))
    write(tmp_path / "n.csv", "1")
    with pytest.raises(CompanionError, match=r"notebooks/1.ipynb links to ../n.pdf"):
        pages_and_files(tmp_path, ["notebooks/1.ipynb"])
    write(tmp_path / "n.pdf", "1")
    assert pages_and_files(tmp_path, ["notebooks/1.ipynb"]) == ({}, ["n.csv", "n.pdf"])


# --- runs and records ------------------------------------------------------------------------


def test_a_run_in_words():
    [pair] = {pair for e in get_profile("gpu").named("08_few_shot") for pair in e.all_pairs()}
    student = pair.distill(pair.mll(100), 100, fraction=0.05)
    assert what(pair.mll(100)) == "ResNet-56 by mll"
    assert what(student).startswith("ResNet-20 by KD (temperature=4.0, weight=0.9, ")
    assert what(student).endswith(" on 5 % of the data")
    measured = Measurement(of=pair.mll(101), what="outputs")
    assert what(measured) == "outputs on train data"
    assert seed_of(measured) == 101


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of the GPU's few-shot records, one of which is missing."""
    records = tmp_path_factory.mktemp("records")
    copytree(RECORDS / "gpu", records / "gpu")
    [experiment] = get_profile("gpu").named("08_few_shot")
    (records / "gpu" / f"{experiment.runs()[-1].id}.json").unlink()
    return {page.path: page for page in record_pages(records, FIGURES, ["gpu", "paper"])}


def test_every_run_and_what_it_builds_on_is_listed_with_its_record(pages):
    page = pages["records/gpu/08_few_shot.md"]
    [experiment] = get_profile("gpu").named("08_few_shot")
    chain = {link.key: link for run in experiment.runs() for link in run.chain()}
    linked = set(re.findall(r"href='([^']+)\.json'", page.text))
    assert linked == {run.id for run in chain.values()} - {experiment.runs()[-1].id}
    assert set(re.findall(r"<tr id='run-(\w+)'>", page.text)) == set(chain)
    assert page.runs == len(chain) - 1
    assert "1 have no record" in page.text


def test_a_run_s_row_says_what_its_record_says(pages):
    [experiment] = get_profile("gpu").named("08_few_shot")
    run = experiment.runs()[0]
    record = json.loads((RECORDS / "gpu" / f"{run.id}.json").read_text())
    [row] = re.findall(rf"<tr id='run-{run.key}'>.*", pages["records/gpu/08_few_shot.md"].text)
    cells = re.findall(r"<td[^>]*>(?:<a[^>]*>)?([^<]*)", row)
    about = record["provenance"]
    assert cells[-3:] == [about["commit"], about["hardware"], about["date"]]
    assert cells[4] == record["status"]
    assert float(cells[5]) == pytest.approx(record["metrics"]["test"]["accuracy_percent"], abs=5e-3)


def test_every_finding_of_the_committed_file_is_on_the_page(pages):
    page = pages["records/gpu/08_few_shot.md"]
    findings = pd.read_csv(FIGURES / "gpu" / "08_few_shot_findings_cifar10-jpeg.csv")
    assert page.findings == len(findings)
    assert page.text.count("primary: ") == findings.decides.notna().sum()
    for row in findings.itertuples():
        assert f"[{row.low:+.2f}, {row.high:+.2f}]" in page.text


def test_only_what_has_records_has_a_page_and_all_are_in_the_index(pages):
    assert not any("paper" in path for path in pages)
    index = index_pages(list(pages.values()))
    assert set(index) == {"records/index.md", "records/gpu/index.md"}
    for page in pages.values():
        assert f"href='{page.name}.html'" in index["records/gpu/index.md"]


# --- scoreboard ------------------------------------------------------------------------------


def test_the_scoreboard_has_every_measured_comparison_and_links_it_to_its_page():
    board, made = (pd.read_csv(FIGURES / "cpu" / f"99_claims{p}.csv") for p in ("", "_exploratory"))
    text = scoreboard_page(board, made)
    measured = board[board.verdict != "not measured"]
    rows = re.findall(r"<tr><td.*?</tr>", text)
    assert len(rows) == len(measured)
    for row, (_, expected) in zip(rows, measured.iterrows(), strict=True):
        [(folder, name, data)] = re.findall(r"href='(records/\w+)/(\w+).html#data-([^']+)'", row)
        assert (folder, name) == (f"records/{expected.profile}", expected.notebook)
        experiments = get_profile(expected.profile).named(name)
        titles = {pair.data_title for e in experiments for pair in e.all_pairs()}
        assert data in titles
        assert f"data-value='{expected['mean']:.9g}'" in row
        assert expected.verdict in row
    assert "**the paper&#x27;s data**" in text or "**the paper's data**: all claims" in text


# --- reference -------------------------------------------------------------------------------


def test_every_public_module_has_a_page():
    package = PROJECT / "mcmi_core"
    pages = api_pages(package)
    parts = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    grouped = [part for group in GROUPS.values() for part in group]
    assert sorted(grouped) == sorted(parts - {"__pycache__"})
    assert "api/mcmi_core.cmi.md" in pages
    assert "api/mcmi_core.report.figures.few_shot.md" in pages
    assert not any("._" in path for path in pages)


def test_a_bar_is_an_absolute_value_except_in_code():
    assert escape_bars("|a − b| and ``x | y``, |c|") == "\\|a − b\\| and ``x | y``, \\|c\\|"


# --- Sphinx ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site of a start page and a notebook, with the project's settings."""
    folder = tmp_path_factory.mktemp("site")
    write(folder / "source/index.md", "# Start\n\n```{toctree}\nnotebooks/1\n```\n")
    write(folder / "source/records/gpu/index.md", "---\norphan: true\n---\n# GPU\n")
    write(folder / "source/records/gpu/1.md", "---\norphan: true\n---\n# Records of 1\n")
    text = "# One\n\n[start](../README.md), [all](../records/gpu), [csv](../n.csv), "
    text += "$\\hat Y \\le 1$, $\\texttt{eigen\\_cam}$"
    widget = {
        "text/plain": "IntSlider(value=3)",
        "application/vnd.jupyter.widget-view+json": {"model_id": "m"},
    }
    links = {"text/markdown": "[records](../records/gpu)"}
    state = {"version_major": 2, "version_minor": 0, "state": {"m": {"state": {}}}}
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(text),
            nbformat.v4.new_code_cell(
                "slider",
                outputs=[nbformat.v4.new_output("display_data", data) for data in (widget, links)],
            ),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "widgets": {"application/vnd.jupyter.widget-state+json": state},
        },
    )
    write(folder / "source/notebooks/1.ipynb", nbformat.writes(notebook))
    (folder / "conf").mkdir()
    copy(PROJECT / "docs/conf.py", folder / "conf")
    copytree(PROJECT / "docs/static", folder / "conf/static")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MCMI_SITE_FILES", "n.csv")
        arguments = ["-q", "-W", "-c", str(folder / "conf"), str(folder / "source")]
        assert build_main([*arguments, str(folder / "html")]) == 0
    return (folder / "html/notebooks/1.html").read_text(encoding="utf-8")


def test_links_work_as_in_the_repository(built):
    assert '<a class="reference internal" href="../index.html">' in built
    assert built.count('href="../records/gpu/1.html"') == 2, "in the text, and in an output"
    assert '<a class="reference internal" href="../n.csv">' in built


def test_a_formula_is_mathml(built):
    first, second = re.findall(r"<math.*?</math>", built, re.DOTALL)
    assert re.search(r"<mo[^>]*>≤</mo>", first)
    assert "𝚎" in second, "a letter of a typewriter"


def test_a_widget_is_its_text_and_loads_nothing_from_elsewhere(built):
    assert "IntSlider(value=3)" in built
    assert not re.findall(r'(?:src=|<link[^>]*href=)"(?:https?:)?//[^"]*', built)
