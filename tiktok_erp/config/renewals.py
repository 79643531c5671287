"""Renewals of tokens, each in a thread that the process waits for: the answer spends a refresh token that may be the only one."""

from __future__ import annotations

import atexit
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from tiktok_erp.errors import ChannelDown, Interrupted
from tiktok_erp.messages import tr
from tiktok_erp.signals import undisturbed

Result = TypeVar("Result")


class Renewals:
    """Carries out what must not be broken off between its request and the disk. Threads may share it.

    Requests leave from threads that may be left behind: daemons, and the main thread, where Ctrl-C may strike between any
    two steps. A renewal has a thread of its own that is neither; `end` waits for it and lets no other one begin. At the
    exit of the process, however it comes about, all of them are ended.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._is_over = False
        _all.add(self)

    def run(self, work: Callable[[], Result]) -> Result:
        """Return `work()`; raise what it raises. Ctrl-C is heard when it is done.

        Raises Interrupted after `end`, and ChannelDown when no thread can be had: `work` was not begun then.
        """
        outcome: list[tuple[Result | None, BaseException | None]] = []

        def carry_out() -> None:
            with self._turn:
                try:
                    if self._is_over:
                        raise _too_late()
                    outcome.append((work(), None))
                except BaseException as error:  # raised again by whoever waits
                    outcome.append((None, error))

        thread = threading.Thread(target=carry_out, name="renewal", daemon=False)
        try:
            with undisturbed():  # inherited: a signal then always reaches the main thread
                thread.start()
        except RuntimeError as error:
            raise ChannelDown(
                tr("the token was not renewed: the system gives no further thread"),
                subject="token",
                next_step=tr("end other programs, then run this again; nothing was sent"),
            ) from error
        _without_interrupt(thread.join)
        result, raised = outcome[0]
        if raised is not None:
            raise raised
        return result  # type: ignore[return-value]  # None only beside an error, or as the result itself

    def end(self) -> None:
        """Wait for the renewal that is under way, and let no other one begin."""
        _without_interrupt(self._close)

    def _close(self) -> None:
        with self._turn:
            self._is_over = True


def _too_late() -> Interrupted:
    return Interrupted(
        tr("the run is over: no token is renewed any more"), subject="token", next_step=tr("run this again")
    )


def _without_interrupt(act: Callable[[], Any]) -> None:
    """Carry out `act`, again and again if Ctrl-C breaks it off, and let that be heard afterwards."""
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            act()
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


_all: weakref.WeakSet[Renewals] = weakref.WeakSet()


def _end_all() -> None:
    if threading.current_thread() is threading.main_thread():
        # No handler of ours stands any more: the default action would end the process in the middle.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    for renewals in list(_all):
        renewals.end()


# Daemon threads still run while these functions are called, and die right afterwards.
atexit.register(_end_all)
