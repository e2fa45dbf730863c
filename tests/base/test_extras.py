"""What is not installed is named, with the command that installs it."""

import pytest

from mcmi_core.base import extras
from mcmi_core.base.errors import CompanionError, MissingExtra


def test_what_is_there_is_no_error():
    extras.require_extra("notebooks", "mcmi_core.report", "json", "torch")


@pytest.mark.parametrize(
    ("in_clone", "what"),
    [(False, "'mcmi-companion[site]'"), (True, "--editable '/clones/mcmi[site]'")],
)
def test_what_is_missing_is_named_with_the_command(in_clone, what, monkeypatch):
    monkeypatch.setattr(extras, "IN_CLONE", in_clone)
    monkeypatch.setattr(extras, "PROJECT", "/clones/mcmi")
    with pytest.raises(MissingExtra) as caught:
        extras.require_extra("site", "mcmi_core.report.site", "nothing_1", "json", "nothing_2")
    expected = f"mcmi_core.report.site needs nothing_1, nothing_2: pip install {what}"
    assert str(caught.value) == expected
    assert isinstance(caught.value, CompanionError)  # a line on the command line
    assert caught.value.name == "mcmi_core.report.site"
