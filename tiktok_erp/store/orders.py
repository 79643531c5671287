"""The SQL about orders, their units and their recipients."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any

from tiktok_erp.model.facts import RecipientFacts
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.order_change import KnownOrder, KnownPackage, KnownUnit, OrderChange
from tiktok_erp.model.order_state import STILL_PROMISED
from tiktok_erp.store.database import Store

_TIMES = (
    "placed_at",
    "paid_at",
    "updated_at",
    "release_at",
    "rts_at",
    "collected_at",
    "delivered_at",
    "cancelled_at",
    "rts_sla_at",
    "tts_sla_at",
    "shipping_due_at",
    "cancel_sla_at",
    "collection_due_at",
    "delivery_due_at",
    "delivery_sla_at",
    "cancel_requested_at",
)
_PLAIN = (
    "order_type",
    "shipping_type",
    "fulfillment_type",
    "delivery_option_id",
    "delivery_option",
    "auto_combine_group_id",
    "buyer_id",
    "currency",
    "total_minor",
    "subtotal_minor",
    "tax_minor",
    "shipping_minor",
    "platform_discount_minor",
    "seller_discount_minor",
    "shipping_platform_discount_minor",
    "shipping_seller_discount_minor",
    "weight_g",
    "buyer_note",
    "seller_note",
    "handling_days",
    "handling_days_kind",
    "split_or_combine",
    "cancelled_by",
    "cancel_reason",
)
_FLAGS = ("is_presale", "cancel_requested", "has_updated_address")
_plain = attrgetter(*_PLAIN)
_MAYBE_FLAGS = ("is_sample", "is_refundable_sample", "is_replacement", "is_exchange")
_DERIVED = (
    "status",
    "other_amounts",
    "channel_warehouse_id",
    "base_state",
    "is_open",
    "held_until",
    "ship_by",
    "ship_by_source",
    "source",
    "as_of",
    "digest",
    "synced_at",
)
_COLUMNS = (*_TIMES, *_PLAIN, *_FLAGS, *_MAYBE_FLAGS, *_DERIVED)
# What a file does not tell must not wipe out what the API told before.
_ALWAYS = frozenset(
    {"status", "base_state", "is_open", "held_until", "source", "as_of", "synced_at", "cancel_requested"}
)
_UNIT_COLUMNS = (
    "unit_id",
    "order_id",
    "channel_unit_id",
    "position",
    "sku",
    "channel_sku_id",
    "product_id",
    "product_name",
    "variant_name",
    "price_minor",
    "status",
    "state",
    "channel_package_id",
    "tracking_number",
    "provider_name",
    "is_gift",
    "creator",
    "content_type",
    "content_id",
    "package_id",
    "original_price_minor",
    "platform_discount_minor",
    "seller_discount_minor",
    "cancelled_by",
    "cancel_reason",
    "is_returned",
)
_RECIPIENT_COLUMNS = (
    "name",
    "phone",
    "email",
    "street1",
    "street2",
    "city",
    "state",
    "zip",
    "country",
    "full_address",
    "is_masked",
)

_ORDERS_HELD = 50
_NAMING_COLUMNS = ("name", "phone", "email", "street1", "street2", "full_address")


def _order_sql(keep_unknown: bool) -> str:
    def update(column: str) -> str:
        if not keep_unknown or column in _ALWAYS:
            return f"{column} = excluded.{column}"
        if column in ("ship_by", "ship_by_source"):
            return f"{column} = CASE WHEN orders.ship_by_source = 'channel' THEN orders.{column} ELSE excluded.{column} END"
        if column in (*_FLAGS, *_MAYBE_FLAGS):
            return f"{column} = max(orders.{column}, excluded.{column})"
        return f"{column} = coalesce(excluded.{column}, orders.{column})"

    names = ("order_id", "channel", "channel_order_id", "first_seen_at", *_COLUMNS)
    return (
        f"INSERT INTO orders ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT (order_id) DO UPDATE SET {', '.join(update(column) for column in _COLUMNS)}"
    )


_SAVE_FROM_API = _order_sql(keep_unknown=False)
_SAVE_FROM_FILE = _order_sql(keep_unknown=True)
# A SKU id that stood in for a missing seller SKU gives way to the SKU, but never under a reservation.
_SAVE_UNIT = (
    f"INSERT INTO units ({', '.join(_UNIT_COLUMNS)}) VALUES ({', '.join('?' * len(_UNIT_COLUMNS))})"
    " ON CONFLICT (unit_id) DO UPDATE SET channel_unit_id = coalesce(excluded.channel_unit_id, channel_unit_id),"
    " sku = CASE WHEN sku = channel_sku_id AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.unit_id = units.unit_id"
    " AND r.state IN ('held', 'short')) THEN excluded.sku ELSE sku END, "
    + ", ".join(
        f"{column} = coalesce(excluded.{column}, {column})"
        for column in (
            "product_id",
            "product_name",
            "variant_name",
            "price_minor",
            "channel_package_id",
            "tracking_number",
            "provider_name",
            "creator",
            "content_type",
            "content_id",
            "original_price_minor",
            "platform_discount_minor",
            "seller_discount_minor",
            "cancelled_by",
            "cancel_reason",
        )
    )
    + ", status = excluded.status, state = excluded.state, is_gift = max(is_gift, excluded.is_gift),"
    " is_returned = max(is_returned, excluded.is_returned), package_id = excluded.package_id"
)
# A masked address never replaces a readable one.
_SAVE_RECIPIENT = (
    f"INSERT INTO recipients (order_id, {', '.join(_RECIPIENT_COLUMNS)}) VALUES (?{', ?' * len(_RECIPIENT_COLUMNS)})"
    f" ON CONFLICT (order_id) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _RECIPIENT_COLUMNS)}"
    " WHERE excluded.is_masked = 0 OR recipients.is_masked = 1"
)


_encoder = json.JSONEncoder(sort_keys=True)  # made once: making one takes longer than encoding


def load_known_orders(store: Store, order_ids: Sequence[str]) -> dict[str, KnownOrder]:
    """Return what the store holds of `order_ids`, keyed by order id, units and packages in."""
    wanted = json.dumps(list(order_ids))
    rows = store.query(
        "SELECT o.order_id, updated_at, as_of, source, digest, has_updated_address, base_state, cancel_requested,"
        " split_or_combine, r.order_id AS has_recipient,"
        f" {', '.join('r.' + column for column in _RECIPIENT_COLUMNS)}"
        " FROM json_each(?) j JOIN orders o ON o.order_id = j.value LEFT JOIN recipients r ON r.order_id = o.order_id",
        (wanted,),
    )
    if not rows:
        return {}
    units: dict[str, list[KnownUnit]] = defaultdict(list)
    for row in store.query(
        "SELECT u.* FROM json_each(?) j JOIN units u ON u.order_id = j.value ORDER BY u.order_id, u.position", (wanted,)
    ):
        units[row["order_id"]].append(
            KnownUnit(
                row["unit_id"],
                row["channel_unit_id"],
                row["channel_sku_id"],
                row["position"],
                row["state"],
                row["package_id"],
            )
        )
    packages: dict[str, list[KnownPackage]] = defaultdict(list)
    for row in store.query(
        "SELECT po.order_id, po.package_id, po.channel_package_id, po.uploaded_at, p.cancelled_at, l.state AS label_state,"
        " l.source AS label_source, l.tracking_number, EXISTS (SELECT 1 FROM package_orders x"
        " WHERE x.package_id = po.package_id AND x.order_id <> po.order_id) AS is_shared"
        " FROM json_each(?) j JOIN package_orders po ON po.order_id = j.value"
        " JOIN packages p USING (package_id)"
        " LEFT JOIN labels l ON l.package_id = p.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought')"
        " ORDER BY po.package_id",
        (wanted,),
    ):
        packages[row["order_id"]].append(
            KnownPackage(
                package_id=row["package_id"],
                channel_package_id=row["channel_package_id"],
                is_cancelled=row["cancelled_at"] is not None,
                is_uploaded=row["uploaded_at"] is not None,
                label_state=row["label_state"],
                label_source=row["label_source"],
                tracking_number=row["tracking_number"],
                is_shared=bool(row["is_shared"]),
            )
        )
    return {
        row["order_id"]: KnownOrder(
            order_id=row["order_id"],
            updated_at=from_text(row["updated_at"]) if row["updated_at"] else None,
            as_of=from_text(row["as_of"]),
            source=row["source"],
            digest=row["digest"],
            has_updated_address=bool(row["has_updated_address"]),
            recipient=_recipient(row) if row["has_recipient"] else None,
            base_state=row["base_state"],
            cancel_requested=bool(row["cancel_requested"]),
            split_or_combine=row["split_or_combine"],
            units=tuple(units[row["order_id"]]),
            packages=tuple(packages[row["order_id"]]),
        )
        for row in rows
    }


def load_digests(store: Store, order_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the digests of the last API answers about `order_ids`, for those that the API told last."""
    rows = store.query(
        "SELECT o.order_id, o.digest FROM json_each(?) j JOIN orders o ON o.order_id = j.value"
        " WHERE o.source = 'api' AND o.digest IS NOT NULL",
        (json.dumps(list(order_ids)),),
    )
    return {row[0]: row[1] for row in rows}


