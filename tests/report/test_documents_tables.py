"""Numbers on the page on results, and verdicts on that on the paper, are the committed figures'."""

import pytest
from made_up_figures import BLOCK, PAPER, README, save

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import records_root
from mcmi_core.report import documents


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Committed figures of a made-up project."""
    monkeypatch.setattr(documents, "FIGURES", tmp_path)
    save(tmp_path / "cpu")


@pytest.mark.skipif(
    not (records_root() / "cpu").exists(), reason="no evidence yet: make evidence PROFILE=cpu"
)
@pytest.mark.parametrize(
    "page", [documents.README, documents.RESULTS, documents.PAPER], ids=lambda path: path.name
)
def test_page_is_current(page):
    assert documents.with_results(page) == page.read_text(encoding="utf-8"), "make evidence"


def test_results_table(figures):
    lines = documents.results_table().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 7
    assert "KL(P* ‖ teacher) on training inputs, nats | on test inputs, nats |" in lines[0]
    measured, gained = "1.23 [1.10, 2.00]", "1.2 (+1.2 [+1.1, +2.0])"
    assert lines[2] == f"| MLL | {measured} | {measured} | {measured} | {gained} | {gained} |"
    assert lines[3] == f"| fine-tuned λ=0 | {measured} | {measured} | {measured} | 1.2 | 1.2 |"
    assert lines[4] == f"| from scratch | – | – | – | {gained} | {gained} |"


def test_claims_table(figures):
    lines = documents.claims_table().splitlines()
    assert len(lines) == 6
    assert lines[0] == "| claim | paper | truth known | photographs, CPU |"
    assert lines[2].startswith(
        "| P(y\\|x) is better ([08](../notebooks/08_few_shot.ipynb)) | +3 | fixed"
    )
    assert lines[3].startswith("| CMI falls ([02](../notebooks/02_")
    assert lines[5].startswith("5 primary comparisons: ")


def test_summary_table_has_the_main_claims_where_they_are_measured(figures):
    lines = documents.summary_table().splitlines()
    assert len(lines) == 3  # temperature's claim is none of them
    assert lines[2].startswith("| P(y\\|x) is better ([08](notebooks/08_few_shot.ipynb)) | +3 | ")


def test_verdicts_table(figures):
    lines = documents.verdicts_table().splitlines()
    assert lines[0] == "| claim | paper | truth known | photographs, CPU |"
    assert lines[2].startswith("| P(y\\|x) is better ([08](../notebooks/08_few_shot.ipynb)) | +3 |")
    assert len(lines) == 4


DOCUMENTS = [
    ("results.md", BLOCK, "results"),
    ("results.md", BLOCK, "claims"),
    ("paper.md", PAPER, "verdicts"),
    ("README.md", README, "summary"),
]


@pytest.mark.parametrize(("name", "text", "block"), DOCUMENTS)
def test_a_document_without_a_block(figures, tmp_path, name, text, block):
    document = tmp_path / name
    document.write_text(text.replace(f"<!-- {block} -->", ""), encoding="utf-8")
    with pytest.raises(CompanionError, match=f"{name} has no '<!-- {block} -->'"):
        documents.with_results(document)
