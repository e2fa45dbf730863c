"""How well many workers are kept busy: the real queue, with a simulated clock.

    python benchmarks/schedule.py --help

Whole graphs of runs go through `mcmi_core/runs/queue.py` as a driver sends them through it: a free
worker gets the next group, and a run starts when the one that it builds on is done. Only the
training is left out: a run takes as long as its record says, or as measured images/s say.
"""

import heapq
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from _durations import FLOOR, computed, gain_on_h200, on_h200, recorded
from _measure import RESULTS, write_table
from _storage import FILES_OF_A_RUN, storage_row

from mcmi_core.base.paths import PROJECT
from mcmi_core.experiments.comparison import Comparison
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.profiles.paper import PAPER
from mcmi_core.runs.config import UNTREATED, Run, Student
from mcmi_core.runs.execute import STREAMS
from mcmi_core.runs.failures import Outcome
from mcmi_core.runs.order import LongestFirst
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.records import read_records
from mcmi_core.runs.stacking import axis, side_by_side
from mcmi_core.runs.store import Store
from mcmi_core.training.stacked import MOST_TOGETHER

DAY = 24 * 3600.0
ROUNDS = 5
"""Of which the best counts, where the queue itself is timed."""


class Graph(NamedTuple):
    """Runs that are asked for, how long each takes alone, and which are trained together."""

    name: str
    runs: list[Run]
    """All of them, what they build on included, first things first."""
    seconds: Mapping[str, float]
    """By key, of a run that has its worker to itself."""
    together: int = 1
    """The most runs of a group."""
    common: Callable[[Run], str | None] = axis
    """What runs of a group share."""
    gain: Callable[[int], float] = lambda number: 1.0
    """How many times as fast as one after the other so many runs of a group are."""

    def group_seconds(self, group: tuple[Run, ...]) -> float:
        """Of a worker that trains a group."""
        return sum(self.seconds[run.key] for run in group) / self.gain(len(group))

    def work(self) -> float:
        """Seconds of one worker that is never idle and whose groups are all as large as may be."""
        return sum(self.seconds[run.key] for run in self.runs) / self.gain(self.together)

    def longest_chain(self) -> float:
        """Seconds of the runs that build on each other and take longest, each alone."""
        until = {}
        for run in self.runs:
            before = until[run.parent.key] if run.parent else 0.0
            until[run.key] = before + self.seconds[run.key]
        return max(until.values())

    def bound(self, workers: int) -> float:
        """Seconds that no order beats: all workers busy, or the longest chain."""
        return max(self.work() / workers, self.longest_chain())


class Kills(NamedTuple):
    """Workers that are killed at random, and go on after the last checkpoint."""

    per_day: float
    """Of each worker, on average."""
    restart: float
    """Seconds until a killed worker trains again."""
    seed: int = 0

    def stretch(self, seconds: float, epochs: int, generator: random.Random) -> float:
        """How long a run takes that loses the epoch under way at every kill."""
        epoch = seconds / max(1, epochs)
        spent = done = 0.0
        while (until_kill := generator.expovariate(self.per_day / DAY)) < seconds - done:
            spent += until_kill + self.restart
            done += until_kill - (done + until_kill) % epoch
        return spent + seconds - done


