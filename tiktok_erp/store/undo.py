"""The SQL behind `undo`: what one run left behind, and taking back what is still only ours."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store
from tiktok_erp.store.open_work import OPEN_PACKAGES

_NO_LABEL = (
    "NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = u.package_id AND l.state IN ('sent', 'unknown', 'bought'))"
)


def load_run(store: Store, run_id: int) -> sqlite3.Row | None:
    """Return one run, or None."""
    return store.query_one("SELECT * FROM runs WHERE run_id = ?", (run_id,))


def load_newest(store: Store) -> list[sqlite3.Row]:
    """Return the five newest runs that `undo` can do something about, newest first."""
    return store.query(
        "SELECT run_id, command FROM runs"
        " WHERE command IN ('run', 'reserve-stock', 'allocate', 'print-labels', 'upload-tracking')"
        " ORDER BY run_id DESC LIMIT 5"
    )


def load_stages(store: Store, run: sqlite3.Row) -> list[sqlite3.Row]:
    """Return the runs of the stages of a run of `run`, newest first; any other run is its own only stage.

    Stages are what the same process started before the next round.
    """
    if run["command"] != "run":
        return [run]
    return store.query(
        "SELECT * FROM runs WHERE process_id = ?1 AND run_id > ?2 AND command <> 'run' AND started_at >= ?3"
        " AND (?4 IS NULL OR started_at <= ?4)"
        " AND run_id < coalesce((SELECT min(run_id) FROM runs WHERE run_id > ?2 AND command = 'run'), 9223372036854775807)"
        " ORDER BY run_id DESC",
        (run["process_id"], run["run_id"], run["started_at"], run["ended_at"]),
    )


def load_uploads(store: Store, run_id: int) -> list[sqlite3.Row]:
    """Return what a run wrote down to tell the channel, by order."""
    return store.query("SELECT * FROM outbox WHERE run_id = ? AND kind <> 'set_quantity' ORDER BY outbox_id", (run_id,))


def count_pushes(store: Store, run_id: int) -> int:
    """Return how many quantities a run pushed."""
    return int(
        store.scalar(
            "SELECT count(*) FROM outbox WHERE run_id = ? AND kind = 'set_quantity' AND state IN ('sent', 'unknown', 'done')",
            (run_id,),
        )
    )


def load_labels_of(store: Store, run_id: int) -> list[str]:
    """Return the packages with a live label that a run intended or bought."""
    return [
        row[0]
        for row in store.query(
            "SELECT package_id FROM labels INDEXED BY labels_by_run"
            " WHERE run_id = ? AND state IN ('intent', 'sent', 'unknown', 'bought') ORDER BY package_id",
            (run_id,),
        )
    ]


def load_allocated(store: Store, since: datetime, until: datetime) -> list[str]:
    """Return the packages that were given a carrier in this time and have no label, by their ids."""
    return [
        row[0]
        for row in store.query(
            f"SELECT u.package_id FROM packages u WHERE u.package_id IN ({OPEN_PACKAGES}) "
            " AND u.allocated_at BETWEEN ? AND ? AND u.cancelled_at IS NULL"
            f" AND {_NO_LABEL} ORDER BY u.package_id",
            (to_text(since), to_text(until)),
        )
    ]


def load_reserved(store: Store, since: datetime, until: datetime) -> list[sqlite3.Row]:
    """Return the units that were given stock in this time and still hold it, with whether their package has a label."""
    return store.query(
        f"SELECT r.unit_id, r.sku, u.order_id, NOT {_NO_LABEL} AS has_label FROM reservations r INDEXED BY reservations_open"
        " CROSS JOIN units u ON u.unit_id = r.unit_id WHERE r.state IN ('held', 'short')"
        " AND r.state = 'held' AND r.held_at BETWEEN ? AND ? ORDER BY r.unit_id",
        (to_text(since), to_text(until)),
    )


def release_units(store: Store, unit_ids: Sequence[str], at: datetime) -> int:
    """Release what these units hold and return how many did. Call inside a transaction."""
    return store.execute(
        "UPDATE reservations SET state = 'released', ended_from = state, ended_at = ? WHERE state = 'held'"
        " AND unit_id IN (SELECT value FROM json_each(?))",
        (to_text(at), json.dumps(list(unit_ids))),
    )


def load_next_start(store: Store, run: sqlite3.Row) -> str | None:
    """Return when the same command ran next: a run that was killed did nothing after that."""
    text = store.scalar(
        "SELECT min(started_at) FROM runs WHERE run_id > ? AND command = ?", (run["run_id"], run["command"])
    )
    return str(text) if text is not None else None
