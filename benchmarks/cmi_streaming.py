"""CMI of many outputs: the streaming metric beside holding all outputs, in time and memory.

python benchmarks/cmi_streaming.py --help
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from _measure import RESULTS, best_seconds, peak_megabytes, seconds, write_table
from torch import Tensor

from mcmi_core.cmi import ConditionalMutualInformation, conditional_mutual_information


def outputs(samples: int, classes: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of random logits (N, C) that lean to their labels (N,), as a network makes them."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, samples, batch_size):
        labels = torch.arange(start, min(start + batch_size, samples)) % classes
        logits = torch.randn(len(labels), classes, generator=generator)
        yield logits.scatter_add(1, labels[:, None], torch.full((len(labels), 1), 5.0)), labels


def streaming(samples: int, classes: int, batch_size: int) -> float:
    """CMI in nats, each batch seen once and forgotten."""
    metric = ConditionalMutualInformation(classes)
    for logits, labels in outputs(samples, classes, batch_size):
        metric.update(logits, labels)
    return metric.compute().item()


def materialised(samples: int, classes: int, batch_size: int) -> float:
    """CMI in nats from the outputs of all samples at once."""
    logits, labels = zip(*outputs(samples, classes, batch_size), strict=True)
    probs = torch.cat(logits).double().softmax(dim=1)
    return conditional_mutual_information(probs, torch.cat(labels)).item()


METHODS = {"streaming": streaming, "materialised": materialised}


def cmi_streaming(
    samples: Annotated[
        str, typer.Option(help="How many, separated by commas.")
    ] = "5000,10000,20000",
    classes: int = 1000,
    batch_size: int = 512,
    rounds: int = 2,
    threads: int = 2,
    memory: Annotated[bool, typer.Option(help="Also peak memory.")] = True,
    output: Path = RESULTS,
) -> None:
    """Measure and write cmi_streaming.md: seconds and peak memory for growing sample numbers."""
    torch.set_num_threads(threads)
    rows = []
    for number in map(int, samples.split(",")):
        setting = (number, classes, batch_size)
        values = {name: method(*setting) for name, method in METHODS.items()}
        best = best_seconds(
            {name: partial(seconds, partial(method, *setting)) for name, method in METHODS.items()},
            rounds,
        )
        for name, method in METHODS.items():
            peak = f"{peak_megabytes(method, *setting):.0f}" if memory else ""
            rows.append((number, name, f"{best[name]:.2f}", peak, f"{values[name]:.9f}"))
    write_table(
        "cmi_streaming",
        f"CMI at {classes} classes",
        ("samples", "method", "seconds", "peak MB", "CMI, nats"),
        rows,
        output,
        note=f"Best of {rounds} rounds in turn; making the outputs is part of both. Peak: growth "
        "of a fresh process.",
    )


if __name__ == "__main__":
    typer.run(cmi_streaming)
