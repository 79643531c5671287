"""The schema refuses what must not happen, whoever asks: each constraint is broken once."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest

from tiktok_erp.errors import StoreRefused
from tiktok_erp.store.database import Store

AT = "2026-11-18T12:00:00Z"
LIVE = ("intent", "sent", "unknown", "bought")
ENDED = ("refused", "voided")
BAD_TIMES = ("2026-11-18 12:00:00", "2026-11-18", "1794973331", "2026-11-18T12:00:00+00:00", "")


def label_times(state: str) -> dict[str, str]:
    return {
        "intent": {},
        "sent": {"sent_at": AT},
        "unknown": {"sent_at": AT},
        "bought": {"bought_at": AT},
        "refused": {},
        "voided": {"bought_at": AT},
    }[state]


@pytest.mark.parametrize("first", LIVE)
@pytest.mark.parametrize("second", LIVE)
def test_a_package_never_has_two_live_labels(rows: Any, first: str, second: str) -> None:
    rows.one_of_each()
    rows.add("labels", state=first, **label_times(first))
    with pytest.raises(StoreRefused):
        rows.add("labels", state=second, **label_times(second))


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize("live", LIVE)
def test_an_ended_label_makes_room_for_another(rows: Any, store: Store, ended: str, live: str) -> None:
    rows.one_of_each()
    for _label in range(2):
        rows.add("labels", state=ended, **label_times(ended))
    rows.add("labels", state=live, **label_times(live))
    assert store.scalar("SELECT count(*) FROM labels") == 3


@pytest.mark.parametrize("live", LIVE)
def test_an_ended_label_cannot_come_back_beside_a_live_one(rows: Any, store: Store, live: str) -> None:
    rows.one_of_each()
    old = rows.add("labels", state="voided", bought_at=AT)
    rows.add("labels", state=live, **label_times(live))
    with pytest.raises(StoreRefused):
        store.execute("UPDATE labels SET state = 'bought' WHERE label_id = ?", (old,))


def test_two_packages_have_a_live_label_each(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.package(2, "tiktok:1")
    rows.add("labels")
    rows.add("labels", package_id="P000002")
    assert store.scalar("SELECT count(*) FROM labels") == 2


@pytest.mark.parametrize("state", [*LIVE, *ENDED])
def test_a_label_is_never_deleted(rows: Any, store: Store, state: str) -> None:
    rows.one_of_each()
    rows.add("labels", state=state, **label_times(state))
    with pytest.raises(StoreRefused, match="never deleted"):
        store.execute("DELETE FROM labels")
    assert store.scalar("SELECT count(*) FROM labels") == 1


def test_replacing_a_label_does_not_forget_the_old_one(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("labels", state="bought", bought_at=AT)
    with pytest.raises(StoreRefused, match="never deleted"):
        store.execute(
            "REPLACE INTO labels (package_id, state, source, intent_at) VALUES ('P000001', 'intent', 'tiktok', ?)",
            (AT,),
        )
    assert store.scalar("SELECT state FROM labels") == "bought"


@pytest.mark.parametrize(
    "values",
    [
        {"state": "printed"},
        {"state": "bought"},  # without bought_at
        {"state": "sent"},  # without sent_at
        {"state": "unknown"},
        {"cost_minor": 100},  # money without currency
        {"currency": "USD"},
        {"package_id": "P000009"},
        {"barcode": "maybe"},
        {"batch_id": 7},
        {"run_id": 7},
        {"source": None},
        {"cost_minor": "3.50", "currency": "USD"},
        *[{"intent_at": text} for text in BAD_TIMES],
        *[{"printed_at": text} for text in BAD_TIMES],
        *[{"on_paper_at": text} for text in BAD_TIMES],
    ],
    ids=str,
)
def test_a_label_that_contradicts_itself_is_refused(rows: Any, values: dict[str, Any]) -> None:
    rows.one_of_each()
    with pytest.raises(StoreRefused):
        rows.add("labels", **values)


def test_a_unit_is_reserved_once(rows: Any) -> None:
    rows.one_of_each()
    rows.add("reservations")
    with pytest.raises(StoreRefused):
        rows.add("reservations")
    with pytest.raises(StoreRefused):
        rows.add("reservations", state="short")


def test_no_more_is_reserved_than_is_there(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("stock_moves", quantity=-4, kind="adjusted")
    rows.add("reservations")
    rows.add("units", unit_id="tiktok:12")
    with pytest.raises(StoreRefused):
        rows.add("reservations", unit_id="tiktok:12")
    assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (1, 1)


def test_stock_does_not_fall_below_what_is_reserved(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("reservations")
    with pytest.raises(StoreRefused):
        rows.add("stock_moves", quantity=-5, kind="adjusted")
    assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (5, 1)
    assert [row[0] for row in store.query("SELECT kind FROM stock_moves ORDER BY move_id")] == ["counted", "reserved"]


@pytest.mark.parametrize("quantity", [-1, -6])
def test_stock_is_never_below_nothing(rows: Any, store: Store, quantity: int) -> None:
    with pytest.raises(StoreRefused):
        rows.add("stock_moves", quantity=quantity - 0, sku="NEW")
    assert store.scalar("SELECT count(*) FROM stock") == 0


def test_a_unit_of_a_sku_that_was_never_counted_is_not_held(rows: Any, store: Store) -> None:
    rows.one_of_each()
    with pytest.raises(StoreRefused, match="uncounted"):
        rows.add("reservations", sku="CUP")
    rows.add("reservations", sku="CUP", state="short")
    with pytest.raises(StoreRefused, match="uncounted"):
        store.execute("UPDATE reservations SET state = 'held'")
    assert store.scalar("SELECT state FROM reservations") == "short"


def test_a_unit_is_not_held_in_a_warehouse_that_was_never_counted(rows: Any) -> None:
    rows.one_of_each()
    with pytest.raises(StoreRefused, match="uncounted"):
        rows.add("reservations", warehouse="east")


@pytest.mark.parametrize("column, value", [("sku", "CUP"), ("warehouse", "east")])
def test_a_held_reservation_stays_where_it_is(rows: Any, store: Store, column: str, value: str) -> None:
    rows.one_of_each()
    rows.add("reservations")
    with pytest.raises(StoreRefused, match="release a reservation"):
        store.execute(f"UPDATE reservations SET {column} = ?", (value,))


@pytest.mark.parametrize("state", ["held", "short", "shipped", "released"])
def test_a_reservation_is_never_deleted(rows: Any, store: Store, state: str) -> None:
    rows.one_of_each()
    rows.add("reservations", state=state)
    with pytest.raises(StoreRefused, match="never deleted"):
        store.execute("DELETE FROM reservations")


def test_replacing_a_reservation_does_not_count_it_twice(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("reservations")
    with pytest.raises(StoreRefused, match="never deleted"):
        store.execute(
            "REPLACE INTO reservations (unit_id, sku, warehouse, state, held_at) VALUES ('tiktok:11', 'MUG', 'main', 'held', ?)",
            (AT,),
        )
    assert store.scalar("SELECT reserved FROM stock") == 1


def test_a_shipment_without_a_time_is_refused(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("reservations")
    with pytest.raises(StoreRefused):
        store.execute("UPDATE reservations SET state = 'shipped'")
    assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (5, 1)


def test_the_last_piece_of_all_can_be_shipped(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("stock_moves", quantity=-4, kind="adjusted")
    rows.add("reservations")
    store.execute("UPDATE reservations SET state = 'shipped', ended_at = ?", (AT,))
    assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (0, 0)
    move = store.query_one("SELECT kind, quantity, reference, at FROM stock_moves ORDER BY move_id DESC")
    assert tuple(move or ()) == ("shipped", -1, "tiktok:11", AT)


def test_a_short_unit_that_ships_takes_nothing_out_of_stock(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("reservations", state="short")
    store.execute("UPDATE reservations SET state = 'shipped', ended_at = ?", (AT,))
    assert tuple(store.query_one("SELECT on_hand, reserved FROM stock") or ()) == (5, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stock_moves SET quantity = 6",
        "UPDATE stock_moves SET because = 'other'",
        "DELETE FROM stock_moves",
        "REPLACE INTO stock_moves (move_id, sku, warehouse, kind, quantity, because, at)"
        " VALUES (1, 'MUG', 'main', 'counted', 9, 'other', '2026-11-18T12:00:00Z')",
    ],
)
def test_the_ledger_is_only_ever_added_to(rows: Any, store: Store, change: str) -> None:
    rows.add("stock_moves")
    with pytest.raises(StoreRefused, match="never"):
        store.execute(change)
    assert store.scalar("SELECT quantity FROM stock_moves") == 5
    assert store.scalar("SELECT on_hand FROM stock") == 5


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("orders", {"base_state": "shipped"}),
        ("orders", {"is_open": 2}),
        ("orders", {"ship_by_source": "guess"}),
        ("orders", {"source": "mail"}),
        ("orders", {"cancel_requested": 5}),
        ("orders", {"status": None}),
        ("orders", {"total_minor": "43.28"}),
        ("orders", {"total_minor": 43.28}),
        ("orders", {"order_id": "tiktok:again"}),  # the channel's own id twice
        *[("orders", {"ship_by": text}) for text in BAD_TIMES],
        *[("orders", {"as_of": text}) for text in BAD_TIMES],
        ("units", {"unit_id": "tiktok:x", "order_id": "tiktok:9"}),
        ("units", {"unit_id": "tiktok:x", "package_id": "P000009"}),
        ("units", {"unit_id": "tiktok:x", "state": "lost"}),
        ("units", {"unit_id": "tiktok:x", "is_gift": 2}),
        ("units", {"unit_id": None}),
        ("packages", {"package_id": "1"}),
        ("packages", {"package_id": "Q000001"}),
        ("packages", {"package_id": "P000001"}),
        ("packages", {"package_id": "P000002", "weight_g": -1}),
        ("packages", {"package_id": "P000002", "weight_g": 12.5}),
        ("packages", {"package_id": "P000002", "merged_into": "P000009"}),
        ("packages", {"package_id": "P000002", "allocated_at": AT}),
        ("packages", {"package_id": "P000002", "allocated_at": AT, "carrier": "usps"}),
        ("package_orders", {"package_id": "P000009"}),
        ("package_orders", {"order_id": "tiktok:9"}),
        ("package_orders", {}),  # the same pair again
        ("stock_moves", {"kind": "stolen"}),
        ("stock_moves", {"because": None}),
        ("stock_moves", {"quantity": 1.5}),
        ("reservations", {"unit_id": "tiktok:99"}),
        ("reservations", {"state": "maybe"}),
        ("reservations", {"held_at": "now"}),
        ("outbox", {"state": "lost"}),
        ("outbox", {"payload": None}),
        ("quarantine", {"package_id": "P000009"}),
        ("quarantine", {"next_step": None}),
        ("recipients", {"is_masked": 2}),
        ("recipients", {"order_id": "tiktok:9"}),
        ("skus", {"weight_g": -1}),
        ("skus", {"length_mm": 0}),
        ("listings", {"wanted_quantity": -1}),
        ("listings", {"pushed_quantity": -1}),
        ("stock", {"on_hand": -1}),
        ("stock", {"reserved": 2}),
        ("stock", {"reserved": -1}),
        ("safety_stock", {"quantity": -1}),
        ("batches", {"created_at": "today"}),
        ("packings", {"package_id": "P000009"}),
        ("packings", {"packed_at": "noon"}),
        ("claims", {"package_id": "P000009"}),
        ("restocking", {"unit_id": "tiktok:99"}),
        ("claims", {"until": "soon"}),
        ("packings", {"run_id": 9}),
        ("open_boxes", {"package_id": "P000009"}),
        ("open_boxes", {"opened_at": "noon"}),
        ("print_jobs", {"state": "printed"}),
        ("print_jobs", {"batch_id": 9}),
        ("print_jobs", {"sent_at": None}),
        ("scan_forms", {"state": "printed"}),
        ("scan_forms", {"day": "today"}),
        ("scan_forms", {"state": "sent"}),
        ("scan_forms", {"state": "made", "sent_at": AT}),
        ("scan_form_labels", {"label_id": 9}),
        ("scan_form_labels", {"form_id": 9}),
        ("quotes", {"cost_minor": -1}),
        ("quotes", {"quoted_at": "today"}),
        ("cursors", {"as_of": "today"}),
        ("runs", {"started_at": "today"}),
        ("raw_answers", {"dictionary_id": 9}),
        ("meta", {"value": None}),
        ("shipping_providers", {"fetched_at": "today"}),
        ("order_events", {"order_id": "tiktok:9"}),
        ("order_events", {"at": "today"}),
        ("cancellations", {"is_pending": 2}),
        ("cancellations", {"answer_by": "soon"}),
        ("commissions", {"quantity": -1}),
        ("commissions", {"is_on_units": 2}),
        ("api_calls", {"outcome": "slow"}),
        ("api_calls", {"latency_ms": -1}),
        ("alerts", {"opened_at": "today"}),
        ("holds", {"since": "today"}),
        ("overrides", {"order_id": "tiktok:9"}),
        ("packages", {"signature": "perhaps"}),
        ("packages", {"insurance_minor": 0}),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_is_refused(rows: Any, table: str, values: dict[str, Any]) -> None:
    rows.one_of_each()
    with pytest.raises(StoreRefused):
        rows.add(table, **values)


def test_the_rows_that_these_tests_change_are_accepted_unchanged(
    rows: Any, store: Store, whole_rows: dict[str, Any]
) -> None:
    for table in whole_rows:
        if table == "migrations":
            continue
        rows.add(table)
    tables = {
        row[0]
        for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    }
    assert tables == set(whole_rows)


def test_a_label_is_on_one_scan_form_and_one_that_was_taken_back_on_none(rows: Any, store: Store) -> None:
    rows.one_of_each()
    label, first = rows.add("labels", state="bought", bought_at=AT), rows.add("scan_forms")
    rows.add("scan_form_labels", label_id=label, form_id=first)
    second = rows.add("scan_forms")
    with pytest.raises(StoreRefused):
        rows.add("scan_form_labels", label_id=label, form_id=second)
    store.execute("UPDATE scan_forms SET state = 'failed' WHERE form_id = ?", (first,))
    with pytest.raises(StoreRefused):
        store.execute("UPDATE scan_forms SET state = 'sent', sent_at = ?", (AT,))
    store.execute("UPDATE labels SET void_sent_at = ?", (AT,))
    with pytest.raises(StoreRefused):
        rows.add("scan_form_labels", label_id=label, form_id=second)
    store.execute("UPDATE labels SET void_sent_at = NULL")
    rows.add("scan_form_labels", label_id=label, form_id=second)
    with pytest.raises(StoreRefused):
        store.execute("DELETE FROM scan_forms")


def test_an_idempotency_key_names_one_effect(rows: Any) -> None:
    rows.one_of_each()
    rows.add("outbox")
    with pytest.raises(StoreRefused):
        rows.add("outbox", subject="tiktok:other")


def test_a_package_has_one_open_case_of_a_cause(rows: Any, store: Store) -> None:
    rows.one_of_each()
    rows.add("quarantine")
    with pytest.raises(StoreRefused):
        rows.add("quarantine", detail="again")
    rows.add("quarantine", cause="no_address")
    store.execute("UPDATE quarantine SET resolved_at = ?", (AT,))
    rows.add("quarantine")


@pytest.mark.parametrize("table", ["orders", "packages", "runs", "batches", "raw_dictionaries"])
def test_what_others_refer_to_cannot_vanish(rows: Any, store: Store, table: str) -> None:
    rows.one_of_each()
    run_id, batch_id = rows.add("runs"), rows.add("batches")
    rows.add("labels", run_id=run_id, batch_id=batch_id)
    rows.add("raw_dictionaries")
    rows.add("raw_answers")
    with pytest.raises(StoreRefused):
        store.execute(f"DELETE FROM {table}")


def test_every_table_is_strict_and_every_time_is_checked(store: Store) -> None:
    tables = {
        row["name"]: row["sql"]
        for row in store.query("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    }
    for name, sql in tables.items():
        assert re.search(r"\)\s*STRICT", sql), name
        columns = [row["name"] for row in store.query(f"PRAGMA table_info({name})")]
        for column in columns:
            if column.endswith("_at") or column in ("as_of", "at", "since", "ship_by", "held_until", "wait_until"):
                assert f"CHECK ({column} GLOB" in sql, f"{name}.{column}"


def test_a_random_sqlite_program_is_held_to_the_same_rules(store: Store) -> None:
    """The triggers and checks are in the file itself, not in our connection."""
    with sqlite3.connect(store.path) as other:
        other.execute(
            "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at) VALUES ('A','m','counted',2,'t',?)",
            (AT,),
        )
        with pytest.raises(sqlite3.IntegrityError):
            other.execute("DELETE FROM stock_moves")
        with pytest.raises(sqlite3.IntegrityError):
            other.execute("UPDATE stock SET reserved = 3")
    other.close()
