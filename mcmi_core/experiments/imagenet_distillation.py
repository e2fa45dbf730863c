"""07 · And on ImageNet, top-1 and top-5? (Table 2)

For every pair, framework and seed: a student of each kind of teacher, MLL, fine-tuned without CMI
(λ = 0), MCMI; for every pair, students from scratch.
"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from mcmi_core.experiments.comparison import ACCURACY, BEST_ON_TEST, Comparison
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.reference import published
from mcmi_core.experiments.words import framework_in_words, pair_in_words

TOP_5 = "test_top5_accuracy_percent"
MEASURES = {"top-1": ACCURACY, "top-5": TOP_5, "best epoch's top-1, selected on test": BEST_ON_TEST}


@dataclass(frozen=True, kw_only=True)
class ImagenetDistillation(Comparison):
    """And on ImageNet, top-1 and top-5? (Table 2)"""

    name: ClassVar[str] = "07_imagenet_distillation"
    data_is_checked: ClassVar[bool] = False
    mean_decides: ClassVar[str | None] = "imagenet"
    teacher_metrics: ClassVar[tuple[str, ...]] = (ACCURACY, TOP_5, "train_cmi_nats")

    def table(self, lab: Lab) -> pd.DataFrame:
        """Top-1 and top-5 of the last epoch, and the best epoch's top-1 if another, percent.

        Returns:
            ``accuracy`` (which of the three), then the columns of :meth:`compared`.
        """
        parts = []
        for name, metric in MEASURES.items():
            part = self.compared(lab, metric)
            if metric == BEST_ON_TEST and part.equals(parts[0].drop(columns="accuracy")):
                continue  # the last epoch is the only one that was evaluated
            part.insert(0, "accuracy", name)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)


def readable_published() -> pd.DataFrame:
    """What is published about ImageNet, in words: ``pair``, ``framework``, ``top-1, %``, source."""
    table = published("imagenet")
    pairs = table.teacher + " → " + table.student
    return pd.DataFrame(
        {
            "pair": pairs.map(pair_in_words),
            "framework": table.distiller.map(framework_in_words),
            "top-1, %": table.published_percent.map("{:.2f}".format),
            "source": table.source,
        }
    ).set_index(["pair", "framework"])
