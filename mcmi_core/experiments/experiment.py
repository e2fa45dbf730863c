"""What every experiment is: settings, the runs they ask for, and the findings these decide."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from mcmi_core.experiments.finding import Finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Run


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question of the paper. The fields of a subclass are its settings, which a profile gives.

    A subclass says which runs it asks for, has one method for each tidy table it makes of their
    records, and draws the findings.
    """

    name: ClassVar[str]
    """Of its notebook: ``04_zero_shot``."""
    data_is_checked: ClassVar[bool] = True
    """Whether to see that the data of its pairs is there before anything is trained."""

    workers: int | None = None
    """Runs at a time, where these need more memory than others; None: as many as the profile's."""

    def runs(self) -> list[Run]:
        """All runs that its tables need, measurements included."""
        raise NotImplementedError

    def findings(self, lab: Lab) -> list[Finding]:
        """Every comparison it makes; those that decide a claim of the paper are primary.

        Raises:
            NotMeasured: a run has no record.
        """
        raise NotImplementedError

    def all_pairs(self) -> Iterator[Pair]:
        """All pairs among the settings."""
        for value in self._settings().values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Pair):
                    yield item

    @property
    def subject(self) -> str:
        """For a heading, in words: data and networks; of several pairs, their data."""
        pairs = dict.fromkeys(self.all_pairs())
        several = len(pairs) > 1
        names = [
            pair.data_in_words if several else f"{pair.data_in_words}: {pair.networks_in_words}"
            for pair in pairs
        ]
        return "; ".join(dict.fromkeys(names))

    def figure_name(self, part: str = "") -> str:
        """Name of a figure's files: of the experiment, the part of it, and the data."""
        title = next(self.all_pairs()).data_title
        return "_".join(filter(None, [self.name, part, title]))

    def _settings(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        """One line per setting."""
        lines = []
        for name, value in self._settings().items():
            if value is not None:
                lines.append(f"{name.replace('_', ' ')}: {_written(value)}")
        return "\n".join(lines)


def _written(value: object) -> str:
    """Without the brackets and quotes of Python."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_written(item)}" for key, item in value.items())
    if isinstance(value, tuple):
        separator = "; " if any(isinstance(item, tuple) for item in value) else ", "
        return separator.join(map(_written, value))
    return str(value)
