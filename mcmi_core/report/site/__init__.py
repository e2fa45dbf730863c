"""The project as a static site: documents, notebooks, scoreboard, records and API.

:mod:`~mcmi_core.report.site.build` makes it; the other modules here write one kind of page each,
or teach Sphinx one thing. Needs the extra ``site``.
"""

from mcmi_core.base.extras import require_extra

require_extra("site", __name__, "sphinx", "myst_nb", "furo")
