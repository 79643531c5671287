"""How fast to ask: so many requests in a second per endpoint, halved when told to slow down, creeping up while all is well.

No second of wall time sees more than `rate` requests (rounded up: servers count whole ones). A token bucket would
allow its depth and its refill in one second, and a shallow one would lose the burst that a short job lives on, so the
rule is the server's own: request k goes out a second and a little after request k - rate. A first burst of `rate` is
free, so that 28 pages at 10/s are sent in 2.3 s, at an even pace in 2.7 s.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tiktok_erp.errors import ChannelThrottled
from tiktok_erp.messages import tr
from tiktok_erp.transport.budget import NEVER, SENDS_KEPT, Allowance, Budget, FileBudget, MemoryBudget, machine_clock
from tiktok_erp.transport.retry import LONGEST_WAIT_S

_CREEP_AFTER_S = 5.0
_CREEP = 1.1
_SLOWEST = 0.2
# Requests do not all travel equally fast, the first over a new connection slowest of all.
_SHARE_USED = 0.98
# Once the first burst is spent. All that a second gives, sent in one instant, would be one too many as soon as one of
# them is late; and where processes queue, the next one needs the time to wake up, else one of them takes it all.
_SHORTEST_GAP = 1 / 3
LONGEST_PAUSE_S = 3600.0
# Somebody else's refusal, a laptop that slept: after this long, look again whether the wait still stands.
_LOOK_AGAIN_S = 5.0
# More than any queue of processes makes up: a request further ahead was noted by a broken clock.
_FURTHEST_S = 60.0
_WITHOUT_FILE_S = 10.0
_LATE_S = 0.001

Result = TypeVar("Result")


class Pace:
    """Spaces requests. Threads may share it; processes with the same `path` share one budget per endpoint.

    `start_rate` and `max_rate` are requests a second and endpoint. What was learned is shared, `max_rate` is each
    process's own: while processes with different ones send to the same endpoint, the lowest holds. A file that cannot
    be used is done without. `clock` must be comparable between those who share the file.
    """

    def __init__(
        self,
        *,
        start_rate: float,
        max_rate: float,
        path: Path | None = None,
        creep_after_s: float = _CREEP_AFTER_S,
        clock: Callable[[], float] = machine_clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._start_rate = min(start_rate, max_rate)
        self._max_rate = max_rate
        self._creep_after_s = creep_after_s
        self._clock = clock
        self._sleep = sleep
        self._memory = MemoryBudget()
        self._file = None if path is None else FileBudget(path)
        self._file_again_at = NEVER
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._sent = threading.local()

    def wait(self, endpoint: str) -> None:
        """Block until one more request to `endpoint` is allowed.

        Raises ChannelThrottled when the channel asked for a pause that is too long to sit out (`LONGEST_WAIT_S`);
        its `retry_after_s` is what is left of it.
        """
        # One place in the queue for each process: none is crowded out by the threads of another, and a killed process
        # leaves no more than one place that nobody takes.
        with self._turn(endpoint):
            place = _Place()
            while (delay := self._change(endpoint, lambda allowance: self._step(allowance, place))) > 0:
                if place.is_paused and delay > LONGEST_WAIT_S:
                    raise _paused(endpoint, delay)
                self._sleep(min(delay, _LOOK_AGAIN_S))
        self._sent_at()[endpoint] = place.sent_at

    def slow_down(self, endpoint: str, pause_s: float) -> None:
        """Halve the rate of `endpoint` and send nothing there for `pause_s` seconds (at most `LONGEST_PAUSE_S`)."""
        sent_at = self._sent_at().pop(endpoint, None)

        def refuse(allowance: Allowance) -> None:
            now = self._clock()
            self._heal(allowance, now)
            # One burst of refusals is one sign, not many: parallel requests must not halve the rate down to nothing.
            if now >= allowance.paused_until and (sent_at is None or sent_at > allowance.slowed_at):
                allowance.rate = max(_SLOWEST, min(allowance.rate, self._max_rate) / 2)
                allowance.slowed_at = now
            pause = min(max(0.0, pause_s), LONGEST_PAUSE_S)
            allowance.paused_until = max(allowance.paused_until, now + pause)
            allowance.raised_at = allowance.paused_until
            _space_out(allowance, allowance.paused_until)

        self._change(endpoint, refuse)

    def _step(self, allowance: Allowance, place: _Place) -> float:
        """Return how long to sleep before looking again; 0 or less when the request may go out now."""
        now = self._clock()
        self._heal(allowance, now)
        place.is_paused = now < allowance.paused_until
        if place.is_paused:
            place.number = None  # asked for anew after the pause, at the rate that holds then
            return allowance.paused_until - now
        if place.number is None or not _is_held(allowance, place.number, place.due_at):
            self._creep(allowance, now)
            place.due_at = _earliest(allowance, min(allowance.rate, self._max_rate), now)
            place.number = allowance.add_send(place.due_at)
        if now - place.due_at > _LATE_S:  # a busy machine wakes nobody in time, and the server counts from now
            allowance.set_send(place.number, now)
        place.sent_at = now
        return place.due_at - now

    def _heal(self, allowance: Allowance, now: float) -> None:
        """Drop what cannot be right: times of another clock, pauses longer than anyone may declare, rates of none."""
        latest = now + LONGEST_PAUSE_S + 1
        # Written so that what is not a number fails as well.
        if not (
            allowance.seen_at <= now + 1 and allowance.paused_until <= latest and NEVER < allowance.raised_at <= latest
        ):
            allowance.forget_times(now)
        if not 0 < allowance.rate < math.inf:
            allowance.rate = self._start_rate
        allowance.seen_at = now

    def _creep(self, allowance: Allowance, now: float) -> None:
        steps = int((now - allowance.raised_at) / self._creep_after_s)
        if steps > 0 and allowance.rate < self._max_rate:
            # The exponent is cut where no rate in use is left to reach: months without a request must not overflow.
            allowance.rate = min(self._max_rate, allowance.rate * _CREEP ** min(steps, 200))
            allowance.raised_at += steps * self._creep_after_s

    def _change(self, endpoint: str, act: Callable[[Allowance], Result]) -> Result:
        if self._file is not None and self._clock() >= self._file_again_at:
            try:
                return self._change_in(self._file, endpoint, act)
            except OSError:
                self._file_again_at = self._clock() + _WITHOUT_FILE_S
        return self._change_in(self._memory, endpoint, act)

    def _change_in(self, budget: Budget, endpoint: str, act: Callable[[Allowance], Result]) -> Result:
        with budget.change(endpoint, self._fresh) as allowance:
            return act(allowance)

    def _fresh(self) -> Allowance:
        now = self._clock()
        return Allowance(self._start_rate, raised_at=now, seen_at=now)

    def _turn(self, endpoint: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(endpoint, threading.Lock())

    def _sent_at(self) -> dict[str, float]:
        """Return when this thread last sent to each endpoint: a refusal of what left before the last slowing is no news."""
        if not hasattr(self._sent, "at"):
            self._sent.at = {}
        sent_at: dict[str, float] = self._sent.at
        return sent_at


class _Place:
    """A place in the queue of one endpoint."""

    __slots__ = ("due_at", "is_paused", "number", "sent_at")

    def __init__(self) -> None:
        self.number: int | None = None
        self.due_at = self.sent_at = 0.0
        self.is_paused = False


def _window(rate: float) -> tuple[int, float]:
    """Return (requests, seconds): no stretch of so many seconds may see more requests than that."""
    # Rates above what an allowance can remember are held to in equal parts of a second.
    parts = math.ceil(rate / SENDS_KEPT)
    sends = max(1, math.ceil(rate / parts - 1e-9))
    return sends, sends / (rate * _SHARE_USED)


def _earliest(allowance: Allowance, rate: float, now: float) -> float:
    """Return when the next request may go out, behind all that have a place already."""
    sends, window_s = _window(rate)
    earliest = now
    if allowance.count:
        last_at = allowance.send_at(allowance.count - 1)
        full_until = allowance.send_at(allowance.count - sends) + window_s if allowance.count >= sends else NEVER
        if last_at > now or full_until + window_s > now:
            earliest = max(earliest, full_until, last_at + window_s / sends * _SHORTEST_GAP)
    if not earliest - now <= max(_FURTHEST_S, 20 * window_s):
        allowance.count = 0
        return now
    return earliest


def _is_held(allowance: Allowance, number: int, due_at: float) -> bool:
    """Tell whether a place is still as it was noted: a refusal moves places, and a file may have been lost."""
    return number < allowance.count and allowance.send_at(number) == due_at


def _space_out(allowance: Allowance, resume_at: float) -> None:
    """Note requests that never were, evenly spaced, so that those after `resume_at` leave at an even pace.

    A full burst right after a pause would be refused by a server that counts with a bucket of its own.
    """
    sends, window_s = _window(allowance.rate)
    known = min(sends, allowance.count)
    real = [allowance.send_at(number) for number in range(allowance.count - known, allowance.count)]
    padded = [NEVER] * (sends - known) + real
    allowance.count = max(allowance.count, sends)
    for index, at in enumerate(padded):
        spaced = resume_at - window_s + index * window_s / sends
        allowance.set_send(allowance.count - sends + index, max(at, spaced))


def _paused(endpoint: str, pause_s: float) -> ChannelThrottled:
    minutes = math.ceil(pause_s / 60)
    return ChannelThrottled(
        tr("the channel asked for a pause; {minutes} minutes of it are left", minutes=minutes),
        subject=endpoint,
        next_step=tr("run this again in {minutes} minutes", minutes=minutes),
        retry_after_s=pause_s,
    )
