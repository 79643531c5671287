"""The SQL about printing: who is about to print which package, batches, and the jobs that printers were given."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.model.print_job import BatchNotOnPaper, PlacedLabel
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.open_work import PACKAGES_HERE

# A label in a job that is not over, or whose paper nobody has looked at, is in no new batch.
_IN_A_JOB = (
    "EXISTS (SELECT 1 FROM print_jobs j WHERE j.batch_id = l.batch_id AND l.position BETWEEN j.first AND j.last"
    " AND j.state <> 'done')"
)

# The label was bought for another address than its orders have now.
_IS_MOVED = "max(o.address_version > po.label_address_version)"

# What is wrong with the parcel itself: the label is not put on anything before somebody has looked.
_STOPS = "q.cause IN ('left_out', 'other_tracking_number', 'same_label')"


# Paper is missing where a label of a batch is on none, as far as anybody said, and its parcel may still leave.
_PAPER_IS_MISSING = (
    "l.state = 'bought' AND l.batch_id IS NOT NULL AND l.on_paper_at IS NULL AND l.void_sent_at IS NULL"
    " AND EXISTS (SELECT 1 FROM packages p WHERE p.package_id = l.package_id AND p.cancelled_at IS NULL)"
    " AND EXISTS (SELECT 1 FROM package_orders po JOIN orders o USING (order_id) WHERE po.package_id = l.package_id"
    " AND o.base_state <> 'cancelled')"
)


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
        f" sum(o.base_state <> 'cancelled') AS orders_left, {_IS_MOVED} AS is_moved,"
        f" (SELECT min(q.cause) FROM quarantine q WHERE q.package_id = l.package_id AND q.resolved_at IS NULL AND {_STOPS}) AS stop"
        " FROM labels l INDEXED BY labels_to_print JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE l.state = 'bought' AND l.sha256 IS NOT NULL AND l.printed_at IS NULL AND l.void_sent_at IS NULL"
        f" AND NOT {_IN_A_JOB}{where} GROUP BY l.label_id",
        values,
    )


def claim(
    store: Store, package_ids: Sequence[str], station: str, until: datetime, *, is_free: Callable[[int], bool]
) -> tuple[int, list[str]]:
    """Claim packages for a batch of one station; return the batch's number and the packages that are now claimed.

    Packages claimed by another station are left out until its claim ends. The number is the next one that `is_free`: files
    of a batch that this database does not know (it is a backup of yesterday, perhaps) are nobody's to overwrite. Call
    inside a transaction.
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
    while not is_free(batch_id):
        batch_id += 1
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
        "DELETE FROM print_jobs WHERE state <> 'done' AND state = 'planned'"
        " AND (SELECT b.station FROM batches b WHERE b.batch_id = print_jobs.batch_id) IS ?",
        (station,),
    )


def load_jobs(store: Store, *states: str, station: str | None = None) -> list[sqlite3.Row]:
    """Return the jobs in these states, none of which is `done`, oldest first, with their batch's folder; of one station where it is named."""
    return store.query(
        "SELECT j.*, b.directory, b.station FROM print_jobs j INDEXED BY print_jobs_open JOIN batches b USING (batch_id)"
        " WHERE j.state <> 'done' AND j.state IN (SELECT value FROM json_each(?)) AND b.station IS ? ORDER BY j.job_id",
        (json.dumps(states), station),
    )


