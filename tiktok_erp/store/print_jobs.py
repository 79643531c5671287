"""The SQL about printing: who is about to print which package, batches, and the jobs that printers were given."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now

# A label in a job that is not over, or whose paper nobody has looked at, is in no new batch.
_IN_A_JOB = (
    "EXISTS (SELECT 1 FROM print_jobs j WHERE j.batch_id = l.batch_id AND l.position BETWEEN j.first AND j.last"
    " AND j.state <> 'done')"
)

# What is wrong with the parcel itself: the label is not put on anything before somebody has looked.
_STOPS = "q.cause IN ('left_out', 'other_tracking_number', 'same_label')"


def load_to_print(store: Store, *, only: Sequence[str] | None = None, on_request: bool = False) -> list[sqlite3.Row]:
    """Return bought labels with a document that were never printed and are in no job of a printer.

    Those that are printed `on_request` only (`labels adopt`) are left out, or, with it, are all there is. `obstacle`
    columns say why one should not be printed now.
    """
    where, values = f" AND l.on_request = {int(on_request)}", ()
    if only is not None:
        where += " AND l.package_id IN (SELECT value FROM json_each(?))"
        values = (json.dumps(list(only)),)  # type: ignore[assignment]
    return store.query(
        "SELECT l.*, max(o.base_state = 'cancelled') AS is_cancelled, max(o.cancel_requested) AS cancel_requested,"
        " sum(o.base_state <> 'cancelled') AS orders_left,"
        f" (SELECT min(q.cause) FROM quarantine q WHERE q.package_id = l.package_id AND q.resolved_at IS NULL AND {_STOPS}) AS stop"
        " FROM labels l JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE l.state = 'bought' AND l.sha256 IS NOT NULL AND l.printed_at IS NULL AND l.void_sent_at IS NULL"
        f" AND NOT {_IN_A_JOB}{where} GROUP BY l.label_id",
        values,
    )


def claim(store: Store, package_ids: Sequence[str], station: str, until: datetime) -> tuple[int, list[str]]:
    """Claim packages for a batch of one station; return the batch's number and the packages that are now claimed.

    Packages claimed by another station are left out until its claim ends. Call inside a transaction.
    """
    now = to_text(utc_now())
    store.execute("DELETE FROM claims WHERE until <= ? OR station = ?", (now, station))
    taken = {row[0] for row in store.query("SELECT package_id FROM claims")}
    free = [package_id for package_id in package_ids if package_id not in taken]
    batch_id = int(
        store.scalar(
            "SELECT max((SELECT coalesce(max(batch_id), 0) FROM batches), (SELECT coalesce(max(batch_id), 0) FROM claims),"
            # After a restore the folders of later batches still lie there.
            " coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_batch'), 0)) + 1"
        )
    )
    store.execute_many(
        "INSERT INTO claims VALUES (?, ?, ?, ?)",
        [(package_id, station, batch_id, to_text(until)) for package_id in free],
    )
    return batch_id, free


def release(store: Store, station: str) -> None:
    """End the claims of a station. Call inside a transaction."""
    store.execute("DELETE FROM claims WHERE station = ?", (station,))


def save_batch(
    store: Store,
    batch_id: int,
    directory: str,
    positions: Sequence[tuple[int, int, int]],
    *,
    station: str | None,
    is_printed: bool,
    run_id: int | None,
    at: datetime,
) -> None:
    """Write that a batch is safely on disk: `positions` holds (label id, position from 1, first page).

    `is_printed`: a PDF is all that was asked for. Call inside a transaction.
    """
    now = to_text(at)
    store.execute(
        "INSERT INTO batches (batch_id, directory, created_at, run_id, station) VALUES (?, ?, ?, ?, ?)",
        (batch_id, directory, now, run_id, station),
    )
    store.execute_many(
        "UPDATE labels SET printed_at = ?, batch_id = ?, position = ?, page = ? WHERE label_id = ? AND printed_at IS NULL",
        [(now if is_printed else None, batch_id, position, page, label_id) for label_id, position, page in positions],
    )


def plan_jobs(store: Store, batch_id: int, first: int, last: int, size: int) -> None:
    """Write the jobs of a batch's positions, so many in one, before anything is sent. Call inside a transaction."""
    store.execute_many(
        "INSERT INTO print_jobs (batch_id, first, last, state) VALUES (?, ?, ?, 'planned')",
        [(batch_id, start, min(start + size - 1, last)) for start in range(first, last + 1, size)],
    )


def drop_planned(store: Store, station: str | None) -> None:
    """Forget a station's jobs that never left. Call inside a transaction."""
    store.execute(
        "DELETE FROM print_jobs WHERE state = 'planned'"
        " AND batch_id IN (SELECT batch_id FROM batches WHERE station IS ?)",
        (station,),
    )


def load_jobs(store: Store, *states: str, station: str | None = None) -> list[sqlite3.Row]:
    """Return the jobs in these states, oldest first, with their batch's folder; of one station where it is named."""
    return store.query(
        "SELECT j.*, b.directory, b.station FROM print_jobs j JOIN batches b USING (batch_id)"
        " WHERE j.state IN (SELECT value FROM json_each(?)) AND b.station IS ? ORDER BY j.job_id",
        (json.dumps(states), station),
    )


