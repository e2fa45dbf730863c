"""Components by name: models, data sets, objectives, distillers and measurements.

A component is a name and its options, written ``kd`` or ``kd:temperature=2`` on the command line,
in profiles and in notebooks alike. A registry says where the function or class behind a name is
defined. The options are declared there, and only there: annotations validate a component, defaults
complete it. Nothing is imported before a component is built.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from pkgutil import resolve_name
from typing import Any, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from mcmi_core.base.messages import meant, problems, quoted
from mcmi_core.base.options import read_options

ITEM = re.compile(r'\s*([^=,"]*?)\s*=\s*("(?:[^"]|"")*"|[^,"][^,]*|)\s*(?:,|$)')
"""``key=value`` and what ends it; the value may be in quotes, with quotes inside doubled."""

LARGEST = 2**63
"""Whole numbers below it fit into 64 bits, as torch wants them."""


class Component(BaseModel):
    """A name with options; parses from ``"name:key=value,key=value"``.

    A value that holds several numbers separates them by ``+``: ``omit=9+7``. One with a comma is
    quoted, with quotes inside doubled: ``folder="cats, dogs"``. Python needs no quotes:
    ``Component(name="imagefolder", folder="cats, dogs")``. Values stay text until a registry gives
    them their types.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, _, rest = value.partition(":")
        fields, place = {"name": name.strip()}, 0
        while place < len(rest):
            item = ITEM.match(rest, place)
            if not (item and item[1]):
                raise ValueError(
                    f"{quoted(value)}: {quoted(rest[place:])} is not of the form key=value; a "
                    "value with commas is quoted, and in a shell the whole once more: "
                    + quoted(f'{name.strip()}:key="a,b"')
                )
            key, text = item[1], item[2]
            if key == "name":
                raise ValueError(f"{quoted(value)}: the name comes first, and is no option")
            if key in fields:
                raise ValueError(f"{quoted(value)}: option {quoted(key)} is given twice")
            in_quotes = text.startswith('"')
            fields[key] = text[1:-1].replace('""', '"') if in_quotes else text.strip()
            place = item.end()
        return fields

    @property
    def options(self) -> dict[str, Any]:
        """The options without the name."""
        return dict(self.__pydantic_extra__ or {})

    def __str__(self) -> str:
        return _written(self.name, self.options)


def _written(name: str, options: Mapping[str, Any]) -> str:
    pairs = ",".join(f"{key}={_text(value)}" for key, value in options.items())
    return f"{name}:{pairs}" if pairs else name


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_text, value))
    if isinstance(value, float):
        return str(value).replace("e+", "e")  # 1e+16 would be two of several numbers
    text = str(value)
    if text != text.strip() or "," in text or text.startswith('"'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


class Registry(dict[str, str]):
    """Where the components of one kind are defined, ``package.module:name``, by their names.

    Args:
        kind: what the entries are, for messages: ``"model"``.
        entries: by name, a function or class; its options are those of
            :func:`~mcmi_core.base.options.read_options`.
        context: parameters that the caller supplies when it builds, such as ``num_classes``; a
            function or class names those that it needs.

    Raises:
        ValueError: from ``registry[name]``, an unknown name; the message lists the known ones.
    """

    def __init__(self, kind: str, entries: dict[str, str], context: tuple[str, ...] = ()) -> None:
        super().__init__(entries)
        self.kind = kind
        self.context = context

    def __missing__(self, name: str) -> str:
        raise ValueError(
            f"unknown {self.kind} {quoted(name)}; choose from {', '.join(self)}{meant(name, self)}"
        )

    def load(self, name: str) -> Callable:
        """The function or class of that name, imported now."""
        return resolve_name(self[name])

    def option_types(self, name: str) -> dict[str, tuple[Any, Any]]:
        """Annotation and default (``...`` when required) of each option of ``name``."""
        return read_options(self[name], self.context)

    def usage(self, name: str) -> str:
        """How to write a component of that name: every option with its default, if it has one."""
        types = self.option_types(name)
        open_ended = (..., None)
        shown = {k: "..." if d in open_ended else d for k, (_, d) in types.items()}
        return _written(name, shown)

    def complete(self, component: Component) -> Component:
        """The component with every option typed, checked and present.

        But for those that are None, as an option that was added later is by default: so components
        that are stored and hashed stay what they were.

        Raises:
            ValueError: unknown name or option, or a value that its annotation refuses.
        """
        name = component.name
        schema = _schema(self[name], self.context)
        given = {}
        for key, value in component.options.items():
            if key not in schema.model_fields:
                accepted = ", ".join(schema.model_fields) or "no options"
                raise ValueError(
                    f"unknown option {quoted(key)} of {self.kind} {name!r}; it takes {accepted}"
                    f"{meant(key, schema.model_fields)}"
                )
            several = get_origin(schema.model_fields[key].annotation) is tuple
            if several and isinstance(value, str):
                value = value.split("+") if value else ()
            given[key] = value
        try:
            options = schema(**given).model_dump()
        except ValidationError as error:
            where, what = problems(error)[0]
            raise ValueError(f"option {where!r} of {self.kind} {name!r}: {what}") from None
        for key, value in options.items():
            if isinstance(value, int) and not LARGEST > value >= -LARGEST:
                raise ValueError(
                    f"option {key!r} of {self.kind} {name!r}: Input should fit into 64 bits, got "
                    f"{quoted(value)}"
                )
        given = {key: value for key, value in options.items() if value is not None}
        return Component(name=name, **given)

    def build(self, component: Component | str, **context: Any) -> Any:
        """Call what is behind a component with its options and the caller's context."""
        completed = self.complete(Component.model_validate(component))
        factory = self.load(completed.name)
        needed = signature(factory).parameters
        supplied = {name: value for name, value in context.items() if name in needed}
        return factory(**supplied, **completed.options)


@cache
def _schema(reference: str, context: tuple[str, ...]) -> type[BaseModel]:
    """What validates the options of a component; made once, as that takes longer than its use."""
    config = ConfigDict(allow_inf_nan=False)
    return create_model(reference, __config__=config, **read_options(reference, context))
