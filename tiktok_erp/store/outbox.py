"""The SQL about the outbox: every write to the outside but label purchases, recorded before it is sent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now


def intend(
    store: Store,
    *,
    kind: str,
    subject: str,
    idempotency_key: str,
    payload: Mapping[str, object],
    package_id: str | None = None,
    run_id: int | None = None,
) -> int:
    """Record an intended write and return its id; the same key names the same effect and gives the same row again."""
    store.execute(
        "INSERT INTO outbox (kind, subject, package_id, idempotency_key, payload, state, intent_at, run_id)"
        " VALUES (?, ?, ?, ?, ?, 'intent', ?, ?) ON CONFLICT (idempotency_key) DO NOTHING",
        (kind, subject, package_id, idempotency_key, json.dumps(payload, sort_keys=True), to_text(utc_now()), run_id),
    )
    return int(store.scalar("SELECT outbox_id FROM outbox WHERE idempotency_key = ?", (idempotency_key,)))


def queue(
    store: Store,
    *,
    kind: str,
    subject: str,
    idempotency_key: str,
    payload: Mapping[str, object],
    package_id: str | None,
    run_id: int | None,
) -> int:
    """Record a write that waits for its turn and return its id; one that was refused or dropped waits anew."""
    outbox_id = intend(
        store,
        kind=kind,
        subject=subject,
        idempotency_key=idempotency_key,
        payload=payload,
        package_id=package_id,
        run_id=run_id,
    )
    store.execute(
        "UPDATE outbox SET kind = ?1, payload = ?2,"
        " intent_at = CASE state WHEN 'intent' THEN intent_at ELSE ?3 END,"
        " run_id = CASE state WHEN 'intent' THEN run_id ELSE ?4 END, error_code = NULL, done_at = NULL, state = 'intent'"
        " WHERE outbox_id = ?5 AND state IN ('intent', 'refused', 'dropped')",
        (kind, json.dumps(payload, sort_keys=True), to_text(utc_now()), run_id, outbox_id),
    )
    return outbox_id


def drop(store: Store, outbox_ids: Iterable[int], because: str) -> None:
    """Take writes that wait out of the queue: they are not sent. Call inside a transaction."""
    at = to_text(utc_now())
    store.execute_many(
        "UPDATE outbox SET state = 'dropped', error_code = ?, done_at = ? WHERE outbox_id = ? AND state = 'intent'",
        [(because, at, outbox_id) for outbox_id in outbox_ids],
    )


def mark_sent(store: Store, outbox_id: int) -> None:
    """Record, before the bytes leave, that the write is being sent."""
    store.execute(
        "UPDATE outbox SET state = 'sent', attempts = attempts + 1, sent_at = ? WHERE outbox_id = ?",
        (to_text(utc_now()), outbox_id),
    )


def settle(
    store: Store,
    outbox_id: int,
    state: str,
    *,
    request_id: str | None = None,
    error_code: str | None = None,
    warning: str | None = None,
) -> None:
    """Record what became of a write: `done`, `refused`, `unknown`, `dropped`, or `intent` when it surely never left."""
    store.execute(
        "UPDATE outbox SET state = ?1, request_id = coalesce(?2, request_id), error_code = ?3,"
        " warning = coalesce(?4, warning), done_at = CASE WHEN ?1 IN ('done', 'refused', 'dropped') THEN ?5 END"
        " WHERE outbox_id = ?6",
        (state, request_id, error_code, warning, to_text(utc_now()), outbox_id),
    )


def load_unanswered_quantities(store: Store) -> list[sqlite3.Row]:
    """Return quantities that were to be set and whose answer nobody knows, with what the channel shows now, oldest first."""
    return store.query(
        "SELECT b.outbox_id, b.subject, b.sent_at, json_extract(b.payload, '$.quantity') AS quantity, l.channel,"
        " l.channel_quantity FROM outbox b INDEXED BY outbox_unsettled LEFT JOIN listings l ON l.listing_id = b.subject"
        " WHERE b.kind = 'set_quantity' AND b.state IN ('intent', 'sent', 'unknown') ORDER BY b.outbox_id"
    )


def load_entry(store: Store, idempotency_key: str) -> sqlite3.Row | None:
    """Return the row of one intended effect, or None."""
    return store.query_one("SELECT * FROM outbox WHERE idempotency_key = ?", (idempotency_key,))


def load_entries(store: Store, key_prefix: str) -> list[sqlite3.Row]:
    """Return the rows of all effects whose idempotency key begins with `key_prefix`, oldest first."""
    behind = key_prefix[:-1] + chr(ord(key_prefix[-1]) + 1)
    return store.query(
        "SELECT * FROM outbox WHERE idempotency_key >= ? AND idempotency_key < ? ORDER BY outbox_id",
        (key_prefix, behind),
    )


def load_unsettled(store: Store, kind: str, subjects: Sequence[str]) -> list[sqlite3.Row]:
    """Return the writes of one kind about these subjects whose outcome nobody knows, oldest first."""
    return store.query(
        "SELECT b.* FROM json_each(?) j CROSS JOIN outbox b INDEXED BY outbox_unsettled ON b.subject = j.value WHERE b.kind = ?"
        " AND b.state IN ('intent', 'sent', 'unknown') ORDER BY b.outbox_id",
        (json.dumps(list(subjects)), kind),
    )
