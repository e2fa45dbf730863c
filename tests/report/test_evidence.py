"""Evidence: the README's numbers are the committed figures', and a failure changes nothing."""

import math
import time

import pandas as pd
import pytest

from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.report import evidence as report
from mcmi_core.report.notebooks import NotebookFailed

METRICS = (
    "train_cmi_nats",
    "train_bcpd_kl_nats",
    "student_accuracy_percent",
    "student_gain_points",
    "few_shot_student_accuracy_percent",
    "few_shot_student_gain_points",
)
BLOCK = (
    "# T\n<!-- results -->\nold\n<!-- end of results -->\n"
    "<!-- claims -->\nolder\n<!-- end of claims -->\nrest\n"
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project whose notebooks write one figure and one record."""
    monkeypatch.setattr(report, "PROJECT", tmp_path)
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    monkeypatch.setattr(report, "FIGURES", tmp_path / "figures")
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path / "records"))
    (tmp_path / "README.md").write_text(BLOCK, encoding="utf-8")
    monkeypatch.setattr(report, "list_notebooks", lambda: ["01_a", "12_b"])
    monkeypatch.setattr(report, "refresh_outputs", lambda name, parameters: None)
    return tmp_path


def numbers() -> pd.DataFrame:
    rows = [
        {"label": label, "metric": metric, "mean": 1.234, "low": 1.1, "high": 2.0, "n": 5}
        for metric in METRICS
        for label in ("MLL", "true BCPD")
        if not (label == "MLL" and "gain" in metric)
    ]
    return pd.DataFrame(rows)


def board() -> pd.DataFrame:
    rows = [
        {"statement": "A", "paper": "+3", "claim": "m | y", "mean": 1, "low": 0.5, "high": 1.5},
        {"statement": "A", "paper": "+3", "claim": "o", "mean": -1, "low": -2, "high": 0},
        {"statement": "B", "paper": "Figure 9", "decision": "not measured"},
    ]
    about = {
        "decision": "partly",
        "n": 5,
        "unit": "points",
        "treatment": "MCMI tracked λ=0.7",
        "control": "MLL",
        "policy": "tracked",
        "lam": 0.7,
        "data": "d",
        "networks": "big → small",
        "recipe": "student 6 epochs",
    }
    board = pd.DataFrame([about | row for row in rows[:2]] + rows[2:])
    board.loc[1, ["treatment", "control", "policy", "lam", "n"]] = ["T = 4", "T = 1", "–", None, 3]
    return board.assign(notebook="12_b")


def write_outputs(name, folder, parameters, deadline=math.inf):
    assert parameters == {"profile": "smoke", "train": True}
    for part in ("figures", "records"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / f"{name}.new").touch()
    numbers().to_csv(folder / "figures" / "12_bayes_oracle.csv", index=False)
    board().to_csv(folder / "figures" / "99_claims.csv", index=False)


def test_readme_is_current():
    readme = report.README.read_text(encoding="utf-8")
    assert report.with_results(readme) == readme, "make evidence"


def test_results_table(project):
    (project / "figures" / "smoke").mkdir(parents=True)
    numbers().to_csv(project / "figures" / "smoke" / "12_bayes_oracle.csv", index=False)
    lines = report.results_table().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 6
    assert lines[2] == "| MLL | 1.23 [1.10, 2.00] | 1.23 [1.10, 2.00] | 1.2 | 1.2 |"
    gained = "1.2 (+1.2 [+1.1, +2.0])"
    assert lines[3].endswith(f"2.00] | {gained} | {gained} |")


def test_claims_table(project):
    (project / "figures" / "smoke").mkdir(parents=True)
    board().to_csv(project / "figures" / "smoke" / "99_claims.csv", index=False)
    lines = report.claims_table().splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(
        "| A | +3 | m \\| y: +1.00 [+0.50, +1.50] points, n = 5<br>o: -1.00 ["
    )
    assert "| MCMI tracked λ=0.7 against MLL<br>T = 4 against T = 1 |" in lines[2]
    assert lines[3].startswith("| B | Figure 9 | –")


@pytest.mark.parametrize("name", report.BLOCKS)
def test_a_readme_without_a_block(project, name):
    (project / "figures").mkdir()
    write_outputs("12_b", project, {"profile": "smoke", "train": True})
    (project / "figures").rename(project / "smoke")
    (project / "figures").mkdir()
    (project / "smoke").rename(project / "figures" / "smoke")
    with pytest.raises(CompanionError, match=f"README.md has no '<!-- {name} -->'"):
        report.with_results(BLOCK.replace(f"<!-- {name} -->", ""))


def test_evidence_replaces_records_figures_and_readme(project, monkeypatch):
    monkeypatch.setattr(report, "execute_notebook", write_outputs)
    stale = project / "records" / "smoke" / "stale.json"
    stale.parent.mkdir(parents=True)
    stale.touch()
    report.update_evidence("smoke")
    assert not stale.exists()
    assert (project / "records" / "smoke" / "01_a.new").exists()
    assert (project / "figures" / "smoke" / "12_b.new").exists()
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert "| MLL | 1.23" in readme
    assert "old" not in readme
    assert "| B | Figure 9" in readme
    assert readme.endswith("<!-- end of claims -->\nrest\n")
    assert report.with_results(readme) == readme


def test_a_failing_notebook_replaces_nothing(project, monkeypatch):
    def fail_late(name, folder, parameters, deadline):
        write_outputs(name, folder, parameters)
        if name == "12_b":
            raise NotebookFailed("12_b failed")

    monkeypatch.setattr(report, "execute_notebook", fail_late)
    kept = project / "records" / "smoke" / "kept.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(NotebookFailed):
        report.update_evidence("smoke")
    assert kept.exists()
    assert not (project / "figures").exists()
    assert (project / "README.md").read_text(encoding="utf-8") == BLOCK


def test_evidence_of_one_notebook_leaves_that_of_the_others(project, monkeypatch):
    refreshed = []
    monkeypatch.setattr(report, "execute_notebook", write_outputs)
    monkeypatch.setattr(report, "refresh_outputs", lambda *arguments: refreshed.append(arguments))
    monkeypatch.setattr(report, "notebook_path", lambda name: None)
    others = project / "records" / "smoke" / "01_a.new"
    others.parent.mkdir(parents=True)
    others.touch()
    report.update_evidence("smoke", only=["12_b"])
    assert {path.name for path in others.parent.iterdir()} == {"01_a.new", "12_b.new"}
    assert not (project / "figures" / "smoke" / "01_a.new").exists()
    assert (project / "figures" / "smoke" / "12_b.new").exists()
    assert refreshed == [("12_b", "smoke")]


def test_a_notebook_without_figures_is_evidence_too(project, monkeypatch):
    def write_records(name, folder, parameters, deadline):
        (folder / "records").mkdir(parents=True)
        (folder / "records" / "14_c.new").touch()

    monkeypatch.setattr(report, "execute_notebook", write_records)
    monkeypatch.setattr(report, "refresh_outputs", lambda *arguments: None)
    monkeypatch.setattr(report, "notebook_path", lambda name: None)
    monkeypatch.setattr(report, "with_results", lambda readme: readme)
    report.update_evidence("smoke", only=["14_c"])
    assert (project / "records" / "smoke" / "14_c.new").exists()
    assert not (project / "figures").exists()


def test_all_names_are_checked_before_anything_runs(project, monkeypatch):
    monkeypatch.setattr(report, "execute_notebook", None)
    with pytest.raises(ValueError, match="unknown notebook '12_b'; choose from 00_quickstart, 01_"):
        report.update_evidence("smoke", only=["99_claims", "12_b"])


def test_out_of_time_replaces_nothing(project, monkeypatch):
    def stop(name, folder, parameters, deadline):
        assert deadline == pytest.approx(time.time() + 90, abs=5)
        raise OutOfTime("1 of 2 runs done")

    monkeypatch.setattr(report, "execute_notebook", stop)
    with pytest.raises(OutOfTime):
        report.update_evidence("smoke", minutes_of_training=1.5)
    assert (project / "README.md").read_text(encoding="utf-8") == BLOCK
    assert not (project / "records").exists()
