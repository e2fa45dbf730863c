"""The README's numbers are the committed figures'."""

import pytest
from made_up_figures import BLOCK, save

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import records_root
from mcmi_core.report import readme


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Committed figures of a made-up project."""
    monkeypatch.setattr(readme, "FIGURES", tmp_path)
    save(tmp_path / "cpu")


@pytest.mark.skipif(
    not (records_root() / "cpu").exists(), reason="no evidence yet: make evidence PROFILE=cpu"
)
def test_readme_is_current():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "make evidence"


def test_results_table(figures):
    lines = readme.results_table().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 7
    assert "KL(P* ‖ teacher) on training inputs, nats | on test inputs, nats |" in lines[0]
    measured, gained = "1.23 [1.10, 2.00]", "1.2 (+1.2 [+1.1, +2.0])"
    assert lines[2] == f"| MLL | {measured} | {measured} | {measured} | {gained} | {gained} |"
    assert lines[3] == f"| fine-tuned λ=0 | {measured} | {measured} | {measured} | 1.2 | 1.2 |"
    assert lines[4] == f"| from scratch | – | – | – | {gained} | {gained} |"


def test_claims_table(figures):
    lines = readme.claims_table().splitlines()
    assert len(lines) == 6
    assert lines[0] == "| claim | paper | truth known | photographs, CPU |"
    assert lines[2].startswith(
        "| P(y\\|x) is better ([08](notebooks/08_few_shot.ipynb)) | +3 | fixed"
    )
    assert lines[3].startswith("| CMI falls ([02](notebooks/02_")
    assert lines[5].startswith("5 primary comparisons: ")


@pytest.mark.parametrize("name", readme.BLOCKS)
def test_a_readme_without_a_block(figures, name):
    with pytest.raises(CompanionError, match=f"README.md has no '<!-- {name} -->'"):
        readme.with_results(BLOCK.replace(f"<!-- {name} -->", ""))
