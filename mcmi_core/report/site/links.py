"""A Sphinx extension: relative links work as in the repository, to whatever is not a page, too.

A link to ``README.md`` leads to the start page, one to a folder to its listing, one to a source
file to the page that shows it, and one to any other file to its copy on the site.
"""

import posixpath
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

ELSEWHERE = {"README.md": "index", "records": "records/index"}
"""Pages that stand for a path of the repository under another name."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Resolve the links before MyST reports them as unknown."""
    app.add_config_value("copied_files", [], "env", [list])
    app.add_post_transform(_RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class _RepositoryLinks(SphinxPostTransform):
    default_priority = 8  # MyST's own resolver has 9

    def run(self, **_) -> None:
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] == "myst" and node.get("refdomain") != "doc":
                uri = self._uri(node["reftarget"])
                if uri is not None:
                    link = nodes.reference("", "", *node.children, refuri=uri, internal=True)
                    node.replace_self(link)
        for node in self.document.findall(nodes.reference):  # in a notebook's output
            target = node.get("refuri", "")
            if not urlsplit(target).scheme:
                node["refuri"] = self._uri(target) or target

    def _uri(self, target: str) -> str | None:
        """Where a link leads, from this page; None: it is none to a path of the repository."""
        path, _, fragment = unquote(target).partition("#")
        if not path:
            return None
        here = self.env.docname
        full = repository_path(path, PurePosixPath(here).parent)
        page = self._own_records(full) or page_of(full, self.env)
        if page is not None:
            full = f"{page}.html"
        elif full not in self.config.copied_files:
            return None
        uri = posixpath.relpath(full, posixpath.dirname(here) or ".")
        return f"{uri}#{fragment}" if fragment else uri

    def _own_records(self, path: str) -> str | None:
        """In a notebook, a profile's records are those behind the notebook, if it has a page."""
        folder, _, name = self.env.docname.rpartition("/")
        page = f"{path}/{name}"
        is_own = folder == "notebooks" and path.startswith("records/")
        return page if is_own and page in self.env.found_docs else None


def repository_path(link: str, folder: PurePosixPath) -> str:
    """The path in the repository of a relative link in a document of ``folder``."""
    return posixpath.normpath(str(folder / link))


def page_of(path: str, env: BuildEnvironment) -> str | None:
    """The page that shows a file or folder of the repository, or None."""
    for page in (ELSEWHERE.get(path), path, f"{path}/index"):
        if page in env.found_docs:
            return page
    return None
