"""Stopping at the right moment: what must be done as one thing is finished before Ctrl-C or SIGTERM are heard."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let what must be written as one thing be written: Ctrl-C and SIGTERM wait for the end of the block.

    A thread started inside never hears them: they always reach the main thread, even while that one waits.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
