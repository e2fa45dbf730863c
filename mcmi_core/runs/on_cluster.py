"""Many runs on the workers of a Dask cluster, whatever it runs on: a batch system, SSH, Kubernetes.

Dask says which workers there are and brings them their work; the store, a folder that all of them
share, is the only way by which results and progress come back. A run's lock makes sure that two
workers never train it at once, should Dask give it to a second one because it has lost sight of the
first. The process that asks, a worker and its training may die at any moment: nothing is lost.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, Self

import torch
from tqdm import tqdm

from mcmi_core.base.errors import CompanionError, OutOfTime
from mcmi_core.base.extras import require_extra
from mcmi_core.runs.config import Run
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.preflight import check_answers, held_file, to_check, versions
from mcmi_core.runs.queue import Group, Queue
from mcmi_core.runs.store import Store
from mcmi_core.runs.training_process import ProcessDied, TrainingProcess

require_extra("cluster", "--cluster", "distributed")
from distributed import Client, KilledWorker, get_worker  # noqa: E402

WORKER_SECONDS = 300
"""To wait for the first worker, which a batch system may start only after a while."""

POLL_SECONDS = 0.2
"""Between looks at what workers there are, and at what they answered."""

ANSWER_SECONDS = 10
"""To fetch an answer that a worker has given."""

REPORT_SECONDS = 5
"""Between looks at the checkpoints of runs under way."""

CARD = "GPU"
"""The resource that workers announce which have a GPU: ``dask worker --resources GPU=1``."""


class ClusterWorkers:
    """The workers of a cluster that train groups of runs; a context manager.

    On entering, every worker is asked whether it could (:mod:`mcmi_core.runs.preflight`), and again
    with every group, as workers may join later. On leaving, what is under way stops within seconds,
    as it does when this process dies.

    Args:
        client: of the cluster.
        queue: what they will train.
        store: where results are kept, at this path for all.
        device: where to train; a GPU needs workers that announce :data:`CARD`.
        deadline: when to stop waiting for workers, in seconds since 1970.

    Raises:
        CompanionError: on entering: there is no such worker, one cannot train, or the scheduler was
            lost.
        OutOfTime: on entering: the deadline came first.
    """

    def __init__(
        self, client: Client, queue: Queue, store: Store, device: torch.device, deadline: float
    ) -> None:
        self._client, self._queue, self._store = client, queue, store
        self._deadline = deadline
        self._check: dict[str, Any] = {"device": device.type, "datasets": []}
        self._needs_card = device.type == "cuda"
        needs = {"resources": {CARD: 1}} if self._needs_card else {}
        # A new name for each task: under that of a run, Dask would return a failed result for ever.
        self._executor = client.get_executor(pure=False, **needs)
        self._under_way: dict[Future, tuple[Group, int]] = {}  # and its epochs left when last seen
        self._next_report = 0.0
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            held = stack.enter_context(held_file(self._store.root.absolute()))
            self._check |= {"held": str(held), "like": versions()}
            datasets = to_check(run.data for run in self._queue.waiting.values())
            answers: dict[str, dict[str, Any]] = {}
            while not answers:  # all that were asked may have died
                self._wait_for_a_worker()
                answers = self._ask_all({"check": self._check | {"datasets": datasets}})
            check_answers(answers)
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=False)
        self._entered.close()

    @property
    def number(self) -> int:
        """Groups at a time: one for each GPU, or for each of the workers' threads."""
        found = self._workers().values()
        if self._needs_card:
            return int(sum(worker["resources"].get(CARD, 0) for worker in found))
        return sum(worker["nthreads"] for worker in found)

    def submit(self, group: Group) -> Future:
        """Let a free worker train a group."""
        runs = [run.model_dump(mode="json") for run in group]
        store = str(self._store.root.absolute())
        future = self._executor.submit(_ask, {"check": self._check, "runs": runs, "store": store})
        self._under_way[future] = group, sum(map(self._store.epochs_left, group))
        return future

    def outcomes(self, future: Future, group: Group) -> list[Outcome]:
        """What became of the runs of a group that is no longer trained.

        Raises:
            CompanionError: the scheduler was lost, or a worker that has joined cannot train.
        """
        del self._under_way[future]
        if future.cancelled():
            raise self._lost()
        try:
            answer = future.result()
        except KilledWorker as error:
            how = f"its worker died, {error.allowed_failures + 1} times in turn (out of memory?)"
            return [self._killed(run, how) for run in group]
        except Exception as error:  # of this worker; kept with its runs, and said at the end
            return [Outcome(run.key, failure=Failure.of(run, error)) for run in group]
        if "died" in answer:
            return [self._killed(run, *answer["died"]) for run in group]
        if answer["problem"]:
            check_answers({answer["worker"]: answer})
        return [
            Outcome(key, usable, failure and Failure.model_validate(failure))
            for key, usable, failure in answer["outcomes"]
        ]

    def report(self, queue: Queue, bar: tqdm) -> None:
        """Put the epochs that were saved since the last time on the bar."""
        if time.monotonic() < self._next_report:
            return
        epochs = 0
        for future, (group, before) in self._under_way.items():
            left = sum(map(self._store.epochs_left, group))
            for _ in range(before - left):
                queue.count_epoch(group[0].key)
            epochs += max(0, before - left)
            self._under_way[future] = group, left
        bar.update(epochs)
        bar.set_postfix_str("" if self.number else "no worker is left", refresh=False)
        self._next_report = time.monotonic() + REPORT_SECONDS

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Those that could train, by address.

        Raises:
            CompanionError: the scheduler was lost.
        """
        workers = self._client.scheduler_info(n_workers=-1).get("workers")
        if workers is None:
            raise self._lost()
        if not self._needs_card:
            return workers
        return {address: w for address, w in workers.items() if w["resources"].get(CARD)}

    def _wait_for_a_worker(self) -> None:
        end = time.monotonic() + WORKER_SECONDS
        while not self._workers():
            if time.monotonic() > end:
                card = f" --resources {CARD}=1" if self._needs_card else ""
                kind = "worker that announces a GPU" if card else "worker"
                raise CompanionError(
                    f"the cluster has no {kind}; start some, with the scheduler's address: "
                    f"dask worker ADDRESS --nthreads 1{card}"
                )
            self._pause()

    def _ask_all(self, question: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The answer of each worker, but for those that die meanwhile."""
        asked = {
            address: self._client.submit(_ask, question, workers=[address], pure=False)
            for address in self._workers()
        }
        waiting = asked
        while waiting:
            self._pause()
            alive = self._workers()
            waiting = {a: future for a, future in asked.items() if a in alive and not future.done()}
        answers = {}
        for address, future in asked.items():
            if future.status == "finished":
                try:
                    answer = future.result(timeout=ANSWER_SECONDS)
                except TimeoutError:  # its worker died with it
                    continue
                died = " ".join(map(str, answer.get("died", ())))
                answers[address] = {"problem": died} if died else answer
            elif future.status == "error":
                answers[address] = {"problem": repr(future.exception())}
        return answers

    def _pause(self) -> None:
        if time.time() >= self._deadline:
            raise OutOfTime(str(self._queue))
        time.sleep(POLL_SECONDS)

    def _lost(self) -> CompanionError:
        return CompanionError(f"lost the cluster's scheduler, {self._queue}; run again to go on")

    def _killed(self, run: Run, how: str, lines: Iterable[str] = ()) -> Outcome:
        left = self._store.epochs_left(run)
        return Outcome(run.key, failure=Failure.of_killed(run, how, left, lines))


_own = threading.local()
"""Of each thread of a worker: the process that trains for it."""


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    """On a worker: what its process answers (:func:`~mcmi_core.runs.training_process.answer`).

    And ``worker``, its address; or ``died``: how the process died, and what it wrote last.
    """
    worker = get_worker()
    task = worker.get_current_task()

    def wanted() -> bool:
        """Whether whoever asked still waits: neither the sweep nor this worker has ended."""
        found = worker.state.tasks.get(task)
        return found is not None and found.state in ("executing", "long-running")

    try:
        answer = _process().ask(question, wanted)
    except ProcessDied as death:
        if not death.was_idle:
            return {"died": (death.how, death.lines)}
        answer = _process().ask(question, wanted)
    if answer is None:
        raise CompanionError("its worker was ending; run again to go on")
    return answer | {"worker": worker.address}


def _process() -> TrainingProcess:
    process = getattr(_own, "process", None)
    if process is None or not process.lives:
        process = _own.process = TrainingProcess()
    return process
