"""Components: their grammar, their types and every message of a bad one."""

from typing import Literal

import pytest
from pydantic import ValidationError

from mcmi_core.base.registry import Component, Registry


def distil(
    *,
    student: str,
    temperature: float = 4.0,
    reduction: Literal["mean", "sum"] = "mean",
    layers: tuple[int, ...] = (),
):
    return student, temperature, reduction, layers


REGISTRY = Registry("distiller", {"kd": distil}, context=("student",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kd", ("s", 4.0, "mean", ())),
        ("kd:temperature=2", ("s", 2.0, "mean", ())),
        ("kd:temperature=2,reduction=sum,layers=1+2", ("s", 2.0, "sum", (1, 2))),
        ("kd:layers=3", ("s", 4.0, "mean", (3,))),
    ],
)
def test_text_becomes_typed_options(text, expected):
    assert REGISTRY.build(text, student="s") == expected


def test_completed_components_round_trip_through_text_and_json():
    component = REGISTRY.complete(Component.model_validate("kd:layers=1+2"))
    assert str(component) == "kd:temperature=4.0,reduction=mean,layers=1+2"
    for again in (str(component), component.model_dump(mode="json")):
        assert REGISTRY.complete(Component.model_validate(again)) == component


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
    def mcmi(*, lam: float):
        return lam

    with pytest.raises(ValueError, match="option 'lam' of objective 'mcmi': Field required"):
        Registry("objective", {"mcmi": mcmi}).build("mcmi")