def load_job_labels(store: Store, batch_id: int, first: int, last: int) -> list[sqlite3.Row]:
    """Return a batch's live labels between two positions, in order, with why one must not be printed any more."""
    return store.query(
        "SELECT l.*, max(o.base_state = 'cancelled') AS is_cancelled, max(o.cancel_requested) AS cancel_requested"
        " FROM labels l JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE l.batch_id = ? AND l.position BETWEEN ? AND ? AND l.state = 'bought' AND l.void_sent_at IS NULL"
        " GROUP BY l.label_id ORDER BY l.position",
        (batch_id, first, last),
    )


def take_job(store: Store, job_id: int, printer: str, run_id: int | None) -> bool:
    """Turn a planned job into one that is being sent; False when somebody else took it. Call inside a transaction."""
    return (
        store.execute(
            "UPDATE print_jobs SET state = 'sent', printer = ?, sent_at = ?, run_id = ? WHERE job_id = ? AND state = 'planned'",
            (printer, to_text(utc_now()), run_id, job_id),
        )
        == 1
    )


def save_job(
    store: Store, job_id: int, state: str, *, printer_job: str | None = None, detail: str | None = None
) -> None:
    """Write how far a job is. Call inside a transaction."""
    ended = to_text(utc_now()) if state in ("done", "failed", "unknown") else None
    store.execute(
        "UPDATE print_jobs SET state = ?, printer_job = coalesce(?, printer_job), detail = ?, ended_at = ?,"
        " sent_at = CASE WHEN ?1 = 'planned' THEN NULL ELSE sent_at END WHERE job_id = ?",
        (state, printer_job, detail, ended, job_id),
    )


def mark_printed(store: Store, batch_id: int, first: int, last: int, *, without: Sequence[int] = ()) -> int:
    """Write that these positions are on paper, but for the label ids of `without`. Call inside a transaction."""
    return store.execute(
        "UPDATE labels SET printed_at = ? WHERE batch_id = ? AND position BETWEEN ? AND ? AND printed_at IS NULL"
        " AND label_id NOT IN (SELECT value FROM json_each(?))",
        (to_text(utc_now()), batch_id, first, last, json.dumps(list(without))),
    )


def leave_out(store: Store, label_ids: Sequence[int]) -> None:
    """Take labels that were not printed with their batch out of it: they are printed later, or never."""
    store.execute_many(
        "UPDATE labels SET batch_id = NULL, position = NULL, page = NULL WHERE label_id = ? AND printed_at IS NULL",
        [(label_id,) for label_id in label_ids],
    )


def close_jobs(store: Store, batch_id: int) -> None:
    """Write that somebody looked at the paper of a batch: its jobs are over. Call inside a transaction."""
    store.execute(
        "UPDATE print_jobs SET state = 'done', ended_at = coalesce(ended_at, ?), sent_at = coalesce(sent_at, ?1)"
        " WHERE batch_id = ? AND state <> 'done'",
        (to_text(utc_now()), batch_id),
    )


def load_batch(store: Store, batch_id: int) -> sqlite3.Row | None:
    """Return a batch with its last position."""
    return store.query_one(
        "SELECT b.*, (SELECT max(position) FROM labels l WHERE l.batch_id = b.batch_id) AS last FROM batches b"
        " WHERE b.batch_id = ?",
        (batch_id,),
    )


def load_pulls(store: Store) -> list[sqlite3.Row]:
    """Return packages with a live label that must not leave as it is: the order was cancelled, asked to be, or moved.

    Of those that the carrier does not have yet.
    """
    return store.query(
        "SELECT l.package_id, l.batch_id, l.position, l.tracking_number, min(o.order_id) AS order_id,"
        " CASE WHEN max(o.base_state = 'cancelled') THEN 'order_cancelled' WHEN max(o.cancel_requested) THEN 'cancel_requested'"
        " ELSE 'address_changed' END AS cause,"
        " (SELECT group_concat(sku || ' x ' || pieces, '; ') FROM (SELECT u.sku, count(*) AS pieces FROM units u"
        " WHERE u.package_id = l.package_id GROUP BY u.sku ORDER BY u.sku)) AS items"
        " FROM labels l JOIN packages p USING (package_id) JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE l.state = 'bought' AND p.scanned_at IS NULL AND p.delivered_at IS NULL GROUP BY l.label_id"
        " HAVING max(o.base_state = 'cancelled') OR max(o.cancel_requested) OR max(coalesce(o.address_changed_at, '') >= l.bought_at)"
        " ORDER BY l.batch_id IS NULL, l.batch_id, l.position, l.package_id"
    )


def find_at_positions(store: Store, batch_id: int, first: int, last: int | None) -> list[str]:
    """Return the packages whose live label is at these positions of a batch, in order; None is the batch's end."""
    return [
        row[0]
        for row in store.query(
            "SELECT package_id FROM labels WHERE batch_id = ? AND position >= ? AND position <= coalesce(?, position)"
            " AND state = 'bought' ORDER BY position",
            (batch_id, first, last),
        )
    ]
