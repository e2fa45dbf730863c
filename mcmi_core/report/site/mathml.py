"""A Sphinx extension: formulas as MathML, which browsers show without a script or a font.

The translation from LaTeX is that of docutils, on which Sphinx rests.
"""

from html import escape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_LOGGER = logging.getLogger(__name__)

_LONG = 40
"""Characters of LaTeX: a longer formula may be wider than a phone, and scrolls inside itself."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    formula = _translated(node, as_block=False)
    is_long = len(node.astext()) > _LONG
    translator.body.append(f"<span class='formula'>{formula}</span>" if is_long else formula)
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f"<div class='formula'>{_translated(node, as_block=True)}</div>")
    raise nodes.SkipNode


def _translated(node: nodes.Element, as_block: bool) -> str:
    latex = node.astext().replace(
        "\\texttt{", "\\mathtt{"
    )  # the one of the two that docutils knows
    try:
        return tex2mathml(latex, as_block=as_block)
    except MathError as error:
        _LOGGER.warning("no MathML for %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"