def save_orders(store: Store, changes: Sequence[OrderChange], synced_at: datetime) -> None:
    """Write orders, recipients and units. Packages that units name must exist. Call inside a transaction."""
    now = to_text(synced_at)
    for source, sql in (("api", _SAVE_FROM_API), ("file", _SAVE_FROM_FILE)):
        rows = [_order_row(change, now) for change in changes if change.facts.source == source]
        if rows:
            store.execute_many(sql, rows)
    moved = [(now, change.order_id) for change in changes if change.address_changed]
    if moved:
        store.execute_many("UPDATE orders SET address_changed_at = ? WHERE order_id = ?", moved)
    recipients = [
        (change.order_id, *(getattr(change.facts.recipient, column) for column in _RECIPIENT_COLUMNS))
        for change in changes
        if change.facts.recipient is not None
    ]
    if recipients:
        store.execute_many(_SAVE_RECIPIENT, recipients)


def save_events(store: Store, changes: Sequence[OrderChange], seen_at: datetime, run_id: int | None) -> None:
    """Write what happened to the orders; the same event is written once. Call inside a transaction, after the orders."""
    rows = [
        (change.order_id, event.kind, to_text(event.at), to_text(seen_at), event.detail, run_id)
        for change in changes
        for event in change.events
    ]
    if rows:
        store.execute_many(
            "INSERT INTO order_events (order_id, kind, at, seen_at, detail, run_id) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (order_id, kind, at) DO NOTHING",
            rows,
        )