def load_job_labels(store: Store, batch_id: int, first: int, last: int) -> list[sqlite3.Row]:
    """Return a batch's live labels between two positions, in order, with why one must not be printed any more."""
    return store.query(
        "SELECT l.*, max(o.base_state = 'cancelled') AS is_cancelled, max(o.cancel_requested) AS cancel_requested,"
        f" {_IS_MOVED} AS is_moved FROM labels l JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
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


def mark_printed(
    store: Store, batch_id: int, first: int, last: int, *, without: Sequence[int] = (), is_on_paper: bool
) -> int:
    """Write that these positions are printed, but for the label ids of `without`; return how many were not before.

    `is_on_paper`: a printer or a person said so; else their PDF is on the disk. Call inside a transaction.
    """
    return store.execute(
        "UPDATE labels SET printed_at = coalesce(printed_at, ?1),"
        " on_paper_at = CASE WHEN ?6 THEN coalesce(on_paper_at, ?1) ELSE on_paper_at END"
        " WHERE batch_id = ?2 AND position BETWEEN ?3 AND ?4 AND (printed_at IS NULL OR (?6 AND on_paper_at IS NULL))"
        " AND label_id NOT IN (SELECT value FROM json_each(?5))",
        (to_text(utc_now()), batch_id, first, last, json.dumps(list(without)), is_on_paper),
    )


def load_not_on_paper(store: Store) -> list[BatchNotOnPaper]:
    """Return the batches of which a label is on no paper, as far as anybody said, the oldest first."""
    return [
        BatchNotOnPaper(row["batch_id"], row["directory"], row["labels"], bool(row["is_written"]))
        for row in store.query(
            "SELECT l.batch_id, b.directory, count(*) AS labels, min(l.printed_at IS NOT NULL) AS is_written"
            f" FROM labels l JOIN batches b USING (batch_id) WHERE {_PAPER_IS_MISSING} GROUP BY l.batch_id ORDER BY l.batch_id"
        )
    ]


def load_placed(store: Store, batch_id: int, first: int = 1, last: int | None = None) -> list[PlacedLabel]:
    """Return the live labels at these positions of a batch, in order; a `last` of None is the batch's end."""
    return [
        PlacedLabel(*row)
        for row in store.query(
            "SELECT label_id, package_id, batch_id, position, page, coalesce(pages, 1), on_paper_at IS NOT NULL FROM labels"
            " WHERE batch_id = ? AND position >= ? AND position <= coalesce(?, position) AND state = 'bought'"
            " AND void_sent_at IS NULL ORDER BY position",
            (batch_id, first, last),
        )
    ]


def load_label_of(store: Store, package_id: str) -> PlacedLabel | None:
    """Return the bought label of a package, wherever it is printed."""
    row = store.query_one(
        "SELECT label_id, package_id, batch_id, position, page, coalesce(pages, 1), on_paper_at IS NOT NULL FROM labels"
        " WHERE package_id = ? AND state = 'bought' AND void_sent_at IS NULL",
        (package_id,),
    )
    return PlacedLabel(*row) if row is not None else None


def mark_on_paper(store: Store, labels: Sequence[PlacedLabel]) -> None:
    """Write that somebody has these labels on paper, and end the printers' jobs that nothing is missing of.

    Call inside a transaction.
    """
    now = to_text(utc_now())
    store.execute(
        "UPDATE labels SET printed_at = coalesce(printed_at, ?1), on_paper_at = ?1"
        " WHERE label_id IN (SELECT value FROM json_each(?2)) AND on_paper_at IS NULL",
        (now, json.dumps([label.label_id for label in labels])),
    )
    store.execute(
        "UPDATE print_jobs SET state = 'done', ended_at = coalesce(ended_at, ?1), sent_at = coalesce(sent_at, ?1)"
        " WHERE state <> 'done' AND batch_id IN (SELECT value FROM json_each(?2)) AND NOT EXISTS (SELECT 1 FROM labels l"
        f" WHERE l.batch_id = print_jobs.batch_id AND l.position BETWEEN print_jobs.first AND print_jobs.last AND {_PAPER_IS_MISSING})",
        (now, json.dumps(sorted({label.batch_id for label in labels if label.batch_id is not None}))),
    )


def load_to_copy(store: Store) -> list[sqlite3.Row]:
    """Return the batches whose copies nobody made: the run ended, or the folder was full."""
    return store.query("SELECT * FROM batches WHERE copied_at IS NULL ORDER BY batch_id")


def save_copied(store: Store, batch_id: int) -> None:
    """Write that a batch's copies are where they should be. Call inside a transaction."""
    store.execute("UPDATE batches SET copied_at = ? WHERE batch_id = ?", (to_text(utc_now()), batch_id))


def load_nearest(store: Store, batch_id: int) -> list[int]:
    """Return the numbers of the batches next to one that does not exist."""
    rows = store.query(
        "SELECT max(batch_id) FROM batches WHERE batch_id < ?1 UNION ALL SELECT min(batch_id) FROM batches WHERE batch_id > ?1",
        (batch_id,),
    )
    return [row[0] for row in rows if row[0] is not None]


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

    Of those that the carrier does not have yet; a package that was cancelled, for a month.
    """
    return store.query(
        "SELECT l.package_id, l.batch_id, l.position, l.tracking_number, min(o.order_id) AS order_id,"
        " CASE WHEN max(o.base_state = 'cancelled') THEN 'order_cancelled' WHEN max(o.cancel_requested) THEN 'cancel_requested'"
        f" WHEN {_IS_MOVED} THEN 'address_changed' ELSE 'other_address' END AS cause,"
        " (SELECT group_concat(sku || ' x ' || pieces, '; ') FROM (SELECT u.sku, count(*) AS pieces FROM units u"
        " WHERE u.package_id = l.package_id GROUP BY u.sku ORDER BY u.sku)) AS items"
        f" FROM ({PACKAGES_HERE}) here CROSS JOIN labels l ON l.package_id = here.package_id"
        " JOIN package_orders po ON po.package_id = l.package_id JOIN orders o USING (order_id)"
        " WHERE l.state = 'bought' GROUP BY l.label_id"
        f" HAVING max(o.base_state = 'cancelled') OR max(o.cancel_requested) OR {_IS_MOVED} OR l.address_check = 'contradiction'"
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
