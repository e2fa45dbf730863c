"""The notebooks as they are stored, each with links to its file and to the records behind it."""

from collections.abc import Sequence
from pathlib import Path

import nbformat

from mcmi_core.report.site.record_pages import Page


def with_links(notebook: Path, pages: Sequence[Page]) -> str:
    """A notebook's JSON with a line of links below its title.

    Args:
        notebook: the file.
        pages: those with the records of its experiment.
    """
    content = nbformat.read(notebook, as_version=4)
    links = [f"<a href='{notebook.name}' download>this notebook</a>"]
    links += [f"[records of profile {p.profile}](../{p.path})" for p in pages]
    title, _, rest = content.cells[0].source.partition("\n")
    content.cells[0].source = f"{title}\n\n{' · '.join(links)}\n{rest}"
    return nbformat.writes(content)
