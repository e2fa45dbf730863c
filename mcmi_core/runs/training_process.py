"""A process that trains for one of a cluster's workers.

It keeps a worker answering while a run computes, gives all memory back when it ends, and takes no
worker with it when it dies. It is asked and answers in lines of JSON, and ends when its worker
does: whatever it is doing, the store stays whole.
"""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from mcmi_core.base.terminal import log_lines
from mcmi_core.runs.config import parse_run
from mcmi_core.runs.failures import LAST_LINES

IDLE_SECONDS = 60
"""After which it ends, so that it holds no memory when there is nothing left to do."""

POLL_SECONDS = 0.5
"""Between looks whether its answer is still wanted."""


class ProcessDied(Exception):
    """A training process ended without an answer.

    Args:
        code: its exit code, −9 if signal 9 killed it.
        lines: that it wrote last.
    """

    def __init__(self, code: int, lines: list[str]) -> None:
        self.how = f"its process ended with code {code}"
        if code < 0:
            self.how = f"its process was killed by signal {-code} (out of memory?)"
        super().__init__(self.how)
        self.was_idle = code == 0
        """Whether it had ended by itself, as nobody had asked it for a while."""
        self.lines = lines


class TrainingProcess:
    """The other end: starts the process, asks it, and stops it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        text = {"encoding": "utf-8", "errors": "replace"}  # a library may write anything
        self._process = subprocess.Popen(command, **text, **pipes)
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        readers = (self._read_answers, self._read_errors)
        self._readers = [threading.Thread(target=reader, daemon=True) for reader in readers]
        for reader in self._readers:
            reader.start()

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, question: dict[str, Any], wanted: Callable[[], bool]) -> Any:
        """Its answer; None if that is no longer wanted, and then the process has been stopped.

        Args:
            question: what :func:`answer` takes.
            wanted: asked twice a second.

        Raises:
            ProcessDied: it ended without an answer.
        """
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._death() from None
        while wanted():
            try:
                line = self._answers.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            if not line:
                raise self._death()
            return json.loads(line)
        self.stop()
        return None

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._end()

    def _death(self) -> ProcessDied:
        return ProcessDied(self._end(), list(self._last_lines))

    def _end(self) -> int:
        """Its exit code, when all that it wrote has been read."""
        code = self._process.wait()
        for reader in self._readers:
            reader.join()
        with suppress(BrokenPipeError):  # what it was asked and never read
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.stderr.close()
        return code

    def _read_answers(self) -> None:
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _read_errors(self) -> None:
        for line in self._process.stderr:
            self._last_lines.append(line.rstrip())
            sys.stderr.write(line)  # into the worker's log


def answer(question: dict[str, Any]) -> Any:
    """What the process answers.

    Args:
        question: ``check``: look whether this process could train, as
            :func:`~mcmi_core.runs.preflight.check_here` is asked to; and then, if there are
            ``runs``, with their ``store``, make their records.

    Returns:
        What was found, ``problem`` among it; of runs also ``outcomes``: ``[key, usable, failure or
        None]`` of each.
    """
    import torch

    from mcmi_core.runs.preflight import check_here

    found = check_here(**question["check"])
    if found["problem"] or "runs" not in question:
        return found

    from mcmi_core.runs.store import Store
    from mcmi_core.runs.work import work

    group = tuple(parse_run(config) for config in question["runs"])
    kind = question["check"]["device"]
    device = torch.device("cuda", 0) if kind == "cuda" else torch.device("cpu")
    outcomes = work(group, Store(Path(question["store"])), device, lambda: None)
    told = [(key, usable, failure and failure.model_dump()) for key, usable, failure in outcomes]
    return found | {"outcomes": told}


def main() -> None:
    """Answer, line by line, until nobody asks any more."""
    from mcmi_core.base.progress import send_bars_to

    log_lines()
    send_bars_to(lambda note: None)  # bars are the business of whoever watches the whole sweep
    questions: SimpleQueue[str] = SimpleQueue()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    threading.Thread(target=_read_questions, args=(questions,), daemon=True).start()
    while True:
        try:
            question = questions.get(timeout=IDLE_SECONDS)
        except Empty:
            return
        print(json.dumps(answer(json.loads(question))), file=answers, flush=True)


def _read_questions(questions: SimpleQueue) -> None:
    for line in sys.stdin:
        questions.put(line)
    os._exit(1)  # the worker has ended


if __name__ == "__main__":
    main()
