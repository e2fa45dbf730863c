"""Every number of a tier that no notebook stores is the one that its committed records give.

Stored outputs of notebooks are compared by nbval; what other profiles have measured lies in their
folder of figures alone.
"""

import pytest

from mcmi_core.report.notebooks import execute_notebooks, list_notebooks, shown_profile
from mcmi_core.report.readme import FIGURES

SHOWN = {shown_profile(name) for name in list_notebooks()}
OTHERS = sorted(folder.name for folder in FIGURES.iterdir() if folder.name not in SHOWN)


@pytest.mark.parametrize("profile", OTHERS)
def test_records_give_the_committed_numbers(profile, tmp_path):
    committed = {path.name: path.read_text() for path in (FIGURES / profile).glob("*.csv")}
    names = [name for name in list_notebooks() if any(file.startswith(name) for file in committed)]
    execute_notebooks(names, tmp_path, {"profile": profile, "train": False}, jobs=2)
    made = {path.name: path.read_text() for path in (tmp_path / "figures").glob("*.csv")}
    assert sorted(made) == sorted(committed)
    for name, numbers in committed.items():
        assert made[name] == numbers, name
