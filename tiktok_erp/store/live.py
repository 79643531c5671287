"""The SQL about live streams and about what was sold of late."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median_high

from tiktok_erp.model.bundle import pieces_of
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.order_state import CHANNEL_FULFILLMENT
from tiktok_erp.model.runway import Runway, plan_runway
from tiktok_erp.model.safety_stock import Live, SalesView, fast_sellers
from tiktok_erp.store.bundles import load_own_bundles, load_unit_components
from tiktok_erp.store.database import Store
from tiktok_erp.store.open_work import OPEN_PACKAGES

_PUSHES_LOOKED_AT = 50
_UNMEASURED_PUSH_S = 10  # until a push was made: performance notes, a slow call and its retry
_STEP_S = 30  # the blind time is rounded up to this, so that a second look a moment later comes to the same
_LONGEST_BLIND_S = 3600


def start_session(store: Store, name: str, skus: Sequence[str], at: datetime) -> bool:
    """Begin a session; False when one of this name is running. Call inside a transaction."""
    if store.scalar("SELECT 1 FROM live_sessions WHERE name = ? AND ended_at IS NULL", (name,)):
        return False
    store.execute(
        "INSERT INTO live_sessions (name, skus, started_at) VALUES (?, ?, ?)",
        (name, json.dumps(list(skus), ensure_ascii=False), to_text(at)),
    )
    return True


def stop_sessions(store: Store, name: str | None, at: datetime) -> list[str]:
    """End the running session of that name, or every one; return the names. Call inside a transaction."""
    rows = store.query(
        "SELECT session_id, name FROM live_sessions INDEXED BY live_sessions_running"
        " WHERE ended_at IS NULL AND name = coalesce(?, name) ORDER BY session_id",
        (name,),
    )
    store.execute_many(
        "UPDATE live_sessions SET ended_at = ? WHERE session_id = ?", [(to_text(at), row["session_id"]) for row in rows]
    )
    return [row["name"] for row in rows]


def load_sessions(store: Store, newest: int | None = None) -> list[sqlite3.Row]:
    """Return the sessions, those that run and then the newest first: every one, or so many beside those that run."""
    which = (
        "SELECT session_id FROM live_sessions INDEXED BY live_sessions_running WHERE ended_at IS NULL UNION ALL"
        " SELECT * FROM (SELECT session_id FROM live_sessions ORDER BY session_id DESC LIMIT ?)"
    )
    return store.query(
        f"SELECT * FROM v_live_sessions WHERE session_id IN ({which})"
        " ORDER BY ended_at IS NOT NULL, started_at DESC, session_id DESC",
        (-1 if newest is None else newest,),
    )


def load_sessions_since(store: Store, since: str) -> list[sqlite3.Row]:
    """Return the sessions that run, or that ended at `since` or later, the newest first."""
    return store.query(
        "SELECT * FROM v_live_sessions WHERE coalesce(ended_at, '9') >= ?"
        " ORDER BY ended_at IS NOT NULL, started_at DESC, session_id DESC",
        (since,),
    )


def load_rooms(store: Store, since: datetime) -> list[sqlite3.Row]:
    """Return the live rooms that units placed after `since` came from, with the first and last order and the units."""
    return store.query(
        "SELECT u.content_id AS room, min(o.placed_at) AS first_at, max(o.placed_at) AS last_at, count(*) AS units,"
        " count(DISTINCT u.sku) AS skus FROM orders o INDEXED BY orders_by_placing"
        " CROSS JOIN units u ON u.order_id = o.order_id WHERE o.placed_at >= ?"
        " AND u.content_type = 'LIVE' AND u.content_id IS NOT NULL GROUP BY 1 ORDER BY 3 DESC, 1",
        (to_text(since),),
    )


def load_sales_view(
    store: Store, live: Live, *, every: timedelta, now: datetime, with_sales: bool, channels: Sequence[str] = ()
) -> SalesView:
    """Return what safety stock may ask of this moment; without `with_sales` no speed is measured.

    The blind time: the age of the last fetch (at least the time between two), how long a push took of late, and the
    platform's own delay.
    """
    names = tuple(row[0] for row in store.query("SELECT DISTINCT channel FROM listings ORDER BY 1"))
    rows = store.query(
        "SELECT skus FROM live_sessions INDEXED BY live_sessions_by_end WHERE started_at <= ?1 AND coalesce(ended_at, '9') > ?1",
        (to_text(now),),
    )
    globs = tuple(glob for row in rows for glob in (json.loads(row["skus"]) or ["*"]))
    sales = load_sales(store, now - live.look_back, now) if with_sales else {}
    quiet_s = int(live.quiet_after.total_seconds())
    return SalesView(
        channels=tuple(sorted({*names, *channels})) or ("tiktok",),
        live_globs=globs,
        live_skus=_skus_in_rooms(store, now - live.quiet_after) | fast_sellers(sales, quiet_s, live.enough_units),
        sales=sales,
        blind_s=blind_time_s(store, live, every=every, now=now) if with_sales else _STEP_S,
        enough_units=live.enough_units,
    )


def load_sales(store: Store, since: datetime, until: datetime) -> dict[str, list[tuple[int, int]]]:
    """Return (second, pieces) of every sale per SKU picked, in order of time; bundles count as their components.

    Orders that were cancelled since, and those that the channel packs itself, are no demand on our shelf.
    """
    rows = store.query(
        "SELECT u.unit_id, u.sku, o.placed_at FROM orders o INDEXED BY orders_by_placing"
        " CROSS JOIN units u ON u.order_id = o.order_id WHERE o.placed_at >= ?1"
        " AND o.placed_at <= ?2 AND u.state <> 'cancelled'"
        " AND coalesce(o.fulfillment_type, '') NOT IN (SELECT value FROM json_each(?3)) ORDER BY o.placed_at, u.unit_id",
        (to_text(since), to_text(until), json.dumps(CHANNEL_FULFILLMENT)),
    )
    if not rows:
        return {}
    own = load_own_bundles(store)
    has_told = store.scalar("SELECT EXISTS (SELECT 1 FROM unit_components)")
    told = load_unit_components(store, [row["unit_id"] for row in rows]) if has_told else {}
    sales: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        second = int(from_text(row["placed_at"]).timestamp())
        for sku, pieces in pieces_of(row["sku"], own, told.get(row["unit_id"], ())).items():
            sales.setdefault(sku, []).append((second, pieces))
    return sales


def blind_time_s(store: Store, live: Live, *, every: timedelta, now: datetime) -> int:
    """Return for how many seconds sales go unseen between the last fetch and the moment a push holds."""
    as_of = store.scalar("SELECT max(as_of) FROM cursors WHERE resource IN ('orders', 'orders_file')")
    age = (now - from_text(as_of)).total_seconds() if as_of else 0.0
    blind = max(age, every.total_seconds()) + push_delay_s(store) + live.platform_delay.total_seconds()
    return min(_LONGEST_BLIND_S, max(_STEP_S, -(-int(blind) // _STEP_S) * _STEP_S))


def push_delay_s(store: Store) -> int:
    """Return how long a push of late took, from the intent to the channel's answer."""
    rows = store.query(
        "SELECT intent_at, done_at FROM outbox INDEXED BY outbox_pushed WHERE kind = 'set_quantity' AND state = 'done' AND done_at IS NOT NULL"
        " ORDER BY outbox_id DESC LIMIT ?",
        (_PUSHES_LOOKED_AT,),
    )
    seconds = [int((from_text(row["done_at"]) - from_text(row["intent_at"])).total_seconds()) for row in rows]
    return median_high(seconds) if seconds else _UNMEASURED_PUSH_S


