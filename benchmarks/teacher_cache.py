"""What a student gains when its teacher's logits on all variants of its images are remembered.

    python benchmarks/teacher_cache.py --help

KD with the teacher running in every step takes turns with KD that looks its logits up, and with
what comes before the latter: the teacher's forward passes on one variant of every image.
"""

from pathlib import Path

import torch
import typer
from _loops import CLASSES, CPU, Ours
from _measure import RESULTS, best_seconds, random_images, seconds, write_table

from mcmi_core.data.augmentation import num_variants
from mcmi_core.measures.evaluation import predict_logits

STUDENTS = (1, 5, 22)
"""Of one teacher."""


def teacher_cache(
    student: str = "resnet20",
    teacher: str = "resnet56",
    batch_size: int = 64,
    images: int = 512,
    image_size: int = 32,
    steps: int = 4,
    rounds: int = 5,
    threads: int = 2,
    output: Path = RESULTS,
) -> None:
    """Measure and write teacher_cache.md: the best of some rounds of some steps."""
    torch.set_num_threads(threads)
    dataset = random_images(images, CLASSES, image_size)
    variants = num_variants(dataset.augmentation, image_size)
    live, remembering = (
        Ours("kd", dataset, batch_size, student=student, teacher=teacher) for _ in range(2)
    )
    # Speed does not depend on what they say; to compute them all would take minutes.
    remembering.trainees[0].criterion.remember(torch.randn(variants, images, CLASSES))
    network = live.trainees[0].criterion.teacher
    for training in (live, remembering):
        training.run(1)  # the first step allocates
    spent = best_seconds(
        {
            "live": lambda: live.run(steps),
            "remembering": lambda: remembering.run(steps),
            "fill": lambda: seconds(
                lambda: predict_logits(network, dataset, dataset.train, CPU, 0)
            ),
        },
        rounds,
    )
    trained = steps * batch_size
    fill = spent["fill"] / images
    saved = (spent["live"] - spent["remembering"]) / trained
    rows = [
        ("KD, teacher running, images/s", f"{trained / spent['live']:.0f}"),
        ("KD, logits remembered, images/s", f"{trained / spent['remembering']:.0f}"),
        ("to fill, ms per image and variant", f"{1000 * fill:.3f}"),
        ("variants of an image", variants),
    ]
    rows += [
        (f"epochs until it pays, students: {number}", _epochs(variants * fill, number * saved))
        for number in STUDENTS
    ]
    write_table(
        "teacher_cache",
        "A teacher's logits, remembered for every variant of an image",
        ("", ""),
        rows,
        output,
        note=f"{teacher} → {student}, batch {batch_size}, {image_size}x{image_size}, {CLASSES} "
        f"classes; best of {rounds} rounds of {steps} steps, in turn. Epochs until it pays: "
        "variants · time to fill / (students · time saved per image).",
    )


def _epochs(cost: float, saved_per_epoch: float) -> str:
    return f"{cost / saved_per_epoch:.1f}" if saved_per_epoch > 0 else "never"


if __name__ == "__main__":
    typer.run(teacher_cache)
