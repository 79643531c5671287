"""Writing what the channel tells into a real database: once, whole, and never backwards."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.channels.base import CommissionPage, OrderPage, OrderSearch, RawOrder
from tiktok_erp.channels.tiktok_orders import moment, read_order
from tiktok_erp.errors import ChannelDown, InputFileError
from tiktok_erp.model.facts import OrderFacts, UnitFacts
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.rule import Rules, Sync
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.quarantine import load_cases
from tiktok_erp.store.raw import RawPacker
from tiktok_erp.store.runs import load_as_of, load_cursor, save_cursor
from tiktok_erp.store.stock import save_reservations
from tiktok_erp.sync.run import OrderWriter, sync_channel, sync_file

PAID = 1794973355
AS_OF = datetime(2026, 11, 18, 6, tzinfo=UTC)
RULES = Rules()


def line(number: int, status: str = "AWAITING_SHIPMENT", **values: Any) -> dict[str, Any]:
    return {
        "id": f"57{number:04d}",
        "sku_id": "1729",
        "seller_sku": "MUG",
        "product_name": "Mug",
        "sale_price": "19.99",
        "currency": "USD",
        "display_status": status,
        **values,
    }


def wire(number: int = 1, status: str = "AWAITING_SHIPMENT", **values: Any) -> dict[str, Any]:
    return {
        "id": f"576{number:03d}",
        "status": status,
        "create_time": PAID - 20,
        "paid_time": PAID,
        "update_time": PAID + 3600,
        "rts_sla_time": PAID + 2 * 86400,
        "is_on_hold_order": True,
        "shipping_type": "TIKTOK",
        "fulfillment_type": "FULFILLMENT_BY_SELLER",
        "buyer_message": "gift",
        "payment": {"currency": "USD", "total_amount": "43.28"},
        "recipient_address": {
            "name": "Mia Rosewood",
            "address_line1": "400 Birch Way",
            "postal_code": "78704",
            "region_code": "US",
            "district_info": [{"address_level": "L1", "address_name": "Texas"}],
        },
        "line_items": [line(10 * number + 1, status), line(10 * number + 2, status)],
        **values,
    }


def raw_order(order: dict[str, Any] | bytes, *, as_of: datetime = AS_OF) -> RawOrder:
    body = order if isinstance(order, bytes) else json.dumps(order).encode()
    order_id = "576666" if isinstance(order, bytes) else str(order["id"])
    digest = hashlib.blake2b(body, digest_size=8).digest()
    times = {} if isinstance(order, bytes) else order
    return RawOrder(
        order_id,
        body,
        digest,
        partial(read_order, body, as_of=as_of),
        moment(times.get("create_time")),
        moment(times.get("update_time")),
    )


def write(store: Store, told: Any, *orders: dict[str, Any] | bytes, **options: Any) -> OrderWriter:
    writer = OrderWriter(store, RULES, told, run_id=None, **options)
    writer.write_raw([raw_order(order) for order in orders])
    return writer


def file_order(*units: UnitFacts, status: str = "AWAITING_SHIPMENT", **values: Any) -> OrderFacts:
    return OrderFacts(
        channel="tiktok",
        channel_order_id="576001",
        status=status,
        source="file",
        units=units,
        **({"as_of": AS_OF} | values),
    )


def file_unit(status: str = "AWAITING_SHIPMENT", **values: Any) -> UnitFacts:
    return UnitFacts(channel_sku_id="1729", seller_sku="MUG", status=status, **values)


def write_file(store: Store, told: Any, *orders: OrderFacts) -> OrderWriter:
    writer = OrderWriter(store, RULES, told, run_id=None)
    writer.write_facts(orders)
    return writer


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    names = [row[0] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: [tuple(row) for row in store.query(f"SELECT * FROM {name}")] for name in names}


def one(store: Store, sql: str) -> tuple[Any, ...]:
    return tuple(store.query_one(sql) or ())


def hold_all(store: Store, on_hand: int = 9) -> None:
    with store.transaction():
        store.execute(
            "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at) VALUES ('MUG', 'main', 'counted', ?, 't', ?)",
            (on_hand, to_text(AS_OF)),
        )
        units = store.query("SELECT unit_id FROM units WHERE sku = 'MUG'")
        save_reservations(store, [(row[0], "MUG", "main", "held") for row in units], AS_OF)


def assert_promises_hold(store: Store) -> None:
    for check in CHECKS:
        assert [row[0] for row in find_breaches(store, check)] == [], check.name


def test_an_order_is_written_with_units_package_and_recipient(store: Store, told: Any) -> None:
    writer = write(store, told, wire())
    assert (writer.count.new, writer.count.changed, writer.count.failed) == (1, 0, 0)
    order = store.query_one("SELECT * FROM v_orders")
    assert order is not None
    assert (order["order_id"], order["state"], order["ship_by_source"]) == ("tiktok:576001", "open", "channel")
    assert (order["total_minor"], order["currency"], order["buyer_note"]) == (4328, "USD", "gift")
    assert one(store, "SELECT name, state, zip, is_masked FROM recipients") == ("Mia Rosewood", "TX", "78704", 0)
    lines = one(store, "SELECT line_item_id, sku, quantity, price_minor, package_id FROM v_line_items")
    assert lines == ("tiktok:570011", "MUG", 2, 1999, "P000001")
    assert one(store, "SELECT order_ids, state FROM v_packages") == ('["tiktok:576001"]', "planned")
    assert_promises_hold(store)


def test_the_same_page_again_changes_nothing(store: Store, told: Any) -> None:
    page = [wire(number) for number in range(1, 6)]
    write(store, told, *page)
    before = dump(store)
    writer = write(store, told, *page)
    assert dump(store) == before
    assert (writer.count.new, writer.count.changed, writer.count.unchanged) == (0, 0, 5)


def test_the_answer_is_kept_word_for_word(store: Store, told: Any) -> None:
    body = '{"id": "576666",  "status":"IN_TRANSIT","未知":["é",1.50], "line_items":[]}'.encode()
    write(store, told, body)
    assert RawPacker(store).load("tiktok:576666") == body
    changed = body.replace(b"1.50", b"2.50")
    write(store, told, changed)
    assert RawPacker(store).load("tiktok:576666") == changed


def test_a_change_is_taken_over_and_an_older_version_is_not(store: Store, told: Any) -> None:
    newer = wire(update_time=PAID + 7200, buyer_message="newer")
    write(store, told, wire(buyer_message="first"))
    assert write(store, told, newer).count.changed == 1
    writer = write(store, told, wire(buyer_message="old"))
    assert (writer.count.changed, writer.count.unchanged) == (0, 1)
    assert store.scalar("SELECT buyer_note FROM orders") == "newer"


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_versions_in_one_page_the_newer_counts(store: Store, told: Any, turned: bool) -> None:
    versions = [wire(buyer_message="old"), wire(update_time=PAID + 7200, buyer_message="new")]
    write(store, told, *(reversed(versions) if turned else versions))
    assert one(store, "SELECT count(*), max(buyer_note) FROM orders") == (1, "new")


def test_one_unreadable_order_stops_no_other(store: Store, told: Any) -> None:
    writer = write(store, told, wire(1), b'["no order"]', wire(2))
    assert told.failed() == ["unreadable_order"]
    assert (writer.count.new, writer.count.failed) == (2, 1)
    assert store.scalar("SELECT group_concat(channel_order_id) FROM orders") == "576001,576002"


def test_an_order_of_absurd_values_stops_no_other(store: Store, told: Any) -> None:
    absurd = wire(
        1,
        payment={"currency": "USD", "total_amount": "9" * 30, "tax": -1, "sub_total": {}},
        update_time=10**40,
        paid_time=-5,
        create_time="soon",
        buyer_message="\x00 \u202e",
        line_items=[line(11, sale_price="9" * 25, sku_id=None, seller_sku=7, id=None), "odd", line(12)],
        recipient_address={"name": {"x": 1}, "district_info": 5},
    )
    writer = write(store, told, absurd, wire(2))
    assert (writer.count.new, writer.count.failed) == (2, 0)
    assert one(store, "SELECT total_minor, updated_at FROM orders WHERE channel_order_id = '576001'") == (None, None)
    assert_promises_hold(store)


def test_an_unknown_status_is_kept_reported_and_never_open(store: Store, told: Any) -> None:
    writer = write(store, told, wire(status="BRAND_NEW"))
    assert writer.count.unknown_words == {"BRAND_NEW": 1}
    assert one(store, "SELECT state, status FROM v_orders") == ("unknown", "BRAND_NEW")


def test_an_order_that_the_channel_fulfils_gets_no_package(store: Store, told: Any) -> None:
    write(store, told, wire(fulfillment_type="FULFILLMENT_BY_TIKTOK"))
    assert one(store, "SELECT count(*), count(package_id) FROM units") == (2, 0)
    assert store.scalar("SELECT count(*) FROM packages") == 0
    assert_promises_hold(store)


def test_units_that_left_take_their_pieces_out_of_stock(store: Store, told: Any) -> None:
    write(store, told, wire(1), wire(2))
    hold_all(store, on_hand=4)  # every piece is promised
    write(store, told, wire(1, "AWAITING_COLLECTION", update_time=PAID + 9000))
    assert one(store, "SELECT on_hand, reserved FROM stock") == (2, 2)
    write(store, told, wire(2, "CANCELLED", update_time=PAID + 9000))
    assert one(store, "SELECT on_hand, reserved FROM stock") == (2, 0)
    states = {row[0] for row in store.query("SELECT DISTINCT state FROM reservations")}
    assert states == {"shipped", "released"}
    assert_promises_hold(store)


def shipped(number: int = 1, **told_of_unit: Any) -> dict[str, Any]:
    told = {"package_id": "1153", "tracking_number": "94001", "shipping_provider_name": "USPS"} | told_of_unit
    lines = [line(10 * number + unit, "AWAITING_COLLECTION", **told) for unit in (1, 2)]
    return wire(number, "AWAITING_COLLECTION", update_time=PAID + 9000, rts_time=PAID + 8000, line_items=lines)


def test_a_number_told_by_the_channel_is_a_label_with_nothing_to_print(store: Store, told: Any) -> None:
    write(store, told, wire())
    write(store, told, shipped())
    row = store.query_one("SELECT * FROM v_packages")
    assert row is not None
    assert (row["package_id"], row["state"], row["tracking_number"], row["channel_package_id"]) == (
        "P000001",
        "uploaded",
        "94001",
        "1153",
    )
    assert one(store, "SELECT source, state, carrier, sha256, cost_minor FROM labels") == (
        "channel",
        "bought",
        "usps",
        None,
        None,
    )
    write(store, told, shipped(tracking_number="94002"))
    assert one(store, "SELECT count(*), max(tracking_number) FROM labels") == (1, "94002")
    assert_promises_hold(store)


def test_a_bought_label_without_a_number_learns_it_from_its_order(store: Store, told: Any) -> None:
    write(store, told, wire())
    at = to_text(AS_OF)
    store.execute(
        "INSERT INTO labels (package_id, state, source, intent_at, sent_at, bought_at)"
        " VALUES ('P000001', 'bought', 'tiktok', ?, ?, ?)",
        (at, at, at),
    )
    write(store, told, shipped())
    assert one(store, "SELECT source, state, tracking_number FROM labels") == ("tiktok", "bought", "94001")
    assert_promises_hold(store)


def test_a_number_that_contradicts_our_label_opens_one_case(store: Store, told: Any) -> None:
    write(store, told, wire())
    store.execute(
        "INSERT INTO labels (package_id, state, source, tracking_number, intent_at, bought_at) VALUES"
        " ('P000001', 'bought', 'file', '94777', ?1, ?1)",
        (to_text(AS_OF),),
    )
    assert write(store, told, shipped()).count.failed == 1
    again = write(store, told, shipped() | {"buyer_message": "later", "update_time": PAID + 9100})
    assert again.count.failed == 0
    assert one(store, "SELECT cause FROM v_quarantine") == ("other_tracking_number",)
    assert store.scalar("SELECT tracking_number FROM labels") == "94777"


def test_a_cancelled_order_gives_up_its_package_and_its_cases(store: Store, told: Any) -> None:
    write(store, told, wire())
    at = to_text(AS_OF)
    store.execute(
        "INSERT INTO labels (package_id, state, source, intent_at) VALUES ('P000001', 'intent', 'tiktok', ?)", (at,)
    )
    store.execute(
        "INSERT INTO quarantine (package_id, cause, detail, next_step, since) VALUES ('P000001', 'no_rule', 'd', 'n', ?)",
        (at,),
    )
    write(store, told, wire(status="CANCELLED", update_time=PAID + 9000, cancel_time=PAID + 8500))
    assert one(store, "SELECT state FROM v_packages") == ("cancelled",)
    assert one(store, "SELECT state, error_code FROM labels") == ("refused", "order_cancelled")
    assert store.scalar("SELECT count(*) FROM v_quarantine") == 0


def test_a_cancelled_order_with_a_label_keeps_it_in_sight(store: Store, told: Any) -> None:
    write(store, told, wire())
    store.execute(
        "INSERT INTO labels (package_id, state, source, sha256, intent_at, bought_at) VALUES"
        " ('P000001', 'bought', 'tiktok', 'ab', ?1, ?1)",
        (to_text(AS_OF),),
    )
    write(store, told, wire(status="CANCELLED", update_time=PAID + 9000))
    assert one(store, "SELECT state FROM v_packages") == ("labelled",)
    assert one(store, "SELECT state FROM v_labels") == ("bought",)


def test_a_changed_address_is_remembered_with_its_time(store: Store, told: Any) -> None:
    write(store, told, wire())
    assert store.scalar("SELECT address_changed_at FROM orders") is None
    moved = wire()["recipient_address"] | {"address_line1": "9 Elm Street"}
    write(store, told, wire(update_time=PAID + 9000, recipient_address=moved))
    assert store.scalar("SELECT address_changed_at FROM orders") is not None
    assert store.scalar("SELECT street1 FROM recipients") == "9 Elm Street"


def test_a_masked_address_never_replaces_a_readable_one(store: Store, told: Any) -> None:
    masked = wire()["recipient_address"] | {"name": "M** R***", "address_line1": "4** B***"}
    write(store, told, wire(recipient_address=masked))
    assert store.scalar("SELECT is_masked FROM recipients") == 1
    write(store, told, wire(update_time=PAID + 7200))
    write(store, told, wire(update_time=PAID + 9000, recipient_address=masked))
    assert one(store, "SELECT name, is_masked FROM recipients") == ("Mia Rosewood", 0)
    assert store.scalar("SELECT address_changed_at FROM orders") is None


def test_a_sku_learnt_later_replaces_the_channels_id_but_not_under_a_reservation(store: Store, told: Any) -> None:
    bare = [line(11, seller_sku=""), line(12, seller_sku="")]
    write(store, told, wire(line_items=bare))
    assert one(store, "SELECT DISTINCT sku FROM units") == ("1729",)
    store.execute(
        "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at) VALUES ('tiktok:570011', '1729', 'main', 'short', ?)",
        (to_text(AS_OF),),
    )
    write(store, told, wire(update_time=PAID + 9000))
    assert {row["unit_id"]: row["sku"] for row in store.query("SELECT * FROM units")} == {
        "tiktok:570011": "1729",
        "tiktok:570012": "MUG",
    }


def test_a_dry_run_writes_nothing_and_tells_the_plan(store: Store, told: Any) -> None:
    before = dump(store)
    write(store, told, wire(1), wire(2), dry_run=True)
    assert dump(store) == before
    assert [outcome.result for outcome in told.items] == ["planned", "planned"]


def test_each_order_is_told_with_the_fields_of_its_view(store: Store, told: Any) -> None:
    write(store, told, wire())
    (outcome,) = told.items
    assert (outcome.kind, outcome.result, outcome.ids) == ("order", "done", {"order_id": "tiktok:576001"})
    assert outcome.fields["state"] == "open"


# Files and the API


def test_units_of_a_file_keep_their_ids_and_reservations_when_the_api_comes(store: Store, told: Any) -> None:
    write_file(store, told, file_order(file_unit(), file_unit()))
    ids = [row[0] for row in store.query("SELECT unit_id FROM units ORDER BY position")]
    assert ids == ["tiktok:576001/1729/1", "tiktok:576001/1729/2"]
    hold_all(store)
    write(store, told, wire(update_time=PAID + 9000))
    rows = store.query("SELECT unit_id, channel_unit_id, package_id FROM units ORDER BY position")
    assert [tuple(row) for row in rows] == [(ids[0], "570011", "P000001"), (ids[1], "570012", "P000001")]
    assert one(store, "SELECT count(*), max(reserved) FROM packages, stock") == (1, 2)
    assert one(store, "SELECT source, ship_by_source FROM orders") == ("api", "channel")
    assert_promises_hold(store)


def test_a_file_never_undoes_newer_facts_of_the_api(store: Store, told: Any) -> None:
    write(store, told, shipped())
    before = dump(store)
    writer = write_file(store, told, file_order(file_unit(), as_of=AS_OF - timedelta(hours=1)))
    assert dump(store) == before
    assert writer.count.unchanged == 1


def test_a_file_never_undoes_what_a_later_fetch_found_unchanged(store: Store, told: Any) -> None:
    write(store, told, wire(status="CANCELLED"))
    save_cursor(store, "tiktok", "orders", cursor=None, as_of=AS_OF + timedelta(hours=2))
    write_file(store, told, file_order(file_unit(), as_of=AS_OF + timedelta(hours=1)))
    assert one(store, "SELECT state FROM v_orders") == ("cancelled",)
    write_file(store, told, file_order(file_unit(), as_of=AS_OF + timedelta(hours=3)))
    assert one(store, "SELECT state FROM v_orders") == ("open",)


def test_a_newer_file_moves_the_order_on_without_wiping_what_it_cannot_tell(store: Store, told: Any) -> None:
    write(store, told, wire())
    later = file_order(
        file_unit("IN_TRANSIT", tracking_number="94001"),
        file_unit("IN_TRANSIT", tracking_number="94001"),
        status="IN_TRANSIT",
        as_of=AS_OF + timedelta(hours=1),
    )
    assert write_file(store, told, later).count.changed == 1
    order = store.query_one("SELECT * FROM v_orders")
    assert order is not None
    assert (order["status"], order["state"], order["source"]) == ("IN_TRANSIT", "closed", "file")
    assert (order["buyer_note"], order["total_minor"], order["ship_by_source"]) == ("gift", 4328, "channel")
    assert store.scalar("SELECT name FROM recipients") == "Mia Rosewood"
    assert one(store, "SELECT count(*), count(channel_unit_id), max(price_minor) FROM units") == (2, 2, 1999)
    assert one(store, "SELECT count(*), max(state) FROM v_packages") == (1, "in_transit")
    # The API says the same as before the file: its own word counts again.
    write(store, told, wire())
    assert store.scalar("SELECT source FROM orders") == "api"


def write_export(path: Path, *rows: dict[str, str]) -> None:
    names = [
        "Order ID",
        "Order Status",
        "SKU ID",
        "Seller SKU",
        "Quantity",
        "Created Time",
        "Paid Time",
        "Order Amount",
    ]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def export_row(number: int, **values: str) -> dict[str, str]:
    whole = {
        "Order ID": f"57699012345678{number:04d}\t",
        "Order Status": "To ship",
        "SKU ID": "1729592969712207013\t",
        "Seller SKU": "MUG",
        "Quantity": "2",
        "Created Time": "11/17/2026 7:42:11 PM\t",
        "Paid Time": "11/17/2026 7:42:35 PM\t",
        "Order Amount": "43.28",
    }
    return whole | values


def test_an_export_is_taken_over_and_a_second_time_changes_nothing(store: Store, told: Any, tmp_path: Path) -> None:
    path = tmp_path / "All order-2026-11-18-09_00.csv"
    write_export(path, *[export_row(number) for number in range(1, 4)])
    first = sync_file(store, path, RULES, told, run_id=None, exported_at=AS_OF)
    before = {name: rows for name, rows in dump(store).items() if name != "cursors"}
    second = sync_file(store, path, RULES, told, run_id=None, exported_at=AS_OF)
    assert (first.new, second.new, second.changed, second.unchanged) == (3, 0, 0, 3)
    assert {name: rows for name, rows in dump(store).items() if name != "cursors"} == before
    assert one(store, "SELECT count(*) FROM units") == (6,)
    assert_promises_hold(store)


def test_a_faulty_row_leaves_nothing_of_the_file_behind(store: Store, told: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    write_export(path, export_row(1), export_row(2, **{"Order ID": "5.76E+17"}))
    before = dump(store)
    with pytest.raises(InputFileError):
        sync_file(store, path, RULES, told, run_id=None, exported_at=AS_OF)
    assert dump(store) == before


# Windows and cursors


class Shop:
    """A channel with orders, `size` a page. Before each answer it does what `between` says, once each."""

    name = "tiktok"

    def __init__(self, *orders: dict[str, Any], size: int = 100) -> None:
        self.orders = {str(order["id"]): order for order in orders}
        self.size = size
        self.searches: list[tuple[OrderSearch, str]] = []
        self.details: list[Sequence[str]] = []
        self.between: list[Callable[[], None]] = []
        self.total: int | None = None
        self.unreadable = 0

    def now(self) -> datetime:
        return utc_now()

    def latency_s(self) -> float:
        return 0.0

    def find_orders(self, search: OrderSearch, page_token: str = "") -> OrderPage:
        self.searches.append((search, page_token))
        if self.between:
            self.between.pop(0)()
        found = sorted(
            (order for order in self.orders.values() if self._fits(order, search)),
            key=lambda o: (o[search.by], o["id"]),
        )
        start = int(page_token or 0)
        page = found[start : start + self.size]
        following = str(start + self.size) if start + self.size < len(found) else ""
        total = self.total if self.total is not None else len(found) + self.unreadable
        return OrderPage(tuple(raw_order(order) for order in page), total, self.unreadable, following, utc_now())

    def _fits(self, order: dict[str, Any], search: OrderSearch) -> bool:
        at = datetime.fromtimestamp(order[search.by], UTC)
        return (
            (search.start is None or search.start <= at)
            and (search.end is None or at < search.end)
            and search.status in (None, order["status"])
        )

    def fetch_orders(self, ids: Sequence[str]) -> list[RawOrder]:
        self.details.append(ids)
        return [raw_order(self.orders[order_id]) for order_id in ids if order_id in self.orders]

    def search_listings(self, *, is_urgent: bool = True) -> Iterator[list[Any]]:
        return iter(())

    def find_commissions(self, start: datetime, end: datetime, page_token: str = "") -> CommissionPage:
        return CommissionPage((), 0)

    def search_cancellations(self, **options: Any) -> Iterator[list[Any]]:
        return iter(())


def run_sync(store: Store, told: Any, shop: Shop, **options: Any) -> Any:
    rules = Rules(sync=Sync(overlap=timedelta(minutes=5), **options.pop("sync", {})))
    return sync_channel(store, shop, rules, told, run_id=None, **options)  # type: ignore[arg-type]


def ids_in(store: Store) -> list[str]:
    return [row[0] for row in store.query("SELECT channel_order_id FROM orders ORDER BY 1")]


def test_the_first_sync_asks_since_the_shop_began(store: Store, told: Any) -> None:
    shop = Shop(wire(1), wire(2))
    assert run_sync(store, told, shop).new == 2
    [(search, _token)] = shop.searches
    assert (search.by, search.start) == ("update_time", None)
    assert search.end is not None and search.end >= utc_now()
    as_of = load_as_of(store, "tiktok", "orders")
    assert as_of is not None and utc_now() - as_of < timedelta(minutes=1)


def test_the_next_sync_overlaps_the_one_before(store: Store, told: Any) -> None:
    run_sync(store, told, Shop(wire(1)))
    cursor = load_cursor(store, "tiktok", "orders")
    assert cursor == datetime.fromtimestamp(PAID + 3600, UTC)  # the channel's own clock, not ours
    shop = Shop()
    run_sync(store, told, shop)
    assert shop.searches[0][0].start == cursor - timedelta(minutes=5)
    assert load_cursor(store, "tiktok", "orders") == cursor


def test_a_sync_that_breaks_off_keeps_its_pages_but_not_the_cursor(store: Store, told: Any) -> None:
    shop = Shop(*[wire(number, update_time=PAID + number) for number in range(1, 31)], size=10)

    def fail() -> None:
        raise ChannelDown("down", subject="", next_step="")

    shop.between = [lambda: None, lambda: None, fail]
    with pytest.raises(ChannelDown):
        run_sync(store, told, shop)
    assert load_cursor(store, "tiktok", "orders") is None
    assert load_as_of(store, "tiktok", "orders") is None
    assert ids_in(store)
    run_sync(store, told, shop)
    assert len(ids_in(store)) == 30


def test_an_order_that_slips_between_two_pages_is_found(store: Store, told: Any) -> None:
    shop = Shop(*[wire(number, update_time=PAID + number) for number in range(1, 41)], size=10)

    def move_one() -> None:
        shop.orders["576002"]["update_time"] = int(utc_now().timestamp())

    shop.between = [lambda: None, lambda: None, move_one]
    assert run_sync(store, told, shop).new == 40
    assert len(ids_in(store)) == 40


def test_an_order_that_comes_twice_is_told_once(store: Store, told: Any) -> None:
    shop = Shop(*[wire(number, update_time=PAID + number) for number in range(1, 31)], size=10)
    count = run_sync(store, told, shop)
    assert (count.new, count.changed, count.unchanged) == (30, 0, 0)


def test_orders_that_never_appear_are_a_failure_that_is_new_once(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    shop.total = 2
    for is_new in (True, False):
        told.items.clear()
        shop.searches.clear()
        run_sync(store, told, shop)
        [failure] = [item for item in told.items if item.result == "failed"]
        assert (failure.cause, failure.is_new) == ("orders_not_listed", is_new)
        assert [row["cause"] for row in load_cases(store)] == ["orders_not_listed"]
        # What one search hides, the others may show.
        assert {(search.by, search.status) for search, token in shop.searches} == (
            {("update_time", None), ("create_time", "AWAITING_SHIPMENT"), ("create_time", None)}
            if is_new
            else {("update_time", None)}
        )
        assert len(shop.searches) <= 12


def test_a_dry_sync_notes_missing_orders_and_opens_no_case(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    shop.total = 2
    run_sync(store, told, shop, dry_run=True)
    assert any("counts more orders than it lists" in warning for warning in told.warnings)
    assert load_cases(store) == []


def test_the_case_of_missing_orders_is_closed_by_a_sweep_that_misses_none(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    shop.total = 2
    run_sync(store, told, shop)
    shop.total = None
    run_sync(store, told, shop)
    assert len(load_cases(store)) == 1
    run_sync(store, told, shop, sync={"sweep_every": timedelta(0)})
    assert load_cases(store) == []


def test_orders_without_an_id_are_told_and_do_not_cause_reading_again(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    shop.unreadable = 2
    count = run_sync(store, told, shop)
    assert (count.new, count.failed, len(shop.searches)) == (1, 2, 1)


def test_a_later_start_leaves_what_lies_before_unread(store: Store, told: Any) -> None:
    run_sync(store, told, Shop(wire(1)))
    cursor = load_cursor(store, "tiktok", "orders")
    assert cursor is not None
    run_sync(store, told, Shop(wire(2, update_time=PAID + 99999)), since=cursor + timedelta(hours=1))
    assert load_cursor(store, "tiktok", "orders") == cursor
    run_sync(store, told, Shop(wire(3, update_time=PAID + 99999)), since=cursor - timedelta(hours=1))
    moved = load_cursor(store, "tiktok", "orders")
    assert moved is not None and moved > cursor


def test_after_a_sync_of_an_empty_shop_a_later_start_leaves_the_rest_unread(store: Store, told: Any) -> None:
    shop = Shop()
    run_sync(store, told, shop)
    shop.orders = {"576001": wire(1), "576002": wire(2, update_time=PAID + 99999)}
    run_sync(store, told, shop, since=datetime.fromtimestamp(PAID + 90000, UTC))
    assert ids_in(store) == ["576002"]
    run_sync(store, told, shop)
    assert ids_in(store) == ["576001", "576002"]


def test_a_dry_sync_moves_nothing(store: Store, told: Any) -> None:
    save_cursor(store, "tiktok", "orders", cursor=AS_OF, as_of=AS_OF)
    before = dump(store)
    run_sync(store, told, Shop(wire(1)), dry_run=True)
    assert dump(store) == before


# Sweeps


def test_an_order_whose_change_was_dated_back_is_found_by_the_sweep(store: Store, told: Any) -> None:
    now = int(utc_now().timestamp())
    shop = Shop(wire(1, create_time=now - 60, update_time=now))
    run_sync(store, told, shop)
    shop.orders["576002"] = wire(2, "ON_HOLD", create_time=now - 3600, update_time=now - 3600)
    run_sync(store, told, shop)
    assert ids_in(store) == ["576001"]
    run_sync(store, told, shop, sync={"sweep_every": timedelta(0)})
    assert ids_in(store) == ["576001", "576002"]


def test_an_order_that_left_unseen_is_asked_for_by_its_id(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    run_sync(store, told, shop)
    store.execute("UPDATE orders SET synced_at = ?", (to_text(AS_OF),))
    shop.orders["576001"] = wire(1, "CANCELLED", update_time=PAID + 3600)
    save_cursor(store, "tiktok", "orders", cursor=utc_now(), as_of=utc_now())
    run_sync(store, told, shop, sync={"sweep_every": timedelta(0)})
    assert shop.details == [["576001"]]
    assert one(store, "SELECT state FROM v_orders") == ("cancelled",)


def test_sweeps_are_not_made_before_they_are_due(store: Store, told: Any) -> None:
    shop = Shop(wire(1))
    for _time in range(3):
        run_sync(store, told, shop)
    assert {search.by for search, token in shop.searches} == {"update_time"}
    assert len(shop.searches) == 3


# Events


def events(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.query("SELECT kind, at FROM v_order_events ORDER BY at, kind")]


def test_a_wish_to_cancel_and_its_withdrawal_are_events_with_the_channels_time(store: Store, told: Any) -> None:
    write(store, told, wire())
    asked = wire(is_buyer_request_cancel=True, request_cancel_time=PAID + 4000, update_time=PAID + 4100)
    write(store, told, asked)
    write(store, told, asked | {"seller_note": "looked at"})
    write(store, told, wire(update_time=PAID + 5000))
    at = [to_text(datetime.fromtimestamp(PAID + seconds, UTC)) for seconds in (4000, 5000)]
    assert events(store) == [("cancel_requested", at[0]), ("cancel_withdrawn", at[1])]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (wire(), wire(status="CANCELLED", update_time=PAID + 9000, cancel_time=PAID + 9000), "cancelled"),
        (wire(), wire(status="ON_HOLD", update_time=PAID + 9000), "on_hold_again"),
        (wire(status="CANCELLED"), wire(update_time=PAID + 9000), "reopened"),
        (wire(), wire(split_or_combine_tag="COMBINED", update_time=PAID + 9000), "combined"),
        (wire(), wire(split_or_combine_tag="SPLIT", update_time=PAID + 9000), "split"),
        (wire(), wire(has_updated_recipient_address=True, update_time=PAID + 9000), "address_changed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_matters_later_becomes_an_event(
    store: Store, told: Any, before: dict[str, Any], after: dict[str, Any], kind: str
) -> None:
    write(store, told, before)
    earlier = events(store)
    write(store, told, after)
    new = [event for event in events(store) if event not in earlier]
    assert new == [(kind, to_text(datetime.fromtimestamp(PAID + 9000, UTC)))]


# Further facts


def test_further_amounts_deadlines_and_flags_are_kept(store: Store, told: Any) -> None:
    payment = {
        "currency": "USD",
        "total_amount": "43.28",
        "original_total_product_price": "49.98",
        "retail_delivery_fee": "0.29",
        "small_order_fee": "0",
        "brand_new_fee": "1.00",
    }
    write(
        store,
        told,
        wire(
            payment=payment,
            collection_due_time=PAID + 1,
            delivery_due_time=PAID + 2,
            delivery_sla_time=PAID + 3,
            handling_duration={"days": "7", "type": "BUSINESS_DAY"},
            is_refundable_sample=True,
            line_items=[line(11, original_price="24.99", platform_discount="1.50", seller_discount="3.50")],
        ),
    )
    kept = store.query_one("SELECT * FROM orders")
    assert kept is not None
    assert json.loads(kept["other_amounts"]) == {
        "original_total_product_price": 4998,
        "retail_delivery_fee": 29,
        "brand_new_fee": 100,
    }
    times = [kept[name] for name in ("collection_due_at", "delivery_due_at", "delivery_sla_at")]
    assert times == [to_text(datetime.fromtimestamp(PAID + seconds, UTC)) for seconds in (1, 2, 3)]
    assert (kept["handling_days"], kept["handling_days_kind"], kept["is_refundable_sample"]) == (7, "BUSINESS_DAY", 1)
    unit = one(store, "SELECT original_price_minor, platform_discount_minor, seller_discount_minor FROM units")
    assert unit == (2499, 150, 350)


def test_an_unknown_word_is_told_once_for_all_its_orders(store: Store, told: Any) -> None:
    run_sync(store, told, Shop(wire(1, "BRAND_NEW"), wire(2, "BRAND_NEW")))
    assert [warning for warning in told.warnings if "BRAND_NEW" in warning and "2" in warning]
