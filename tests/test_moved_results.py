"""A result that moves is noticed: in a record, in what a notebook plots, in a committed table.

`make test` compares the notebooks' stored text with fresh text (nbval); here a changed record makes
that fail. Pictures are not compared, but `save_figure` prints digests of what it saves and draws,
and the committed tables must be the ones that have these digests.
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

from mcmi_core.base.paths import PROJECT
from mcmi_core.profiles import get_profile

FIGURES, RECORDS = PROJECT / "figures" / "smoke", PROJECT / "records"
QUICKSTART = PROJECT / "notebooks" / "00_quickstart.ipynb"
DIGEST = re.compile(r"^(\S+\.(?:csv|tex)): sha256 ([0-9a-f]{12})$", re.MULTILINE)
OUTCOME = re.compile(r"::Cell (\d+) (PASSED|FAILED)")


def printed_digests() -> dict[str, str]:
    """File name → digest, as stored in the notebooks."""
    return {
        name: digest
        for path in QUICKSTART.parent.glob("*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        for name, digest in DIGEST.findall(output.get("text", ""))
    }


def digests(folder: Path) -> dict[str, str]:
    """File name → digest of the tables in a folder."""
    tables = [*folder.glob("*.csv"), *folder.glob("*.tex")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in tables}


def test_committed_tables_are_those_that_the_notebooks_saved():
    assert digests(FIGURES) == printed_digests(), "make evidence"


def test_a_digit_that_changes_in_a_committed_table_is_noticed(tmp_path):
    changed = Path(shutil.copytree(FIGURES, tmp_path / "figures")) / "00_quickstart.csv"
    text = changed.read_text()
    at = max(place for place, character in enumerate(text) if character.isdigit())
    changed.write_text(text[:at] + str(9 - int(text[at])) + text[at + 1 :])
    moved = digests(changed.parent).items() - digests(FIGURES).items()
    assert [name for name, _ in moved] == [changed.name]


def copy_of_quickstart(folder: Path) -> Path:
    """The notebook with records of its own."""
    shutil.copytree(RECORDS, folder / "records")
    shutil.copy(QUICKSTART, folder)
    return folder


def start_nbval(folder: Path) -> subprocess.Popen:
    """What `make test` runs, on the notebook and the records in a folder."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--verbose"]
    environment = os.environ | {"MCMI_RECORDS": str(folder / "records")}
    return subprocess.Popen(
        [*command, QUICKSTART.name], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_number_that_changes_in_one_record_is_noticed(tmp_path):
    """Wherever it is shown or plotted, and nowhere else."""
    committed = copy_of_quickstart(tmp_path / "committed")
    changed = copy_of_quickstart(tmp_path / "changed")
    student = get_profile("smoke").experiment("00_quickstart").students()[1]
    path = changed / "records" / "smoke" / f"{student.id}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["metrics"]["test"]["accuracy_percent"] += 1
    path.write_text(json.dumps(record), encoding="utf-8")

    both = [start_nbval(folder) for folder in (committed, changed)]
    before, after = (dict(OUTCOME.findall(process.communicate()[0])) for process in both)
    assert [process.returncode for process in both] == [0, 1]
    assert set(before.values()) == {"PASSED"}
    code = [c for c in nbformat.read(QUICKSTART, as_version=4).cells if c.cell_type == "code"]
    assert len(before) == len(after) == len(code)
    expected = {
        "summarise(teachers": "PASSED",
        "summarise(students": "FAILED",
        "save_figure(figure": "FAILED",  # by its digests alone
        "readable_findings(experiment": "FAILED",
    }
    for number, cell in enumerate(code):
        for text in expected.keys() & set(re.findall(r"\w+\(\w+", cell.source)):
            assert after[str(number)] == expected.pop(text), cell.source
    assert not expected
