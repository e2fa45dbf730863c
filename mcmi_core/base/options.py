"""What options a component takes, read from its source as text.

A run's key depends on its components' options and their defaults. Whoever replays results needs
these, but neither torch nor the component itself, and to import either takes seconds. So a source
file is parsed here, not executed.
"""

import ast
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any, Literal

Declarations = dict[str, tuple[ast.expr | None, ast.expr | None]]
"""Annotation and default by name, as they are written."""


@cache
def read_options(reference: str, context: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Annotation and default (``...`` if it is required) of each option of a function or class.

    A function has its keyword-only parameters. A class has its annotated attributes and the
    keyword-only parameters of its constructor. Unless it has a constructor that takes nothing
    further by keyword, it has those of its bases as well, where these are of its package or of this
    one; a new default needs no annotation.

    Args:
        reference: ``package.module:name``.
        context: parameters that are no options, as the caller supplies them.

    Raises:
        ValueError: there is no such module or name; an annotation is made of more than built-in
            types and ``Literal``; a default is no literal.
    """
    options = {}
    for name, (annotation, default) in _declarations(*reference.split(":")).items():
        if name not in context:
            try:
                kind = eval(ast.unparse(annotation), {"Literal": Literal})
                options[name] = kind, ast.literal_eval(default) if default else ...
            except (AttributeError, NameError, ValueError):
                raise ValueError(
                    f"option {name!r} of {reference} must be declared with built-in types or "
                    "Literal, and its default must be a literal, as both are read and not executed"
                ) from None
    return options


def _declarations(module: str, name: str) -> Declarations:
    for node in _statements(module):
        match node:
            case ast.FunctionDef(name=found) if found == name:
                return _keywords(node)
            case ast.ClassDef(name=found) if found == name:
                return _of_class(module, node)
            case ast.Assign(
                targets=[ast.Name(id=found)],
                value=ast.Name(id=other) | ast.Call(args=[ast.Name(id=other), *_]),
            ) if found == name:  # another name for it, or a partial of it
                return _declarations(module, other)
            case ast.ImportFrom(names=aliases):
                names = {alias.asname or alias.name: alias.name for alias in aliases}
                if name in names:
                    dots = "." * node.level
                    origin = resolve_name(dots + (node.module or ""), module.rpartition(".")[0])
                    ours = {module.partition(".")[0], __name__.partition(".")[0]}
                    known = origin.partition(".")[0] in ours
                    return _declarations(origin, names[name]) if known else {}
    raise ValueError(f"{module} defines no {name!r}")


def _of_class(module: str, node: ast.ClassDef) -> Declarations:
    declarations, new_defaults, bases = {}, {}, node.bases
    for part in node.body:
        match part:
            case ast.AnnAssign(target=ast.Name(id=name)):
                declarations[name] = part.annotation, part.value
            case ast.Assign(targets=[ast.Name(id=name)]):
                new_defaults[name] = part.value
            case ast.FunctionDef(name="__init__"):
                declarations |= _keywords(part)
                bases = bases if part.args.kwarg else []
    for base in bases:
        if isinstance(base, ast.Name):
            for name, (annotation, default) in _declarations(module, base.id).items():
                declarations.setdefault(name, (annotation, new_defaults.get(name, default)))
    return declarations


def _keywords(function: ast.FunctionDef) -> Declarations:
    parameters = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {parameter.arg: (parameter.annotation, default) for parameter, default in parameters}


@cache
def _statements(module: str) -> list[ast.stmt]:
    package, *inner = module.split(".")
    spec = find_spec(package)  # of a package, it imports nothing; of a module within one, it would
    path = Path(spec.origin) if spec and spec.origin else Path()
    if inner:
        path = path.parent.joinpath(*inner)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():
        raise ValueError(f"there is no module {module!r}")
    return ast.parse(path.read_text(encoding="utf-8")).body
