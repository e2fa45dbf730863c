"""Evidence: what was measured replaces what is committed, and a failure changes nothing."""

import math
from types import SimpleNamespace

import pytest
from made_up_figures import BLOCK, PAPER, README, save

from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.report import documents
from mcmi_core.report import evidence as report
from mcmi_core.report.notebooks import NotebookFailed


def train(experiments, deadline, records):
    """One record for each experiment."""
    (records / "cpu").mkdir(parents=True, exist_ok=True)
    for name in experiments:
        (records / "cpu" / f"{name}.new").touch()


CPU = SimpleNamespace(name="cpu", experiments_of=list, train=train)
CLAIMS = "99_claims"


def write_figures(names, folder, parameters, records):
    """Figures of each notebook, and the records that it sees."""
    assert parameters == {"profile": folder.name, "train": False}
    save(folder / "figures")
    for name in names:
        seen = sorted(str(path.relative_to(records)) for path in records.glob("*/*"))
        (folder / "figures" / f"{name}.new").write_text("\n".join(seen))
    return [folder / f"{name}.ipynb" for name in names]


@pytest.fixture
def stored():
    """The notebooks whose outputs were stored, and of which profile."""
    return {}


@pytest.fixture
def project(tmp_path, monkeypatch, stored):
    """A project with old records, and notebooks that write a figure and a record each."""
    monkeypatch.setattr(report, "PROJECT", tmp_path)
    documents_there = (
        ("README", "README.md", README),
        ("RESULTS", "results.md", BLOCK),
        ("PAPER", "paper.md", PAPER),
    )
    for name, file, text in documents_there:
        (tmp_path / file).write_text(text, encoding="utf-8")
        monkeypatch.setattr(report, name, tmp_path / file)
    for module in (report, documents):
        monkeypatch.setattr(module, "FIGURES", tmp_path / "figures")
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path / "records"))
    for profile in ("cpu", "gpu", "sprint"):
        (tmp_path / "records" / profile).mkdir(parents=True)
        (tmp_path / "records" / profile / "01_a.old").touch()
    monkeypatch.setattr(report, "list_notebooks", lambda: ["01_a", "12_b", CLAIMS])
    monkeypatch.setattr(report, "notebook_path", lambda name: None)
    monkeypatch.setattr(report, "execute_notebooks", write_figures)
    monkeypatch.setattr(
        report, "store_outputs", lambda path, profile: stored.update({path.stem: profile})
    )
    monkeypatch.setattr(report, "shown_profile", lambda name: "cpu")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def is_unchanged(project):
    return (
        names(project / "records" / "cpu") == ["01_a.old"]
        and not (project / "figures").exists()
        and (project / "results.md").read_text(encoding="utf-8") == BLOCK
        and (project / "paper.md").read_text(encoding="utf-8") == PAPER
    )


def test_evidence_replaces_records_figures_and_documents(project, stored):
    report.update_evidence(CPU)
    assert names(project / "records" / "cpu") == ["01_a.new", "12_b.new", "99_claims.new"]
    assert names(project / "records" / "gpu") == ["01_a.old"]
    assert (project / "figures" / "cpu" / "12_b.new").exists()
    assert stored == {"01_a": "cpu", "12_b": "cpu", CLAIMS: "cpu"}
    text = (project / "results.md").read_text(encoding="utf-8")
    assert "| MLL | 1.23" in text
    assert "\nold" not in text
    assert "| CMI falls" in text
    assert text.endswith("<!-- end of claims -->\nrest\n")
    assert documents.with_results(project / "results.md") == text
    assert "+1.0 [+0.5, +1.5]" in (project / "README.md").read_text(encoding="utf-8")
    assert "**holds" in (project / "paper.md").read_text(encoding="utf-8")


def test_notebooks_see_the_new_records_and_those_of_all_other_folders(project):
    report.update_evidence(CPU)
    seen = (project / "figures" / "cpu" / f"{CLAIMS}.new").read_text().splitlines()
    new = ["cpu/01_a.new", "cpu/12_b.new", "cpu/99_claims.new"]
    assert seen == [*new, "gpu/01_a.old", "sprint/01_a.old"]


