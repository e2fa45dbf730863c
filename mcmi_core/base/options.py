"""What options a component takes, read from its source as text.

A run's key depends on its components' options and their defaults. Whoever replays results needs
these, but neither torch nor the component itself, and to import either takes seconds. So a source
file is parsed here, not executed.
"""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Declarations = dict[str, tuple[ast.expr | None, ast.expr | None]]
"""Annotation and default by name, as they are written."""


@cache
def read_options(reference: str, context: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Annotation and default (``...`` if it is required) of each option of a function or class.

    A function has its keyword-only parameters. A class has its annotated attributes and the
    keyword-only parameters of its constructor; without a constructor of its own, it has those of
    its bases as well, where these are of its package or of this one. Whatever else a name stands
    for has none.

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
            case ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                return {}
            case ast.ImportFrom(module=origin, names=aliases):
                names = {alias.asname or alias.name: alias.name for alias in aliases}
                if name in names:
                    ours = {module.partition(".")[0], __name__.partition(".")[0]}
                    known = origin.partition(".")[0] in ours
                    return _declarations(origin, names[name]) if known else {}
    raise ValueError(f"{module} defines no {name!r}")


def _of_class(module: str, node: ast.ClassDef) -> Declarations:
    declarations, bases = {}, node.bases
    for part in node.body:
        match part:
            case ast.AnnAssign(target=ast.Name(id=name)):
                declarations[name] = part.annotation, part.value
            case ast.FunctionDef(name="__init__"):
                declarations |= _keywords(part)
                bases = []
    for base in bases:
        if isinstance(base, ast.Name):
            inherited = _declarations(module, base.id)
            declarations |= {n: inherited[n] for n in inherited if n not in declarations}
    return declarations


def _keywords(function: ast.FunctionDef) -> Declarations:
    parameters = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {parameter.arg: (parameter.annotation, default) for parameter, default in parameters}


@cache
def _statements(module: str) -> list[ast.stmt]:
    package, *inner = module.split(".")
    spec = find_spec(package)  # imports nothing, as it would for a module within a package
    path = Path(spec.origin) if spec else Path()
    if inner:
        path = path.parent.joinpath(*inner)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():
        raise ValueError(f"there is no module {module!r}")
    return ast.parse(path.read_text(encoding="utf-8")).body
