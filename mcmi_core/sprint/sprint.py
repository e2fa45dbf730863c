"""A GPU that is there for minutes: check it, measure it, train on it, pack up, in one command."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch

from mcmi_core.base.errors import CompanionError, OutOfTime, RunsFailed, StoreError
from mcmi_core.base.files import make_folder, write_atomically
from mcmi_core.base.paths import PROJECT, store_root
from mcmi_core.data import load_dataset
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import findings_table
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.config import Measurement, Run
from mcmi_core.runs.execute import STREAMS, execute
from mcmi_core.runs.provenance import describe
from mcmi_core.runs.store import Store
from mcmi_core.sprint.check import check
from mcmi_core.sprint.luggage import pack, unpack
from mcmi_core.sprint.plan import PAIR, SEEDS, decisive, further, wanted
from mcmi_core.training.lanes import Engine

SECONDS_TO_PACK = 15
"""Before the end; what is under way then is packed as checkpoints."""

PACK_EVERY = 60
"""Seconds: a sprint that is killed loses no more than that."""

MEASURE_MINUTES = 2.0
"""At most, and at most a quarter of the sprint."""

SECONDS_TO_MEASURE_LAST = 30
"""Beyond these minutes, for the measurement that is under way then, at most."""

NEARLY = 0.95
"""Of the most images/s: with fewer runs at a time, each is done sooner."""

SPEED = "speed.json"
REPORT = "report.md"


def sprint(
    out: Path,
    minutes: float,
    device: torch.device,
    resume: Path | None = None,
    streams: int = 0,
    *,
    pair: Pair = PAIR,
    seeds: tuple[int, ...] = SEEDS,
    say: Callable[[str], None] = print,
) -> None:
    """Check, measure, train until the time is nearly over; ``out`` holds what comes back.

    Args:
        out: a folder for at most seven files: ``report.md``, ``speed.json`` and what
            :func:`~mcmi_core.sprint.luggage.pack` writes.
        minutes: in all.
        device: a GPU; or the CPU, to rehearse.
        resume: what an earlier sprint left; its measurements are not repeated on the same card.
        streams: runs at a time; 0: what is measured to be fastest.
        pair: networks, data and recipes.
        seeds: of all runs.
        say: told what happens, and when.

    Raises:
        CompanionError: the data is missing, the engine does not agree with the CPU even eagerly,
            or some runs failed; what there is has been packed.
    """
    begun = time.time()
    end = begun + 60 * minutes
    if os.path.lexists(out):
        make_folder(out)  # says so if it is no folder
    store = Store(store_root())

    def tell(text: str) -> None:
        say(f"{time.time() - begun:4.0f} s  {text}")

    tell(_about(device))
    if resume:
        tell(f"{unpack(resume, store)} records and their weights taken over from {resume}")
    load_dataset(pair.data)  # now, not after minutes
    tell("data is there")
    make_folder(out)
    report = {"": f"# Sprint\n\n{_about(device)}\n"}
    checked = check(device)
    report["Check"] = _table(checked)
    _write(report, out)
    engine = _engine(checked)
    tell(f"checked: {checked.agrees.sum()} of {len(checked)} comparisons agree, engine {engine}")
    if not streams:
        streams = _fastest(_speed(out, resume, device, end, report))
        _write(report, out)
        tell(f"measured: {streams} streams")

    chosen, runs = [*decisive(pair, seeds), *further(pair, seeds)], wanted(pair, seeds)
    links = list({link.key: link for run in runs for link in run.chain()}.values())
    failure = None
    with _Packer(links, store, out):
        try:
            deadline = end - SECONDS_TO_PACK
            execute(runs, store, workers=streams, device=device, engine=engine, deadline=deadline)
        except (OutOfTime, RunsFailed) as stopped:
            tell(str(stopped))
            failure = stopped if isinstance(stopped, RunsFailed) else None
    report["Results"] = _results(chosen, store)
    _write(report, out)
    done = sum(store.path(run.id).exists() for run in links)
    tell(f"packed: {done} of {len(links)} runs done")
    if failure:
        raise failure


def _write(report: dict[str, str], out: Path) -> None:
    """What is known so far, a section each."""
    sections = [f"## {title}\n\n{body}" if title else body for title, body in report.items()]
    write_atomically(out / REPORT, "\n".join(sections))


def _about(device: torch.device) -> str:
    about = describe(device)
    return (
        f"{about['date']}, {about['hardware']}, torch {about['torch']}, python {about['python']}, "
        f"commit {about['commit']}"
    )


def _engine(checked: pd.DataFrame) -> Engine:
    """Captured steps, if they do what eager ones do, and eager ones what the CPU does.

    Raises:
        CompanionError: eager steps do not.
    """
    wrong = checked[~checked.agrees]
    eager = wrong[wrong.compared == "eager − CPU"]
    if len(eager):
        apart = [
            f"{row.method} ends {row.distance:.2g} apart, at most {row.tolerance:g}"
            for row in eager.itertuples()
        ]
        raise CompanionError(f"this device does not train as the CPU does: {'; '.join(apart)}")
    return "eager" if len(wrong) else "graph"


def _speed(
    out: Path, resume: Path | None, device: torch.device, end: float, report: dict[str, str]
) -> list[dict]:
    """Rows of benchmarks/training_step.py on this card, measured now or by the sprint before."""
    hardware = describe(device)["hardware"]
    for folder in (resume, out):
        earlier = _earlier_speed(folder, hardware)
        if earlier:
            write_atomically(out / SPEED, json.dumps(earlier, indent=1))
            report["Speed"] = earlier["table"]
            return earlier["rows"]
    minutes = min(MEASURE_MINUTES, (end - time.time()) / 60 / 4)
    with TemporaryDirectory() as folder:
        script = PROJECT / "benchmarks" / "training_step.py"
        command = [sys.executable, script, "--device", device.type, "--minutes", minutes]
        command += ["--output", folder, "--rows-to", f"{folder}/rows.json", "--rounds", 2]
        # On a CPU, to rehearse: the least that makes a table.
        command += (
            ["--steps", 50, "--workers", 8]
            if device.type == "cuda"
            else ["--criteria", "kd", "--steps", 1, "--images", 128, "--image-size", 8]
        )
        # A process of its own: what fails there leaves this one's card as it is.
        try:
            subprocess.run(
                list(map(str, command)),
                check=True,
                capture_output=True,
                text=True,
                timeout=60 * minutes + SECONDS_TO_MEASURE_LAST,
            )
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None)  # in bytes, where the time was over
            reason = said.strip().splitlines()[-1] if isinstance(said, str) and said else error
            report["Speed"] = f"not measured: {reason}\n"
            return []
        rows = json.loads(Path(folder, "rows.json").read_text(encoding="utf-8"))
        [table] = Path(folder).glob("*.md")
        report["Speed"] = table.read_text(encoding="utf-8").removeprefix("# ")
    kept = {"hardware": hardware, "rows": rows, "table": report["Speed"]}
    write_atomically(out / SPEED, json.dumps(kept, indent=1))
    return rows


def _earlier_speed(folder: Path | None, hardware: str) -> dict | None:
    """What a sprint before measured on such a card; None if there is nothing, or it is damaged."""
    try:
        earlier = json.loads((folder / SPEED).read_text(encoding="utf-8")) if folder else {}
        usable = earlier.get("hardware") == hardware and earlier["rows"] and earlier["table"]
        return earlier if usable else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _fastest(rows: list[dict]) -> int:
    """The fewest streams with nearly the most images/s of KD; the usual number if unmeasured."""
    speed = {
        int(row["loop"].split()[0]): row["images/s"]
        for row in rows
        if row["criterion"] == "kd" and row["loop"].endswith(" streams")
    }
    near = [number for number, value in speed.items() if value >= NEARLY * max(speed.values())]
    return min(near, default=STREAMS)


class _Packer:
    """Packs every minute in a thread, and once more at the end."""

    def __init__(self, runs: list[Run], store: Store, out: Path) -> None:
        self.arguments = runs, store, out
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._pack_now_and_then, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        pack(*self.arguments)

    def _pack_now_and_then(self) -> None:
        while not self.over.wait(PACK_EVERY):
            with suppress(StoreError):  # there may be room again in the end, else it is said then
                pack(*self.arguments)


def _results(chosen: list[Experiment], store: Store) -> str:
    """The findings of each experiment, over the seeds whose runs are all there."""
    lab, lines = Lab("sprint", store), []
    for experiment in chosen:
        missing = {_seed(run) for run in experiment.runs() if store.finished(run) is None}
        complete = [seed for seed in experiment.seeds if seed not in missing]
        asked = len(experiment.seeds)
        lines.append(f"### {experiment.figure_name()}, n = {len(complete)} of {asked} seeds\n")
        lines.append(f"```\n{experiment}\n```\n")
        if len(complete) < 2:
            lines.append("too few to compare\n")
            continue
        findings = replace(experiment, seeds=tuple(complete)).findings(lab)
        lines.append(_table(findings_table(findings).drop(columns="profile")))
    return "\n".join(lines)


def _seed(run: Run) -> int:
    return run.of.seed if isinstance(run, Measurement) else run.seed


def _table(table: pd.DataFrame) -> str:
    """As Markdown."""
    rows = [table.columns, ["---"] * len(table.columns), *table.astype(object).to_numpy()]
    cells = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)
