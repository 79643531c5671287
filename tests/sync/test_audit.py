"""The audit of an export against the store: clean after taking it over, and then exactly what was changed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiktok_erp.model.rule import Rules, SellerCenter
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.audit import AuditCount, audit_file
from tiktok_erp.sync.audit_plan import may_become
from tiktok_erp.sync.run import sync_file

RULES = Rules()
NAME = "All order-2026-11-21-19_40.csv"
LONG_AFTER = datetime(2026, 11, 25, tzinfo=UTC)
HEADERS = (
    "Order ID",
    "Order Status",
    "Order Substatus",
    "SKU ID",
    "Seller SKU",
    "Quantity",
    "Created Time",
    "Paid Time",
    "Tracking ID",
    "Shipping Provider Name",
    "Package ID",
)
WORDS = {
    "UNPAID": ("Unpaid", ""),
    "ON_HOLD": ("On hold", ""),
    "AWAITING_SHIPMENT": ("To ship", "Awaiting shipment"),
    "AWAITING_COLLECTION": ("To ship", "Awaiting collection"),
    "IN_TRANSIT": ("Shipped", "In transit"),
    "DELIVERED": ("Shipped", "Delivered"),
    "COMPLETED": ("Completed", "Completed"),
    "CANCELLED": ("Canceled", "Canceled"),
}
SHIPPED = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")
Row = dict[str, str]


def row(number: int, status: str = "AWAITING_SHIPMENT", sku: int = 1, quantity: int = 1, **cells: str) -> Row:
    word, substatus = WORDS[status]
    shipped = status in SHIPPED
    values = {
        "Order ID": order_number(number),
        "Order Status": word,
        "Order Substatus": substatus,
        "SKU ID": f"17295929697122{sku:05d}",
        "Seller SKU": f"SKU-{sku}",
        "Quantity": str(quantity),
        "Created Time": f"11/21/2026 {1 + number // 60}:{number % 60:02d}:11 PM",
        "Paid Time": "" if status == "UNPAID" else f"11/21/2026 {1 + number // 60}:{number % 60:02d}:30 PM",
        "Tracking ID": tracking(number) if shipped else "",
        "Shipping Provider Name": "UPS" if shipped else "",
        "Package ID": f"11531321681238{number:05d}" if shipped else "",
    }
    return values | cells


def order_number(number: int) -> str:
    return f"5764614130387{number:05d}"


def order_id(number: int) -> str:
    return f"tiktok:{order_number(number)}"


def tracking(number: int) -> str:
    return f"1ZFAKE{number:012d}"


def export(folder: Path, rows: Sequence[Row], *, name: str = NAME, headers: Sequence[str] = HEADERS) -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.DictWriter(target, headers, extrasaction="ignore", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def take(store: Store, path: Path, told: Any) -> None:
    sync_file(store, path, RULES, told, run_id=None, exported_at=LONG_AFTER)
    told.items.clear()


def audit(store: Store, path: Path, told: Any) -> AuditCount:
    return audit_file(store, path, RULES, told, exported_at=LONG_AFTER)


def differences(told: Any) -> list[tuple[object, str | None]]:
    return [(outcome.ids["order_id"], outcome.cause) for outcome in told.items]


@pytest.fixture
def taken(tmp_path: Path, store: Store, told: Any) -> Path:
    """Three orders in file and store: one to ship, one on its way, one delivered with two SKUs."""
    path = export(tmp_path, [row(3), row(2, "IN_TRANSIT", quantity=2), row(1, "DELIVERED"), row(1, "DELIVERED", sku=2)])
    take(store, path, told)
    return path


def test_what_was_taken_over_equals_its_file(taken: Path, store: Store, told: Any) -> None:
    count = audit(store, taken, told)
    assert (count.equal, count.newer, count.differences, told.items, told.warnings) == (3, 0, 0, [], [])


def test_an_audit_writes_nothing(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'UNPAID'")
    before = list(store._connection.iterdump())
    assert audit(store, taken, told).differences == 3
    assert list(store._connection.iterdump()) == before


def test_an_order_that_the_store_lacks_is_missing(tmp_path: Path, taken: Path, store: Store, told: Any) -> None:
    path = export(tmp_path, [row(4), row(3)])
    audit(store, path, told)
    (outcome,) = told.items
    assert (outcome.kind, outcome.result, outcome.cause) == ("order", "failed", "missing")
    assert outcome.ids == {"order_id": order_id(4)}
    assert outcome.fields == {"file_status": "AWAITING_SHIPMENT", "placed_at": "2026-11-21T21:04:11Z"}
    assert outcome.next_step == f'run `tiktok-erp sync --since 2026-11-21`, or `tiktok-erp sync --from "{path}"`'


def test_an_order_that_only_the_store_has_is_extra_between_the_file_s_first_and_last(
    tmp_path: Path, taken: Path, store: Store, told: Any
) -> None:
    count = audit(store, export(tmp_path, [row(3), row(1, "DELIVERED")]), told)
    assert differences(told) == [(order_id(2), "extra")]
    assert "filter" in told.items[0].next_step
    assert "filter" in told.warnings[0]
    assert (count.placed_from, count.placed_to) == (
        datetime(2026, 11, 21, 21, 1, 11, tzinfo=UTC),
        datetime(2026, 11, 21, 21, 3, 11, tzinfo=UTC),
    )


def test_orders_outside_the_file_s_time_are_not_called_extra(
    tmp_path: Path, taken: Path, store: Store, told: Any
) -> None:
    assert audit(store, export(tmp_path, [row(2, "IN_TRANSIT", quantity=2)]), told).differences == 0


def test_orders_of_another_channel_are_not_called_extra(taken: Path, store: Store, told: Any) -> None:
    columns = [r[1] for r in store.query("PRAGMA table_info(orders)") if r[1] not in ("order_id", "channel")]
    store.execute(
        f"INSERT INTO orders (order_id, channel, {', '.join(columns)})"
        f" SELECT 'ebay:1', 'ebay', {', '.join(columns)} FROM orders WHERE order_id = ?",
        (order_id(2),),
    )
    assert audit(store, taken, told).extra == 0


def test_a_file_without_created_times_claims_nothing_extra_and_says_so(
    tmp_path: Path, taken: Path, store: Store, told: Any
) -> None:
    headers = [name for name in HEADERS if name != "Created Time"]
    assert audit(store, export(tmp_path, [row(3)], headers=headers), told).differences == 0
    assert any("Created Time" in warning for warning in told.warnings)


def test_another_status_is_told_with_both_words(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'AWAITING_COLLECTION' WHERE order_id = ?", (order_id(1),))
    audit(store, taken, told)
    (outcome,) = told.items
    assert (outcome.cause, outcome.ids["order_id"]) == ("other_status", order_id(1))
    assert (outcome.fields["file_status"], outcome.fields["status"]) == ("DELIVERED", "AWAITING_COLLECTION")
    assert "DELIVERED in the file, AWAITING_COLLECTION in the database" in (outcome.text or "")


def test_an_older_copy_is_told_to_sync(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'IN_TRANSIT', as_of = '2026-11-20T10:00:00Z' WHERE status = 'DELIVERED'")
    audit(store, taken, told)
    assert "sync --since 2026-11-20" in told.items[0].next_step
    assert "--from" in told.items[0].next_step


@pytest.mark.parametrize("column", ["as_of", "updated_at"])
def test_a_later_copy_that_is_further_along_is_newer_and_no_difference(
    taken: Path, store: Store, told: Any, column: str
) -> None:
    store.execute(
        f"UPDATE orders SET status = 'COMPLETED', {column} = '2026-11-24T10:00:00Z' WHERE status = 'DELIVERED'"
    )
    count = audit(store, taken, told)
    assert (count.equal, count.newer, count.differences) == (2, 1, 0)


def test_a_later_copy_that_is_behind_is_a_difference(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'IN_TRANSIT', as_of = '2026-11-24T10:00:00Z' WHERE status = 'DELIVERED'")
    assert audit(store, taken, told).other_status == 1
    assert "--from" not in told.items[0].next_step  # a file that is older than the copy would change nothing


def test_a_further_copy_that_is_no_later_is_a_difference(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'COMPLETED' WHERE status = 'DELIVERED'")
    assert audit(store, taken, told).other_status == 1


@pytest.mark.parametrize(
    ("word", "held", "is_equal"),
    [
        ("Shipped", "AWAITING_COLLECTION", True),
        ("Shipped", "IN_TRANSIT", True),
        ("Shipped", "DELIVERED", True),
        ("Shipped", "AWAITING_SHIPMENT", False),
        ("Shipped", "COMPLETED", False),
        ("To ship", "ON_HOLD", True),
        ("To ship", "AWAITING_SHIPMENT", True),
        ("To ship", "AWAITING_COLLECTION", True),
        ("To ship", "IN_TRANSIT", False),
        ("Completed", "DELIVERED", False),
        ("Canceled", "CANCEL", True),
    ],
)
def test_a_word_without_substatus_stands_for_all_that_its_tab_shows(
    tmp_path: Path, store: Store, told: Any, word: str, held: str, is_equal: bool
) -> None:
    path = export(tmp_path, [row(1, **{"Order Status": word, "Order Substatus": ""})])
    take(store, path, told)
    store.execute("UPDATE orders SET status = ?", (held,))
    assert (audit(store, path, told).differences == 0) is is_equal


def test_a_row_of_several_pieces_may_be_partially_shipped(tmp_path: Path, store: Store, told: Any) -> None:
    path = export(tmp_path, [row(1, quantity=2), row(2)])
    take(store, path, told)
    store.execute("UPDATE orders SET status = 'PARTIALLY_SHIPPING'")
    audit(store, path, told)
    assert differences(told) == [(order_id(2), "other_status")]


def test_a_status_that_nobody_knows_is_a_difference_however_new(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE orders SET status = 'TELEPORTED', as_of = '2026-11-24T10:00:00Z' WHERE status = 'DELIVERED'")
    assert audit(store, taken, told).other_status == 1


@pytest.mark.parametrize("table", ["units", "labels"])
def test_another_tracking_number_is_told_with_both(taken: Path, store: Store, told: Any, table: str) -> None:
    store.execute(f"UPDATE {table} SET tracking_number = '1ZOTHER' WHERE tracking_number = ?", (tracking(2),))
    audit(store, taken, told)
    (outcome,) = told.items
    assert (outcome.cause, outcome.ids["order_id"]) == ("other_tracking_number", order_id(2))
    assert outcome.fields["file_tracking_number"] == tracking(2)
    assert "1ZOTHER" in (outcome.text or "")


def test_one_piece_of_a_row_with_another_number_in_the_same_package_is_told(
    taken: Path, store: Store, told: Any
) -> None:
    store.execute("UPDATE units SET tracking_number = '1ZOTHER' WHERE order_id = ? AND position = 2", (order_id(2),))
    audit(store, taken, told)
    assert differences(told) == [(order_id(2), "other_tracking_number")]


def test_numbers_of_two_skus_that_changed_places_are_told(tmp_path: Path, store: Store, told: Any) -> None:
    second = {"Tracking ID": tracking(9), "Package ID": "1153132168123899999"}
    path = export(tmp_path, [row(1, "IN_TRANSIT"), row(1, "IN_TRANSIT", sku=2, **second)])
    take(store, path, told)
    assert audit(store, path, told).differences == 0
    swapped = {"Tracking ID": tracking(1), "Package ID": "1153132168123899999"}
    other = export(
        tmp_path, [row(1, "IN_TRANSIT", **{"Tracking ID": tracking(9)}), row(1, "IN_TRANSIT", sku=2, **swapped)]
    )
    assert audit(store, other, told).other_tracking_number == 1


def test_a_number_that_the_store_does_not_know_is_told(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE units SET tracking_number = NULL WHERE order_id = ?", (order_id(2),))
    store.execute("UPDATE labels SET tracking_number = NULL WHERE tracking_number = ?", (tracking(2),))
    audit(store, taken, told)
    assert differences(told) == [(order_id(2), "other_tracking_number")]
    assert "none in the database" in (told.items[0].text or "")


def test_a_number_that_only_the_store_has_is_newer_when_its_copy_is_later(taken: Path, store: Store, told: Any) -> None:
    store.execute("UPDATE units SET tracking_number = '1ZOTHER' WHERE order_id = ?", (order_id(3),))
    assert audit(store, taken, told).other_tracking_number == 1
    store.execute("UPDATE orders SET as_of = '2026-11-24T10:00:00Z' WHERE order_id = ?", (order_id(3),))
    count = audit(store, taken, told)
    assert (count.newer, count.differences) == (1, 0)


def test_a_number_with_blanks_or_the_zip_in_front_is_the_same(tmp_path: Path, store: Store, told: Any) -> None:
    number = "9400111206206406260787"
    path = export(tmp_path, [row(1, "IN_TRANSIT", **{"Tracking ID": number, "Shipping Provider Name": "USPS"})])
    take(store, path, told)
    store.execute("UPDATE units SET tracking_number = '9400 1112 0620 6406 2607 87'")
    store.execute("UPDATE labels SET tracking_number = '42078704' || tracking_number")
    assert audit(store, path, told).differences == 0


def test_a_file_without_tracking_numbers_compares_none_and_says_so(
    tmp_path: Path, taken: Path, store: Store, told: Any
) -> None:
    headers = [name for name in HEADERS if name != "Tracking ID"]
    path = export(tmp_path, [row(2, "IN_TRANSIT", quantity=2)], headers=headers)
    assert audit(store, path, told).differences == 0
    assert any("Tracking ID" in warning for warning in told.warnings)


def test_headers_and_words_of_the_rules_are_used(tmp_path: Path, taken: Path, store: Store, told: Any) -> None:
    renamed = {"Order Status": "Statut", "SKU ID": "Article"}
    rows = [{renamed.get(name, name): cell for name, cell in row(3, **{"Order Status": "Verschickt"}).items()}]
    path = export(tmp_path, rows, headers=[renamed.get(name, name) for name in HEADERS])
    rules = Rules(
        seller_center=SellerCenter({"Verschickt": "AWAITING_SHIPMENT"}, {"statut": "Order Status", "Article": "SKU ID"})
    )
    assert audit_file(store, path, rules, told, exported_at=LONG_AFTER).equal == 1


def test_more_orders_than_one_batch_are_compared(tmp_path: Path, store: Store, told: Any) -> None:
    rows = [row(1, **{"Order ID": f"57646141303{number:07d}"}) for number in range(2300)]
    path = export(tmp_path, rows)
    take(store, path, told)
    store.execute("UPDATE orders SET status = 'COMPLETED' WHERE channel_order_id LIKE '%02299'")
    count = audit(store, path, told)
    assert (count.equal, count.other_status) == (2299, 1)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("UNPAID", "COMPLETED", True),
        ("AWAITING_SHIPMENT", "ON_HOLD", True),
        ("IN_TRANSIT", "CANCELLED", True),
        ("COMPLETED", "CANCELLED", False),
        ("CANCELLED", "AWAITING_SHIPMENT", False),
        ("DELIVERED", "IN_TRANSIT", False),
        ("DELIVERED", "DELIVERED", False),
        ("TELEPORTED", "COMPLETED", False),
    ],
)
def test_an_order_s_life_has_one_direction(earlier: str, later: str, expected: bool) -> None:
    assert may_become(earlier, later) is expected


statuses = st.sampled_from(sorted(WORDS))
shops = st.lists(st.tuples(statuses, st.lists(st.integers(1, 3), min_size=1, max_size=3)), min_size=3, max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shop=shops,
    kind=st.sampled_from(["none", "missing", "extra", "other_status", "other_tracking_number"]),
    pick=st.integers(0, 7),
    status=statuses,
)
def test_one_change_is_told_and_nothing_else(
    tmp_path: Path,
    empty_database: bytes,
    told: Any,
    shop: list[tuple[str, list[int]]],
    kind: str,
    pick: int,
    status: str,
) -> None:
    told.items.clear()
    database = tmp_path / "random.db"
    for old in tmp_path.glob("random.db*"):
        old.unlink()
    database.write_bytes(empty_database)
    rows = [
        row(number, word, sku=sku, quantity=quantity)
        for number, (word, quantities) in enumerate(shop)
        for sku, quantity in enumerate(quantities, start=1)
    ]
    path = export(tmp_path, rows)
    number = pick % len(shop)
    word = shop[number][0]
    expected: list[tuple[str, str]] = []
    with open_store(database) as store:
        take(store, path, told)
        if kind == "missing":
            extra = row(len(shop) - 1, status, **{"Order ID": "576499999999999999"})
            path = export(tmp_path, [*rows, extra])
            expected = [("tiktok:576499999999999999", "missing")]
        elif kind == "extra":
            number = 1 + pick % (len(shop) - 2)  # neither the first nor the last: the file must still cover it
            path = export(tmp_path, [r for r in rows if r["Order ID"] != order_number(number)])
            expected = [(order_id(number), "extra")]
        elif kind == "other_status" and status != word:
            store.execute("UPDATE orders SET status = ? WHERE order_id = ?", (status, order_id(number)))
            expected = [(order_id(number), "other_status")]
        elif kind == "other_tracking_number" and word in SHIPPED:
            store.execute(
                "UPDATE units SET tracking_number = '1ZOTHER' WHERE unit_id = (SELECT max(unit_id) FROM units WHERE order_id = ?)",
                (order_id(number),),
            )
            expected = [(order_id(number), "other_tracking_number")]
        count = audit(store, path, told)
    assert differences(told) == expected
    assert count.differences == len(expected)
