"""What readers see: figures, tables, executed notebooks, committed evidence."""

from mcmi_core.base.extras import require_extra

require_extra(
    "notebooks",
    __name__,
    *("papermill", "nbformat", "nbclient", "ipykernel", "ipywidgets", "jupyter_client"),
    *("IPython", "matplotlib", "seaborn"),
)
