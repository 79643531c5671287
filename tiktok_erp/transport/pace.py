"""How fast to ask: a token bucket per endpoint that halves when told to slow down and creeps up while all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_CREEP_AFTER_S = 5.0
_CREEP = 1.1
_SLOWEST = 0.2


@dataclass(slots=True)
class _Bucket:
    rate: float
    tokens: float
    filled_at: float
    raised_at: float
    paused_until: float = 0.0


class Pace:
    """Spaces requests. Threads may share it. `start_rate` and `max_rate` are requests a second and endpoint."""

    def __init__(
        self,
        *,
        start_rate: float,
        max_rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._start_rate = min(start_rate, max_rate)
        self._max_rate = max_rate
        self._clock = clock
        self._sleep = sleep
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def wait(self, endpoint: str) -> None:
        """Block until one more request to `endpoint` is allowed."""
        while True:
            with self._lock:
                delay = self._take(endpoint)
            if delay <= 0:
                return
            self._sleep(delay)

    def slow_down(self, endpoint: str, pause_s: float) -> None:
        """Halve the rate of `endpoint` and send nothing there for `pause_s` seconds."""
        with self._lock:
            bucket, now = self._bucket(endpoint), self._clock()
            # One burst of refusals is one sign, not many: parallel requests must not halve the rate down to nothing.
            if now >= bucket.paused_until:
                bucket.rate = max(_SLOWEST, bucket.rate / 2)
            bucket.tokens = 0.0
            bucket.raised_at = now
            bucket.paused_until = max(bucket.paused_until, now + pause_s)
            bucket.filled_at = bucket.paused_until  # a pause saves nothing up for a burst after it

    def _take(self, endpoint: str) -> float:
        bucket, now = self._bucket(endpoint), self._clock()
        if now < bucket.paused_until:
            return bucket.paused_until - now
        if now - bucket.raised_at >= _CREEP_AFTER_S:
            bucket.rate = min(self._max_rate, bucket.rate * _CREEP)
            bucket.raised_at = now
        # One less than a second's worth: a server that counts by the second then never sees one too many.
        bucket.tokens = min(max(1.0, bucket.rate - 1), bucket.tokens + (now - bucket.filled_at) * bucket.rate * 0.99)
        bucket.filled_at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / (bucket.rate * 0.99)

    def _bucket(self, endpoint: str) -> _Bucket:
        if endpoint not in self._buckets:
            now = self._clock()
            self._buckets[endpoint] = _Bucket(self._start_rate, max(1.0, self._start_rate - 1), now, now)
        return self._buckets[endpoint]
