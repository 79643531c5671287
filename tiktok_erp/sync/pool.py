"""Threads that fetch for the one thread that owns the store."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from tiktok_erp.signals import undisturbed

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class Pool(Generic[Job, Answer]):
    """Runs `work` on jobs, `size` at a time. Its threads are daemons: a command that is stopped must not wait for the network."""

    def __init__(self, work: Callable[[Job], Answer], size: int) -> None:
        self._work = work
        self._size = max(1, size)
        self._started = 0
        self._jobs: queue.SimpleQueue[tuple[Job] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Job, Answer | BaseException]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _thread in range(self._started):
            self._jobs.put(None)

    def ask(self, job: Job) -> None:
        """Let a thread do `job`."""
        if self._started < self._size:
            self._started += 1
            with undisturbed():
                threading.Thread(target=self._run, daemon=True).start()
        self._jobs.put((job,))

    def answer(self) -> tuple[Job, Answer]:
        """Wait for the next job that is done and return it with its answer; raise what it raised."""
        job, answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return job, answer

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            try:
                answer: Answer | BaseException = self._work(entry[0])
            except BaseException as error:  # raised by whoever waits for the answer
                answer = error
            self._answers.put((entry[0], answer))


def side_by_side(work: Callable[[Job], Answer], jobs: Sequence[Job], size: int) -> Iterator[Answer]:
    """Yield what `work` makes of each job, in the order in which they get done."""
    with Pool(work, size) as pool:
        for job in jobs:
            pool.ask(job)
        for _job in jobs:
            yield pool.answer()[1]