def _skus_in_rooms(store: Store, since: datetime) -> frozenset[str]:
    rows = store.query(
        "SELECT DISTINCT u.sku FROM orders o INDEXED BY orders_by_placing"
        " CROSS JOIN units u ON u.order_id = o.order_id WHERE o.placed_at >= ?"
        " AND u.content_type = 'LIVE' AND u.content_id IS NOT NULL",
        (to_text(since),),
    )
    if not rows:
        return frozenset()
    own = load_own_bundles(store)
    return frozenset(piece for row in rows for piece in (row[0], *pieces_of(row[0], own)))


def load_runways(store: Store, look_back: timedelta, now: datetime) -> tuple[Runway, ...]:
    """Return how long each counted SKU lasts at the speed of the orders of the last `look_back`."""
    stock = {
        row["sku"]: (row["on_hand"], row["reserved"], row["available"])
        for row in store.query(
            "SELECT sku, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(available_to_sell) AS available"
            " FROM v_stock GROUP BY sku"
        )
    }
    return plan_runway(
        stock,
        load_sales(store, now - look_back, now),
        load_short(store),
        now_s=int(now.timestamp()),
        look_back_s=int(look_back.total_seconds()),
    )


def load_short(store: Store) -> dict[str, tuple[int, int]]:
    """Return per SKU (units that lack a piece of it, those of them that were sold before there is stock)."""
    rows = store.query(
        "SELECT coalesce(p.sku, r.sku) AS sku, count(*) AS units, sum(o.is_presale = 1 OR EXISTS (SELECT 1 FROM skus k,"
        " json_each(k.tags) t WHERE k.sku = r.sku AND t.value = 'back_order')) AS by_intent FROM reservations r INDEXED BY reservations_open"
        " CROSS JOIN units u ON u.unit_id = r.unit_id JOIN orders o USING (order_id)"
        " LEFT JOIN reservation_parts p ON p.unit_id = r.unit_id"
        " WHERE r.state IN ('held', 'short') AND r.state = 'short' GROUP BY 1"
    )
    return {row["sku"]: (row["units"], row["by_intent"]) for row in rows}


def load_pace(store: Store, since: datetime) -> tuple[int, int, int]:
    """Return (orders placed since, labels bought since, packages of open orders that wait for a label)."""
    at = to_text(since)
    waiting = (
        f"SELECT count(DISTINCT p.package_id) FROM ({OPEN_PACKAGES}) po CROSS JOIN packages p ON p.package_id = po.package_id"
        " WHERE p.cancelled_at IS NULL AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id"
        " AND l.state IN ('intent', 'sent', 'unknown', 'bought') AND l.state = 'bought')"
    )
    return (
        int(store.scalar("SELECT count(*) FROM orders WHERE placed_at >= ?", (at,))),
        int(store.scalar("SELECT count(*) FROM labels WHERE state = 'bought' AND bought_at >= ?", (at,))),
        int(store.scalar(waiting)),
    )
