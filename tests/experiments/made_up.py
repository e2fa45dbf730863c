"""Records that nobody measured, for tables and findings whose right answer is known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Run
from mcmi_core.runs.records import Record
from mcmi_core.training.recipe import Recipe

PROVENANCE = {
    "hardware": "a test",
    "threads": 1,
    "torch": "2",
    "commit": "none",
    "date": "2026-01-01",
    "seconds": 60.0,
}

PAIR = Pair(
    data="oracle",
    teacher="mlp:width=64",
    student="mlp:width=8",
    lam=0.4,
    tracked_lam=0.7,
    recipe=Recipe().shortened(20),
    fine_tuning=Recipe(epochs=5, schedule="cosine"),
    resample=True,
)
"""Every seed has data of its own."""

FIXED_DATA = replace(PAIR, data="digits", resample=False)
"""Every seed has the same data; P* is unknown."""

LABELS = ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.4", "MCMI tracked λ=0.7", "true BCPD")
"""Of the teachers of `PAIR`; those of `FIXED_DATA` are all but the last."""


class MadeUpRecords:
    """A source of records, made when they are asked for.

    Args:
        answer: the fields of a run's record: ``metrics``, ``history``, ``result``, ``status``;
            None if the run has no record.
    """

    def __init__(self, answer: Callable[[Run], dict[str, Any] | None]) -> None:
        self._answer = answer

    def record(self, run: Run) -> Record | None:
        fields = self._answer(run)
        if fields is None:
            return None
        config = run.model_dump(mode="json")
        return Record(key=run.key, run=config, provenance=PROVENANCE, **fields)


def made_up_lab(answer: Callable[[Run], dict[str, Any] | None]) -> Lab:
    return Lab("made up", MadeUpRecords(answer))


def accuracy(percent: float) -> dict[str, Any]:
    """Of a run whose test accuracy is all that matters."""
    return {"metrics": {"test": {"accuracy_percent": percent}, "train": {"cmi_nats": 0.1}}}
