"""The SQL about scan forms: which labels can be on one, what was asked for, what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.identity import LIVE
from tiktok_erp.store.open_work import UNSCANNED_PACKAGES

# Why a label is on no new form; the first that holds. NULL: it can be.
_OBSTACLE = """
CASE
  WHEN p.cancelled_at IS NOT NULL OR max(o.base_state = 'cancelled') THEN 'order_cancelled'
  WHEN max(o.cancel_requested) THEN 'cancel_requested'
  WHEN l.void_sent_at IS NOT NULL THEN 'voided'
  WHEN p.scanned_at IS NOT NULL OR p.delivered_at IS NOT NULL THEN 'scanned'
  WHEN l.barcode = 'contradiction' THEN 'barcode_contradiction'
  WHEN l.address_check = 'contradiction' THEN 'other_address'
  WHEN max(o.address_version > po.label_address_version) THEN 'address_changed'
END
"""
_FORM = "SELECT g.form_id FROM scan_form_labels s JOIN scan_forms g USING (form_id) WHERE s.label_id = l.label_id"


def load_form_candidates(store: Store, *, only: Sequence[str] | None = None) -> list[sqlite3.Row]:
    """Return bought labels, oldest first, with `obstacle` and the form that each is on, or may be on (`form_id`).

    Without `only` those whose parcel the carrier does not have; with it those of these package ids. `was_refused`: the
    source refused a form with this label before.
    """
    source = (
        f"({UNSCANNED_PACKAGES}) here"
        if only is None
        else "(SELECT DISTINCT value AS package_id FROM json_each(?)) here"
    )
    values = () if only is None else (json.dumps(list(only)),)
    return store.query(
        "SELECT l.label_id, l.package_id, l.source, l.carrier, l.tracking_number, l.quote_id, l.bought_at, p.ship_from,"
        f" ({_FORM} AND g.state <> 'failed') AS form_id, {_OBSTACLE} AS obstacle,"
        f" EXISTS ({_FORM} AND g.state = 'failed' AND g.error_code = 'refused') AS was_refused"
        f" FROM {source} CROSS JOIN packages p ON p.package_id = here.package_id"
        f" CROSS JOIN labels l ON l.package_id = p.package_id AND l.state IN {LIVE} AND l.state = 'bought'"
        " JOIN package_orders po ON po.package_id = p.package_id JOIN orders o USING (order_id) GROUP BY l.label_id ORDER BY l.label_id",
        values,
    )


def intend_form(
    store: Store,
    *,
    source: str,
    carrier: str,
    day: str,
    ship_from: str | None,
    label_ids: Sequence[int],
    run_id: int | None,
) -> int:
    """Write that a form for these labels is to be asked for and return its id. Call inside a transaction."""
    form_id = store.insert(
        "INSERT INTO scan_forms (source, carrier, day, ship_from, state, intent_at, run_id) VALUES (?, ?, ?, ?, 'intent', ?, ?)",
        (source, carrier, day, ship_from, to_text(utc_now()), run_id),
    )
    store.execute_many(
        "INSERT INTO scan_form_labels (label_id, form_id) VALUES (?, ?)",
        [(label_id, form_id) for label_id in label_ids],
    )
    return form_id


def mark_form_sent(store: Store, form_id: int) -> None:
    """Write that the form is being asked for. Call inside a transaction that is committed before the bytes leave."""
    store.execute(
        "UPDATE scan_forms SET state = 'sent', sent_at = ? WHERE form_id = ? AND state = 'intent'",
        (to_text(utc_now()), form_id),
    )


def save_form_made(store: Store, form_id: int, *, source_form_id: str, url: str) -> None:
    """Write that the source made a form; an address that was known stays. Call inside a transaction."""
    store.execute(
        "UPDATE scan_forms SET state = 'made', source_form_id = ?, url = coalesce(?, url), made_at = coalesce(made_at, ?)"
        " WHERE form_id = ? AND state IN ('sent', 'unknown', 'made')",
        (source_form_id, url or None, to_text(utc_now()), form_id),
    )


def save_form_unknown(store: Store, form_id: int) -> None:
    """Write that nobody can tell whether a form was made. Call inside a transaction."""
    store.execute("UPDATE scan_forms SET state = 'unknown' WHERE form_id = ? AND state = 'sent'", (form_id,))


def save_form_failed(store: Store, form_id: int, error_code: str) -> None:
    """Write that there is no such form: its labels can be on another. Call inside a transaction."""
    store.execute("UPDATE scan_forms SET state = 'failed', error_code = ? WHERE form_id = ?", (error_code, form_id))


def save_form_document(store: Store, form_id: int, sha256: str) -> None:
    """Write that a form's document is safe. Call inside a transaction."""
    store.execute("UPDATE scan_forms SET sha256 = ? WHERE form_id = ? AND state = 'made'", (sha256, form_id))


def mark_forms_written(store: Store, form_ids: Sequence[int]) -> None:
    """Write that the seller has the files of these forms. Call inside a transaction."""
    at = to_text(utc_now())
    store.execute_many(
        "UPDATE scan_forms SET written_at = ? WHERE form_id = ?", [(at, form_id) for form_id in form_ids]
    )


def load_open_forms(store: Store) -> list[sqlite3.Row]:
    """Return forms that are not settled or whose document nobody has yet, oldest first."""
    return store.query(
        "SELECT * FROM scan_forms WHERE state IN ('intent', 'sent', 'unknown') OR (state = 'made' AND written_at IS NULL)"
        " ORDER BY form_id"
    )


def load_forms(store: Store, form_ids: Sequence[int]) -> list[sqlite3.Row]:
    """Return these forms, oldest first."""
    return store.query(
        "SELECT * FROM scan_forms WHERE form_id IN (SELECT value FROM json_each(?)) ORDER BY form_id",
        (json.dumps(list(form_ids)),),
    )


def load_form_labels(store: Store, form_id: int) -> list[sqlite3.Row]:
    """Return the labels on a form."""
    return store.query(
        "SELECT l.* FROM scan_form_labels s JOIN labels l USING (label_id) WHERE s.form_id = ? ORDER BY l.label_id",
        (form_id,),
    )


def find_form_of(store: Store, label_id: int) -> sqlite3.Row | None:
    """Return the form that a label is on, or may be on; None when it is on none."""
    return store.query_one(
        "SELECT f.* FROM scan_form_labels s JOIN scan_forms f USING (form_id) WHERE s.label_id = ? AND f.state <> 'failed'",
        (label_id,),
    )
