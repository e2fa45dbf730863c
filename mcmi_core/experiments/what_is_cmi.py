"""00 · What is conditional mutual information, and what do MLL and MCMI do to it?

To look at, not to decide anything: one task of three classes, whose outputs are points of a
triangle. Per teacher, the outputs for every training sample: MLL after some of its epochs; the same
fine-tuned by MCMI with `tracked` centroids at several λ, without CMI at λ = 0; and P* itself. And,
for a few real images, the outputs of the teachers of another pair.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import BayesTeacher, Measurement, Run, Teacher

TRUTH = "the truth, P*"
CONTROL = "control, λ = 0"
"""Fine-tuned without CMI."""


@dataclass(frozen=True, kw_only=True)
class WhatIsCmi(Experiment):
    """Outputs to look at: of teachers of three classes, and of teachers of real images.

    Raises:
        ValueError: data without a known posterior.
    """

    name: ClassVar[str] = "00_what_is_cmi"

    pair: Pair
    """Of three classes, whose posterior is known."""
    stops: tuple[int, ...]
    """Epochs of MLL after which its outputs are drawn, beside the last."""
    lambdas: tuple[float, ...]
    """Of MCMI with ``tracked`` centroids, from 0, the control, on."""
    temperatures: tuple[float, ...]
    photographs: Pair
    """Whose teachers' outputs for single images are shown."""
    images: int
    """Of each class, the first of the training split: not picked."""
    seed: int

    def __post_init__(self) -> None:
        self.pair.require_posterior()

    def mll_teachers(self) -> dict[str, Teacher]:
        """MLL as its training goes on, by a title: stopped early, and at its end."""
        stopped = {epochs: self.pair.early_stopped(self.seed, epochs) for epochs in self.stops}
        teachers = {**stopped, self.pair.recipe.epochs: self.pair.mll(self.seed)}
        return {f"MLL, epoch {epochs}": teacher for epochs, teacher in teachers.items()}

    def mcmi_teachers(self) -> dict[str, Teacher]:
        """The last MLL teacher, fine-tuned by MCMI, from the smallest λ on: by a title."""
        teachers = {}
        for lam in sorted(self.lambdas):
            teacher = self.pair.mcmi(self.seed, lam=lam, centroids="tracked")
            teachers[f"MCMI tracked, λ = {lam:g}" if lam else CONTROL] = teacher
        return teachers

    def truth(self) -> BayesTeacher:
        """P*, which every teacher estimates."""
        return self.pair.bayes(self.seed)

    def photograph_teachers(self) -> dict[str, Teacher]:
        """MLL, its fine-tuning without CMI, and MCMI: by their labels."""
        return {teacher.label: teacher for teacher in self.photographs.trained_teachers(self.seed)}

    def runs(self) -> list[Run]:
        """The teachers, and what is measured of them."""
        shown = [*self.mll_teachers().values(), *self.mcmi_teachers().values(), self.truth()]
        return [
            *map(_outputs, shown),
            *map(self._sweep, self._at_temperatures().values()),
            *(_outputs(teacher, self.images) for teacher in self.photograph_teachers().values()),
        ]

    def points(self, lab: Lab, teacher: Teacher | BayesTeacher) -> tuple[np.ndarray, np.ndarray]:
        """Outputs of a teacher for all training samples, and their classes.

        Returns:
            P: (N, 3) probabilities; y: (N,) classes. Both without rows if the teacher collapsed.
        """
        table = lab.collect_results([_outputs(teacher)], ["logits", "class_index"])
        if table.empty:
            return np.empty((0, 3)), np.empty(0, dtype=int)
        return _softmax(np.stack(table.logits)), table.class_index.to_numpy()

    def all_points(self, lab: Lab) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Outputs of the MLL teachers, of MCMI with the largest λ, and of the truth, by a title."""
        return self._points(lab, {**self.mll_teachers(), **self._strongest()})

    def points_by_lambda(self, lab: Lab) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Outputs of the MLL teacher, then of those fine-tuned from it, from the smallest λ on.

        By a title. A teacher that collapsed is left out.
        """
        title, mll = list(self.mll_teachers().items())[-1]
        return self._points(lab, {title: mll, **self.mcmi_teachers()})

    def teacher_table(self, lab: Lab) -> pd.DataFrame:
        """One row per teacher, by its title: CMI, LL, KL to P* (nats) and accuracy (percent)."""
        teachers = {**self.mll_teachers(), **self.mcmi_teachers(), TRUTH: self.truth()}
        columns = {
            "train_cmi_nats": "CMI, nats",
            "train_ll_nats": "LL, nats",
            "train_bcpd_kl_nats": "mean KL(P* ‖ P), nats",
            "train_accuracy_percent": "training accuracy, %",
        }
        table = lab.collect(teachers.values(), columns)[[*columns]].rename(columns=columns)
        accuracy = table["training accuracy, %"].round(1)
        table = table.assign(teacher=list(teachers), **{"training accuracy, %": accuracy})
        return table.set_index("teacher")

    def cmi_by_temperature(self, lab: Lab) -> pd.DataFrame:
        """CMI (nats) of softmax(logits / T) on the training data: teachers by T."""
        teachers = self._at_temperatures()
        parts = []
        for title, teacher in teachers.items():
            table = lab.collect_results([self._sweep(teacher)], ["temperature", "cmi_nats"])
            parts.append(table.set_index("temperature").cmi_nats.rename(title))
        table = pd.concat(parts, axis="columns").T
        return table.rename(columns="T = {:g}".format).rename_axis(columns=None)

    def photograph_table(self, lab: Lab) -> pd.DataFrame:
        """One row per image and teacher that did not collapse.

        Returns:
            ``label`` of the teacher, ``image`` (its number), ``picture`` (base64 of a PNG),
            ``class_name``, and by class ``probabilities``, a series by class name, the largest
            first.
        """
        rows = []
        for label, teacher in self.photograph_teachers().items():
            table = lab.collect_results([_outputs(teacher, self.images)])
            for image, row in enumerate(table.itertuples()):
                names = list(row.class_names)
                probabilities = pd.Series(_softmax(np.array([row.logits]))[0], names)
                rows.append(
                    {
                        "label": label,
                        "image": image,
                        "picture": row.picture,
                        "class_name": names[row.class_index],
                        "probabilities": probabilities.sort_values(ascending=False),
                    }
                )
        return pd.DataFrame(rows)

    def photograph_numbers(self, lab: Lab) -> pd.DataFrame:
        """All probabilities behind :meth:`photograph_table`: a column per class."""
        table = self.photograph_table(lab)
        about = table[["label", "image", "class_name"]]
        return about.join(pd.DataFrame(list(table.probabilities)))

    @property
    def photographs_name(self) -> str:
        """Name of the files of the figure of photographs."""
        return f"{self.name}_photographs_{self.photographs.data_title}"

    def findings(self, lab: Lab) -> list[Finding]:
        """None: it explains, and decides nothing."""
        return []

    def _strongest(self) -> dict[str, Teacher | BayesTeacher]:
        """MCMI with the largest λ, and the truth."""
        title, teacher = list(self.mcmi_teachers().items())[-1]
        return {title: teacher, TRUTH: self.truth()}

    def _at_temperatures(self) -> dict[str, Teacher | BayesTeacher]:
        """The first MLL teacher and the last, the control, the strongest MCMI, and the truth."""
        (early, young), *_, (late, old) = self.mll_teachers().items()
        teachers = {early: young, late: old}
        if 0 in self.lambdas:
            teachers[CONTROL] = self.mcmi_teachers()[CONTROL]
        return {**teachers, **self._strongest()}

    def _points(
        self, lab: Lab, teachers: dict[str, Teacher | BayesTeacher]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        points = {title: self.points(lab, teacher) for title, teacher in teachers.items()}
        return {title: both for title, both in points.items() if len(both[1])}

    def _sweep(self, teacher: Teacher | BayesTeacher) -> Measurement:
        temperatures = "+".join(f"{temperature:g}" for temperature in self.temperatures)
        return Measurement(of=teacher, what=f"temperature_sweep:temperatures={temperatures}")


def _outputs(teacher: Teacher | BayesTeacher, samples: int | None = None) -> Measurement:
    return Measurement(of=teacher, what="outputs" + (f":samples={samples}" if samples else ""))


def _softmax(logits: np.ndarray) -> np.ndarray:
    """softmax(logits) of every row, (N, C)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
