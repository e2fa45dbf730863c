"""Every number of a profile that no notebook stores is the one that its committed records give.

Stored outputs of notebooks are compared by nbval; what other profiles have measured lies in their
folder of figures alone.
"""

import re

import pytest

from mcmi_core.report.notebooks import (
    execute_notebooks,
    list_notebooks,
    notebook_path,
    shown_profile,
)
from mcmi_core.report.readme import FIGURES

SHOWN = {shown_profile(name) for name in list_notebooks()}
OTHERS = sorted({folder.name for folder in FIGURES.iterdir() if folder.is_dir()} - SHOWN)


def test_notebooks_show_what_other_profiles_measured():
    shown = set()
    for name in list_notebooks():
        shown |= set(re.findall(r"\.\./figures/(\w+)/", notebook_path(name).read_text()))
    assert shown == set(OTHERS) == {"gpu"}


@pytest.mark.parametrize("profile", OTHERS)
def test_records_give_the_committed_numbers(profile, tmp_path):
    committed = {path.name: path.read_text() for path in (FIGURES / profile).glob("*.csv")}
    link = f"../figures/{profile}/"
    names = [name for name in list_notebooks() if link in notebook_path(name).read_text()]
    execute_notebooks(names, tmp_path, {"profile": profile, "train": False}, jobs=2)
    made = {path.name: path.read_text() for path in (tmp_path / "figures").glob("*.csv")}
    assert sorted(made) == sorted(committed)
    for name, numbers in committed.items():
        assert made[name] == numbers, name
