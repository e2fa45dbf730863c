"""Which documents of the repository are pages, and what else their links need.

Documents keep their place, so that links between them hold. What a link leads to follows: another
document becomes a page, a folder gets a page that lists it, a source file a page that shows it, and
anything else is copied.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import nbformat
from markdown_it import MarkdownIt

from mcmi_core.base.errors import CompanionError
from mcmi_core.report.site.links import ELSEWHERE, repository_path

SHOWN_AS_SOURCE = {".py": "python", ".yml": "yaml", ".cff": "yaml", ".toml": "toml", "": "text"}
"""Files that get a page of their own, by suffix, and their language."""


def pages_and_files(
    project: Path, documents: Iterable[str], made: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Follow the links of some documents through the repository.

    Args:
        project: its root.
        documents: paths relative to it, of Markdown files and notebooks.
        made: paths of pages that are made otherwise: ``records/cpu/index.md``.

    Returns:
        The Markdown of the pages that must be there beside ``documents``, by their path; and the
        files to copy.

    Raises:
        CompanionError: a link leads nowhere.
    """
    pages, files = {}, []
    waiting = list(documents)
    seen = {*waiting, *ELSEWHERE, *(page.removesuffix("/index.md") for page in made)}
    while waiting:
        document = waiting.pop()
        text = pages.get(document) or markdown_of(project / document)
        for link in links_in(text):
            path = repository_path(link, PurePosixPath(document).parent)
            if path in seen:
                continue
            seen.add(path)
            target = project / path
            if target.is_dir():
                pages[f"{path}/index.md"] = listing(target, path)
                waiting.append(f"{path}/index.md")
            elif not target.is_file():
                raise CompanionError(f"{document} links to {link}, which is not there")
            elif target.suffix == ".md":
                pages[path] = target.read_text(encoding="utf-8")
                waiting.append(path)
            elif target.suffix in SHOWN_AS_SOURCE:
                pages[f"{path}.md"] = source_page(target, path)
            else:
                files.append(path)
    return {path: _orphan(text) for path, text in pages.items()}, files


def markdown_of(path: Path) -> str:
    """The text of a Markdown file, or of a notebook: of its Markdown cells and outputs."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            texts.append(cell.source)
        for output in cell.get("outputs", ()):
            texts.append(output.get("data", {}).get("text/markdown", ""))
    return "\n\n".join(texts)


def links_in(markdown: str) -> Iterator[str]:
    """The relative links of a text, without fragments; pictures are none."""
    for block in MarkdownIt("commonmark").enable("table").parse(markdown):
        for token in block.children or ():
            if token.type == "link_open":
                link = urlsplit(str(token.attrGet("href")))
                if not link.scheme and not link.netloc and link.path:
                    yield unquote(link.path)


def listing(folder: Path, path: str) -> str:
    """A page of links to what a folder holds."""
    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    return f"# {path}\n\n" + "".join(f"- [{name}](<{name}>)\n" for name in names)


def source_page(file: Path, path: str) -> str:
    """A page that shows a file."""
    language = SHOWN_AS_SOURCE[file.suffix]
    text = file.read_text(encoding="utf-8")
    return f"# {posixpath.basename(path)}\n\n``````{{code-block}} {language}\n{text}\n``````\n"


def _orphan(markdown: str) -> str:
    """Reached by a link, not from the table of contents."""
    return f"---\norphan: true\n---\n\n{markdown}"
