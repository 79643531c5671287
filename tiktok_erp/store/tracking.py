"""The SQL about telling tracking numbers: what is due, what was told, and the channel's carriers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store
from tiktok_erp.store.labels import delivered_before, is_overridden
from tiktok_erp.store.open_work import OPEN_PACKAGES, PACKAGES_HERE, UNSCANNED_PACKAGES

_PROVIDERS_LIVE = timedelta(days=1)  # TikTok reference, section 4.5: cache for a day

_DUE = f"""
SELECT po.package_id, o.order_id, o.channel_order_id, o.base_state, o.held_until, o.cancel_requested, o.shipping_type,
  o.delivery_option_id, o.auto_combine_group_id, o.ship_by, po.channel_package_id, l.source, l.carrier, l.tracking_number,
  (SELECT json_group_array(u.channel_unit_id) FROM units u WHERE u.order_id = o.order_id AND u.package_id = po.package_id
     AND u.state = 'open') AS unit_ids,
  (SELECT count(*) FROM units u WHERE u.order_id = o.order_id AND u.state <> 'cancelled'
     AND (u.state <> 'open' OR u.package_id IS NOT po.package_id)) AS units_elsewhere,
  (SELECT count(*) FROM units u WHERE u.order_id = o.order_id AND u.state = 'cancelled') AS units_cancelled,
  b.outbox_id, b.state AS outbox_state, b.done_at AS outbox_done_at, b.error_code AS outbox_error, o.synced_at,
  (SELECT min(x.package_id) FROM labels x WHERE x.tracking_number = l.tracking_number AND x.state = 'bought'
     AND x.package_id <> po.package_id AND NOT {delivered_before("x.package_id", "l.bought_at")}
     AND NOT {is_overridden("po.package_id", "number_used")}) AS used_by,
  CASE WHEN r.is_masked = 0 AND r.name IS NOT NULL AND r.street1 IS NOT NULL THEN
    lower(r.name || '|' || r.street1 || '|' || coalesce(r.street2, '') || '|' || coalesce(r.city, '') || '|' || coalesce(r.zip, ''))
    END AS recipient,
  o.address_version > po.label_address_version AND p.scanned_at IS NULL AS is_moved
FROM package_orders po
JOIN orders o USING (order_id)
JOIN packages p USING (package_id)
JOIN labels l ON l.package_id = po.package_id AND l.state = 'bought' AND l.tracking_number IS NOT NULL
LEFT JOIN recipients r USING (order_id)
LEFT JOIN outbox b ON b.idempotency_key = 'tracking/' || o.order_id || '/' || po.package_id || '/' || l.tracking_number
WHERE po.uploaded_at IS NULL
"""


UPLOAD_KINDS = ("mark_shipped", "ship_package")
UNDONE = "undone"  # error_code of an upload that `undo` dropped


def load_due(store: Store, *, only: Sequence[str] | None = None) -> list[sqlite3.Row]:
    """Return orders whose package has a number that the channel does not know, most urgent first."""
    # Of several orders in a parcel one may be unknown to the channel although the carrier has it.
    where = "(SELECT value FROM json_each(?))" if only is not None else f"({OPEN_PACKAGES} UNION ALL {PACKAGES_HERE})"
    values = (json.dumps(list(only)),) if only is not None else ()
    return store.query(f"{_DUE} AND po.package_id IN {where} ORDER BY o.ship_by IS NULL, o.ship_by, o.order_id", values)


def count_told_by_channel(store: Store) -> int:
    """Return how many parcels that no carrier has yet bear a label of the channel, which knows its number itself."""
    return int(
        store.scalar(
            f"SELECT count(*) FROM ({UNSCANNED_PACKAGES}) here CROSS JOIN labels l ON l.package_id = here.package_id"
            " WHERE l.state = 'bought' AND l.source = 'tiktok'"
        )
    )


def load_unsettled_uploads(store: Store) -> list[sqlite3.Row]:
    """Return told numbers without an answer, with what the order shows now."""
    return store.query(
        "SELECT b.*, po.uploaded_at, json_extract(b.payload, '$.tracking_number') AS tracking_number,"
        " (SELECT max(u.tracking_number) FROM units u WHERE u.order_id = b.subject AND u.package_id = b.package_id"
        " AND u.state = 'shipped') AS shown_number FROM outbox b INDEXED BY outbox_unsettled LEFT JOIN package_orders po"
        " ON po.package_id = b.package_id AND po.order_id = b.subject"
        " WHERE b.kind IN ('mark_shipped', 'ship_package')"
        " AND b.state IN ('intent', 'sent', 'unknown') AND b.state IN ('sent', 'unknown') ORDER BY b.outbox_id"
    )


def load_queue(store: Store) -> list[sqlite3.Row]:
    """Return the uploads that wait for their turn."""
    return store.query(
        "SELECT b.* FROM outbox b INDEXED BY outbox_unsettled WHERE b.kind IN ('mark_shipped', 'ship_package')"
        " AND b.state IN ('intent', 'sent', 'unknown') AND b.state = 'intent' ORDER BY b.outbox_id"
    )


def load_shown(store: Store, order_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return, for each package of these orders that was told, the number held and the number that the channel shows."""
    return store.query(
        "SELECT po.package_id, o.order_id, o.channel_order_id, l.tracking_number, (SELECT max(u.tracking_number) FROM units u"
        " WHERE u.order_id = o.order_id AND u.package_id = po.package_id AND u.state = 'shipped') AS shown_number"
        " FROM json_each(?) j JOIN orders o ON o.order_id = j.value JOIN package_orders po USING (order_id)"
        " JOIN labels l ON l.package_id = po.package_id AND l.state = 'bought' WHERE po.uploaded_at IS NOT NULL"
        " ORDER BY o.order_id, po.package_id",
        (json.dumps(list(order_ids)),),
    )


