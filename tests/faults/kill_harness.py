"""Kill a running sweep at random moments, go on, and compare with one that was left in peace.

    python tests/faults/kill_harness.py --kills 50 --seed 0

A kill (SIGKILL) takes the driver with its workers, the driver alone, or one worker. Most are aimed
at a kind of run that none has hit yet, at a random moment of it; the others come at any time. When
a sweep is over, the next one begins, until there were enough. Then two drivers make the same sweep
at once, and one of them is hit.

Proven of every run: same metrics, history, result and weights, bit for bit; trained once, but for
the epoch that a kill interrupted; no file left behind; no record that changed once it was there.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PATHS = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests/faults")]
sys.path[:0] = [path for path in PATHS if path not in sys.path]

from kill_log import Attempt, Event, Log, is_dead_soon  # noqa: E402
from killed_sweep import KINDS, OF_FOLDER, REMEMBERING, SWEEP, draw_pets  # noqa: E402
from sweep_driver import Driver  # noqa: E402
from sweep_result import Peaceful, size_of_logits  # noqa: E402

KIND_OF = {run.id: kind for kind, runs in KINDS.items() for run in runs}
CHECKPOINT, RESULT = "half a checkpoint", "half a result"
LOGITS, IMAGES = "half the logits", "half the images"
MOMENTS = (CHECKPOINT, RESULT, LOGITS, IMAGES)
"""Files that were just being written, beside kinds of runs."""
TO_HIT = {*KINDS, *MOMENTS}
ANY_TIME = "any time"

WHO = {"worker": 3, "driver": 1, "all": 1}
"""Who is killed, and how often."""
MOST = 3
"""Times as many kills as asked for, at which kinds that none has hit count as impossible to hit."""
PATIENCE = 180
"""Seconds without a line in the log after which a sweep is said to be stuck."""


@dataclass
class Sweep:
    """A sweep under way: its files, and what was seen of them."""

    folder: Path
    patience: float = PATIENCE
    worker_kills: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.root, self.log = self.folder / "store", Log(self.folder / "log")
        self.last_event = time.monotonic()

    def events(self, *drivers: Driver) -> list[Event]:
        """What happened since the last time.

        Raises:
            AssertionError: what must not happen, or nothing for a long time.
        """
        events = self.log.new_events()
        now = time.monotonic()
        if events:
            self.last_event = now
        elif now - self.last_event > self.patience:
            raise AssertionError(f"nothing happens any more: {[d.printed() for d in drivers]}")
        failures = self.log.failures
        assert len(failures) <= self.worker_kills, f"failed without a kill: {failures[-1]}"
        return events


@dataclass
class Harness:
    """Sweeps that are killed, and the one that was left in peace.

    Args:
        folder: for all files.
        seed: of the moments.
    """

    folder: Path
    seed: int
    hits: Counter[str] = field(default_factory=Counter)
    """Kills by what they hit: kinds of runs, and files being written."""
    who: Counter[str] = field(default_factory=Counter)
    epochs_again: int = 0
    failures: list[str] = field(default_factory=list)
    """Messages of sweeps that failed when a worker was killed; they went on when asked again."""
    sweeps: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.kills = 0
        draw_pets(self.folder / "data")
        self.cache = self.folder / "cache"
        self.drivers = [Driver(self.folder, PATHS)]

    def _start(self, sweep: Sweep) -> Driver:
        """Let the driver that is ready begin, and get the next one ready."""
        driver = self.drivers[-1]
        self.drivers.append(Driver(self.folder, PATHS))
        driver.go(sweep.root, sweep.log.path)
        sweep.last_event = time.monotonic()
        return driver

    def _new_sweep(self) -> Sweep:
        self.sweeps += 1
        shutil.rmtree(self.cache, ignore_errors=True)
        return Sweep(self.folder / f"sweep-{self.sweeps}")

    def leave_in_peace(self) -> None:
        """Make the sweep to compare with, and measure how long its runs take."""
        sweep = self._new_sweep()
        driver = self._start(sweep)
        while driver.is_at_work():
            sweep.events(driver)
            time.sleep(0.05)
        self._take_leave(driver, sweep)
        self.peaceful = Peaceful(SWEEP, sweep.root, self.cache)
        assert self.peaceful.statuses == {"done", "collapsed", "incompatible"}
        attempts = {run: attempts[0] for run, attempts in sweep.log.attempts.items()}
        self.seconds = {run: a.unlocked - a.locked for run, a in attempts.items()}
        self.length = max(a.unlocked for a in attempts.values()) - min(
            a.locked for a in attempts.values()
        )

    def kill_sweeps(self, number: int) -> None:
        """Kill at least so often, and until everything was hit if there are kills enough for it."""
        while self._wants_more(number):
            sweep = self._new_sweep()
            seen: dict[str, tuple[int, int]] = {}
            driver = self._start(sweep)
            while driver.is_at_work():
                if not self._wants_more(number):
                    sweep.events(driver)
                    time.sleep(0.01)
                elif moment := self._moment(driver, sweep):
                    aim, run = moment
                    if self._kill(driver, sweep, aim, run) != "worker":
                        driver = self._start(sweep)
                    self.peaceful.check_files_that_are_there(sweep.root, seen)
            self._take_leave(driver, sweep)
            self._check(sweep, seen)

    def _wants_more(self, number: int) -> bool:
        missed = TO_HIT - self.hits.keys()
        assert self.kills < MOST * number, f"no kill hits {', '.join(sorted(missed))}"
        return self.kills < number or (number >= len(TO_HIT) and bool(missed))

    def _moment(self, driver: Driver, sweep: Sweep) -> tuple[str, str] | None:
        """Wait for the moment of a kill; what it is aimed at, and the run. None: it is over."""
        wanted = TO_HIT - self.hits.keys()
        any_time, delay = None, self.length  # if nothing that is wanted happens any more
        if not wanted or self.random.random() < 0.15:
            wanted, delay = set(), self.random.uniform(0, self.length / 4)
        while driver.is_at_work():
            for event in sweep.events(driver):
                if event.what == "locked":
                    any_time = any_time or time.monotonic() + delay
                if aim := self._aim(event, wanted):
                    window = {CHECKPOINT: 0.01, RESULT: 0.03}.get(aim, self.seconds[event.run])
                    time.sleep(self.random.uniform(0, window))
                    return aim, event.run
            if LOGITS in wanted and self._are_logits_half_written(sweep):
                return LOGITS, REMEMBERING.id
            if IMAGES in wanted and self._are_images_half_written():
                return IMAGES, OF_FOLDER.id
            if any_time and time.monotonic() > any_time and sweep.log.open_attempts():
                return ANY_TIME, ""
            time.sleep(0.001)
        return None

    def _aim(self, event: Event, wanted: set[str]) -> str | None:
        """What to aim at, now that this has happened."""
        if event.what == "locked" and KIND_OF[event.run] in wanted:
            return KIND_OF[event.run]
        files = {"trained": CHECKPOINT, "finishing": RESULT}.get(event.what)
        return files if files in wanted and self.random.random() < 0.2 else None

    def _kill(self, driver: Driver, sweep: Sweep, aim: str, run: str) -> str:
        """Kill somebody; who it was."""
        self._count_dead(sweep)  # those that have ended since, because of the kill before
        at_work = {r: a for r, a in sweep.log.open_attempts() if driver.owns(a.process)}
        who = self._choose_who(aim, at_work)
        candidates = [at_work[run]] if run in at_work else [*at_work.values()]
        victim = self.random.choice(candidates).process if candidates else 0
        self.kills += 1
        self.who[who] += 1
        sweep.log.kills = self.kills
        sweep.worker_kills += who == "worker"
        driver.kill(who, victim)
        self._wait_for_the_dead(who, victim, at_work)
        found = self._count_dead(sweep)
        print(f"{self.kills:4}  {who:6}  {aim:21}  {found or 'nothing'}", flush=True)
        return who

    def _choose_who(self, aim: str, at_work: dict[str, Attempt]) -> str:
        if not at_work:
            return "all"
        # Workers outlive their driver for longer than it takes to write a file.
        possible = [who for who in WHO if who != "driver" or aim not in MOMENTS]
        return self.random.choices(possible, [WHO[who] for who in possible])[0]

    def _count_dead(self, sweep: Sweep) -> str:
        """Count what the last kill has hit, as far as it was not counted yet; in words."""
        hit = sweep.log.bury()
        if not hit:
            return ""
        files = self._half_written(sweep, hit)
        self.hits.update({KIND_OF[name] for name, _ in hit} | files)
        where = [f"{KIND_OF[name]}: {attempt}" for name, attempt in hit]
        return ", ".join(where + sorted(files))

    def _wait_for_the_dead(self, who: str, victim: int, at_work: dict[str, Attempt]) -> None:
        """Workers whose driver was killed end by themselves."""
        if who == "worker":
            assert is_dead_soon(victim)
            time.sleep(0.1)  # in which other workers may be told to end
        else:
            for run, attempt in at_work.items():
                assert is_dead_soon(attempt.process), f"a worker outlives its driver, at {run}"

    def _half_written(self, sweep: Sweep, hit: list[tuple[str, Attempt]]) -> set[str]:
        """Which files a kill has left unfinished."""
        found = set()
        for run, attempt in hit:
            if attempt.trained > attempt.kept or list((sweep.root / run).glob(".checkpoint*")):
                found.add(CHECKPOINT)
            if attempt.finishing:
                found.add(RESULT)
            if run == REMEMBERING.id and self._are_logits_half_written(sweep):
                found.add(LOGITS)
            if run == OF_FOLDER.id and self._are_images_half_written():
                found.add(IMAGES)
        return found

    def _are_logits_half_written(self, sweep: Sweep) -> bool:
        sizes = [file.stat().st_size for file in (sweep.root / OF_FOLDER.id).glob("logits*float32")]
        return any(0 < size < size_of_logits() for size in sizes)

    def _are_images_half_written(self) -> bool:
        pixels = (self.cache / "imagefolder").glob("*.train")
        return any(not file.with_suffix(".safetensors").exists() for file in pixels)

    def two_at_once(self, times: int) -> None:
        """Let two drivers make the same sweep, and kill one of them, or one of its workers."""
        for _ in range(times):
            sweep = self._new_sweep()
            first, second = self._start(sweep), self._start(sweep)
            while not sweep.events(first, second):
                time.sleep(0.001)
            time.sleep(self.random.uniform(0, self.length / 2))
            assert first.is_at_work()
            self._kill(first, sweep, "one of two drivers", "")
            while second.is_at_work() or first.is_at_work():
                sweep.events(first, second)
                time.sleep(0.01)
            self._take_leave(second, sweep)
            self._check(sweep, {})

    def _take_leave(self, driver: Driver, sweep: Sweep) -> None:
        code = driver.process.wait()
        sweep.events(driver)
        assert code == 0, f"the driver ended with {code}: {driver.printed()}"

    def _check(self, sweep: Sweep, seen: dict[str, tuple[int, int]]) -> None:
        """Require that a sweep that is over came to the same as the one left in peace."""
        self.peaceful.check_files_that_are_there(sweep.root, seen)
        self.peaceful.check_same_files(sweep.root, self.cache)
        for run in SWEEP:
            epochs = self.peaceful.epochs(run)
            self.epochs_again += sweep.log.check_whole(run.id, epochs)
        self.failures += sweep.log.failures

    def close(self) -> None:
        """End all that was started."""
        for driver in self.drivers:
            driver.close()

    def __str__(self) -> str:
        hits = ", ".join(f"{kind} {self.hits[kind]}" for kind in sorted(TO_HIT))
        return (
            f"{self.kills} kills ({', '.join(f'{who} {n}' for who, n in self.who.items())}) of "
            f"{self.sweeps - 1} sweeps of {len(SWEEP)} runs, {self.length:.1f} s each in peace\n"
            f"kills that hit: {hits}\n"
            f"epochs begun again: {self.epochs_again}; runs lost: 0; runs trained twice: 0; "
            f"weights and metrics that differ: 0; sweeps asked again: {len(self.failures)}"
        )


def main(kills: int, seed: int, pairs: int) -> Harness:
    """Do all of it in a folder that is deleted in the end; prints a table and a summary."""
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), seed)
        try:
            harness.leave_in_peace()
            print("kill  who     aimed at               hit")
            harness.kill_sweeps(kills)
            harness.two_at_once(pairs)
        finally:
            harness.close()
    print(harness)
    return harness


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=3, help="sweeps of two drivers at once")
    main(**vars(parser.parse_args()))