def simulate(graph: Graph, workers: int, kills: Kills | None = None) -> float:
    """Seconds until the last run of a graph is done.

    Args:
        graph: what is to do.
        workers: that train one group at a time each.
        kills: None: nothing is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        queue = Queue(graph.runs, Store(Path(folder)), graph.together, graph.common)
    generator = random.Random(kills.seed if kills else 0)
    now, under_way, started, order = 0.0, [], 0, LongestFirst(queue)
    while queue.waiting or under_way:
        for group in order.sort(queue.groups(workers))[: workers - len(under_way)]:
            queue.start(group)
            seconds = graph.group_seconds(group)
            if kills:
                seconds = kills.stretch(seconds, group[0].epochs, generator)
            started += 1
            heapq.heappush(under_way, (now + seconds, started, group))
        now, _, group = heapq.heappop(under_way)
        _finish(queue, group)
        for run in group:
            order.learn(run, graph.seconds[run.key] / run.epochs if run.epochs else None)
    return now


def _finish(queue: Queue, group: tuple[Run, ...]) -> None:
    queue.finish(group, [Outcome(run.key, usable=True) for run in group])


def with_chains(runs: list[Run]) -> list[Run]:
    """Runs and all that they build on, each once, first things first."""
    return list({link.key: link for run in runs for link in run.chain()}.values())


def papers_table(seeds: tuple[int, ...] | None = None) -> list[Run]:
    """Table 1 as the paper has it: students of MLL and of MCMI in its eleven frameworks.

    The profile has more: students of the control, four further frameworks, students from scratch.
    """
    whole = _paper("06_cifar100_distillation")
    students = (run for run in replace(whole, seeds=seeds or whole.seeds).runs())
    return with_chains(
        [
            run
            for run in students
            if isinstance(run, Student)
            and run.distiller.name in FRAMEWORKS
            and run.label != UNTREATED
        ]
    )


def _paper(name: str) -> Comparison:
    [experiment] = PAPER.named(name)
    return experiment


def graphs() -> list[Graph]:
    """All that the table shows."""
    table, whole, imagenet = (
        papers_table(),
        with_chains(_paper("06_cifar100_distillation").runs()),
        with_chains(_paper("07_imagenet_distillation").runs()),
    )
    in_float32, in_bf16 = on_h200("graph float32"), on_h200("graph bf16")
    on_card = {"together": STREAMS, "common": side_by_side}
    side = on_card | {"gain": gain_on_h200}
    recorded_alone = {"gpu": gain_on_h200(12) / 12, "cpu": 1.0}  # of 12 lanes, or of one core
    shown = [
        Graph("Table 1, bf16", table, computed(table, in_bf16), **side),
        Graph("Table 1, float32", table, computed(table, in_float32), **on_card),
        Graph("`paper` 06, float32", whole, computed(whole, in_float32), **on_card),
        Graph("`paper` 07 (ImageNet), floor", imagenet, computed(imagenet, FLOOR)),
    ]
    for profile, setting in {"gpu": side, "cpu": {"together": MOST_TOGETHER}}.items():
        records, _ = read_records(sorted((PROJECT / "records" / profile).glob("*.json")))
        runs = with_chains([record.parsed_run for record in records])
        seconds = {k: s * recorded_alone[profile] for k, s in recorded(records).items()}
        shown.append(Graph(f"records of `{profile}`", runs, seconds, **setting))
    return shown


def rows_of(graph: Graph, workers: list[int], kills: Kills) -> list[tuple]:
    """A row for each number of workers."""
    rows = []
    for number in workers:
        took, disturbed = (simulate(graph, number, each) for each in (None, kills))
        busy = graph.work() / number
        efficiencies = (busy / seconds for seconds in (graph.bound(number), took, disturbed))
        hours = (graph.work(), graph.longest_chain(), graph.bound(number), took)
        rows.append(
            (
                graph.name,
                f"{len(graph.runs):,}",
                number,
                *(f"{seconds / 3600:,.2f}" for seconds in hours),
                *(f"{100 * share:.1f}" for share in efficiencies),
            )
        )
    return rows


def driver_row(runs: list[Run]) -> tuple:
    """What the queue itself costs for so many runs, at the moment when most can start."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        queue = Queue(runs, Store(Path(folder)))
        order = LongestFirst(queue)
        made = time.process_time() - begun
    while groups := [group for group in queue.groups(64) if not isinstance(group[0], Student)]:
        for group in groups:
            queue.start(group)
            _finish(queue, group)
            order.learn(group[0], 1.0)
    order.sort(queue.groups(64))  # finds out of what kind each run is, once
    asked, finished = [], []
    for _ in range(ROUNDS):
        begun = time.process_time()
        [group, *_] = order.sort(queue.groups(64))
        asked.append(time.process_time() - begun)
        queue.start(group)
        begun = time.process_time()
        _finish(queue, group)
        order.learn(group[0], 1.0)
        order.sort([group])  # the chains anew, as after each run that is done
        finished.append(time.process_time() - begun)
    times = f"{made:.2f}", f"{1000 * min(asked):.1f}", f"{1000 * min(finished):.1f}"
    return f"{len(runs):,}", *times


