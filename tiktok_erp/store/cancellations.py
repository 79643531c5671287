"""The SQL about cancellations: buyers' wishes to cancel, and what a cancellation says of stock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now

# The channel's words for requests that are over (TikTok reference, section 4.11; its webhook spells the last one).
GRANTED = frozenset({"CANCELLATION_REQUEST_SUCCESS", "CANCELLATION_REQUEST_COMPLETE"})
REJECTED = frozenset({"CANCELLATION_REQUEST_CANCEL", "CANCELLATION_REQUEST_CANCELLED"})  # by the seller, or withdrawn
ANSWER_CANCEL = "answer_cancel"  # the kind of our answers in the outbox

_ORDERS_COME_WITHIN = timedelta(days=7)

_COLUMNS = (
    "channel",
    "cancel_id",
    "order_id",
    "kind",
    "status",
    "is_pending",
    "role",
    "reason",
    "created_at",
    "updated_at",
    "answer_by",
    "should_restock",
    "refund_minor",
    "currency",
    "channel_unit_ids",
    "fetched_at",
)
_SAVE = (
    f"INSERT INTO cancellations ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT (channel, cancel_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[2:])
    # Pages are read more than once; an older answer never undoes a newer one, and what is over never waits again.
    + " WHERE (excluded.updated_at IS NULL OR cancellations.updated_at IS NULL"
    " OR excluded.updated_at >= cancellations.updated_at) AND (excluded.is_pending <= cancellations.is_pending"
    " OR excluded.updated_at > cancellations.updated_at)"
)


def save_cancellations(store: Store, rows: Sequence[dict[str, Any]], fetched_at: datetime) -> None:
    """Write cancellations, and on the units they name who cancelled and whether the piece goes back on sale.

    Each row has the columns of the table; times are datetimes, `channel_unit_ids` is a sequence. Our own answers that
    nobody had answered are settled by what the rows say. Call inside a transaction.
    """
    if not rows:
        return
    store.execute_many(_SAVE, [tuple(_value(row, column, fetched_at) for column in _COLUMNS) for row in rows])
    place_restocking(store, [row["order_id"] for row in rows])
    _settle_answers(store)


def place_restocking(store: Store, order_ids: Sequence[str] | None = None) -> None:
    """Write on cancelled units of these orders what the cancellation that took effect says of them.

    None takes all whose cancellation was fetched in the last week: an order may come after it. Of several cancellations
    that name a unit the latest counts. Call inside a transaction.
    """
    if order_ids is None:
        # Beside these, saving the cancellation has placed it.
        source = "cancellations c INDEXED BY cancellations_by_fetching"
        where = " AND c.fetched_at >= ?2 AND c.should_restock IS NOT NULL AND u.should_restock IS NULL"
        value = to_text(utc_now() - _ORDERS_COME_WITHIN)
    else:
        source = "cancellations c INDEXED BY cancellations_by_order"
        where, value = " AND c.order_id IN (SELECT value FROM json_each(?2))", json.dumps(list(order_ids))
    rows = store.query(
        "SELECT u.unit_id, c.should_restock, c.role, c.reason, row_number() OVER"
        " (PARTITION BY u.unit_id ORDER BY c.updated_at DESC, c.cancel_id DESC) AS place"
        f" FROM {source} CROSS JOIN units u ON u.order_id = c.order_id"
        " WHERE c.status IN (SELECT value FROM json_each(?1)) AND u.state = 'cancelled'"
        " AND (c.channel_unit_ids = '[]' OR u.channel_unit_id IN (SELECT value FROM json_each(c.channel_unit_ids)))"
        f"{where}",
        (json.dumps(sorted(GRANTED)), value),
    )
    store.execute_many(
        "UPDATE units SET should_restock = coalesce(?1, should_restock), cancelled_by = coalesce(cancelled_by, ?2),"
        " cancel_reason = coalesce(cancel_reason, ?3) WHERE unit_id = ?4 AND (should_restock IS NOT coalesce(?1, should_restock)"
        " OR cancelled_by IS NULL AND ?2 IS NOT NULL OR cancel_reason IS NULL AND ?3 IS NOT NULL)",
        [(row["should_restock"], row["role"], row["reason"], row["unit_id"]) for row in rows if row["place"] == 1],
    )


def _settle_answers(store: Store) -> None:
    """Settle answers of ours whose outcome nobody knew, by how their requests ended."""
    now = to_text(utc_now())
    rows = store.query(
        "SELECT b.outbox_id, b.state, json_extract(b.payload, '$.answer') AS answer, (SELECT c.status FROM cancellations c"
        " INDEXED BY cancellations_by_order WHERE c.order_id = b.subject AND c.is_pending = 0"
        " AND c.cancel_id = json_extract(b.payload, '$.cancel_id')) AS status FROM outbox b INDEXED BY outbox_unsettled"
        " WHERE b.kind = 'answer_cancel' AND b.state IN ('intent', 'sent', 'unknown')"
    )
    for row in rows:
        if row["status"] is None:
            continue
        is_done = row["status"] in (GRANTED if row["answer"] == "approve" else REJECTED)
        state = "dropped" if row["state"] == "intent" else "done" if is_done else "refused"
        store.execute(
            "UPDATE outbox SET state = ?, error_code = ?, done_at = ? WHERE outbox_id = ?",
            (state, None if is_done else row["status"], now, row["outbox_id"]),
        )


def load_orders_to_ask_about(store: Store, channel: str) -> list[str]:
    """Return the channel's ids of open orders whose buyer asks to cancel, and of which we know no pending request."""
    rows = store.query(
        "SELECT o.channel_order_id FROM orders o INDEXED BY orders_open WHERE o.is_open = 1 AND o.channel = ? AND o.cancel_requested = 1"
        " AND NOT EXISTS (SELECT 1 FROM cancellations c WHERE c.order_id = o.order_id AND c.is_pending = 1)"
        " ORDER BY o.order_id",
        (channel,),
    )
    return [row[0] for row in rows]


