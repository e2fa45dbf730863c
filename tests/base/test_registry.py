"""Components: their grammar, their types and every message of a bad one."""

from functools import cache
from typing import Literal

import pytest
from pydantic import ValidationError

from mcmi_core.base import registry
from mcmi_core.base.registry import Component, Registry


def distil(
    *,
    student: str,
    temperature: float = 4.0,
    reduction: Literal["mean", "sum"] = "mean",
    layers: tuple[int, ...] = (),
    scales: tuple[float, ...] = (1.0,),
    folder: str = "",
    warm: bool = False,
    later: str | None = None,
):
    return student, temperature, reduction, layers


def mcmi(*, lam: float, layers: tuple[int, ...] = (1, 2)):
    return lam


def other(*, lam: float = 2.0):
    return lam


REGISTRY = Registry("distiller", {"kd": f"{__name__}:distil"}, context=("student",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kd", ("s", 4.0, "mean", ())),
        ("kd:temperature=2", ("s", 2.0, "mean", ())),
        ("kd:temperature=2,reduction=sum,layers=1+2", ("s", 2.0, "sum", (1, 2))),
        ("kd:layers=3", ("s", 4.0, "mean", (3,))),
        ("kd:layers=", ("s", 4.0, "mean", ())),
        ("kd:temperature=1e+3", ("s", 1000.0, "mean", ())),
    ],
)
def test_text_becomes_typed_options(text, expected):
    assert REGISTRY.build(text, student="s") == expected


def test_a_completed_component_shows_all_its_options():
    component = REGISTRY.complete(Component.model_validate("kd:layers=1+2"))
    assert str(component) == (
        "kd:temperature=4.0,reduction=mean,layers=1+2,scales=1.0,folder=,warm=False"
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1e16, "warm": True},
        {"temperature": 1e-05},
        {"temperature": 0.1 + 0.2},
        {"layers": (9, 7)},
        {"layers": (-3,)},
        {"scales": (1e16, -2.5e-300, 0.0)},
        {"scales": ()},
        {"folder": "a+b/c d:e"},
    ],
    ids=str,
)
def test_components_round_trip_through_text_and_json(options):
    component = REGISTRY.complete(Component(name="kd", **options))
    assert component.options | options == component.options
    for again in (str(component), component.model_dump(mode="json")):
        assert REGISTRY.complete(Component.model_validate(again)) == component
    bare = Component(name="kd", **options)
    assert REGISTRY.complete(Component.model_validate(str(bare))) == component


def test_values_are_text_until_a_registry_types_them():
    component = Component.model_validate("kd: layers = 1+2 ,temperature=1e+3")
    assert component.options == {"layers": "1+2", "temperature": "1e+3"}


def test_equal_components_written_differently_are_equal_once_completed():
    texts = ("kd", "kd:temperature=4", "kd:reduction=mean,temperature=4.0")
    first, *others = (REGISTRY.complete(Component.model_validate(text)) for text in texts)
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at", "unknown distiller 'at'; choose from kd"),
        ("kd:weight=1", "unknown option 'weight' of distiller 'kd'; it takes temperature, red"),
        ("kd:student=x", "unknown option 'student'"),
        ("kd:temperature=hot", "option 'temperature' of distiller 'kd': .* got 'hot'"),
        ("kd:temperature=nan", "option 'temperature'.*finite"),
        ("kd:temperature=1+2", "option 'temperature' of distiller 'kd': .* got '1\\+2'"),
        ("kd:layers=1+x", "option 'layers.1' of distiller 'kd': .* got 'x'"),
        ("kd:reduction=max", "'mean' or 'sum', got 'max'"),
    ],
)
def test_bad_components_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        REGISTRY.build(text, student="s")


def test_malformed_text_is_refused():
    with pytest.raises(ValidationError, match="'temperature' is not of the form key=value"):
        Component.model_validate("kd:temperature")


