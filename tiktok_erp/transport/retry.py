"""Try again what may be repeated: waits grow, a server's own `Retry-After` wins, attempts and time are bounded."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina
import stamina.instrumentation

from tiktok_erp.errors import ChannelThrottled

# Its log lines would land on stderr between ours.
stamina.instrumentation.set_on_retry_hooks([])

# Nobody sits out a longer `Retry-After`: the error comes out at once, with the server's wish in it.
LONGEST_WAIT_S = 60.0
# The cause of an error that nobody repeats by itself: the same again would only cost as much again.
TOO_LARGE = "answer_too_large"
_FOREVER_S = 365 * 86400.0

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try.

    Try n + 1 follows n after `first_wait_s` * 2^(n-1), and up to `first_wait_s` more at random. No wait begins that
    would end later than `total_s` after the first try. As they stand, six tries are over 12 to 15 s after the first
    when each fails at once, and of faults that hit one request in twenty, one in 64 million gets through.
    """

    attempts: int = 6
    total_s: float = 120.0
    first_wait_s: float = 0.4

    def wait_s(self, tries: int, error: Exception) -> float:
        """Return how long to wait after so many tries, the last of which ended in `error`."""
        own = min(self.first_wait_s * (2.0 ** (tries - 1) + random.random()), LONGEST_WAIT_S)
        return max(own, _wish(error))


def parse_retry_after(value: str | None, now: datetime, *, date: str | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, in either of its forms; None when there is none.

    A moment is compared with the answer's own `Date` header where it is given: our clock may be minutes off.
    """
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        # Not the standard's form (RFC 9110, 10.2.3: whole seconds), and yet what gateways send; too short a wait is refused again.
        return min(float(value), _FOREVER_S)
    moment = _moment(value)
    if moment is None:
        return None
    return min(max(0.0, (moment - (_moment(date or "") or now)).total_seconds()), _FOREVER_S)


def with_retries(
    call: Callable[[], Result],
    retryable: Callable[[Exception], bool],
    policy: RetryPolicy = RetryPolicy(),
) -> Result:
    """Return `call()`, repeating it while `retryable` says so of its error; the last error is raised as it is.

    An error that asks for a longer wait than `LONGEST_WAIT_S` is raised at once.
    """
    begun_at, tries = time.monotonic(), 0

    def decide(error: Exception) -> bool | float:
        nonlocal tries
        tries += 1
        if not retryable(error) or _wish(error) > LONGEST_WAIT_S or getattr(error, "cause", "") == TOO_LARGE:
            return False
        wait_s = policy.wait_s(tries, error)
        return time.monotonic() - begun_at + wait_s <= policy.total_s and wait_s

    for attempt in stamina.retry_context(on=decide, attempts=policy.attempts, timeout=policy.total_s):
        with attempt:
            return call()
    raise AssertionError("retry_context ended without a result")


def _wish(error: Exception) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, ChannelThrottled) else 0.0


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