def load_reason_not_to_cancel(store: Store, order_id: str) -> Literal["delivered", "packed"] | None:
    """Return what is known to stand against cancelling an order: it was delivered, or all of it is packed or with the carrier."""
    row = store.query_one(
        "SELECT o.delivered_at IS NOT NULL AS is_delivered, o.collected_at IS NOT NULL OR (EXISTS (SELECT 1 FROM package_orders"
        " po JOIN packages p USING (package_id) WHERE po.order_id = o.order_id AND p.cancelled_at IS NULL) AND NOT EXISTS"
        " (SELECT 1 FROM package_orders po JOIN packages p USING (package_id) WHERE po.order_id = o.order_id"
        " AND p.cancelled_at IS NULL AND p.package_id NOT IN (SELECT package_id FROM packings))) AS is_packed"
        " FROM orders o WHERE o.order_id = ?",
        (order_id,),
    )
    if row is None:
        return None
    return "delivered" if row["is_delivered"] else "packed" if row["is_packed"] else None


def load_pending(store: Store, order_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the requests of these orders that wait for an answer, the most urgent first."""
    return store.query(
        "SELECT c.* FROM cancellations c INDEXED BY cancellations_by_order"
        " WHERE c.order_id IN (SELECT value FROM json_each(?)) AND c.is_pending = 1"
        " ORDER BY c.answer_by IS NULL, c.answer_by, c.cancel_id",
        (json.dumps(list(order_ids)),),
    )


def load_order_cancellations(store: Store, order_id: str) -> list[sqlite3.Row]:
    """Return every cancellation of an order, oldest first."""
    return store.query(
        "SELECT v.* FROM v_cancellations v WHERE v.order_id = ? ORDER BY v.created_at, v.cancel_id", (order_id,)
    )


def load_labels_of(store: Store, order_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the labels that were bought, or may have been, for packages of these orders; `orders` share the package."""
    return store.query(
        "SELECT po.order_id, l.package_id, l.state, l.source, l.carrier, l.tracking_number, l.printed_at,"
        " (SELECT count(*) FROM package_orders other WHERE other.package_id = l.package_id) AS orders"
        " FROM json_each(?) j JOIN package_orders po ON po.order_id = j.value"
        " JOIN labels l ON l.package_id = po.package_id AND l.state IN ('sent', 'unknown', 'bought')"
        " ORDER BY po.order_id, l.package_id",
        (json.dumps(list(order_ids)),),
    )


def _value(row: dict[str, Any], column: str, fetched_at: datetime) -> Any:
    value = row.get(column)
    if column == "fetched_at":
        return to_text(fetched_at)
    if column == "channel_unit_ids":
        return json.dumps(list(value or ()))
    if isinstance(value, datetime):
        return to_text(value)
    return int(value) if isinstance(value, bool) else value
