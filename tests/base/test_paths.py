"""Folders that the environment may name, each asked for when it is needed."""

from pathlib import Path

import pytest

from mcmi_core.base import paths
from mcmi_core.base.errors import CompanionError

ROOTS = {
    "MCMI_DATA": (paths.data_root, "data"),
    "MCMI_STORE": (paths.store_root, "store"),
    "MCMI_RECORDS": (paths.records_root, "records"),
    "MCMI_CACHE": (paths.cache_root, ".cache"),
    "MCMI_OUTPUT": (paths.output_root, "build/interactive"),
}


@pytest.fixture(params=ROOTS)
def variable(request):
    return request.param


def test_project_is_the_folder_that_holds_the_package():
    folder = Path(__file__).resolve().parents[2]
    assert folder == paths.PROJECT
    assert (paths.PROJECT / "mcmi_core" / "base" / "paths.py").exists()


@pytest.mark.parametrize("value", [None, ""])
def test_defaults_are_in_the_project(value, variable, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # and not in the folder that one happens to be in
    for name in ROOTS:
        monkeypatch.setenv(name, str(tmp_path / name))
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    root, default = ROOTS[variable]
    assert root() == paths.PROJECT / default
    for name, (other, _) in ROOTS.items():
        assert name == variable or other() == tmp_path / name


def test_outside_a_clone_defaults_are_in_the_working_directory(variable, monkeypatch, tmp_path):
    """Not where the package is installed: in site-packages."""
    monkeypatch.setattr(paths, "IN_CLONE", False)
    monkeypatch.delenv(variable, raising=False)
    root, default = ROOTS[variable]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert root() == tmp_path / name / default


def test_outside_a_clone_what_needs_one_says_so(monkeypatch):
    paths.require_clone("the site")
    monkeypatch.setattr(paths, "IN_CLONE", False)
    monkeypatch.setattr(paths, "PROJECT", "/site-packages")
    with pytest.raises(
        CompanionError,
        match="^the site needs a clone of the repository, and mcmi_core is installed without one, "
        "in /site-packages: pip install --editable CLONE$",
    ):
        paths.require_clone("the site")


def test_the_environment_is_read_at_every_call(variable, monkeypatch, tmp_path):
    root, _ = ROOTS[variable]
    for name in ("first", "second"):
        monkeypatch.setenv(variable, str(tmp_path / name))
        assert root() == tmp_path / name


def test_relative_and_home_folders_become_absolute(variable, monkeypatch, tmp_path):
    root, _ = ROOTS[variable]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/results")
    assert root() == tmp_path / "results"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv(variable, "../results")
    assert root() == tmp_path / "results"


def test_asking_makes_no_folder(variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    root, _ = ROOTS[variable]
    assert not root().exists()


def test_places_that_lead_nowhere_are_no_error(monkeypatch, tmp_path):
    """Whoever reads or writes there says what is wrong."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for text in ("~nosuchuser/x", str(tmp_path / "loop")):
        monkeypatch.setenv("MCMI_STORE", text)
        assert str(paths.store_root()).endswith(text)
