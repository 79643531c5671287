"""What becomes of pieces: sold, shipped before anybody reserved them, cancelled, come back, part of a bundle, counted anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_erp.channels.base import Listing
from tiktok_erp.errors import UsageError
from tiktok_erp.model.facts import ComponentFacts, OrderFacts, UnitFacts
from tiktok_erp.model.rule import Rules
from tiktok_erp.stock.count import (
    Counted,
    adjust_stock,
    count_stock,
    map_bundle,
    map_listing_to,
    set_stock,
    take_stock,
    transfer_stock,
)
from tiktok_erp.stock.run import ReserveCount, reserve
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.stock import save_listings
from tiktok_erp.sync.run import OrderWriter

RULES = Rules(safety_stock=())
SOON = timedelta(hours=1)


class Seller:
    """A store and what happens to it, told through the writer that `sync` uses."""

    def __init__(self, store: Store, told: Any) -> None:
        self.store, self.told = store, told
        self.orders: dict[str, OrderFacts] = {}
        self.version = 0

    def count(self, quantity: int, sku: str = "MUG", place: str | None = None) -> None:
        with self.store.transaction():
            count_stock(self.store, sku=sku, warehouse=place, quantity=quantity, because="test", report=self.told)

    def order(
        self,
        number: int,
        *skus: str,
        components: tuple[ComponentFacts, ...] = (),
        status: str = "AWAITING_SHIPMENT",
        **fields: Any,
    ) -> None:
        units = tuple(
            UnitFacts(
                channel_unit_id=f"{number}-{index}",
                channel_sku_id=fields.pop("listing", "1729"),
                seller_sku=sku or None,
                status=status,
                components=components,
            )
            for index, sku in enumerate(skus or ("MUG",))
        )
        at = datetime(2026, 11, 18, 12, number, tzinfo=UTC)
        facts = OrderFacts(
            channel="tiktok",
            channel_order_id=str(number),
            status=status,
            source="api",
            as_of=at,
            placed_at=at,
            units=units,
        )
        self.write(replace(facts, **fields))

    def write(self, facts: OrderFacts) -> None:
        self.version += 1
        facts = replace(facts, updated_at=datetime(2026, 11, 19, tzinfo=UTC) + timedelta(seconds=self.version))
        self.orders[facts.channel_order_id] = facts
        OrderWriter(self.store, RULES, self.told, run_id=None).write_facts([facts])

    def change(self, number: int, status: str, **fields: Any) -> None:
        facts = self.orders[str(number)]
        units = tuple(replace(unit, status=status) for unit in facts.units)
        self.write(replace(facts, status=status, units=units, **fields))

    def reserve(self) -> ReserveCount:
        return reserve(self.store, RULES, self.told, only_orders=None, dry_run=False)

    def stock(self, sku: str = "MUG", place: str = "main") -> tuple[int, int] | None:
        row = self.store.query_one("SELECT on_hand, reserved FROM stock WHERE sku = ? AND warehouse = ?", (sku, place))
        return None if row is None else (row[0], row[1])

    def states(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.store.query("SELECT unit_id, state FROM reservations")}

    def moves(self, sku: str = "MUG") -> list[tuple[str, int, int]]:
        rows = self.store.query(
            "SELECT kind, quantity, reserved FROM stock_moves WHERE sku = ? ORDER BY move_id", (sku,)
        )
        return [tuple(row) for row in rows]

    def check(self) -> None:
        for statement in CHECKS:
            assert [tuple(row) for row in find_breaches(self.store, statement)] == [], statement.name


@pytest.fixture
def seller(store: Store, told: Any) -> Seller:
    return Seller(store, told)


# The ledger


def test_every_step_of_a_piece_is_a_line_of_the_ledger(seller: Seller) -> None:
    seller.count(2)
    seller.order(1)
    seller.reserve()
    seller.change(1, "IN_TRANSIT")
    assert seller.moves() == [("counted", 2, 0), ("reserved", 0, 1), ("shipped", -1, -1)]
    assert seller.stock() == (1, 0)
    seller.check()


@pytest.mark.parametrize("status", ["UNPAID", "ON_HOLD", "AWAITING_SHIPMENT"])
def test_a_cancellation_gives_back_exactly_what_was_held(seller: Seller, status: str) -> None:
    seller.count(5)
    seller.order(1, "MUG", "MUG", status=status)
    seller.reserve()
    assert seller.stock() == (5, 2)
    seller.change(1, "CANCELLED")
    assert seller.stock() == (5, 0)
    seller.reserve()
    assert seller.stock() == (5, 0)
    seller.check()


# Shipped before anybody reserved it


def test_a_piece_that_left_after_the_count_leaves_the_stock_though_nothing_was_reserved(seller: Seller) -> None:
    seller.count(3)
    seller.order(1, status="IN_TRANSIT", rts_at=utc_now() + SOON)
    assert seller.stock() == (2, 0)
    seller.write(seller.orders["1"])
    assert seller.stock() == (2, 0)
    seller.check()


@pytest.mark.parametrize("rts_at", [datetime(2026, 11, 1, tzinfo=UTC), None], ids=["before the count", "nobody knows"])
def test_a_piece_that_left_before_the_count_is_not_taken_twice(seller: Seller, rts_at: datetime | None) -> None:
    seller.count(3)
    seller.order(1, status="IN_TRANSIT", rts_at=rts_at)
    assert seller.stock() == (3, 0)


def test_a_short_unit_that_was_shipped_all_the_same_takes_the_piece_of_the_latest_deadline(seller: Seller) -> None:
    seller.count(1)
    seller.order(1, shipping_due_at=datetime(2026, 11, 20, tzinfo=UTC))
    seller.reserve()
    seller.order(2, shipping_due_at=datetime(2026, 11, 21, tzinfo=UTC))
    seller.reserve()
    assert seller.states() == {"tiktok:1-0": "held", "tiktok:2-0": "short"}
    seller.change(2, "IN_TRANSIT", rts_at=utc_now() + SOON)
    assert seller.states() == {"tiktok:1-0": "short", "tiktok:2-0": "shipped"}
    assert seller.stock() == (0, 0)
    seller.check()


def test_room_for_a_short_unit_is_not_made_at_the_cost_of_what_leaves_with_it(seller: Seller) -> None:
    seller.count(3)
    seller.order(1, "MUG", "MUG", "MUG", "MUG")
    seller.reserve()
    seller.change(1, "IN_TRANSIT", rts_at=utc_now() + SOON)
    assert [move for move in seller.moves() if move[0] == "shipped"] == [("shipped", -1, -1)] * 3
    assert not any(move[0] == "released" for move in seller.moves())
    assert seller.stock() == (0, 0)
    seller.check()


def test_what_the_channel_packs_never_touches_the_shelf(seller: Seller) -> None:
    seller.count(3)
    seller.order(1, fulfillment_type="FULFILLMENT_BY_TIKTOK", status="IN_TRANSIT", rts_at=utc_now() + SOON)
    seller.order(2)
    seller.reserve()
    assert seller.stock() == (3, 1)
    seller.write(replace(seller.orders["2"], fulfillment_type="FULFILLMENT_BY_TIKTOK"))
    seller.reserve()
    assert seller.stock() == (3, 0)
    seller.check()


# Cancelled, and whether the channel puts it back on sale


def cancel(seller: Seller, says: int | None, status: str = "CANCELLED") -> None:
    seller.change(1, status)
    seller.store.execute("UPDATE units SET should_restock = ?", (says,))


@pytest.mark.parametrize(("says", "on_hand"), [(None, 3), (1, 3), (0, 2)])
def test_a_cancelled_piece_goes_back_on_sale_unless_the_channel_says_no(
    seller: Seller, says: int | None, on_hand: int
) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    cancel(seller, says)
    for _time in range(2):
        seller.reserve()
        assert seller.stock() == (on_hand, 0)
    seller.check()


def test_a_no_that_becomes_a_yes_brings_the_piece_back(seller: Seller) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    cancel(seller, 0)
    seller.reserve()
    seller.store.execute("UPDATE units SET should_restock = 1")
    seller.reserve()
    assert seller.stock() == (3, 0)


def test_a_written_off_piece_that_is_promised_again_is_there_again(seller: Seller) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    cancel(seller, 0)
    seller.reserve()
    seller.change(1, "AWAITING_SHIPMENT")
    seller.reserve()
    assert seller.stock() == (3, 1)
    seller.check()


def test_a_count_after_the_cancellation_knows_better_than_the_channel(seller: Seller) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    cancel(seller, 0)
    seller.store.execute("UPDATE reservations SET ended_at = '2026-01-01T00:00:00Z'")
    seller.count(5)
    seller.reserve()
    assert seller.stock() == (5, 0)


def test_two_units_are_not_written_off_one_piece(seller: Seller) -> None:
    seller.count(2)
    seller.order(1, "MUG", "MUG")
    seller.reserve()
    cancel(seller, 0)
    adjust(seller, -1)
    seller.reserve()
    assert seller.stock() == (0, 0)
    adjust(seller, 1)
    seller.reserve()
    assert seller.stock() == (1, 0)
    seller.check()


def test_what_left_of_an_empty_shelf_is_not_taken_from_what_comes_later(seller: Seller) -> None:
    seller.count(0)
    seller.order(1, "MUG", "MUG", status="IN_TRANSIT", rts_at=utc_now() + SOON)
    adjust(seller, 2)
    seller.write(seller.orders["1"])
    assert seller.stock() == (2, 0)
    seller.check()


def test_a_short_unit_that_is_cancelled_writes_nothing_off(seller: Seller) -> None:
    seller.count(0)
    seller.order(1)
    seller.reserve()
    cancel(seller, 0)
    seller.reserve()
    assert seller.stock() == (0, 0)
    seller.check()


@pytest.mark.parametrize(("scanned", "says", "on_hand"), [(None, 1, 3), (None, 0, 2), ("2026-11-20T00:00:00Z", 1, 2)])
def test_what_was_shipped_and_cancelled_is_back_only_if_no_carrier_had_it(
    seller: Seller, scanned: str | None, says: int, on_hand: int
) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    seller.change(1, "AWAITING_COLLECTION")
    assert seller.stock() == (2, 0)
    cancel(seller, says)
    seller.store.execute("UPDATE packages SET scanned_at = ?", (scanned,))
    for _time in range(2):
        seller.reserve()
        assert seller.stock() == (on_hand, 0)
    seller.check()


def test_a_shipment_that_is_taken_back_is_reserved_again(seller: Seller) -> None:
    seller.count(3)
    seller.order(1)
    seller.reserve()
    seller.change(1, "AWAITING_COLLECTION")
    seller.change(1, "AWAITING_SHIPMENT")
    seller.reserve()
    assert seller.stock() == (3, 1)
    seller.check()


# Bundles


def test_a_bundle_takes_all_its_pieces_or_none(seller: Seller) -> None:
    seller.count(5)
    seller.count(1, "TEA")
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"MUG": 2, "TEA": 1}, dry_run=False)
    seller.order(1, "SET", "SET", "MUG")
    result = seller.reserve()
    assert (result.held, result.short) == (2, 1)
    assert (seller.stock(), seller.stock("TEA")) == ((5, 3), (1, 1))
    assert any("SET" in warning and "TEA" in warning for warning in seller.told.warnings)
    seller.change(1, "IN_TRANSIT", rts_at=utc_now() + SOON)
    assert (seller.stock(), seller.stock("TEA")) == ((2, 0), (0, 0))
    seller.check()


def test_the_channels_bundle_is_picked_as_it_says(seller: Seller) -> None:
    parts = (ComponentFacts("MUG", "11", 2), ComponentFacts(None, "12", 1))
    with seller.store.transaction():
        listing = Listing("12", "8", "TEA", "", "ACTIVATE", (("W1", 5),))
        save_listings(seller.store, "tiktok", [listing.row()], utc_now())
    seller.count(5)
    seller.count(5, "TEA")
    seller.order(1, "", components=parts)
    seller.reserve()
    assert (seller.stock(), seller.stock("TEA")) == ((5, 2), (5, 1))
    seller.change(1, "CANCELLED")
    assert (seller.stock(), seller.stock("TEA")) == ((5, 0), (5, 0))
    seller.check()


def test_a_component_counted_later_is_held_too(seller: Seller) -> None:
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"MUG": 1, "TEA": 1}, dry_run=False)
    seller.count(5)
    seller.order(1, "SET")
    seller.reserve()
    assert seller.stock() == (5, 1)
    seller.count(3, "TEA")
    seller.reserve()
    assert (seller.stock(), seller.stock("TEA")) == ((5, 1), (3, 1))
    seller.check()


def test_what_a_bundle_held_is_given_back_though_the_mapping_changed(seller: Seller) -> None:
    seller.count(5)
    seller.count(5, "TEA")
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"MUG": 2}, dry_run=False)
    seller.order(1, "SET")
    seller.reserve()
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"TEA": 1}, dry_run=False)
    seller.change(1, "CANCELLED")
    assert (seller.stock(), seller.stock("TEA")) == ((5, 0), (5, 0))
    seller.check()


def test_a_recount_below_what_bundles_hold_frees_enough_pieces(seller: Seller) -> None:
    seller.count(6)
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"MUG": 2}, dry_run=False)
    for number in (1, 2, 3):
        seller.order(number, "SET", shipping_due_at=datetime(2026, 11, 20 + number, tzinfo=UTC))
    seller.reserve()
    seller.count(3)
    assert seller.states() == {"tiktok:1-0": "held", "tiktok:2-0": "short", "tiktok:3-0": "short"}
    assert seller.stock() == (3, 2)
    seller.check()


def test_a_bundle_has_no_count_and_a_counted_sku_is_no_bundle(seller: Seller) -> None:
    map_bundle(seller.store, RULES, seller.told, sku="SET", components={"MUG": 2}, dry_run=False)
    with pytest.raises(UsageError):
        set_stock(seller.store, RULES, seller.told, sku="SET", quantity=3, warehouse=None, weight_g=None, dry_run=False)
    with pytest.raises(UsageError):
        take_stock(seller.store, RULES, seller.told, [Counted("SET", 3, None)], because="x", dry_run=False)
    seller.count(1)
    with pytest.raises(UsageError):
        map_bundle(seller.store, RULES, seller.told, sku="MUG", components={"TEA": 2}, dry_run=False)
    with pytest.raises(UsageError):
        map_bundle(seller.store, RULES, seller.told, sku="TEA", components={"SET": 1, "TEA": 1}, dry_run=False)


# Sold before there is stock


def test_a_back_order_is_short_by_intent(seller: Seller) -> None:
    seller.count(0)
    seller.order(1, is_presale=True, order_type="BACK_ORDER")
    seller.order(2)
    result = seller.reserve()
    causes = {outcome.ids["order_id"]: outcome.cause for outcome in seller.told.items if outcome.kind == "unit"}
    assert causes == {"tiktok:1": "back_order", "tiktok:2": "short"}
    assert (result.short, result.by_intent) == (2, 1)
    assert any("sold ahead" in warning for warning in seller.told.warnings)


# By hand


def adjust(seller: Seller, delta: int, **options: Any) -> None:
    chosen = {"sku": "MUG", "because": "test", "warehouse": None, "returned": None, "received": False, "dry_run": False}
    adjust_stock(seller.store, RULES, seller.told, delta=delta, **(chosen | options))


def test_an_adjustment_below_what_is_reserved_makes_the_latest_deadline_short(seller: Seller) -> None:
    seller.count(2)
    seller.order(1, shipping_due_at=datetime(2026, 11, 20, tzinfo=UTC))
    seller.order(2, shipping_due_at=datetime(2026, 11, 21, tzinfo=UTC))
    seller.reserve()
    adjust(seller, -1)
    assert seller.states() == {"tiktok:1-0": "held", "tiktok:2-0": "short"}
    assert seller.stock() == (1, 1)
    seller.check()


def test_more_than_is_there_cannot_be_taken_away_and_nothing_unknown_adjusted(seller: Seller) -> None:
    seller.count(2)
    for delta, options in ((-3, {}), (0, {}), (1, {"sku": "NEW"}), (1, {"warehouse": "east"})):
        with pytest.raises(UsageError):
            adjust(seller, delta, **options)
    assert seller.stock() == (2, 0)


def test_a_return_brings_back_no_more_than_was_shipped(seller: Seller) -> None:
    seller.count(3)
    seller.order(1, "MUG", "MUG")
    seller.reserve()
    with pytest.raises(UsageError):
        adjust(seller, 1, returned="1")
    seller.change(1, "DELIVERED")
    adjust(seller, 1, returned="1")
    adjust(seller, 1, returned="tiktok:1")
    assert seller.stock() == (3, 0)
    with pytest.raises(UsageError):
        adjust(seller, 1, returned="1")
    with pytest.raises(UsageError):
        adjust(seller, 1, returned="99")
    assert seller.moves()[-1] == ("returned", 1, 0)


def test_only_free_pieces_are_transferred(seller: Seller) -> None:
    seller.count(3)
    seller.order(1, "MUG", "MUG")
    seller.reserve()

    def transfer(quantity: int, source: str = "main", target: str = "east") -> None:
        transfer_stock(
            seller.store, RULES, seller.told, sku="MUG", quantity=quantity, source=source, target=target, dry_run=False
        )

    for quantity, source, target in (
        (2, "main", "east"),
        (0, "main", "east"),
        (1, "main", "main"),
        (1, "west", "main"),
    ):
        with pytest.raises(UsageError):
            transfer(quantity, source, target)
    transfer(1)
    assert (seller.stock(), seller.stock(place="east")) == ((2, 2), (1, 0))
    seller.check()


def test_a_stocktake_touches_only_what_was_counted(seller: Seller) -> None:
    seller.count(3)
    seller.count(4, "TEA")
    lines = [Counted("MUG", 1, None), Counted("MUG", 2, "east")]
    assert take_stock(seller.store, RULES, seller.told, lines, because="x", dry_run=True) == 2
    assert seller.stock() == (3, 0)
    assert take_stock(seller.store, RULES, seller.told, lines, because="x", dry_run=False) == 2
    assert take_stock(seller.store, RULES, seller.told, lines, because="x", dry_run=False) == 0
    assert (seller.stock(), seller.stock(place="east"), seller.stock("TEA")) == ((1, 0), (2, 0), (4, 0))


# Which SKU a listing sells


def test_a_listing_mapped_by_hand_goes_before_the_channels_text(seller: Seller) -> None:
    """The same seller SKU stands on two listings that are different things."""
    listing = Listing("1729", "8", "MUG", "", "ACTIVATE", (("W1", 5),))
    with seller.store.transaction():
        save_listings(seller.store, "tiktok", [listing.row()], utc_now())
    seller.count(5)
    seller.count(5, "BOWL")
    seller.order(1)
    seller.reserve()
    map_listing_to(seller.store, RULES, seller.told, channel="tiktok", listing_id="1729", sku="BOWL", dry_run=False)
    assert seller.stock() == (5, 0)
    seller.order(2)
    seller.write(seller.orders["1"])
    with seller.store.transaction():
        save_listings(seller.store, "tiktok", [listing.row()], utc_now())
    seller.reserve()
    assert (seller.stock(), seller.stock("BOWL")) == ((5, 0), (5, 2))
    map_listing_to(seller.store, RULES, seller.told, channel="tiktok", listing_id="1729", sku=None, dry_run=False)
    seller.reserve()
    assert (seller.stock(), seller.stock("BOWL")) == ((5, 2), (5, 0))
    with pytest.raises(UsageError):
        map_listing_to(seller.store, RULES, seller.told, channel="tiktok", listing_id="1", sku="X", dry_run=False)
    seller.check()


def test_a_listing_follows_a_new_seller_sku_and_keeps_the_old_one_when_it_is_taken_away(seller: Seller) -> None:
    for text, expected in (("MUG", "MUG"), ("MUG-2", "MUG-2"), ("", "MUG-2")):
        with seller.store.transaction():
            row = Listing("1729", "8", text, "", "ACTIVATE", (("W1", 5),)).row()
            save_listings(seller.store, "tiktok", [row], utc_now())
        assert seller.store.scalar("SELECT sku FROM listings") == expected
