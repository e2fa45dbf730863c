"""What is installed only if it is asked for: ``pip install 'mcmi-companion[notebooks]'``."""

from importlib.util import find_spec

from mcmi_core.base.errors import MissingExtra
from mcmi_core.base.paths import IN_CLONE, PROJECT


def require_extra(extra: str, package: str, *libraries: str) -> None:
    """Require that the libraries of an extra can be imported; imports none of them.

    Args:
        extra: its name in ``pyproject.toml``: ``notebooks``, ``cluster`` or ``site``.
        package: that needs it: ``mcmi_core.report``.
        libraries: the modules that it imports.

    Raises:
        MissingExtra: some are not there.
    """
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        # In a clone that path: by its name, pip would look for a clone that is not installed on an
        # index, where the project is not.
        name = f"--editable '{PROJECT}[{extra}]'" if IN_CLONE else f"'mcmi-companion[{extra}]'"
        message = f"{package} needs {', '.join(missing)}: pip install {name}"
        raise MissingExtra(message, name=package)  # `python -m` makes a line of an error so named
