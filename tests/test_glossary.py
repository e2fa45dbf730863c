"""The glossary is in order, explains every verdict, and links into documents lead to headings."""

import itertools
import re

import nbformat
import pytest

from mcmi_core.base.paths import PROJECT
from mcmi_core.experiments.claims import NOT_MEASURED
from mcmi_core.experiments.finding import BESIDE, FIRST_WORDS, TIERS, TRUTH_KNOWN
from mcmi_core.report.notebooks import list_notebooks, notebook_path

GLOSSARY = PROJECT / "docs" / "glossary.md"
TEXT = GLOSSARY.read_text(encoding="utf-8")
TERMS = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("weights/*.md")]
LINK = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")


def anchor(heading: str) -> str:
    """As GitHub and the site make it of a heading."""
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def texts():
    """Name, folder and text of everything that may link to a document."""
    for path in DOCUMENTS:
        yield path.name, path.parent, path.read_text(encoding="utf-8")
    for name in list_notebooks():
        cells = nbformat.read(notebook_path(name), 4).cells
        markdown = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        yield name, notebook_path(name).parent, markdown


def section(term: str) -> str:
    """What the glossary says of a term."""
    return TEXT.split(f"### {term}\n")[1].split("\n### ")[0]


def test_anchors():
    assert anchor(r"P\* (true distribution)") == "p-true-distribution"
    assert anchor("Holm's adjustment") == "holms-adjustment"
    assert anchor("t-interval") == "t-interval"


def test_terms_are_in_alphabetical_order_and_each_is_explained_once():
    keys = [anchor(term) for term in TERMS]
    for before, after in itertools.pairwise(keys):
        assert before < after, f"{after} stands after {before}"
    for term in TERMS:
        assert len(section(term).split()) > 5, f"{term} is not explained"


@pytest.mark.parametrize(("name", "folder", "text"), [pytest.param(*t, id=t[0]) for t in texts()])
def test_links_into_a_document_lead_to_a_heading(name, folder, text):
    for path, wanted in LINK.findall(text):
        target = (folder / path).resolve() if path else folder / name
        if target.suffix != ".md" or ":" in path:
            continue
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert wanted in map(anchor, headings), f"{name}: {path}#{wanted}"


def test_all_words_of_verdicts_and_all_tiers_are_explained():
    added = {words for places in BESIDE.values() for words in places.values()}
    for word in {*FIRST_WORDS, NOT_MEASURED, *added}:
        assert f"**{word}**" in " ".join(section("Verdict").split()), word
    for tier in (TRUTH_KNOWN, *TIERS.values()):
        assert f"*{tier}*" in " ".join(section("Tier").split()), tier