def load_unlisted_orders(store: Store, status: str, listed: set[str], as_of: datetime) -> list[str]:
    """Return open orders that we hold in `status`, as of before `as_of`, and that the channel did not list there."""
    rows = store.query(
        "SELECT order_id FROM orders WHERE is_open = 1 AND status = ? AND source = 'api' AND synced_at < ?",
        (status, to_text(as_of)),
    )
    return [row[0] for row in rows if row[0] not in listed]


def save_units(store: Store, changes: Sequence[OrderChange]) -> None:
    """Write the units of `changes`. Call inside a transaction, after orders and packages."""
    store.execute_many(_SAVE_UNIT, [_unit_row(change.order_id, unit) for change in changes for unit in change.units])


def without_recipient(store: Store, order_id: str, text: str) -> str:
    """Return `text` with everything that names the order's buyer replaced by `***`: a channel may quote it in a refusal."""
    row = store.query_one("SELECT * FROM recipients WHERE order_id = ?", (order_id,))
    if row is None:
        return text
    values = [str(row[column]) for column in _NAMING_COLUMNS if row[column]]
    values += [part for part in (row["name"] or "").split() if len(part) > 2]
    for value in sorted({value for value in values if len(value) > 2}, key=len, reverse=True):
        text = re.sub(re.escape(value), "***", text, flags=re.IGNORECASE)
    return text


