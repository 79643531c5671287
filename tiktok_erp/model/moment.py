"""Times as aware UTC `datetime` in the program and `2026-01-31T09:30:00Z` in the store. Pure: no clock here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"^(\d+)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def to_text(moment: datetime) -> str:
    """Return `moment` as the store writes it: UTC, whole seconds. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """Read a time as the store writes it. Raises ValueError for any other form."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def from_epoch(seconds: int) -> datetime:
    """Return the UTC time of Unix `seconds`."""
    return datetime.fromtimestamp(seconds, UTC)


def parse_duration(text: str) -> timedelta:
    """Read `60s`, `5m`, `3h`, `2d`. Raises ValueError for anything else."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a length of time; write it as 60s, 5m, 3h or 2d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
