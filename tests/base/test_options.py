"""Options read from source: what is declared is found, and nothing is executed for it."""

import sys
from typing import Literal

import pytest

from mcmi_core.base.options import read_options

SOURCE = """
from another.shelf import Base
from made_up_package.shelf import Bottom
from mcmi_core.distillers import Distiller as Ours
from .shelf import Bottom as Lowest
raise RuntimeError("this module is read, and never executed")

def function(data, *, classes: int = 10, label: str = "a", sizes: tuple[int, ...] = (1, -2)): ...

class Middle(Bottom):
    rate: float = 0.5
    kept = True

class Top(Middle, nn.Module):
    weight: float
    rate: float = 0.1
    mode: Literal["mean", "sum"] = "mean"

class Built:
    def __init__(self, size, *, width: int = 8, depth: int): ...

class Rebuilt(Built):
    def __init__(self, *, height: int = 1): ...

class Inherits(Built): ...

class Passes(Middle):
    def __init__(self, *context, **options): ...

class NewDefault(Middle):
    rate = 0.9

class Foreign(Base):
    momentum: float = 0.9

class Relative(Lowest):
    last = True

class Mine(Ours):
    beta: float = 2.0

part = partial(Built, 3)
alias = Built
computed = {"a": 1}["a"]

def odd_annotation(*, data: Tensor): ...
def odd_default(*, size: int = SIZE): ...
def bare(*, size=3): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a package that is on the path."""
    package = tmp_path / "made_up_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "components.py").write_text(SOURCE, encoding="utf-8")
    (package / "shelf.py").write_text("class Bottom:\n    last: bool = False\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "made_up_package.components"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "function",
            {"classes": (int, 10), "label": (str, "a"), "sizes": (tuple[int, ...], (1, -2))},
        ),
        (
            "Top",  # its own first; what it declares anew is its own
            {
                "weight": (float, ...),
                "rate": (float, 0.1),
                "mode": (Literal["mean", "sum"], "mean"),
                "last": (bool, False),
            },
        ),
        ("Built", {"width": (int, 8), "depth": (int, ...)}),
        ("Inherits", {"width": (int, 8), "depth": (int, ...)}),
        ("Rebuilt", {"height": (int, 1)}),
        ("Foreign", {"momentum": (float, 0.9)}),
        ("Mine", {"beta": (float, 2.0), "cross_entropy_weight": (float, 1.0)}),
        ("part", {"width": (int, 8), "depth": (int, ...)}),
        ("alias", {"width": (int, 8), "depth": (int, ...)}),
        ("Passes", {"rate": (float, 0.5), "last": (bool, False)}),
        ("NewDefault", {"rate": (float, 0.9), "last": (bool, False)}),
        ("Relative", {"last": (bool, True)}),
        ("Bottom", {"last": (bool, False)}),
    ],
)
def test_options_are_what_is_declared(module, name, options):
    assert list(read_options(f"{module}:{name}", ()).items()) == list(options.items())
    assert module not in sys.modules


def test_what_the_caller_supplies_is_no_option(module):
    assert list(read_options(f"{module}:function", ("classes", "label"))) == ["sizes"]
    assert read_options(f"{module}:odd_annotation", ("data",)) == {}


@pytest.mark.parametrize(
    ("name", "option"), [("odd_annotation", "data"), ("odd_default", "size"), ("bare", "size")]
)
def test_what_cannot_be_read_is_refused(module, name, option):
    message = f"option '{option}' of {module}:{name} must be declared with built-in types or Lit"
    with pytest.raises(ValueError, match=message):
        read_options(f"{module}:{name}", ())


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("made_up_package.components:absent", "components defines no 'absent'"),
        ("made_up_package.components:computed", "components defines no 'computed'"),
        ("made_up_package.absent:x", "no module 'made_up_package.absent'"),
        ("nobody_has_this:x", "no module 'nobody_has_this'"),
    ],
)
def test_what_does_not_exist_is_named(module, reference, message):
    with pytest.raises(ValueError, match=message):
        read_options(reference, ())
