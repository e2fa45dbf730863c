"""From the repository to a folder of pages: lay out, let Sphinx make HTML, add the files.

Everything is laid out as in the repository, in a folder of its own, so that links between documents
need no change. Nothing is executed: notebooks are shown as they are stored.
"""

import gc
import os
import shutil
import time
from pathlib import Path

import pandas as pd
from sphinx.cmd.build import build_main

from mcmi_core.base.paths import PROJECT, require_clone
from mcmi_core.report.documents import FIGURES, SHOWN
from mcmi_core.report.notebooks import list_notebooks
from mcmi_core.report.site.api_pages import api_pages
from mcmi_core.report.site.linked import pages_and_files
from mcmi_core.report.site.notebook_pages import with_links
from mcmi_core.report.site.record_pages import index_pages, record_pages
from mcmi_core.report.site.scoreboard_page import scoreboard_page

READ, RESULTS = ("paper",), ("results",)
"""Documents of ``docs/`` that come before the notebooks, and before the scoreboard."""
FIRST_GUIDES = ("glossary", "use", "protocol", "differences")
"""In this order; the others of ``docs/`` follow."""
COPIED = ("figures", "records")
"""Folders that are on the site as they are."""


def build_site(target: Path) -> int:
    """Build the site; ``target`` is replaced once all is there.

    Args:
        target: a folder. Beside it, ``NAME.work`` holds what it is made of.

    Returns:
        Exit code of Sphinx; not 0, and ``target`` as it was, if there was any warning.

    Raises:
        CompanionError: there is no clone to make it of, or a link leads nowhere.
        StoreError: a record is damaged.
    """
    require_clone("the site")
    started = time.time()
    target = target.resolve()
    work = target.with_name(f"{target.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    source, html = work / "source", work / "html"
    files = lay_out(source)
    os.environ["MCMI_SITE_FILES"] = os.pathsep.join(files)
    gc.set_threshold(200_000, 50, 100)  # else half the time goes into looking at millions of nodes
    arguments = ["-b", "html", "-c", str(PROJECT / "docs"), "-d", str(work / "doctrees")]
    arguments += ["-j", "auto", "-q", "-W", "--keep-going", str(source), str(html)]
    if code := build_main(arguments):
        return code
    for folder in COPIED:
        shutil.copytree(PROJECT / folder, html / folder, dirs_exist_ok=True)
    for file in files:
        (html / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, html / file)
    os.utime(html / "index.html", (started, started))  # what is edited meanwhile is newer
    shutil.rmtree(target, ignore_errors=True)
    html.rename(target)
    print(f"{target}/index.html")
    return 0


def lay_out(source: Path) -> list[str]:
    """Write all pages, and the pictures in them, to a folder.

    Returns:
        The files of the repository that pages link to, relative to its root.

    Raises:
        CompanionError: a link leads nowhere.
        StoreError: a record is damaged.
    """
    notebooks = [f"notebooks/{name}.ipynb" for name in list_notebooks()]
    guides = [f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md"))]
    documents = [*guides, "CONTRIBUTING.md"]
    made = record_pages(PROJECT / "records", FIGURES)
    numbers = [pd.read_csv(FIGURES / SHOWN / f"99_claims{p}.csv") for p in ("", "_exploratory")]
    pages = {page.path: page.text for page in made} | index_pages(made)
    pages |= api_pages(PROJECT / "mcmi_core")
    pages["scoreboard.md"] = scoreboard_page(*numbers)
    more, files = pages_and_files(PROJECT, ["README.md", *documents, *notebooks], made=[*pages])
    pages |= more
    for path in documents:
        pages[path] = (PROJECT / path).read_text(encoding="utf-8")
    for path in notebooks:
        behind = [page for page in made if page.name == Path(path).stem]
        pages[path] = with_links(PROJECT / path, behind)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    pages["index.md"] = readme + _contents(notebooks, documents)
    for path, text in pages.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    for picture in FIGURES.rglob("*.png"):
        copy = source / picture.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, copy)
    return sorted({*files, *notebooks})


def _contents(notebooks: list[str], documents: list[str]) -> str:
    """The table of contents of the whole site, for the end of the start page."""
    read, results, first = (
        [path for name in names if (path := f"docs/{name}.md") in documents]
        for names in (READ, RESULTS, FIRST_GUIDES)
    )
    others = [path for path in documents if path not in {*read, *results, *first}]
    parts = {
        "Read": [*read, *notebooks],
        "Results": [*results, "scoreboard.md", "records/index.md"],
        "Guides": [*first, *others],
        "Reference": ["api/index.md"],
    }
    trees = (
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(paths) + "\n```\n"
        for caption, paths in parts.items()
    )
    return "\n\n" + "\n".join(trees)
