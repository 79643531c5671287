"""The views are the contract for readers: their columns, and the words that they derive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tiktok_erp.store.database import Store

AT = "2026-11-18T12:00:00Z"
PAST = "2020-01-01T00:00:00Z"
FUTURE = "2099-01-01T00:00:00Z"

# Design, section 5.3. Columns may be added, never renamed.
CONTRACT = {
    "v_orders": "order_id channel channel_order_id state status placed_at paid_at held_until ship_by ship_by_source"
    " is_presale cancel_requested currency total_minor platform_discount_minor seller_discount_minor shipping_minor"
    " buyer_note seller_note creator content_type content_id synced_at",
    "v_line_items": "line_item_id order_id sku channel_sku_id product_name quantity price_minor package_id state",
    "v_packages": "package_id channel channel_package_id order_ids state ship_by carrier service_level because weight_g"
    " tracking_number label_cost_minor allocated_at labelled_at printed_at uploaded_at scanned_at quarantine_cause",
    "v_stock": "sku warehouse on_hand reserved safety_stock available_to_sell",
    "v_listings": "channel listing_id sku wanted_quantity pushed_quantity pushed_at",
    "v_labels": "label_id package_id state carrier service_level tracking_number cost_minor currency sha256 bought_at",
    "v_runs": "run_id command started_at ended_at exit_code items_done items_failed error",
    "v_quarantine": "package_id order_id cause detail next_step since",
}


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_has_every_column_that_scripts_rely_on(store: Store, view: str) -> None:
    columns = [row["name"] for row in store.query(f"PRAGMA table_info({view})")]
    assert [name for name in CONTRACT[view].split() if name not in columns] == []
    assert len(columns) == len(set(columns))


def test_every_view_can_be_read(store: Store, rows: Any) -> None:
    rows.one_of_each()
    views = [row[0] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'view'")]
    assert set(CONTRACT) <= set(views)
    for view in views:
        store.query(f"SELECT * FROM {view}")


def state(store: Store, package_id: str = "P000001") -> str:
    return str(store.scalar("SELECT state FROM v_packages WHERE package_id = ?", (package_id,)))


def test_the_first_word_that_holds_is_the_packages_state(store: Store, rows: Any) -> None:
    rows.one_of_each()
    rows.add("reservations")
    rows.add("quarantine")
    rows.add("labels", state="bought", bought_at=AT, sha256="ab", tracking_number="94001")
    store.execute(
        "UPDATE packages SET cancelled_at = :at, delivered_at = :at, scanned_at = :at, allocated_at = :at,"
        " carrier = 'usps', because = 'rule', wait_until = :future",
        {"at": AT, "future": FUTURE},
    )
    store.execute("UPDATE package_orders SET uploaded_at = ?", (AT,))
    seen = [state(store)]
    # Each step takes away the fact behind the word before.
    for change in (
        "UPDATE packages SET cancelled_at = NULL",
        "UPDATE packages SET delivered_at = NULL",
        "UPDATE packages SET scanned_at = NULL",
        f"UPDATE labels SET printed_at = '{AT}'",
        "UPDATE package_orders SET uploaded_at = NULL",
        "UPDATE labels SET printed_at = NULL, sha256 = NULL",
        f"UPDATE labels SET state = 'unknown', sent_at = '{AT}'",
        "UPDATE labels SET state = 'sent'",
        "UPDATE labels SET state = 'intent'",
        "UPDATE labels SET state = 'voided'",
        f"UPDATE quarantine SET resolved_at = '{AT}'",
        "UPDATE packages SET allocated_at = NULL",
        f"UPDATE packages SET wait_until = '{PAST}'",
        "UPDATE reservations SET state = 'released'",
    ):
        store.execute(change)
        seen.append(state(store))
    assert seen == [
        "cancelled",
        "delivered",
        "in_transit",
        "labelled",
        "uploaded",
        "printed",
        "labelled",
        "buying",
        "buying",
        "buying",
        "quarantined",
        "allocated",
        "waiting",
        "reserved",
        "planned",
    ]


@pytest.mark.parametrize("ended", ["refused", "voided"])
def test_a_label_that_ended_sends_the_package_back(store: Store, rows: Any, ended: str) -> None:
    rows.one_of_each()
    rows.add("labels", state=ended, bought_at=AT, tracking_number="94001", sha256="ab", cost_minor=350, currency="USD")
    row = store.query_one("SELECT * FROM v_packages")
    assert row is not None
    assert (row["state"], row["tracking_number"], row["label_cost_minor"], row["labelled_at"]) == (
        "planned",
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("reservations", "expected"),
    [
        ([], "planned"),
        (["held"], "planned"),  # the second unit holds nothing
        (["held", "held"], "reserved"),
        (["held", "short"], "planned"),
        (["held", "released"], "planned"),
    ],
)
def test_a_package_is_reserved_when_each_of_its_units_holds_a_piece(
    store: Store, rows: Any, reservations: list[str], expected: str
) -> None:
    rows.one_of_each()
    rows.add("units", unit_id="tiktok:12", package_id="P000001")
    rows.add("units", unit_id="tiktok:13", package_id="P000001", state="cancelled")
    for unit_id, word in zip(("tiktok:11", "tiktok:12"), reservations, strict=False):
        rows.add("reservations", unit_id=unit_id, state=word)
    assert state(store) == expected


def test_a_package_without_units_is_planned(store: Store, rows: Any) -> None:
    rows.order()
    rows.package(1, "tiktok:1")
    assert state(store) == "planned"


def test_a_combined_package_tells_a_channel_id_only_when_its_orders_share_one(store: Store, rows: Any) -> None:
    rows.order(2)
    rows.order(1)
    rows.package(1, "tiktok:2", "tiktok:1")

    def told() -> tuple[Any, Any]:
        row = store.query_one("SELECT channel_package_id, uploaded_at FROM v_packages")
        assert row is not None
        return row["channel_package_id"], row["uploaded_at"]

    assert told() == (None, None)
    store.execute(
        "UPDATE package_orders SET channel_package_id = '1153', uploaded_at = ? WHERE order_id = 'tiktok:1'", (AT,)
    )
    assert told() == (None, None)
    store.execute(
        "UPDATE package_orders SET channel_package_id = '1154', uploaded_at = ? WHERE order_id = 'tiktok:2'", (FUTURE,)
    )
    assert told() == (None, FUTURE)
    store.execute("UPDATE package_orders SET channel_package_id = '1154'")
    assert told() == ("1154", FUTURE)
    assert json.loads(store.scalar("SELECT order_ids FROM v_packages")) == ["tiktok:1", "tiktok:2"]


def test_a_package_is_due_when_the_first_of_its_orders_is(store: Store, rows: Any) -> None:
    rows.order(1, ship_by=FUTURE)
    rows.order(2, ship_by=AT)
    rows.order(3)
    rows.package(1, "tiktok:1", "tiktok:2", "tiktok:3")
    assert store.scalar("SELECT ship_by FROM v_packages") == AT


@pytest.mark.parametrize(
    ("base_state", "held_until", "expected"),
    [
        ("open", None, "open"),
        ("open", FUTURE, "held"),  # the hour that we hold it ourselves
        ("open", PAST, "open"),
        ("held", PAST, "held"),  # the platform's own word stays until the platform takes it back
        ("unpaid", FUTURE, "unpaid"),
        ("closed", FUTURE, "closed"),
        ("cancelled", FUTURE, "cancelled"),
        ("unknown", FUTURE, "unknown"),
    ],
)
def test_an_order_is_held_by_our_own_hour_only_while_it_is_open(
    store: Store, rows: Any, base_state: str, held_until: str | None, expected: str
) -> None:
    rows.order(1, base_state=base_state, held_until=held_until)
    assert store.scalar("SELECT state FROM v_orders") == expected


def test_what_the_units_of_an_order_do_not_share_is_called_several(store: Store, rows: Any) -> None:
    rows.order()
    rows.add("units", unit_id="a", creator="mia", content_type="LIVE", content_id="757321")
    rows.add("units", unit_id="b", creator="mia", content_type="VIDEO")
    rows.add("units", unit_id="c")
    row = store.query_one("SELECT creator, content_type, content_id FROM v_orders")
    assert tuple(row or ()) == ("mia", "several", "757321")


def test_units_fold_when_they_are_equal_in_everything_that_a_reader_sees(store: Store, rows: Any) -> None:
    rows.order(1)
    rows.order(2)
    rows.package(1, "tiktok:1")
    equal = {"price_minor": 1999, "package_id": "P000001"}
    rows.add("units", unit_id="tiktok:3", **equal)
    rows.add("units", unit_id="tiktok:1", product_name="Mug", **equal)
    rows.add("units", unit_id="tiktok:2", **equal)
    rows.add("units", unit_id="tiktok:4", price_minor=999, package_id="P000001")
    rows.add("units", unit_id="tiktok:5", price_minor=1999)
    rows.add("units", unit_id="tiktok:6", state="cancelled", **equal)
    rows.add("units", unit_id="tiktok:7", channel_sku_id="1730", **equal)
    rows.add("units", unit_id="tiktok:8", order_id="tiktok:2", **equal)
    lines = {row["line_item_id"]: row for row in store.query("SELECT * FROM v_line_items")}
    assert {name: row["quantity"] for name, row in lines.items()} == {
        "tiktok:1": 3,
        "tiktok:4": 1,
        "tiktok:5": 1,
        "tiktok:6": 1,
        "tiktok:7": 1,
        "tiktok:8": 1,
    }
    assert lines["tiktok:1"]["product_name"] == "Mug"
    assert store.scalar("SELECT sum(quantity) FROM v_line_items") == 8


def test_free_gifts_of_unknown_price_fold_too(store: Store, rows: Any) -> None:
    rows.order()
    for number in range(2):
        rows.add("units", unit_id=f"tiktok:{number}", is_gift=1)
    assert [tuple(row) for row in store.query("SELECT quantity, is_gift FROM v_line_items")] == [(2, 1)]


@pytest.mark.parametrize(
    ("on_hand", "reserved", "kept", "available"),
    [(10, 0, 0, 10), (10, 3, 2, 5), (10, 3, 9, 0), (0, 0, None, 0), (5, 5, None, 0)],
)
def test_what_can_be_sold_is_never_below_nothing(
    store: Store, rows: Any, on_hand: int, reserved: int, kept: int | None, available: int
) -> None:
    rows.add("stock", sku="MUG", on_hand=on_hand, reserved=reserved)
    if kept is not None:
        rows.add("safety_stock", quantity=kept)
    assert store.scalar("SELECT available_to_sell FROM v_stock") == available


def test_safety_stock_belongs_to_one_warehouse(store: Store, rows: Any) -> None:
    rows.add("stock", sku="MUG", on_hand=5)
    rows.add("stock", sku="MUG", warehouse="east", on_hand=5)
    rows.add("safety_stock", quantity=2)
    found = {row["warehouse"]: row["available_to_sell"] for row in store.query("SELECT * FROM v_stock")}
    assert found == {"main": 3, "east": 5}


def test_a_resolved_case_is_no_longer_shown(store: Store, rows: Any) -> None:
    rows.one_of_each()
    rows.add("quarantine", resolved_at=AT)
    rows.add("quarantine", cause="no_address")
    assert [row["cause"] for row in store.query("SELECT * FROM v_quarantine")] == ["no_address"]
    assert store.scalar("SELECT quarantine_cause FROM v_packages") == "no_address"