def schedule(
    workers: Annotated[str, typer.Option(help="Numbers of workers.")] = "1,8,64,256",
    kills_per_day: Annotated[float, typer.Option(help="Of each worker, on average.")] = 1.0,
    restart: Annotated[float, typer.Option(help="Seconds a killed worker is away.")] = 60.0,
    only: Annotated[str, typer.Option(help="Graphs whose names contain this.")] = "",
    output: Path = RESULTS,
) -> None:
    """Simulate, and write schedule.md, schedule_driver.md and schedule_storage.md."""
    numbers = [int(number) for number in workers.split(",")]
    kills = Kills(kills_per_day, restart)
    rows = [row for g in graphs() if only in g.name for row in rows_of(g, numbers, kills)]
    columns = ("graph", "runs", "workers", "work, h", "longest chain, h", "bound, h")
    columns += ("makespan, h", "best possible, %", "efficiency, %", "with kills, %")
    write_table(
        "schedule",
        "The queue's schedule of whole graphs of runs, by a simulated clock",
        columns,
        rows,
        output,
        note=NOTE.format(
            kills=kills_per_day, restart=restart, streams=STREAMS, gain=gain_on_h200(STREAMS)
        ),
    )
    time_the_driver(output)
    count_the_storage(output)


def time_the_driver(output: Path = RESULTS) -> None:
    """Write schedule_driver.md."""
    write_table(
        "schedule_driver",
        "What the queue itself costs a driver",
        ("runs", "Queue(), s", "groups(), ms", "finish(), ms"),
        [driver_row(runs) for runs in (papers_table(), papers_table(tuple(range(48))))],
        output,
        note="Table 1 with 5 and with 48 seeds, when all students can start. A driver calls "
        "groups(), which it puts in order, five times a second; and finish(), after which it "
        "learns how long runs take, once for each run. Processor time, best of "
        f"{ROUNDS} rounds.",
    )


def count_the_storage(output: Path = RESULTS) -> None:
    """Write schedule_storage.md."""
    shown = {
        "Table 1": papers_table(),
        "`paper` 06": with_chains(_paper("06_cifar100_distillation").runs()),
        "`paper` 07 (ImageNet)": with_chains(_paper("07_imagenet_distillation").runs()),
    }
    columns = ("graph", "runs", "files", "weights, GB", "largest checkpoint, MB", "records, MB")
    write_table(
        "schedule_storage",
        "What whole graphs of runs leave on the disk",
        (*columns, "teachers' logits, GB", "decoded images, GB"),
        [storage_row(name, runs) for name, runs in shown.items()],
        output,
        note=f"Computed from networks and formulas. Files: {FILES_OF_A_RUN} for each run, in a "
        "folder of its own, and logits with checksums and a lock. A checkpoint, one for each run "
        "under way, is twice the weights (CRD: and its memory). Records: as the largest of a "
        "training in records/gpu. Logits: teachers · 4 · V · N · C bytes, for each kind of device "
        "(CPU, CUDA) that asks; no more than half of the free disk, then the oldest are computed "
        "again.",
    )


NOTE = """\
Simulated, not trained. Work: hours of one worker that is never idle. Bound: work / workers or the
longest chain, whichever is more. Efficiency: work / (workers · makespan); best possible: work /
(workers · bound). With kills: {kills:g} a worker and day, each costs the epoch under way and
{restart:g} s.

- Table 1: 13 pairs, 11 frameworks, 5 seeds, students of MLL and of MCMI, with their teachers and
  heads; `paper` 06 has students of the control, 4 more frameworks and students from scratch too.
- Their hours are an estimate for an H200 from training_step_cuda.md. Measured there are MLL of
  ResNet-56 and KD from it to ResNet-20. Assumed is that all other networks get as many bytes a
  second through the card's memory (floor.py), that CRD and ReviewKD take as much longer than KD as
  on a CPU (training_step_cpu.md), and the other frameworks as long as KD. Evaluations are counted.
- What the longest chain waits for starts first. How long that takes is learnt from runs that are
  done in the simulation: of the same kind, else with the same networks and data, else the slowest.
- A worker is a GPU that trains up to {streams} runs of a kind side by side. What that gains is
  measured in bf16 only ({gain:.1f} times the images/s of one). In float32, the precision of
  `paper`, it is taken to gain nothing. The longest chain has its GPU to itself.
- ImageNet was never trained on a GPU here. Its hours are the floor, bf16 at 4.3 TB/s: no H200 can
  need less. One run a GPU, as the profile says. The efficiency does not depend on the rate.
- Records: seconds as recorded, those of `gpu` by 12 lanes of an H200, converted by the same gain;
  `cpu`: a worker is a core, a stacked student takes its share. What trains nothing records no time,
  and counts 1 s."""


if __name__ == "__main__":
    typer.run(schedule)
