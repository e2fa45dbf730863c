"""Parameters of notebooks that cannot be: refused before a kernel starts or a run is trained."""

import pytest
from papermill.execute import execute_notebook as papermill_execute

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import store_root
from mcmi_core.profiles import get_profile, open_beside, open_evidence, open_experiments
from mcmi_core.report import notebooks
from mcmi_core.report.notebooks import execute_notebook, execute_notebooks, list_notebooks

NAME = "00b_quickstart"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch, tmp_path):
    """Neither kernel nor training; afterwards, nothing is there."""
    assert notebooks.papermill.execute_notebook is papermill_execute
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", None)
    yield
    assert not store_root().exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", list_notebooks())
def test_a_parameter_that_is_misspelt_is_refused_by_every_notebook(name, tmp_path):
    with pytest.raises(ValueError) as error:
        execute_notebook(name, tmp_path / "out", {"profil": "smoke"})
    assert str(error.value).startswith(f"{name}.ipynb has no parameter 'profil'; it has ")
    assert str(error.value).endswith("; did you mean profile?")


@pytest.mark.parametrize("parameter", ["Train", "profile ", "", "\x1b", "x" * 500, "seed"])
def test_parameters_that_a_notebook_lacks_are_quoted(parameter, tmp_path):
    with pytest.raises(ValueError) as error:
        execute_notebooks([NAME], tmp_path / "out", {"profile": "smoke", parameter: 1})
    message = str(error.value)
    assert message.startswith(f"{NAME}.ipynb has no parameter {parameter[:20]!r}"[:40])
    assert "it has profile, train" in message and message.isprintable() and len(message) < 300


@pytest.mark.parametrize("name", [None, 3, "", "00b", f"{NAME}.ipynb", "../README", "\x00"])
def test_notebooks_that_are_not_there(name, tmp_path):
    with pytest.raises(ValueError) as error:
        execute_notebook(name, tmp_path / "out", {})
    assert str(error.value).startswith(f"unknown notebook {name!r}; choose from 00_what_is_cmi, ")


@pytest.mark.parametrize("jobs", [0, -1])
def test_notebooks_are_executed_one_at_a_time_or_more(jobs, tmp_path):
    with pytest.raises(ValueError, match=f"^jobs must be at least 1, got {jobs}$"):
        execute_notebooks([NAME], tmp_path / "out", {}, jobs=jobs)


PROFILES = [
    None,
    3,
    True,
    "",
    "Smoke",
    "smoke ",
    "huge",
    ["smoke"],
    {"smoke"},
    "\x1b[2J",
    "x" * 500,
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    "ask",
    [
        get_profile,
        lambda profile: open_experiments(NAME, profile),
        open_evidence,
        lambda profile: open_beside(NAME, "cpu", profile),
    ],
    ids=["get_profile", "open_experiments", "open_evidence", "open_beside"],
)
def test_profiles_that_are_not_there(ask, profile):
    with pytest.raises(CompanionError) as error:
        ask(profile)
    message = str(error.value)
    assert message.startswith(f"unknown profile {profile!r}"[:50])
    assert "; choose from smoke, cpu, gpu, paper" in message
    assert message.isprintable() and len(message) < 200


@pytest.mark.parametrize("train", [None, 0, 1, "", "False", "true", "yes", [], [True], 0.0])
@pytest.mark.parametrize("ask", ["open_experiments", "open_evidence"])
def test_whether_to_train_is_true_or_false(ask, train):
    with pytest.raises(CompanionError) as error:
        if ask == "open_experiments":
            open_experiments(NAME, "smoke", train)
        else:
            open_evidence("smoke", train)
    assert str(error.value) == f"train must be True or False, got {train!r}"


@pytest.mark.parametrize("name", [None, 3, "", "00b", "quickstart", "99_claims", "\x00", "x" * 500])
def test_experiments_that_are_not_there(name):
    for ask in (open_experiments, open_beside):
        with pytest.raises(CompanionError) as error:
            ask(name, "smoke")
        message = str(error.value)
        assert message.startswith(f"unknown experiment {name!r}"[:50])
        assert "; choose from 00_what_is_cmi, 00b_quickstart" in message
        assert message.isprintable() and len(message) < 600
