"""``python -m mcmi_core.report.site FOLDER``: build the site into a folder."""

import sys
from pathlib import Path

from mcmi_core.base.errors import CompanionError
from mcmi_core.report.site.build import build_site

if __name__ == "__main__":
    [folder] = sys.argv[1:]
    try:
        sys.exit(build_site(Path(folder)))
    except CompanionError as error:
        sys.exit(f"site: {error}")
