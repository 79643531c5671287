"""The SQL about creators: what they earn, and which units they sold."""

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
    "order_id",
    "channel_sku_id",
    "creator",
    "content_type",
    "content_id",
    "quantity",
    "commission_rate_bp",
    "estimated_commission_minor",
    "actual_commission_minor",
    "partner_commission_minor",
    "shop_ads_commission_minor",
    "currency",
    "settlement_status",
    "is_fully_returned",
)
_KEY = 6
_SAVE = (
    f"INSERT INTO commissions ({', '.join(_COLUMNS)}, is_on_units, fetched_at) VALUES ({', '.join('?' * len(_COLUMNS))}, 0, ?)"
    " ON CONFLICT (channel, order_id, channel_sku_id, creator, content_type, content_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[_KEY:])
    # A read that finds nothing new must not take the creator off the units and put it back.
    + ", is_on_units = is_on_units AND quantity = excluded.quantity, fetched_at = excluded.fetched_at"
)


def save_commissions(store: Store, rows: Sequence[dict[str, Any]], fetched_at: datetime) -> None:
    """Write what creators earn; each row has the columns of the table. Call inside a transaction."""
    at = to_text(fetched_at)
    store.execute_many(_SAVE, [(*(_plain(row.get(column)) for column in _COLUMNS), at) for row in rows])


def place_creators(store: Store, order_ids: Sequence[str] | None = None) -> int:
    """Write creator and content on the units that they sold, where the order is here by now; return how many rows.

    A row says how many pieces of a SKU a creator sold: the first units of that SKU that nobody has claimed, before them
    those that name the same content already. A line's own live session stays. None takes all rows that are not placed.
    Call inside a transaction.
    """
    where = "" if order_ids is None else " AND c.order_id IN (SELECT value FROM json_each(?))"
    values = () if order_ids is None else (json.dumps(list(order_ids)),)
    rows = store.query(
        "SELECT c.* FROM commissions c INDEXED BY commissions_to_place CROSS JOIN orders o ON o.order_id = c.order_id"
        f" WHERE c.is_on_units = 0{where} ORDER BY c.order_id, c.channel_sku_id, c.creator, c.content_type, c.content_id",
        values,
    )
    for row in rows:
        store.execute(
            "UPDATE units SET creator = ?1, content_type = coalesce(content_type, nullif(?2, '')),"
            " content_id = coalesce(content_id, nullif(?3, '')) WHERE unit_id IN (SELECT unit_id FROM units"
            " WHERE order_id = ?4 AND channel_sku_id = ?5 AND is_gift = 0 AND (creator IS NULL OR creator = ?1)"
            # One creator may have sold pieces of a SKU by several contents, each with a row of its own.
            " AND (creator IS NULL OR coalesce(content_type, ?2) = ?2 AND coalesce(content_id, ?3) = ?3)"
            " ORDER BY creator IS NULL, (content_id IS ?3) DESC, content_id IS NOT NULL, position LIMIT max(1, ?6))",
            (
                row["creator"],
                row["content_type"],
                row["content_id"],
                row["order_id"],
                row["channel_sku_id"],
                row["quantity"],
            ),
        )
    store.execute_many(
        "UPDATE commissions SET is_on_units = 1 WHERE channel = ? AND order_id = ? AND channel_sku_id = ?"
        " AND creator = ? AND content_type = ? AND content_id = ?",
        [tuple(row[column] for column in _COLUMNS[:_KEY]) for row in rows],
    )
    return len(rows)


def load_commissions(store: Store, order_id: str) -> list[sqlite3.Row]:
    """Return what creators earn of an order, a row per SKU, creator and content."""
    return store.query(
        "SELECT c.* FROM orders o CROSS JOIN v_commissions c ON c.channel = o.channel AND c.order_id = o.order_id"
        " WHERE o.order_id = ? ORDER BY c.channel_sku_id, c.creator, c.content_type, c.content_id",
        (order_id,),
    )


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
