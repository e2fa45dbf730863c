"""The README's numbers are the committed figures'."""

import pytest
from made_up_figures import BLOCK, save

from mcmi_core.base.errors import CompanionError
from mcmi_core.report import readme


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Committed figures of a made-up project."""
    monkeypatch.setattr(readme, "FIGURES", tmp_path)
    save(tmp_path / "smoke")


def test_readme_is_current():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "make evidence"


def test_results_table(figures):
    lines = readme.results_table().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 6
    assert lines[2] == "| MLL | 1.23 [1.10, 2.00] | 1.23 [1.10, 2.00] | 1.2 | 1.2 |"
    gained = "1.2 (+1.2 [+1.1, +2.0])"
    assert lines[3].endswith(f"2.00] | {gained} | {gained} |")


def test_claims_table(figures):
    lines = readme.claims_table().splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(
        "| A | +3 | m \\| y: +1.00 [+0.50, +1.50] points, n = 5<br>o: -1.00 ["
    )
    assert "| MCMI tracked λ=0.7 against MLL<br>T = 4 against T = 1 |" in lines[2]
    assert lines[3].startswith("| B | Figure 9 | –")


@pytest.mark.parametrize("name", readme.BLOCKS)
def test_a_readme_without_a_block(figures, name):
    with pytest.raises(CompanionError, match=f"README.md has no '<!-- {name} -->'"):
        readme.with_results(BLOCK.replace(f"<!-- {name} -->", ""))
