"""Sessions, rooms, what sold of late and how long it went unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_erp.model.moment import to_text
from tiktok_erp.model.safety_stock import Live
from tiktok_erp.store.database import Store
from tiktok_erp.store.live import (
    blind_time_s,
    load_pace,
    load_rooms,
    load_runways,
    load_sales,
    load_sales_view,
    load_sessions,
    start_session,
    stop_sessions,
)

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
EVERY = timedelta(seconds=60)


def sell(rows: Any, number: int, *skus: str, minutes_ago: float = 1, room: str | None = None, **order: Any) -> None:
    order_id = rows.order(number, placed_at=to_text(NOW - timedelta(minutes=minutes_ago)), **order)
    for index, sku in enumerate(skus):
        rows.add(
            "units",
            unit_id=f"u{number}-{index}",
            order_id=order_id,
            sku=sku,
            content_type="LIVE" if room else None,
            content_id=room,
        )


def view(store: Store, **options: Any) -> Any:
    return load_sales_view(store, Live(), every=EVERY, now=NOW, **({"with_sales": True} | options))


def test_a_session_runs_from_its_start_to_its_end_and_once(store: Store) -> None:
    with store.transaction():
        assert start_session(store, "friday", ["LNG-*"], NOW - timedelta(hours=1))
        assert not start_session(store, "friday", [], NOW)
        assert start_session(store, "other", [], NOW + timedelta(hours=1))
    assert view(store).is_live("LNG-1")
    assert not view(store).is_live("MUG")
    with store.transaction():
        assert stop_sessions(store, "friday", NOW) == ["friday"]
        assert stop_sessions(store, "friday", NOW) == []
        assert stop_sessions(store, None, NOW) == ["other"]
    assert not view(store).is_live("LNG-1")
    assert [row["name"] for row in load_sessions(store)] == ["other", "friday"]


def test_a_session_without_skus_is_about_all(store: Store) -> None:
    with store.transaction():
        start_session(store, "friday", [], NOW)
    assert view(store).is_live("ANY")


def test_a_stream_is_read_from_the_rooms_that_orders_came_from(store: Store, rows: Any) -> None:
    rows.add("sku_components")
    sell(rows, 1, "SET", room="r1", minutes_ago=10)
    sell(rows, 2, "TEA", room="r0", minutes_ago=20)
    sell(rows, 3, "CUP")
    live = view(store)
    assert [sku for sku in ("SET", "MUG", "TEA", "CUP") if live.is_live(sku)] == ["SET", "MUG"]
    assert [(row["room"], row["units"]) for row in load_rooms(store, NOW - timedelta(hours=1))] == [
        ("r1", 1),
        ("r0", 1),
    ]


def test_sales_are_pieces_picked_and_not_what_others_pack_or_buyers_took_back(store: Store, rows: Any) -> None:
    rows.add("sku_components")
    sell(rows, 1, "SET", "MUG", minutes_ago=3)
    sell(rows, 2, "MUG", minutes_ago=2, fulfillment_type="FULFILLMENT_BY_TIKTOK")
    sell(rows, 3, "MUG", minutes_ago=90)
    sell(rows, 4, "MUG", minutes_ago=1)
    store.execute("UPDATE units SET state = 'cancelled' WHERE order_id = 'tiktok:4'")
    sales = load_sales(store, NOW - timedelta(hours=1), NOW)
    assert sum(pieces for _second, pieces in sales["MUG"]) == 3
    assert view(store).speed("MUG").units == 3
    assert view(store, with_sales=False).speed("MUG") is None


@pytest.mark.parametrize(("age_s", "push_s", "blind_s"), [(10, None, 120), (10, 30, 120), (130, 30, 210), (5, 0, 90)])
def test_the_blind_time_is_fetch_and_push_and_platform(
    store: Store, rows: Any, age_s: int, push_s: int | None, blind_s: int
) -> None:
    rows.add("cursors", as_of=to_text(NOW - timedelta(seconds=age_s)))
    if push_s is not None:
        rows.add(
            "outbox",
            kind="set_quantity",
            state="done",
            intent_at=to_text(NOW),
            done_at=to_text(NOW + timedelta(seconds=push_s)),
        )
    assert blind_time_s(store, Live(), every=EVERY, now=NOW) == blind_s


def test_a_fetch_of_last_week_makes_no_endless_blindness(store: Store, rows: Any) -> None:
    rows.add("cursors", as_of=to_text(NOW - timedelta(days=7)))
    assert blind_time_s(store, Live(), every=EVERY, now=NOW) == 3600


def test_runways_know_what_is_short_and_what_was_meant_to_be(store: Store, rows: Any) -> None:
    rows.add("stock_moves", quantity=0)
    sell(rows, 1, "MUG")
    sell(rows, 2, "MUG", is_presale=1)
    for number in (1, 2):
        rows.add("reservations", unit_id=f"u{number}-0", state="short")
    (runway,) = load_runways(store, timedelta(hours=1), NOW)
    assert (runway.short, runway.by_intent, runway.units_sold, runway.minutes_left) == (2, 1, 2, 0)
    assert load_pace(store, NOW - timedelta(hours=1)) == (2, 0, 0)


def test_a_sku_that_sells_fast_is_in_a_stream_wherever_it_is_sold_and_silence_does_not_end_it(
    store: Store, rows: Any
) -> None:
    for number in range(5):
        sell(rows, number, "TEA", minutes_ago=30 + number)
        sell(rows, 10 + number, "CUP", minutes_ago=5 + 10 * number)
    assert [sku for sku in ("TEA", "CUP") if view(store).is_live(sku)] == ["TEA"]
    assert not view(store, with_sales=False).is_live("TEA")
