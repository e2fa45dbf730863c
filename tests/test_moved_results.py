"""A result that moves is noticed: in a record, in what a notebook plots, in a committed table.

`make test` compares the notebooks' stored text with fresh text (nbval); here a changed record makes
that fail. Pictures are not compared, but `save_figure` prints digests of what it saves and draws,
and the committed tables must be the ones that have these digests. Of tiers that no stored output
shows, the tables are made anew.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mcmi_core.base.paths import PROJECT
from mcmi_core.experiments.finding import TIERS
from mcmi_core.profiles import get_profile
from mcmi_core.report.notebooks import list_notebooks, notebook_path, shown_profile

FIGURES, RECORDS = PROJECT / "figures", PROJECT / "records"
QUICKSTART = "00b_quickstart"
WITHOUT_RECORDS = {"14_bring_your_own_teacher", "15_authors_trials", "99_claims"}
"""Notebooks whose tables are not of one profile's records."""

pytestmark = pytest.mark.skipif(
    not (RECORDS / "cpu").exists(), reason="no evidence yet: make evidence PROFILE=cpu"
)

DIGEST = re.compile(r"^(\S+\.(?:csv|tex)): sha256 ([0-9a-f]{12})$", re.MULTILINE)
OUTCOME = re.compile(r"::Cell (\d+) (PASSED|FAILED)")
REPLAY = """
import json, re, sys
import matplotlib
from matplotlib.figure import Figure
matplotlib.use("agg")
Figure.savefig = lambda *arguments, **settings: None  # rendering takes longest, and is matplotlib's
path, profile = sys.argv[1:]
names = {"__name__": "__main__"}
for cell in json.load(open(path, encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        source = "".join(cell["source"])
        exec(re.sub("^profile = .*", f"profile = {profile!r}", source, flags=re.M), names)
"""
"""Execute a notebook with a profile, without Jupyter."""


