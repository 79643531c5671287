"""The counters of stock equal the ledger and the reservations after any sequence of events, and never promise too much."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiktok_erp.errors import StoreRefused
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store
from tiktok_erp.store.stock import (
    load_stock,
    load_unreserved_units,
    move_stock,
    release_latest,
    save_reservations,
    settle_reservations,
)

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
LATER = "2026-11-18T13:00:00Z"
UNITS = 6

events = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from(["main", "east"]), st.integers(-4, 6)),
        st.tuples(st.just("reserve"), st.sampled_from(["main", "east"]), st.integers(0, UNITS - 1)),
        st.tuples(st.just("end"), st.sampled_from(["short", "released", "shipped"]), st.integers(0, UNITS - 1)),
        st.tuples(st.just("again"), st.sampled_from(["main", "east"]), st.integers(0, UNITS - 1)),
    ),
    max_size=25,
)


def counters(store: Store, sku: str) -> dict[str, tuple[int, int]]:
    rows = store.query("SELECT warehouse, on_hand, reserved FROM stock WHERE sku = ?", (sku,))
    return {row["warehouse"]: (row["on_hand"], row["reserved"]) for row in rows}


def test_counters_equal_moves_and_reservations_after_any_sequence(store: Store, rows: Any) -> None:
    rows.order()
    rows.package(1, "tiktok:1")
    names = count()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(events)
    def play(sequence: list[tuple[str, str, int]]) -> None:
        sku = f"SKU-{next(names)}"
        with store.transaction():  # one commit an example: only the time that the disk takes is saved
            for index in range(UNITS):
                rows.add("units", unit_id=f"{sku}/{index}", sku=sku, package_id="P000001")
            for kind, word, number in sequence:
                with suppress(StoreRefused):
                    happen(sku, kind, word, number)
                check(sku)

    def happen(sku: str, kind: str, word: str, number: int) -> None:
        unit_id = f"{sku}/{number}"
        if kind == "move":
            rows.add("stock_moves", sku=sku, warehouse=word, quantity=number, kind="adjusted")
        elif kind == "reserve":
            rows.add("reservations", unit_id=unit_id, sku=sku, warehouse=word)
        elif kind == "again":
            store.execute(
                "UPDATE reservations SET state = 'held', warehouse = ? WHERE unit_id = ? AND state <> 'shipped'",
                (word, unit_id),
            )
        else:
            store.execute("UPDATE reservations SET state = ?, ended_at = ? WHERE unit_id = ?", (word, LATER, unit_id))

    def check(sku: str) -> None:
        moves = store.query(
            "SELECT warehouse, sum(quantity) AS pieces FROM stock_moves WHERE sku = ? GROUP BY warehouse", (sku,)
        )
        held = store.query(
            "SELECT warehouse, count(*) AS units FROM reservations WHERE sku = ? AND state = 'held' GROUP BY warehouse",
            (sku,),
        )
        expected_on_hand = {row["warehouse"]: row["pieces"] for row in moves}
        expected_reserved = {row["warehouse"]: row["units"] for row in held}
        found = counters(store, sku)
        assert {name: pair[0] for name, pair in found.items()} == expected_on_hand
        assert {name: pair[1] for name, pair in found.items() if pair[1]} == expected_reserved
        assert all(0 <= reserved <= on_hand for on_hand, reserved in found.values())

    play()


def make_order(
    rows: Any, number: int, units: int, *, ship_by: str | None = None, sku: str = "MUG", **order: Any
) -> None:
    order_id = rows.order(number, ship_by=ship_by, ship_by_source="channel" if ship_by else "unknown", **order)
    for index in range(units):
        rows.add("units", unit_id=f"u{number}-{index}", order_id=order_id, position=index + 1, sku=sku)


def hold(store: Store, *unit_ids: str, sku: str = "MUG") -> None:
    with store.transaction():
        save_reservations(store, [(unit_id, sku, "main", "held") for unit_id in unit_ids], AT)


def states(store: Store) -> dict[str, str]:
    return {row["unit_id"]: row["state"] for row in store.query("SELECT unit_id, state FROM reservations")}


def test_units_are_offered_to_stock_by_deadline_then_payment_then_order(store: Store, rows: Any) -> None:
    make_order(rows, 5, 1, ship_by=None, paid_at="2026-11-01T00:00:00Z")
    make_order(rows, 4, 1, ship_by="2026-11-20T00:00:00Z", paid_at="2026-11-19T00:00:00Z")
    make_order(rows, 3, 2, ship_by="2026-11-20T00:00:00Z", paid_at="2026-11-18T00:00:00Z")
    make_order(rows, 2, 1, ship_by="2026-11-20T00:00:00Z", paid_at="2026-11-19T00:00:00Z")
    make_order(rows, 1, 1, ship_by="2026-11-21T00:00:00Z")
    order = [row["unit_id"] for row in load_unreserved_units(store)]
    assert order == ["u3-0", "u3-1", "u2-0", "u4-0", "u1-0", "u5-0"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"base_state": "unpaid"}, True),
        ({"base_state": "held"}, True),
        ({"base_state": "open"}, True),
        ({"base_state": "unknown"}, True),
        ({"base_state": "closed", "is_open": 0}, False),
        ({"base_state": "cancelled", "is_open": 0}, False),
        ({"fulfillment_type": "FULFILLMENT_BY_SELLER"}, True),
        ({"fulfillment_type": "FULFILLMENT_BY_TIKTOK"}, False),
        ({"fulfillment_type": "SOMETHING_NEW"}, True),
    ],
    ids=str,
)
def test_promised_units_ask_for_stock_and_others_do_not(
    store: Store, rows: Any, values: dict[str, Any], wanted: bool
) -> None:
    make_order(rows, 1, 1, **values)
    assert bool(load_unreserved_units(store)) is wanted


def test_a_unit_that_holds_or_has_left_asks_for_nothing(store: Store, rows: Any) -> None:
    make_order(rows, 1, 4)
    rows.add("stock_moves")
    hold(store, "u1-0")
    rows.add("reservations", unit_id="u1-1", state="shipped", ended_at=LATER)
    rows.add("reservations", unit_id="u1-2", state="short")
    assert [row["unit_id"] for row in load_unreserved_units(store)] == ["u1-2", "u1-3"]


def test_reservations_follow_their_units(store: Store, rows: Any) -> None:
    make_order(rows, 1, 3)
    rows.add("stock_moves", quantity=3)
    hold(store, "u1-0", "u1-1", "u1-2")
    store.execute("UPDATE units SET state = 'shipped' WHERE unit_id = 'u1-0'")
    store.execute("UPDATE units SET state = 'cancelled' WHERE unit_id = 'u1-1'")
    for _time in range(2):  # the second time changes nothing
        with store.transaction():
            settle_reservations(store, ["tiktok:1"], AT)
        assert states(store) == {"u1-0": "shipped", "u1-1": "released", "u1-2": "held"}
        assert counters(store, "MUG") == {"main": (2, 1)}


def test_only_the_named_orders_are_settled(store: Store, rows: Any) -> None:
    make_order(rows, 1, 1)
    make_order(rows, 2, 1)
    rows.add("stock_moves", quantity=2)
    hold(store, "u1-0", "u2-0")
    store.execute("UPDATE units SET state = 'shipped'")
    with store.transaction():
        settle_reservations(store, ["tiktok:2"], AT)
    assert states(store) == {"u1-0": "held", "u2-0": "shipped"}


def test_the_latest_deadlines_give_their_pieces_back_first(store: Store, rows: Any) -> None:
    make_order(rows, 1, 1, ship_by="2026-11-20T00:00:00Z")
    make_order(rows, 2, 1, ship_by="2026-11-22T00:00:00Z")
    make_order(rows, 3, 1, ship_by="2026-11-21T00:00:00Z")
    make_order(rows, 4, 1, ship_by=None)
    rows.add("stock_moves", quantity=4)
    hold(store, "u1-0", "u2-0", "u3-0", "u4-0")
    with store.transaction():
        assert release_latest(store, "MUG", "main", 2, AT) == ["u4-0", "u2-0"]
        move_stock(
            store, sku="MUG", warehouse="main", kind="counted", quantity=-2, because="test", reference=None, at=AT
        )
    assert states(store) == {"u1-0": "held", "u3-0": "held", "u2-0": "short", "u4-0": "short"}
    assert [tuple(row) for row in load_stock(store)] == [("MUG", "main", 2, 2)]


def test_a_reservation_that_was_shipped_is_not_taken_again(store: Store, rows: Any) -> None:
    make_order(rows, 1, 1)
    rows.add("stock_moves", quantity=2)
    hold(store, "u1-0")
    store.execute("UPDATE reservations SET state = 'shipped', ended_at = ?", (LATER,))
    hold(store, "u1-0")
    assert states(store) == {"u1-0": "shipped"}
    assert counters(store, "MUG") == {"main": (1, 0)}


def test_the_proofs_find_nothing_in_a_sound_file_and_something_in_a_broken_one(store: Store, rows: Any) -> None:
    make_order(rows, 1, 1)
    rows.add("stock_moves", quantity=2)
    proofs = {check.name: check for check in CHECKS}
    assert find_breaches(store, proofs["stock_equals_moves"]) == []
    assert find_breaches(store, proofs["reserved_equals_reservations"]) == []
    store.execute("UPDATE stock SET on_hand = 3, reserved = 1")
    assert [row[0] for row in find_breaches(store, proofs["stock_equals_moves"])] == ["MUG in main"]
    assert [row[0] for row in find_breaches(store, proofs["reserved_equals_reservations"])] == ["MUG in main"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_proof_holds_on_an_empty_file_and_on_a_working_day(store: Store, rows: Any, check: Any) -> None:
    assert find_breaches(store, check) == []
    rows.one_of_each()
    rows.add("reservations")
    rows.add("labels", state="bought", bought_at=LATER, channel_package_id="1153")
    rows.add("outbox", state="done", package_id="P000001")
    assert find_breaches(store, check) == []
