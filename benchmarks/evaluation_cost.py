"""What looking costs: evaluation beside training, and an MCMI step beside an MLL step.

python benchmarks/evaluation_cost.py --help
"""

from pathlib import Path

import torch
import typer
from _measure import RESULTS, best_seconds, random_images, seconds, write_table

from mcmi_core.base.device import place
from mcmi_core.components import OBJECTIVES
from mcmi_core.data import Dataset, load_dataset
from mcmi_core.data.loader import training_batches
from mcmi_core.measures.evaluation import evaluate, predict_logits
from mcmi_core.models import create_model
from mcmi_core.runs.trainer import GLANCED_SAMPLES
from mcmi_core.training.loop import Steps, train_steps
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import Trainee

CPU = torch.device("cpu")
CRITERIA = {"mll": "mll", "mcmi": "mcmi:lam=0.2,centroids=tracked"}
CIFAR10 = {"train": 50_000, "test": 10_000}
"""Samples of each split."""


def measure(
    dataset: Dataset, model: str, precision: str, batch_size: int, rounds: int
) -> dict[str, float]:
    """Seconds of an epoch by MLL and by MCMI, of a forward pass and of an evaluation of it."""
    size = {
        "num_classes": dataset.num_classes,
        "in_channels": dataset.in_channels,
        "image_size": dataset.image_size,
    }
    split = dataset.train

    def epoch(trainee: Trainee) -> float:
        trainee.model.train()
        plan = training_batches(
            dataset,
            split,
            batch_size=batch_size,
            epoch_length=len(split),
            seed=0,
            epoch=0,
            device=CPU,
        )
        request = Steps(0, trainee, plan, range(len(plan)))
        return seconds(lambda: train_steps(request))

    contestants = {}
    for name, objective in CRITERIA.items():
        torch.manual_seed(0)
        network = place(create_model(model, **size), CPU)
        criterion = OBJECTIVES.build(objective, num_classes=dataset.num_classes)
        trainee = Trainee(network, criterion, Recipe(learning_rate=1e-3, precision=precision))
        contestants[name] = lambda trainee=trainee: epoch(trainee)
    contestants["forward"] = lambda: seconds(lambda: predict_logits(network, dataset, split, CPU))
    contestants["evaluate"] = lambda: seconds(lambda: evaluate(network, dataset, split, CPU))
    return best_seconds(contestants, rounds)


def evaluation_cost(
    images: int = 512,
    image_size: int = 32,
    batch_size: int = 64,
    rounds: int = 3,
    threads: int = 2,
    output: Path = RESULTS,
) -> None:
    """Measure and write evaluation_cost.md, for vectors, for digits and for 32x32 images."""
    torch.set_num_threads(threads)
    photographs = random_images(images, 100, image_size)
    of_photographs = f"{image_size}x{image_size}, 100 classes, resnet20"
    settings = {
        "oracle, mlp:width=512": (load_dataset("oracle"), "mlp:width=512", "float32"),
        "digits, resnet8": (load_dataset("digits"), "resnet8", "float32"),
        of_photographs: (photographs, "resnet20", "float32"),
        f"{of_photographs}, bf16": (photographs, "resnet20", "bf16"),
    }
    rows = []
    for name, (dataset, model, precision) in settings.items():
        spent = measure(dataset, model, precision, batch_size, rounds)
        epoch = spent["mll"]
        metrics = max(spent["evaluate"] - spent["forward"], 0.0)
        looked_at = min(CIFAR10["train"], GLANCED_SAMPLES) + CIFAR10["test"]
        both = spent["evaluate"] / epoch * looked_at / CIFAR10["train"]
        rows.append(
            (
                name,
                len(dataset.train),
                f"{epoch:.3f}",
                f"{100 * spent['evaluate'] / epoch:.0f} %",
                f"{100 * metrics / epoch:.1f} %",
                f"{100 * both:.0f} %" if dataset is photographs else "",
                f"{spent['mcmi'] / epoch:.2f}",
            )
        )
    write_table(
        "evaluation_cost",
        "Evaluation and MCMI, as shares of an MLL epoch",
        (
            "setting",
            "samples",
            "MLL epoch, s",
            "evaluation",
            "of it metrics",
            "both splits of CIFAR-10",
            "MCMI / MLL",
        ),
        rows,
        output,
        note=f"Batch {batch_size}; best of {rounds} rounds in turn. Evaluation: accuracy, LL, CMI "
        "and entropy (BCPD error where known) of the training split, in float32; metrics: what it "
        f"takes beyond the forward pass. Both splits: between epochs, {GLANCED_SAMPLES:,} training "
        "and all 10,000 test images are looked at, as a share of an epoch of 50,000.",
    )


if __name__ == "__main__":
    typer.run(evaluation_cost)
