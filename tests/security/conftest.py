"""A canary, and files that would make it."""

import pytest
from malicious import BUILDERS


@pytest.fixture
def canary(tmp_path):
    """A file that is there if code of a malicious file was run."""
    return tmp_path / "canary"


@pytest.fixture(params=BUILDERS)
def malicious(request, canary):
    """The bytes of a malicious file, and what it asks for."""
    build, asks_for = BUILDERS[request.param]
    return build(canary), asks_for
