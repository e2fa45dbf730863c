"""Kills workers of a cluster while it trains: is any run lost, or trained twice?

    python tests/faults/cluster_harness.py --rounds 20

In each round, three workers train chains of runs from nothing, and two of them, chosen at random,
are killed at random moments. Then every run must be there, with the weights and metrics that one
process gives without any kill, and no record may ever have been written a second time.
"""

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from distributed import Client, LocalCluster

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_cluster import LOCAL
from small_runs import kd_student, mcmi_teacher, mll_teacher

from mcmi_core.runs.config import Measurement, Run
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store

CPU = torch.device("cpu")
WORKERS = 3
KILLS = 2
SECONDS = 8
"""In which a round kills: about what it takes."""

RUNS: list[Run] = [
    *(kd_student(mcmi_teacher(seed=seed, epochs=40), epochs=40, seed=seed) for seed in range(3)),
    *(kd_student(mll_teacher(), seed=seed, epochs=60) for seed in range(10, 18)),
    Measurement(of=mcmi_teacher(epochs=40), what="temperature_sweep:temperatures=1.0"),
]
"""Chains of four stages, and students that are trained together."""


class Watch(threading.Thread):
    """Looks at a store all the time: which records appear, and whether one appears twice."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True)
        self.store, self.over = store, threading.Event()
        self.written: dict[str, set[int]] = {}
        """Run → files that were its record."""

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(0.01):
            self.look()

    def look(self) -> None:
        """Note the file that each record is now."""
        for path in self.store.root.glob("*/record.json"):
            self.written.setdefault(path.parent.name, set()).add(path.stat().st_ino)


def kill_workers(cluster: LocalCluster, random_numbers: random.Random) -> None:
    """Kill two workers, each at a random moment of the next seconds."""
    moments = sorted(random_numbers.uniform(0, SECONDS) for _ in range(KILLS))
    victims = random_numbers.sample(sorted(cluster.workers), KILLS)
    begun = time.monotonic()
    for moment, victim in zip(moments, victims, strict=True):
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        os.kill(cluster.workers[victim].pid, signal.SIGKILL)


def same_results(store: Store, whole: Store) -> bool:
    """Whether every run ended as it does when nothing is killed, bit for bit."""
    for run in {link.key: link for asked in RUNS for link in asked.chain()}.values():
        record, other = store.record(run), whole.record(run)
        if record is None or record.metrics != other.metrics or record.result != other.result:
            return False
        if run.epochs:
            weights, others = store.weights(run), whole.weights(run)
            if not all(torch.equal(weights[name], others[name]) for name in others):
                return False
    return True


def one_round(store: Store, random_numbers: random.Random) -> Watch:
    """Train everything on a new cluster, and kill two of its workers meanwhile.

    New, since Dask does not always replace a worker that is killed just as it starts.
    """
    watch = Watch(store)
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, **LOCAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        killer = threading.Thread(target=kill_workers, args=(cluster, random_numbers))
        watch.start()
        killer.start()
        execute(RUNS, store, device=CPU, cluster=client)
        killer.join()
        watch.over.set()
        watch.join()
    watch.look()
    return watch


def main(rounds: int, seed: int) -> int:
    """Do some rounds, and say what became of each; the number of rounds that went wrong."""
    random_numbers, wrong = random.Random(seed), 0
    logging.getLogger("distributed").setLevel(logging.ERROR)  # it warns of what is done on purpose
    with tempfile.TemporaryDirectory() as folder:
        whole = Store(Path(folder) / "whole")
        execute(RUNS, whole, workers=1, device=CPU)
        number = len(whole.find())
        for turn in range(1, rounds + 1):
            store = Store(Path(folder) / f"round {turn}")
            watch = one_round(store, random_numbers)
            twice = [run for run, files in watch.written.items() if len(files) > 1]
            lost = number - len(store.find())
            same = same_results(store, whole)
            wrong += bool(lost or twice or not same)
            print(
                f"round {turn}: {KILLS} workers killed, {number} runs, {lost} lost, "
                f"{len(twice)} trained twice, results {'the same' if same else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{rounds * KILLS} workers killed in {rounds} rounds; {wrong} rounds went wrong")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(main(arguments.rounds, arguments.seed) > 0)
