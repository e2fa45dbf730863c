"""``NAME:option=value,...`` with something wrong, for every kind of component."""

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from mcmi_core.base.registry import Component, Registry
from mcmi_core.components import DATASETS, DISTILLERS, MEASUREMENTS, MODELS, OBJECTIVES

LONG = "x" * 5000
MALFORMED = [
    "kd:temperature",
    "kd:temperature=2,weight",
    "kd:=",
    "kd:=2",
    "kd: = 2",
    "kd:,",
    "kd:,,",
    "kd:temperature=2,,weight=1",
    'kd:temperature="2',
    'kd:temperature="2"3',
    'kd:temp"erature=2',
    "kd::",
    "kd:\x00",
    "kd:\n",
    f"kd:{LONG}",
    f"{LONG}:x",
    "\x1b[31mkd:x",
]
TWICE = [
    "kd:temperature=2,temperature=2",
    "kd:temperature=2,weight=1,temperature=3",
    "kd: temperature=2, temperature =3",
    'kd:temperature=2,temperature="3"',
    "oracle:seed=,seed=1",
]
NO_TEXT = [None, 3, 2.5, True, ["kd"], ("kd",), {"name": None}, {"name": 3}, {}, {"temperature": 2}]

REFUSED = [
    (DISTILLERS, "kd:temperature=", "valid number", "got ''"),
    (DISTILLERS, "kd:temperature=4 K", "valid number", "got '4 K'"),
    (DISTILLERS, "kd:temperature=4,5", "is not of the form key=value"),
    (DISTILLERS, "kd:temperature=1e999", "finite number", "got '1e999'"),
    (DISTILLERS, "kd:temperature=-Infinity", "finite number", "got '-Infinity'"),
    (DISTILLERS, "kd:temperature=NaN", "finite number", "got 'NaN'"),
    (DISTILLERS, "kd:temperature=0x10", "valid number", "got '0x10'"),
    (DISTILLERS, "kd:temperature=True", "valid number", "got 'True'"),
    (DISTILLERS, "kd:temperature=2+3", "valid number", "got '2+3'"),
    (DISTILLERS, f"kd:temperature={LONG}", "valid number", "..."),
    (DISTILLERS, "kd:Temperature=2", "unknown option 'Temperature'", "did you mean temperature?"),
    (DISTILLERS, "kd:temperature =2,wieght=1", "unknown option 'wieght'", "did you mean weight?"),
    (DISTILLERS, "kd:student=x", "unknown option 'student'", "it takes temperature, weight"),
    (DISTILLERS, "kd:teacher=x", "unknown option 'teacher'"),
    (DISTILLERS, "kd:self=x", "unknown option 'self'"),
    (DISTILLERS, "kd:model_config=x", "unknown option 'model_config'"),
    (DISTILLERS, f"kd:{LONG}=1", "unknown option 'xxx", "..."),
    (DISTILLERS, "k d", "unknown distiller 'k d'", "did you mean kd?"),
    (DISTILLERS, "KD", "unknown distiller 'KD'; choose from kd, masked_kd"),
    (DISTILLERS, "masked_kd:classes=1,2", "is not of the form key=value"),
    (DISTILLERS, "masked_kd:classes=1;2", "'classes.0'", "got '1;2'"),
    (DISTILLERS, "masked_kd:classes=1+", "'classes.1'", "got ''"),
    (DISTILLERS, "masked_kd:classes=one", "'classes.0'", "got 'one'"),
    (DISTILLERS, "semi_kd:labelled_fraction=half", "valid number", "got 'half'"),
    (DISTILLERS, "fitnet:layer=2.5", "valid integer", "got '2.5'"),
    (DISTILLERS, f"fitnet:layer={2**63}", "64 bits", str(2**63)),
    (DISTILLERS, f"fitnet:layer={-(2**63) - 1}", "64 bits", str(-(2**63) - 1)),
    (MODELS, "mlp:width=wide", "valid integer", "got 'wide'"),
    (MODELS, "mlp:width=1e2", "valid integer", "got '1e2'"),
    (MODELS, "mlp:width=yes", "valid integer", "got 'yes'"),
    (MODELS, "mlp:width=", "valid integer", "got ''"),
    (MODELS, "mlp:image_size=3", "unknown option 'image_size' of model 'mlp'; it takes width"),
    (MODELS, "wrn_16_2:widen=4", "unknown option 'widen' of model 'wrn_16_2'; it takes no options"),
    (MODELS, "wrn-16-2", "unknown model 'wrn-16-2'", "did you mean wrn_16_2?"),
    (MODELS, "vgg-8", "unknown model 'vgg-8'", "did you mean vgg8?"),
    (DATASETS, "CIFAR10", "unknown data set 'CIFAR10'; choose from oracle"),
    (DATASETS, "cifar-10", "unknown data set 'cifar-10'", "did you mean cifar10?"),
    (DATASETS, "cifar10:root=/data", "unknown option 'root' of data set 'cifar10'; it takes no op"),
    (DATASETS, "imagefolder", "option 'folder' of data set 'imagefolder': Field required"),
    (DATASETS, "imagefolder:folder=a,image_size=big", "'image_size'", "got 'big'"),
    (DATASETS, "imagefolder:folder=a,image_size=32px", "'image_size'", "got '32px'"),
    (DATASETS, "imagefolder:folder=a,augmentation=flip", "or 'resized_crop', got 'flip'"),
    (DATASETS, "imagefolder:floder=a", "unknown option 'floder'", "did you mean folder?"),
    (DATASETS, "oracle:images=2", "valid boolean", "got '2'"),
    (DATASETS, "oracle:separation=2 sigma", "valid number", "got '2 sigma'"),
    (OBJECTIVES, "mcmi:lambda=0.1,centroids=fixed", "unknown option 'lambda'", "takes lam, centr"),
    (OBJECTIVES, "mcmi:lam=λ,centroids=fixed", "valid number", "got 'λ'"),
    (OBJECTIVES, "mcmi:lam=0.1,centroids=Fixed", "'fixed' or 'tracked', got 'Fixed'"),
    (OBJECTIVES, "MCMI", "unknown objective 'MCMI'; choose from mll, mcmi"),
    (MEASUREMENTS, "cmi", "unknown measurement 'cmi'; choose from temperature_sweep"),
    (MEASUREMENTS, "temperature_sweep", "option 'temperatures' of measurement"),
    (MEASUREMENTS, "temperature_sweep:temperatures=1,2", "is not of the form key=value"),
    (MEASUREMENTS, "temperature_sweep:temperatures=1+nan", "finite number", "got 'nan'"),
    (MEASUREMENTS, "temperature_sweep:temperatures=1+hot", "got 'hot'"),
    (MEASUREMENTS, "outputs:samples=all", "valid integer", "got 'all'"),
    (MEASUREMENTS, "outputs:model=x", "unknown option 'model' of measurement 'outputs'"),
]


