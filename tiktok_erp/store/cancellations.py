"""The SQL about cancellations: buyers' wishes to cancel, and what a cancellation says of stock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store

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
    # Pages are read more than once; an older answer never undoes a newer one.
    + " WHERE excluded.updated_at IS NULL OR cancellations.updated_at IS NULL"
    " OR excluded.updated_at >= cancellations.updated_at"
)


def save_cancellations(store: Store, rows: Sequence[dict[str, Any]], fetched_at: datetime) -> None:
    """Write cancellations, and on the units they name who cancelled and whether the piece goes back on sale.

    Each row has the columns of the table; times are datetimes, `channel_unit_ids` is a sequence. Call inside a transaction.
    """
    store.execute_many(_SAVE, [tuple(_value(row, column, fetched_at) for column in _COLUMNS) for row in rows])
    place_restocking(store, [row["order_id"] for row in rows])


def place_restocking(store: Store, order_ids: Sequence[str]) -> None:
    """Write on cancelled units of these orders what their cancellation says. Call inside a transaction."""
    store.execute(
        "UPDATE units SET should_restock = c.should_restock, cancelled_by = coalesce(units.cancelled_by, c.role),"
        " cancel_reason = coalesce(units.cancel_reason, c.reason)"
        " FROM json_each(?) j JOIN cancellations c ON c.order_id = j.value"
        " WHERE units.order_id = c.order_id AND units.state = 'cancelled' AND c.is_pending = 0"
        " AND c.should_restock IS NOT NULL AND units.should_restock IS NOT c.should_restock"
        " AND (c.channel_unit_ids = '[]' OR units.channel_unit_id IN (SELECT value FROM json_each(c.channel_unit_ids)))",
        (json.dumps(list(order_ids)),),
    )


def load_orders_to_ask_about(store: Store, channel: str) -> list[str]:
    """Return the channel's ids of open orders whose buyer asks to cancel, and of which we know no pending request."""
    rows = store.query(
        "SELECT o.channel_order_id FROM orders o WHERE o.is_open = 1 AND o.channel = ? AND o.cancel_requested = 1"
        " AND NOT EXISTS (SELECT 1 FROM cancellations c WHERE c.order_id = o.order_id AND c.is_pending = 1)"
        " ORDER BY o.order_id",
        (channel,),
    )
    return [row[0] for row in rows]


def load_pending(store: Store, order_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the requests of these orders that wait for an answer, the most urgent first."""
    return store.query(
        "SELECT c.* FROM json_each(?) j JOIN cancellations c ON c.order_id = j.value WHERE c.is_pending = 1"
        " ORDER BY c.answer_by IS NULL, c.answer_by, c.cancel_id",
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
