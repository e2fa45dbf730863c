"""What the benchmarks share: fair clocks, peak memory, and dated tables."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from mcmi_core.data import Dataset, Split
from mcmi_core.runs import provenance

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")


def seconds(work: Callable[[], object], device: torch.device = CPU) -> float:
    """Wall seconds that a call takes, including what it leaves a GPU to do."""
    _synchronise(device)
    started = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - started


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_seconds(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The fewest seconds that each contestant reports in some rounds.

    All take turns in every round, so that what else the machine does hits all alike; the best
    round is the one that was disturbed least.
    """
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, run in contestants.items():
            best[name] = min(best[name], run())
    return best


def random_images(number: int, classes: int, image_size: int = 32) -> Dataset:
    """Random images with random labels: speed does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    shape = number, 3, image_size, image_size
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(number) % classes)
    names = tuple(map(str, range(classes)))
    half = (0.5, 0.5, 0.5)
    return Dataset("random", split, split, names, mean=half, std=half, augmentation="crop_flip")


def peak_megabytes(
    work: Callable[..., object], *arguments: object, device: torch.device = CPU
) -> float:
    """How far the memory of a fresh process grows while it does some work, in MB.

    On a GPU it is the most that torch allocates there. The process is forked by a server that has
    imported torch and all else, so imports do not count.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mcmi_core.runs.trainer", "torchvision"])
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_grow, args=(sending, device, work, *arguments))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    finally:
        process.join()


def _grow(pipe, device: torch.device, work: Callable[..., object], *arguments: object) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(*arguments)
    if device.type == "cuda":
        pipe.send(torch.cuda.max_memory_allocated(device) / 1e6)
        return
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def write_table(
    name: str,
    title: str,
    columns: tuple[str, ...],
    rows: list[tuple],
    folder: Path = RESULTS,
    *,
    note: str = "",
    device: torch.device = CPU,
) -> None:
    """Print a table and keep it as ``NAME.md``, with date, hardware, threads, commit and a note."""
    about = provenance.describe(device)
    rule = ["---", *["---:"] * (len(columns) - 1)]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (columns, rule, *rows)]
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = (
        f"# {title}\n\n{stamp}, {about['hardware']}, {about['threads']} threads, "
        f"torch {about['torch']}, commit {about['commit']}\n\n" + "\n".join(lines) + f"\n\n{note}\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