def test_evidence_of_one_notebook_leaves_that_of_the_others(project, monkeypatch, stored):
    monkeypatch.setattr(report, "shown_profile", lambda name: "cpu")
    report.update_evidence(CPU, only=["12_b"])
    assert names(project / "records" / "cpu") == ["01_a.old", "12_b.new"]
    assert not (project / "figures" / "cpu" / "01_a.new").exists()
    assert (project / "figures" / "cpu" / "12_b.new").exists()
    assert (project / "figures" / "cpu" / f"{CLAIMS}.new").exists()
    assert stored == {"12_b": "cpu", CLAIMS: "cpu"}


@pytest.mark.parametrize("only", [[], ["12_b"]])
def test_outputs_that_show_another_tier_stay(project, monkeypatch, stored, only):
    monkeypatch.setattr(report, "shown_profile", lambda name: "gpu")
    report.update_evidence(CPU, only=only)
    assert stored == {}


def test_evidence_takes_the_place_of_what_is_none(project, monkeypatch, stored):
    monkeypatch.setattr(report, "shown_profile", lambda name: "smoke")
    report.update_evidence(CPU)
    assert set(stored) == {"01_a", "12_b", CLAIMS}


def test_the_scoreboard_is_made_anew_whichever_tier_changes(project, stored):
    """In the folder of figures that the documents show."""

    def train_gpu(experiments, deadline, records):
        (records / "gpu").mkdir()
        (records / "gpu" / "01_a.new").touch()

    report.update_evidence(SimpleNamespace(name="gpu", experiments_of=list, train=train_gpu))
    assert names(project / "records" / "gpu") == ["01_a.new"]
    assert names(project / "records" / "cpu") == ["01_a.old"]
    seen = (project / "figures" / "cpu" / f"{CLAIMS}.new").read_text().splitlines()
    assert seen == ["cpu/01_a.old", "gpu/01_a.new", "sprint/01_a.old"]
    assert not (project / "figures" / "gpu" / f"{CLAIMS}.new").exists()
    assert (project / "figures" / "gpu" / "01_a.new").exists()
    assert stored == {CLAIMS: "cpu"}  # the others show cpu


def test_what_is_no_evidence_is_not_committed(project):
    smoke = SimpleNamespace(name="smoke", experiments_of=list, train=train)
    with pytest.raises(CompanionError, match="'smoke' is no evidence; choose from cpu, gpu, paper"):
        report.update_evidence(smoke)
    assert is_unchanged(project)


def test_a_notebook_without_figures_is_evidence_too(project, monkeypatch):
    monkeypatch.setattr(report, "execute_notebooks", lambda *arguments: [])
    monkeypatch.setattr(report, "with_results", lambda document: document.read_text())
    report.update_evidence(CPU, only=["14_c"])
    assert names(project / "records" / "cpu") == ["01_a.old", "14_c.new"]
    assert not (project / "figures").exists()


def test_a_failing_notebook_replaces_nothing(project, monkeypatch):
    def fail_late(*arguments):
        write_figures(*arguments)
        raise NotebookFailed("12_b failed")

    monkeypatch.setattr(report, "execute_notebooks", fail_late)
    with pytest.raises(NotebookFailed):
        report.update_evidence(CPU)
    assert is_unchanged(project)


def test_out_of_time_replaces_nothing(project):
    def stop(experiments, deadline, records):
        assert deadline == 12.5
        raise OutOfTime("1 of 2 runs done")

    with pytest.raises(OutOfTime):
        late = SimpleNamespace(name="cpu", experiments_of=list, train=stop)
        report.update_evidence(late, deadline=12.5)
    assert is_unchanged(project)


def test_all_names_are_checked_before_anything_runs(project, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(
        ValueError, match="unknown notebook '12_b'; choose from 00_what_is_cmi, 00b"
    ):
        report.update_evidence(CPU, only=["99_claims", "12_b"], deadline=math.inf)