def printed_digests(name: str) -> dict[str, str]:
    """File name → digest, as stored in a notebook."""
    outputs = [
        output
        for cell in nbformat.read(notebook_path(name), as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    return dict(found for each in outputs for found in DIGEST.findall(each.get("text", "")))


def digests(folder: Path) -> dict[str, str]:
    """File name → digest of the tables in a folder."""
    tables = [*folder.glob("*.csv"), *folder.glob("*.tex")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in tables}


def of_notebook(name: str, tables: dict[str, str]) -> dict[str, str]:
    """Those that a notebook saves: their names begin with its own."""
    return {file: digest for file, digest in tables.items() if file.startswith(name)}


@pytest.mark.parametrize("name", list_notebooks())
def test_committed_tables_are_those_that_the_notebooks_saved(name):
    committed = digests(FIGURES / shown_profile(name))
    assert of_notebook(name, committed) == printed_digests(name), "make evidence"


@pytest.mark.parametrize("profile", TIERS)
def test_every_committed_table_is_of_a_notebook(profile):
    committed = digests(FIGURES / profile)
    owned = [file for name in list_notebooks() for file in of_notebook(name, committed)]
    assert sorted(owned) == sorted(committed)


def hidden() -> list[tuple[str, str]]:
    """Profile and notebook, where there are committed tables that no stored output shows."""
    found = []
    for profile in TIERS:
        for name in list_notebooks():
            tables = of_notebook(name, digests(FIGURES / profile))
            if tables and name not in WITHOUT_RECORDS and shown_profile(name) != profile:
                found.append((profile, name))
    return found


def replayed_tables(name: str, profile: str, folder: Path, records: Path) -> dict[str, str]:
    """Digests of the tables that a notebook makes of a profile's records."""
    environment = os.environ | {"MCMI_OUTPUT": str(folder), "MCMI_RECORDS": str(records)}
    command = [sys.executable, "-c", REPLAY, str(notebook_path(name)), profile]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return digests(folder / "figures")


@pytest.mark.parametrize(("profile", "name"), hidden())
def test_tables_of_tiers_that_no_notebook_shows_follow_from_their_records(profile, name, tmp_path):
    committed = of_notebook(name, digests(FIGURES / profile))
    assert replayed_tables(name, profile, tmp_path, RECORDS) == committed


@pytest.mark.parametrize(("profile", "name"), hidden())
def test_a_notebook_links_the_tables_that_its_stored_output_does_not_show(profile, name):
    assert f"../figures/{profile}/{name}_findings_" in notebook_path(name).read_text()


def test_a_digit_that_changes_in_a_committed_table_is_noticed(tmp_path):
    committed = FIGURES / shown_profile(QUICKSTART)
    copy = Path(shutil.copytree(committed, tmp_path / "figures"))
    [changed, *_] = sorted(copy.glob(f"{QUICKSTART}*.csv"))
    text = changed.read_text()
    at = max(place for place, character in enumerate(text) if character.isdigit())
    changed.write_text(text[:at] + str(9 - int(text[at])) + text[at + 1 :])
    moved = digests(copy).items() - digests(committed).items()
    assert [name for name, _ in moved] == [changed.name]


@pytest.fixture
def changed_records(tmp_path):
    """Copies of the records that the quickstart shows: as committed, and with one other number."""
    profile = shown_profile(QUICKSTART)
    experiments = get_profile(profile).named(QUICKSTART)
    runs = {link.id for e in experiments for run in e.runs() for link in run.chain()}
    copies = [tmp_path / "committed", tmp_path / "changed"]
    for copy in copies:
        (copy / profile).mkdir(parents=True)
        (copy / "gpu").symlink_to(RECORDS / "gpu")  # which stand beside, unchanged
        for run_id in runs:
            shutil.copy(RECORDS / profile / f"{run_id}.json", copy / profile)
    student = next(run for run in experiments[0].students() if run.stage == "student")
    path = copies[1] / profile / f"{student.id}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["metrics"]["test"]["accuracy_percent"] += 1
    path.write_text(json.dumps(record), encoding="utf-8")
    return copies


def test_a_number_that_changes_in_one_record_moves_a_table(changed_records, tmp_path):
    """Of the figure on its data, and of the findings there, alone."""
    profile = shown_profile(QUICKSTART)
    before, after = (
        replayed_tables(QUICKSTART, profile, tmp_path / f"made from {records.name}", records)
        for records in changed_records
    )
    assert before == of_notebook(QUICKSTART, digests(FIGURES / profile))
    moved = {name for name in before if before[name] != after[name]}
    first, *_ = get_profile(profile).named(QUICKSTART)
    assert moved == {f"{first.figure_name(part)}.csv" for part in ("", "findings")}


def start_nbval(records: Path) -> subprocess.Popen:
    """What `make test` runs, on the notebook and on some records."""
    folder = records.with_name(f"{records.name} notebook")
    folder.mkdir()
    shutil.copy(notebook_path(QUICKSTART), folder)
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--verbose"]
    environment = os.environ | {"MCMI_RECORDS": str(records)}
    return subprocess.Popen(
        [*command, f"{QUICKSTART}.ipynb"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_number_that_changes_in_one_record_is_noticed(changed_records):
    """Wherever it is shown or plotted, and nowhere else."""
    both = [start_nbval(records) for records in changed_records]
    before, after = (dict(OUTCOME.findall(process.communicate()[0])) for process in both)
    assert [process.returncode for process in both] == [0, 1]
    assert set(before.values()) == {"PASSED"}
    notebook = nbformat.read(notebook_path(QUICKSTART), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(before) == len(after) == len(code)
    expected = {
        "outcomes(lab": "PASSED",
        "save_figure(figure": "FAILED",  # by its digests alone
        "show_findings(experiment": "FAILED",
    }
    for number, cell in enumerate(code):
        for text in expected.keys() & set(re.findall(r"\w+\(\w+", cell.source)):
            assert after[str(number)] == expected.pop(text), cell.source
    assert not expected
