"""The API reference: a page for each public module, by what a reader looks for."""

import ast
from functools import cache
from pathlib import Path

GROUPS = {
    "Science": (
        *("cmi", "output_sums", "metrics", "objectives", "criterion", "losses", "distillers"),
        *("models", "data", "measures"),
    ),
    "Experiments": ("experiments", "profiles"),
    "Machinery": (
        "base",
        "components",
        "training",
        "runs",
        "report",
        "sprint",
        "cli",
        "endings",
        "__init__",
    ),
}
"""Parts of ``mcmi_core``, in the order of docs/architecture.md."""


def api_pages(package: Path) -> dict[str, str]:
    """The pages in MyST Markdown, by path.

    Args:
        package: the folder of ``mcmi_core``.
    """
    pages, groups = {}, []
    for group, parts in GROUPS.items():
        modules = [file for part in parts for file in _files(package, part)]
        names = [_name(package, file) for file in modules]
        lines = [f"# {group}\n"]
        for file, name in zip(modules, names, strict=True):
            inside = [other for other in names if other.rpartition(".")[0] == name]
            lines.append(f"- [{name}]({name}.md): {_first_line(file)}")
            pages[f"api/{name}.md"] = _page(file, name, group, inside)
        pages[f"api/{group.lower()}.md"] = "\n".join([*lines, ""])
        groups.append(group.lower())
    pages["api/index.md"] = (
        "# API reference\n\nAll public modules of `mcmi_core`. How they fit together: "
        "[how the parts fit together](../docs/architecture.md).\n\n"
        "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(groups) + "\n```\n"
    )
    return pages


def _files(package: Path, part: str) -> list[Path]:
    """The public modules of a part, the package itself first."""
    if (package / f"{part}.py").exists():
        return [package / f"{part}.py"]
    files = sorted((package / part).rglob("*.py"))
    files = [f for f in files if not f.stem.startswith("_") or f.stem == "__init__"]
    return [file for file in files if ast.get_docstring(_tree(file))]


def _name(package: Path, file: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _page(file: Path, name: str, group: str, inside: list[str]) -> str:
    """A package with ``__all__`` shows what it has from private modules as its own.

    The page is not in the table of contents, which would be long, and slow to make: every page
    repeats it.
    """
    up = f"[API reference](index.md) › [{group}]({group.lower()}.md)"
    lines = [f"---\norphan: true\n---\n\n{up}\n\n# {name}\n"]
    lines += ["```{eval-rst}", f".. automodule:: {name}", "   :members:"]
    if elsewhere := _from_public_modules(file):
        lines.append(f"   :exclude-members: {', '.join(elsewhere)}")
    lines.append("```\n")
    if inside:
        lines.append("## Modules\n")
        lines += [f"- [{other}]({other}.md)" for other in inside]
    return "\n".join([*lines, ""])


def _from_public_modules(file: Path) -> list[str]:
    """What a module imports from those of the project that have a page of their own."""
    imports = (node for node in _tree(file).body if isinstance(node, ast.ImportFrom))
    public = (node for node in imports if "._" not in (node.module or ""))
    return [alias.name for node in public for alias in node.names]


def _first_line(file: Path) -> str:
    first = (ast.get_docstring(_tree(file)) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("``", "`")


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