def one_line(error: Exception) -> str:
    """The message, of pydantic's errors that of the first problem."""
    found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    assert found.isprintable() and len(found) < 1000
    return found


def shown(value: object) -> str:
    return value.kind if isinstance(value, Registry) else repr(value)[:50]


@pytest.mark.parametrize("text", MALFORMED, ids=shown)
def test_what_is_no_option_is_quoted(text):
    with pytest.raises(ValidationError) as error:
        Component.model_validate(text)
    assert "is not of the form key=value" in one_line(error.value)


@pytest.mark.parametrize("text", TWICE)
def test_an_option_may_be_given_once(text):
    with pytest.raises(ValidationError) as error:
        Component.model_validate(text)
    assert re.search(r"option '(temperature|seed)' is given twice", one_line(error.value))


@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_what_names_no_component_is_refused(value):
    with pytest.raises(ValidationError):
        DISTILLERS.build(value)


@pytest.mark.parametrize(
    ("registry", "text", "words"),
    [(c[0], c[1], c[2:]) for c in REFUSED],
    ids=lambda x: repr(x)[:50],
)
def test_components_are_refused_in_a_line(registry, text, words):
    with pytest.raises(ValueError) as error:
        registry.complete(Component.model_validate(text))
    message = one_line(error.value)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": None}, ["valid number", "got None"]),
        ({"temperature": [2]}, ["valid number", "got [2]"]),
        ({"temperature": math.nan}, ["finite number", "got nan"]),
        ({"temperature": 2j}, ["valid number", "got 2j"]),
        ({"temperature": b"2x"}, ["valid number", "got b'2x'"]),
        ({"temperature": {"a": 1}}, ["valid number", "got {'a': 1}"]),
        ({"temperature": object}, ["valid number", "class 'object'"]),
        ({"weight": "heavy"}, ["valid number", "got 'heavy'"]),
        ({"a b": 1}, ["unknown option 'a b'"]),
        ({"": 1}, ["unknown option ''"]),
        ({"\n": 1}, [r"unknown option '\n'"]),
    ],
    ids=repr,
)
def test_options_of_other_types_are_refused(options, words):
    with pytest.raises(ValueError) as error:
        DISTILLERS.complete(Component(name="kd", **options))
    message = one_line(error.value)
    for word in words:
        assert word in message


def every(*, temperature: float = 4.0, layers: tuple[int, ...] = (), folder: str = "", n: int = 1):
    return temperature


KINDS = Registry("thing", {"every": f"{__name__}:every"})
anything = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.from_regex(r"[-+0-9.eEinfa_ ]{0,12}", fullmatch=True),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
)


@given(key=st.sampled_from(["temperature", "layers", "folder", "n"]), value=anything)
def test_every_value_is_taken_and_comes_back_or_is_quoted(key, value):
    text = f"every:{key}={value}"
    try:
        component = KINDS.complete(Component.model_validate(text))
    except ValueError as error:
        message = one_line(error)
        assert f"'{key}" in message or "form key=value" in message or "twice" in message
    else:
        again = KINDS.complete(Component.model_validate(str(component)))
        assert again == component
        assert KINDS.complete(Component.model_validate(component.model_dump(mode="json"))) == again


@given(name=st.text(st.characters(codec="utf-8"), max_size=12))
def test_every_name_is_known_or_quoted(name):
    assume(":" not in name and name.strip() not in MODELS)
    with pytest.raises(ValueError) as error:
        MODELS.complete(Component.model_validate(name))
    message = one_line(error.value)
    assert message.startswith(f"unknown model {name.strip()!r}; choose from resnet8, ")