def test_missing_required_option_is_named():
    with pytest.raises(ValueError, match="option 'lam' of objective 'mcmi': Field required"):
        Registry("objective", {"mcmi": f"{__name__}:mcmi"}).build("mcmi")


def test_a_registry_is_a_mapping_that_names_what_it_has():
    assert "kd" in REGISTRY and "at" not in REGISTRY
    assert REGISTRY.get("kd") is REGISTRY["kd"]
    assert REGISTRY.load("kd") is distil
    assert REGISTRY.get("at") is None
    assert list(REGISTRY) == ["kd"] and len(REGISTRY) == 1
    with pytest.raises(ValueError, match="unknown distiller 'at'; choose from kd"):
        REGISTRY["at"]
    with pytest.raises(ValueError, match="unknown distiller 'at'; choose from kd"):
        REGISTRY.load("at")


def test_an_option_may_not_be_what_the_caller_supplies():
    assert "student" not in REGISTRY.option_types("kd")
    assert REGISTRY.option_types("kd")["warm"] == (bool, False)


def test_usage_shows_defaults_and_what_is_required():
    objectives = Registry("objective", {"mcmi": f"{__name__}:mcmi"})
    assert objectives.usage("mcmi") == "mcmi:lam=...,layers=1+2"


def test_the_schema_is_made_once_for_each_component(monkeypatch):
    made = []
    create = registry.create_model
    monkeypatch.setattr(registry, "create_model", lambda *a, **b: made.append(1) or create(*a, **b))
    monkeypatch.setattr(registry, "_schema", cache(registry._schema.__wrapped__))
    objectives = Registry("objective", {"x": f"{__name__}:mcmi"})
    assert [objectives.build("x:lam=1") for _ in range(3)] == [1, 1, 1] and len(made) == 1
    objectives["x"] = f"{__name__}:other"
    assert objectives.build("x") == 2 and len(made) == 2


def test_the_name_is_no_option():
    with pytest.raises(ValueError, match="the name comes first, and is no option"):
        Component.model_validate("kd:name=dkd")


SPECIAL = ("c++pics", "a,b", 'say "a, b"', '"quoted"', " spaced ", "a=b", "naïve", "it's", "#1", "")


@pytest.mark.parametrize("folder", SPECIAL)
def test_any_text_can_be_written_as_a_value(folder):
    component = REGISTRY.complete(Component(name="kd", folder=folder, temperature=2))
    assert component.options["folder"] == folder  # Python needs no quotes
    text = str(component)
    assert REGISTRY.complete(Component.model_validate(text)) == component
    doubled = folder.replace('"', '""')
    quoted = Component.model_validate(f'kd:temperature=2,folder="{doubled}",warm=no')
    assert quoted.options == {"temperature": "2", "folder": folder, "warm": "no"}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("kd:folder=a,b", "b"),
        ('kd:folder="a,b', 'folder="a,b'),
        ('kd:folder="a"b', 'folder="a"b'),
        ("kd:=2", "=2"),
        ("kd:temperature", "temperature"),
    ],
)
def test_what_is_no_option_is_quoted_with_the_way_to_write_it(text, rest):
    with pytest.raises(ValidationError) as refused:
        Component.model_validate(text)
    message = refused.value.errors()[0]["msg"]
    assert message.startswith(f"Value error, {text!r}: {rest!r} is not of the form key=value; ")
    assert message.endswith("""is quoted, and in a shell the whole once more: 'kd:key="a,b"'""")


def test_an_option_that_is_none_leaves_a_component_as_it_was():
    """So that an option which is added later changes no key."""
    without = REGISTRY.complete(Component(name="kd"))
    assert "later" not in without.options
    assert REGISTRY.complete(Component(name="kd", later=None)) == without
    assert REGISTRY.complete(Component(name="kd", later="x")).options["later"] == "x"
    assert "later=..." in REGISTRY.usage("kd")