def load_view(store: Store, order_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Return the `v_orders` rows of these orders, keyed by order id."""
    rows = store.query(
        "SELECT v.* FROM json_each(?) j JOIN v_orders v ON v.order_id = j.value", (json.dumps(list(order_ids)),)
    )
    return {row["order_id"]: row for row in rows}


def iterate_orders(store: Store, state: str | None = None) -> Iterator[sqlite3.Row]:
    """Yield `v_orders`: those that still promise something, most urgent first, then the others, newest first.

    `state` narrows to one of ORDER_STATES. Never more than a few dozen rows are held.
    """
    if state is None or state in STILL_PROMISED:
        yield from _in_view(
            store,
            store.iterate(
                "SELECT order_id FROM orders INDEXED BY orders_open WHERE is_open = 1 ORDER BY ship_by IS NULL, ship_by, order_id"
            ),
            state,
        )
    if state is None or state not in STILL_PROMISED:
        yield from _in_view(
            store,
            store.iterate(
                "SELECT order_id FROM orders INDEXED BY orders_by_placing WHERE is_open = 0 ORDER BY placed_at DESC"
            ),
            state,
        )


def _in_view(store: Store, order_ids: Iterator[sqlite3.Row], state: str | None) -> Iterator[sqlite3.Row]:
    while chosen := [row[0] for row in islice(order_ids, _ORDERS_HELD)]:
        rows = load_view(store, chosen)
        yield from (rows[order_id] for order_id in chosen if state is None or rows[order_id]["state"] == state)


def load_asking_orders(store: Store) -> list[sqlite3.Row]:
    """Return the `v_orders` rows of orders whose buyer asks to cancel, those with the least time to answer first."""
    ids = store.query("SELECT order_id FROM orders WHERE cancel_requested = 1 AND base_state <> 'cancelled'")
    return sorted(
        load_view(store, [row[0] for row in ids]).values(),
        key=lambda row: (
            row["answer_by"] is None,
            row["answer_by"] or "",
            row["ship_by"] is None,
            row["ship_by"] or "",
            row["order_id"],
        ),
    )


def count_open_orders(store: Store) -> int:
    """Return how many orders still promise something."""
    return int(store.scalar("SELECT count(*) FROM orders WHERE is_open = 1"))


def _order_row(change: OrderChange, now: str) -> tuple[Any, ...]:
    facts = change.facts
    return (
        change.order_id,
        facts.channel,
        facts.channel_order_id,
        now,
        *(_time(getattr(facts, column)) for column in _TIMES),
        *_plain(facts),
        int(facts.is_presale),
        int(facts.cancel_requested),
        int(facts.has_updated_address),
        *(int(bool(getattr(facts, column))) for column in _MAYBE_FLAGS),
        facts.status,
        _encoder.encode(facts.other_amounts) if facts.other_amounts else None,
        facts.warehouse_id,
        change.base_state,
        int(change.base_state in STILL_PROMISED),
        _time(change.held_until),
        _time(change.ship_by),
        change.ship_by_source,
        facts.source,
        _time(facts.as_of),
        change.digest,
        now,
    )


def _unit_row(order_id: str, unit: Any) -> tuple[Any, ...]:
    facts = unit.facts
    return (
        unit.unit_id,
        order_id,
        facts.channel_unit_id,
        unit.position,
        unit.sku,
        facts.channel_sku_id,
        facts.product_id,
        facts.product_name,
        facts.variant_name,
        facts.price_minor,
        facts.status,
        unit.state,
        facts.channel_package_id,
        facts.tracking_number,
        facts.provider_name,
        int(facts.is_gift),
        facts.creator,
        facts.content_type,
        facts.content_id,
        unit.package_id,
        facts.original_price_minor,
        facts.platform_discount_minor,
        facts.seller_discount_minor,
        facts.cancelled_by,
        facts.cancel_reason,
        int(bool(facts.is_returned)),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def _recipient(row: Mapping[str, Any] | sqlite3.Row) -> RecipientFacts:
    values = {column: row[column] for column in _RECIPIENT_COLUMNS if column != "is_masked"}
    return RecipientFacts(**values, is_masked=bool(row["is_masked"]))
