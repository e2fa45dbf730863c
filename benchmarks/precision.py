"""Does bfloat16 change what a network learns? Paired runs in float32 and in bf16, on real images.

    python benchmarks/precision.py --help

Both runs of a pair have the same seed: the same first weights, images, order and augmentation.
Rounding then leads them apart, as another seed would. So single differences say nothing; their
mean says whether bf16 costs accuracy. Runs are kept in the store: interrupted, it goes on.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from _measure import RESULTS, write_table

from mcmi_core.base.paths import PROJECT
from mcmi_core.base.statistics import mean_interval
from mcmi_core.runs.config import Student, Teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
from mcmi_core.training.recipe import Recipe

PRECISIONS = ("float32", "bf16")
METRICS = {"accuracy_percent": "accuracy, points", "ll_nats": "LL, nats", "cmi_nats": "CMI, nats"}


def precision(
    data: Annotated[str, typer.Option(help="A data set with images.")],
    teacher: str = "resnet20",
    student: str = "resnet8",
    epochs: int = 15,
    seeds: int = 5,
    device: str = "cpu",
    workers: int = 1,
    store: Path = PROJECT / "build" / "precision-store",
    output: Path = RESULTS,
) -> None:
    """Train both, the teacher by MLL and the student by KD from it, and write precision_DEVICE.md.

    The student of either precision learns from the float32 teacher.
    """
    recipes = {
        name: Recipe(precision=name, evaluate_every=epochs).shortened(epochs) for name in PRECISIONS
    }
    runs = {}
    for seed in range(seeds):
        common = {"data": data, "seed": seed}
        for name, recipe in recipes.items():
            runs[teacher, "MLL", name, seed] = Teacher(
                model=teacher, objective="mll", recipe=recipe, **common
            )
        for name, recipe in recipes.items():
            runs[student, f"KD from {teacher}", name, seed] = Student(
                model=student,
                distiller="kd",
                teacher=runs[teacher, "MLL", "float32", seed],
                recipe=recipe,
                **common,
            )
    records = Store(store)
    execute(runs.values(), records, workers=workers, device=torch.device(device))
    rows = []
    for network, method in dict.fromkeys(name[:2] for name in runs):
        for split in ("test", "train"):
            for metric, text in METRICS.items():
                values = {
                    name: [
                        records.record(runs[network, method, name, seed]).metrics[split][metric]
                        for seed in range(seeds)
                    ]
                    for name in PRECISIONS
                }
                float32, bf16 = (mean_interval(values[name]).mean for name in PRECISIONS)
                pairs = zip(values["bf16"], values["float32"], strict=True)
                mean, low, high, _ = mean_interval([b - f for b, f in pairs])
                change = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
                rows.append((network, method, split, text, f"{float32:.3f}", f"{bf16:.3f}", change))
    write_table(
        f"precision_{torch.device(device).type}",
        f"bf16 beside float32: {data}, {epochs} epochs, n = {seeds} pairs",
        ("network", "method", "split", "metric", *PRECISIONS, "difference [95 %]"),
        rows,
        output,
        note="Means over seeds; the difference is bf16 − float32 of one seed, with its t interval. "
        "Evaluation is in float32 for both.",
        device=torch.device(device),
    )


if __name__ == "__main__":
    typer.run(precision)
