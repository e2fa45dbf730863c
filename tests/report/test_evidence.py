"""Evidence: what was measured replaces what is committed, and a failure changes nothing."""

import math
from types import SimpleNamespace

import pytest
from made_up_figures import BLOCK, save

from mcmi_core.base.errors import OutOfTime
from mcmi_core.report import evidence as report
from mcmi_core.report import readme
from mcmi_core.report.notebooks import NotebookFailed


def train(experiments, deadline, records):
    """One record for each experiment."""
    (records / "smoke").mkdir(parents=True)
    for name in experiments:
        (records / "smoke" / f"{name}.new").touch()


SMOKE = SimpleNamespace(name="smoke", experiments_of=list, train=train)


def write_figures(names, folder, parameters, records):
    assert parameters == {"profile": "smoke", "train": False}
    assert (records / "smoke" / f"{names[-1]}.new").exists()
    save(folder / "figures")
    for name in names:
        (folder / "figures" / f"{name}.new").touch()
    return [folder / f"{name}.ipynb" for name in names]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with an old record, and notebooks that write a figure and a record each."""
    monkeypatch.setattr(report, "PROJECT", tmp_path)
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    for module in (report, readme):
        monkeypatch.setattr(module, "FIGURES", tmp_path / "figures")
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path / "records"))
    (tmp_path / "README.md").write_text(BLOCK, encoding="utf-8")
    (tmp_path / "records" / "smoke").mkdir(parents=True)
    (tmp_path / "records" / "smoke" / "01_a.old").touch()
    monkeypatch.setattr(report, "list_notebooks", lambda: ["01_a", "12_b"])
    monkeypatch.setattr(report, "notebook_path", lambda name: None)
    monkeypatch.setattr(report, "execute_notebooks", write_figures)
    monkeypatch.setattr(report, "store_outputs", lambda executed, profile: None)
    monkeypatch.setattr(report, "shown_profile", lambda name: "smoke")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def is_unchanged(project):
    return (
        names(project / "records" / "smoke") == ["01_a.old"]
        and not (project / "figures").exists()
        and (project / "README.md").read_text(encoding="utf-8") == BLOCK
    )


def test_evidence_replaces_records_figures_and_readme(project):
    report.update_evidence(SMOKE)
    assert names(project / "records" / "smoke") == ["01_a.new", "12_b.new"]
    assert (project / "figures" / "smoke" / "12_b.new").exists()
    text = (project / "README.md").read_text(encoding="utf-8")
    assert "| MLL | 1.23" in text
    assert "old" not in text
    assert "| B | Figure 9" in text
    assert text.endswith("<!-- end of claims -->\nrest\n")
    assert readme.with_results(text) == text


def test_evidence_of_one_notebook_leaves_that_of_the_others(project, monkeypatch):
    stored = []
    monkeypatch.setattr(report, "store_outputs", lambda path, profile: stored.append(path.stem))
    monkeypatch.setattr(report, "shown_profile", lambda name: "gpu")
    report.update_evidence(SMOKE, only=["12_b"])
    assert names(project / "records" / "smoke") == ["01_a.old", "12_b.new"]
    assert not (project / "figures" / "smoke" / "01_a.new").exists()
    assert (project / "figures" / "smoke" / "12_b.new").exists()
    assert stored == ["12_b"]
    report.update_evidence(SMOKE)
    assert stored == ["12_b"]  # the outputs that show another profile stay


def test_a_notebook_without_figures_is_evidence_too(project, monkeypatch):
    monkeypatch.setattr(report, "execute_notebooks", lambda *arguments: [])
    monkeypatch.setattr(report, "with_results", lambda text: text)
    report.update_evidence(SMOKE, only=["14_c"])
    assert names(project / "records" / "smoke") == ["01_a.old", "14_c.new"]
    assert not (project / "figures").exists()


def test_a_failing_notebook_replaces_nothing(project, monkeypatch):
    def fail_late(*arguments):
        write_figures(*arguments)
        raise NotebookFailed("12_b failed")

    monkeypatch.setattr(report, "execute_notebooks", fail_late)
    with pytest.raises(NotebookFailed):
        report.update_evidence(SMOKE)
    assert is_unchanged(project)


def test_out_of_time_replaces_nothing(project):
    def stop(experiments, deadline, records):
        assert deadline == 12.5
        raise OutOfTime("1 of 2 runs done")

    with pytest.raises(OutOfTime):
        late = SimpleNamespace(name="smoke", experiments_of=list, train=stop)
        report.update_evidence(late, deadline=12.5)
    assert is_unchanged(project)


def test_all_names_are_checked_before_anything_runs(project, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(ValueError, match="unknown notebook '12_b'; choose from 00_quickstart, 01_"):
        report.update_evidence(None, only=["99_claims", "12_b"], deadline=math.inf)
