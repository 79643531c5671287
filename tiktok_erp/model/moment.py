"""Times as aware UTC `datetime` in the program and `2026-01-31T09:30:00Z` in the store. Pure: no clock here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"^(\d+)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 100 * 365 * 86400  # beyond that, a date minus it may be none
_TEXT_LENGTH = len("2026-01-31T09:30:00Z")


def to_text(moment: datetime) -> str:
    """Return `moment` as the store writes it: UTC, whole seconds. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    # isoformat, not strftime: a sync writes a dozen times an order.
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat()[:19] + "Z"


def from_text(text: str) -> datetime:
    """Read a time as the store writes it. Raises ValueError for any other form."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if len(text) != _TEXT_LENGTH:  # strptime also takes a month of one digit, which would not sort
        raise ValueError(f"{text!r} is not a stored time")
    return moment


def parse_duration(text: str) -> timedelta:
    """Read `60s`, `5m`, `3h`, `2d`. Raises ValueError for anything else."""
    match = _DURATION.match(text.strip())
    seconds = int(match[1]) * _SECONDS[match[2]] if match is not None else None
    if seconds is None or seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is not a length of time; write it as 60s, 5m, 3h or 2d")
    return timedelta(seconds=seconds)
