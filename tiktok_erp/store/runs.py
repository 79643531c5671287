"""The SQL about runs of commands, and about how far and how fresh each resource of a channel is."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from tiktok_erp.errors import StaleData
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.store.database import Store, utc_now

# A copy from further in the future was made while the clock was wrong: its age is not known.
_CLOCK_DOUBT = timedelta(minutes=10)


def start_run(store: Store, command: str) -> int:
    """Record that `command` started and return its run id."""
    with store.transaction():
        return store.insert(
            "INSERT INTO runs (command, process_id, started_at) VALUES (?, ?, ?)",
            (command, os.getpid(), to_text(utc_now())),
        )


def end_run(store: Store, run_id: int, *, exit_code: int, done: int, failed: int, error: str | None) -> None:
    """Record how a run ended. `error` must carry no personal data."""
    with store.transaction():
        store.execute(
            "UPDATE runs SET ended_at = ?, exit_code = ?, items_done = ?, items_failed = ?, error = ? WHERE run_id = ?",
            (to_text(utc_now()), exit_code, done, failed, error, run_id),
        )


def load_cursor(store: Store, channel: str, resource: str) -> datetime | None:
    """Return the time up to which `resource` was read, or None when it never was."""
    text = store.scalar("SELECT cursor FROM cursors WHERE channel = ? AND resource = ?", (channel, resource))
    return from_text(text) if text else None


def save_cursor(store: Store, channel: str, resource: str, *, cursor: datetime | None, as_of: datetime) -> None:
    """Move the cursor of `resource`. Call in the transaction that saves the rows it stands for."""
    store.execute(
        "INSERT INTO cursors VALUES (?, ?, ?, ?) ON CONFLICT (channel, resource) DO UPDATE SET"
        " cursor = coalesce(excluded.cursor, cursor), as_of = excluded.as_of",
        (channel, resource, to_text(cursor) if cursor else None, to_text(as_of)),
    )


def load_as_of(store: Store, channel: str, resource: str) -> datetime | None:
    """Return as of when our copy of `resource` is true, or None when there is none."""
    text = store.scalar("SELECT as_of FROM cursors WHERE channel = ? AND resource = ?", (channel, resource))
    return from_text(text) if text else None


def require_fresh(
    store: Store, channel: str, *, at_most: timedelta, now: datetime, stale_ok: bool, file_counts: bool
) -> None:
    """Raise StaleData when the orders of `channel` are older than `at_most` and nobody said that this is fine.

    With `file_counts` an export is as good as a fetch. It is not where a missing order does harm: an export may be filtered.
    """
    as_of = load_as_of(store, channel, "orders")
    from_file = load_as_of(store, channel, "orders_file") if file_counts else None
    as_of = max(filter(None, (as_of, from_file)), default=None)
    if stale_ok or (as_of is not None and -_CLOCK_DOUBT <= now - as_of <= at_most):
        return
    if as_of is None:
        what = tr("the orders of {channel} were never fetched", channel=channel)
    else:
        age = int((now - as_of).total_seconds() // 60)
        what = tr(
            "the orders of {channel} are {age} minutes old; at most {limit} are allowed",
            channel=channel,
            age=age,
            limit=int(at_most.total_seconds() // 60),
        )
    step = tr("run `tiktok-erp sync` first, or add --stale-ok if you know what changed")
    if file_counts:
        step = tr(
            "run `tiktok-erp sync` first, or without the API export the orders in Seller Center and run"
            " `tiktok-erp sync --from FILE`; --stale-ok goes on if you know what changed"
        )
    raise StaleData(what, subject=channel, next_step=step)
