"""A result is one of data with this content, not of whatever goes by the same name today."""

from collections.abc import Mapping
from typing import Any

from mcmi_core.base.errors import DataError
from mcmi_core.base.paths import data_root
from mcmi_core.data import load_dataset
from mcmi_core.runs.config import Run
from mcmi_core.runs.store import Store

FINGERPRINT = "data_fingerprint"
"""In the provenance of records and checkpoints, beside software and hardware."""


def check_same_data(run: Run, provenance: Mapping[str, Any], store: Store) -> None:
    """Require that a run's data is still what a record or checkpoint of it was made with.

    Args:
        run: whose data set is looked at, as it is now.
        provenance: of the record or checkpoint.
        store: that holds it.

    Raises:
        DataError: the data has another content now, or is missing.
    """
    then, now = provenance.get(FINGERPRINT), load_dataset(run.data).fingerprint()
    if then not in (None, now):
        raise DataError(
            f"{run.id} was made with data {run.data} of fingerprint {then} at commit "
            f"{provenance.get('commit')}, but that has {now} now, in {data_root()}: the data was "
            "changed, or this version reads it in another way. Bring the old data back, name "
            f"another store in MCMI_STORE, or delete {store.folder(run)} and the runs that build "
            "on it to train anew"
        )
