"""Components by name: where they are, what they take, and that naming them imports nothing."""

import subprocess
import sys
from inspect import Parameter, signature

import pytest

from mcmi_core import components
from mcmi_core.base.registry import Registry

REGISTRIES = [value for value in vars(components).values() if isinstance(value, Registry)]
ALL = [
    pytest.param(registry, name, id=f"{registry.kind} {name}")
    for registry in REGISTRIES
    for name in registry
]


def test_every_kind_is_here():
    kinds = ["data set", "model", "objective", "distiller", "measurement"]
    assert [registry.kind for registry in REGISTRIES] == kinds


@pytest.mark.parametrize(("registry", "name"), ALL)
def test_options_as_written_are_options_as_python_sees_them(registry, name):
    parameters = signature(registry.load(name)).parameters.values()
    seen = {
        parameter.name: (
            parameter.annotation,
            ... if parameter.default is Parameter.empty else parameter.default,
        )
        for parameter in parameters
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.name not in registry.context
    }
    assert list(registry.option_types(name).items()) == list(seen.items())


def test_completing_a_component_imports_nothing():
    code = """
import sys
from mcmi_core import components
from mcmi_core.base.registry import Component
for name in components.MODELS:
    components.MODELS.complete(Component(name=name))
print(components.DISTILLERS.usage("kd"))
print({"torch", "mcmi_core.models", "mcmi_core.distillers"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usage, imported = done.stdout.splitlines()
    assert usage == "kd:temperature=4.0,weight=0.9,cross_entropy_weight=0.1"
    assert imported == "set()"


def test_distillers_that_need_heads_are_distillers():
    assert set(components.NEED_HEADS) <= set(components.DISTILLERS)
