"""Stopping at the right moment: what must be done as one thing is finished before Ctrl-C, SIGTERM or SIGHUP are heard."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let what must be written as one thing be written: Ctrl-C, SIGTERM and SIGHUP wait for the end of the block.

    A thread started inside never hears them: they always reach the main thread, even while that one waits.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_is_settled() -> None:
    """Let the process leave with the exit code that it was given, although it was interrupted.

    CPython notes an interrupt that passes through a string given to `exec`, as in every dataclass that is being imported,
    and at its end kills itself by SIGINT, even if the interrupt was caught. Running any other string forgets the note.
    """
    exec("")
