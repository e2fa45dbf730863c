"""Sphinx's settings for the site; `make site` lays the pages out and calls Sphinx."""

import os

project = "MCMI companion"
author = "the authors of the companion"
html_title = project
root_doc = "index"
exclude_patterns = []

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mcmi_core.report.site.docstrings",
    "mcmi_core.report.site.links",
    "mcmi_core.report.site.mathml",
]

# --- documents and notebooks -----------------------------------------------------------------

copied_files = os.environ.get("MCMI_SITE_FILES", "").split(os.pathsep)
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_space = False
myst_heading_anchors = 4
html_math_renderer = "mathml"  # no script, no font, no other host
suppress_warnings = ["myst.header"]  # the glossary's terms are headings of the third level

nb_execution_mode = "off"  # Papermill has executed them
nb_merge_streams = True
nb_ipywidgets_js = {}  # from another host; a widget is shown by its text
nb_mime_priority_overrides = [
    ("html", "application/vnd.jupyter.widget-view+json", None),
]

# --- reference -------------------------------------------------------------------------------

add_module_names = False
viewcode_follow_imported_members = False
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_custom_sections = [("Options", "params_style")]
napoleon_numpy_docstring = False

# --- look ------------------------------------------------------------------------------------

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("tables.js", {"defer": "defer"})]
html_favicon = "static/icon.svg"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