def load_told_numbers(store: Store, package_ids: Sequence[str], wanted: str) -> list[sqlite3.Row]:
    """Return the orders of these packages with what a correction to the number `wanted` has to know."""
    return store.query(
        "SELECT po.package_id, o.order_id, o.channel_order_id, o.base_state, o.shipping_type, o.delivery_option_id,"
        " po.channel_package_id, l.source, l.sha256, coalesce(l.carrier, p.carrier) AS carrier, l.tracking_number,"
        " (SELECT max(u.tracking_number) FROM units u WHERE u.order_id = o.order_id AND u.package_id = po.package_id"
        "   AND u.state = 'shipped') AS told_number,"
        " CASE WHEN po.uploaded_at IS NOT NULL THEN coalesce(o.rts_at, po.uploaded_at) END AS shipped_at,"
        " coalesce(p.delivered_at, o.delivered_at) AS delivered_at,"
        " (SELECT count(DISTINCT u.package_id) FROM units u WHERE u.order_id = o.order_id AND u.state <> 'cancelled') > 1 AS is_split,"
        " EXISTS (SELECT 1 FROM outbox b WHERE b.kind = 'correct_number' AND b.subject = o.order_id AND b.state = 'done'"
        "   AND b.package_id = po.package_id) AS was_corrected,"
        " (SELECT min(x.package_id) FROM labels x WHERE x.tracking_number = ?2 AND x.state = 'bought'"
        "   AND x.package_id <> po.package_id) AS used_by"
        " FROM json_each(?1) j JOIN packages p ON p.package_id = j.value JOIN package_orders po USING (package_id)"
        " JOIN orders o USING (order_id) LEFT JOIN labels l ON l.package_id = p.package_id AND l.state = 'bought'"
        " ORDER BY po.package_id, o.order_id",
        (json.dumps(list(package_ids)), wanted),
    )


def save_corrected(store: Store, package_id: str, carrier: str, tracking_number: str) -> None:
    """Write a corrected number on a label that holds nothing but its number. Call inside a transaction."""
    store.execute(
        "UPDATE labels SET tracking_number = ?, carrier = ? WHERE package_id = ? AND state = 'bought' AND sha256 IS NULL",
        (tracking_number, carrier, package_id),
    )


def save_told(store: Store, package_id: str, order_id: str, channel_package_id: str | None, at: datetime) -> None:
    """Write that the channel took the number of one order. Call inside a transaction."""
    store.execute(
        "UPDATE package_orders SET uploaded_at = coalesce(uploaded_at, ?), channel_package_id = coalesce(?, channel_package_id)"
        " WHERE package_id = ? AND order_id = ?",
        (to_text(at), channel_package_id, package_id, order_id),
    )


def load_providers(store: Store, channel: str, delivery_option_id: str, now: datetime | None) -> list[sqlite3.Row]:
    """Return the carriers that the channel told for a delivery option within the last day, or ever where `now` is None."""
    return store.query(
        "SELECT provider_id, name FROM shipping_providers WHERE channel = ? AND delivery_option_id = ? AND fetched_at >= ?"
        " ORDER BY provider_id",
        (channel, delivery_option_id, to_text(now - _PROVIDERS_LIVE) if now is not None else ""),
    )


def save_providers(
    store: Store, channel: str, delivery_option_id: str, providers: Sequence[tuple[str, str]], now: datetime
) -> None:
    """Replace the carriers of a delivery option. Call inside a transaction."""
    store.execute(
        "DELETE FROM shipping_providers WHERE channel = ? AND delivery_option_id = ?", (channel, delivery_option_id)
    )
    store.execute_many(
        "INSERT INTO shipping_providers VALUES (?, ?, ?, ?, ?)",
        [(channel, delivery_option_id, provider_id, name, to_text(now)) for provider_id, name in providers],
    )
