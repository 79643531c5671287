"""The SQL about alerts, and about the facts that open and close them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.store.database import Store


def load_decided_runs(
    store: Store,
    *,
    successes: Sequence[int],
    failures: Sequence[int],
    fetched_at: datetime | None,
    limit: int,
) -> list[sqlite3.Row]:
    """Return the newest `limit` runs of `sync` that worked or failed, newest first.

    Runs under way, killed or interrupted have neither exit code. One that worked and began after `fetched_at`, the last
    time that the channel was read, only took over a file: it is left out.
    """
    codes = [*successes, *failures]
    return store.query(
        "SELECT started_at, exit_code, error FROM runs INDEXED BY runs_by_command WHERE command = 'sync'"
        f" AND exit_code IN ({', '.join('?' * len(codes))})"
        f" AND NOT (exit_code IN ({', '.join('?' * len(successes))}) AND started_at > ?)"
        " ORDER BY run_id DESC LIMIT ?",
        (*codes, *successes, to_text(fetched_at) if fetched_at else "", limit),
    )


def load_as_of_orders(store: Store) -> tuple[datetime | None, datetime | None]:
    """Return as of when the orders of the channels and those of imported files are true; None: never fetched, no file."""
    rows = store.query(
        "SELECT resource, max(as_of) AS as_of FROM cursors WHERE resource IN ('orders', 'orders_file') GROUP BY resource"
    )
    times = {row["resource"]: from_text(row["as_of"]) for row in rows}
    return times.get("orders"), times.get("orders_file")


def count_placed_orders(store: Store, start: datetime, end: datetime) -> int:
    """Return how many orders were placed from `start` to `end`, or first seen then where the channel did not tell."""
    return int(
        store.scalar(
            "SELECT (SELECT count(*) FROM orders INDEXED BY orders_by_placing WHERE placed_at BETWEEN ?1 AND ?2)"
            " + (SELECT count(*) FROM orders INDEXED BY orders_by_placing"
            " WHERE placed_at IS NULL AND first_seen_at BETWEEN ?1 AND ?2)",
            (to_text(start), to_text(end)),
        )
    )


def count_due_orders(store: Store, until: datetime) -> int:
    """Return how many orders that the seller ships must leave before `until`, overdue ones among them."""
    return int(
        store.scalar(
            "SELECT count(*) FROM orders WHERE is_open = 1 AND ship_by < ? AND base_state = 'open'"
            " AND coalesce(fulfillment_type, '') IN ('', 'FULFILLMENT_BY_SELLER')",
            (to_text(until),),
        )
    )


def load_open_alerts(store: Store) -> dict[str, sqlite3.Row]:
    """Return the open alert of each kind that has one."""
    return {row["kind"]: row for row in store.query("SELECT * FROM alerts WHERE closed_at IS NULL")}


def load_unfinished_alerts(store: Store) -> list[sqlite3.Row]:
    """Return the alerts that are open, or whose end somebody may still have to hear of, oldest first."""
    return store.query(
        "SELECT * FROM alerts WHERE closed_at IS NULL OR (clear_sent_at IS NULL"
        " AND (sent_at IS NOT NULL OR claimed_at IS NOT NULL)) OR clear_claimed_at IS NULL AND clear_sent_at IS NOT NULL"
        " ORDER BY alert_id"
    )


def load_alerts(store: Store, limit: int) -> list[sqlite3.Row]:
    """Return the newest alerts, newest first."""
    return store.query("SELECT * FROM alerts ORDER BY alert_id DESC LIMIT ?", (limit,))


def open_alert(store: Store, kind: str, detail: str, now: datetime) -> None:
    """Open an alert; one of its kind that is open stays as it is."""
    store.execute(
        "INSERT INTO alerts (kind, detail, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (kind, detail, to_text(now)),
    )


def adopt_alert(store: Store, kind: str, detail: str, opened_at: datetime, sent_at: datetime) -> None:
    """Write an alert that was raised and sent while the database could not be used."""
    store.execute(
        "INSERT INTO alerts (kind, detail, opened_at, claimed_at, sent_at) SELECT ?1, ?2, ?3, ?4, ?4 WHERE NOT EXISTS"
        " (SELECT 1 FROM alerts WHERE kind = ?1 AND (closed_at IS NULL OR opened_at = ?3))",
        (kind, detail, to_text(opened_at), to_text(sent_at)),
    )


def close_alert(store: Store, kind: str, now: datetime) -> None:
    """Close the open alert of a kind."""
    store.execute("UPDATE alerts SET closed_at = ? WHERE kind = ? AND closed_at IS NULL", (to_text(now), kind))


def claim_alert(store: Store, alert_id: int, now: datetime, *, is_clear: bool) -> None:
    """Record that this process is sending one of the alert's messages. Call where it was found to be free."""
    column = "clear_claimed_at" if is_clear else "claimed_at"
    store.execute(f"UPDATE alerts SET {column} = ? WHERE alert_id = ?", (to_text(now), alert_id))


def load_alert(store: Store, alert_id: int) -> sqlite3.Row | None:
    """Return one alert, or None."""
    return store.query_one("SELECT * FROM alerts WHERE alert_id = ?", (alert_id,))


def save_delivery(store: Store, alert_id: int, detail: str, times: Mapping[str, datetime | None]) -> None:
    """Write what became of an alert's messages: `times` has claimed_at, sent_at, clear_claimed_at and clear_sent_at."""
    store.execute(
        "UPDATE alerts SET detail = ?, claimed_at = ?, sent_at = ?, clear_claimed_at = ?, clear_sent_at = ?"
        " WHERE alert_id = ?",
        (
            detail,
            *(
                to_text(moment) if moment is not None else None
                for moment in (
                    times["claimed_at"],
                    times["sent_at"],
                    times["clear_claimed_at"],
                    times["clear_sent_at"],
                )
            ),
            alert_id,
        ),
    )
