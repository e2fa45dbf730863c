"""The API reference: a page for each public module, by what a reader looks for."""

import ast
from pathlib import Path

GROUPS = {
    "Science": (
        *("cmi", "output_sums", "metrics", "objectives", "criterion", "losses", "distillers"),
        *("models", "data", "measures"),
    ),
    "Experiments": ("experiments", "profiles"),
    "Machinery": ("base", "components", "training", "runs", "report", "sprint", "cli", "__init__"),
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
        lines = [f"# {group}\n", "| module | what it has |", "|---|---|"]
        for file, name in zip(modules, names, strict=True):
            lines.append(f"| [{name}]({name}.md) | {_first_line(file)} |")
            pages[f"api/{name}.md"] = _page(package, file, name)
        lines.append("\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n")
        pages[f"api/{group.lower()}.md"] = "\n".join(lines)
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


def _page(package: Path, file: Path, name: str) -> str:
    """What a package takes from its private modules is shown as its own."""
    own = [imported for imported in _from_private_modules(file)]
    lines = [f"# {name}\n", "```{eval-rst}", f".. automodule:: {name}", "   :members:"]
    for imported in own:
        lines += ["", f".. autoclass:: {name}.{imported}" if imported[0].isupper() else
                  f".. autofunction:: {name}.{imported}", "   :members:" if imported[0].isupper() else ""]
    return "\n".join([*lines, "```", ""])


def _from_private_modules(file: Path) -> list[str]:
    """Names in ``__all__`` that come from modules whose name begins with an underscore."""
    public, private = [], set()
    for node in _tree(file).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2][0] == "_":
            private |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            public = ast.literal_eval(node.value)
    return [name for name in public if name in private]


def _first_line(file: Path) -> str:
    first = (ast.get_docstring(_tree(file)) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("``", "`").replace("|", "\\|")


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
