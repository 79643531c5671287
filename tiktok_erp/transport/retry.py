"""Try again what may be repeated: waits grow, a server's own `Retry-After` wins, attempts and time are bounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina
import stamina.instrumentation

from tiktok_erp.errors import ChannelThrottled

# Its log lines would land on stderr between ours.
stamina.instrumentation.set_on_retry_hooks([])

_ATTEMPTS = 6
_TOTAL_S = 120.0
LONGEST_WAIT_S = 60.0

Result = TypeVar("Result")


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, in either of its forms; None when there is none."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value.strip())
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def with_retries(call: Callable[[], Result], retryable: Callable[[Exception], bool]) -> Result:
    """Return `call()`, repeating it while `retryable` says so of its error; the last error is raised as it is."""

    def decide(error: Exception) -> bool | float:
        if not retryable(error):
            return False
        if isinstance(error, ChannelThrottled) and error.retry_after_s is not None:
            return min(error.retry_after_s, LONGEST_WAIT_S)
        return True

    for attempt in stamina.retry_context(
        on=decide, attempts=_ATTEMPTS, timeout=_TOTAL_S, wait_initial=0.5, wait_max=LONGEST_WAIT_S, wait_jitter=0.5
    ):
        with attempt:
            return call()
    raise AssertionError("retry_context ended without a result")
