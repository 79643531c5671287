"""Promise 3 under anything that can happen in any order: orders, cancellations, returns, bundles, counts, moves, crashes.

Orders come through the writer that `sync` uses; the channel is an object that keeps what it is told.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tiktok_erp.channels.base import Listing
from tiktok_erp.errors import UsageError
from tiktok_erp.model.bundle import pieces_of
from tiktok_erp.model.facts import ComponentFacts, OrderFacts, UnitFacts
from tiktok_erp.model.rule import Rules, SafetyRule
from tiktok_erp.stock.count import adjust_stock, count_stock, map_bundle, transfer_stock
from tiktok_erp.stock.offers import refresh_offers
from tiktok_erp.stock.push import push
from tiktok_erp.stock.run import ReserveCount, reserve
from tiktok_erp.store.bundles import load_own_bundles, load_unit_components
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.run import OrderWriter

SKUS = ("MUG", "CUP", "TEA")
PLACES = ("main", "east")
SELLING = (
    *SKUS,
    "SET",
    "DUO",
    "NEW",
)  # SET: a bundle of the seller's own; DUO: one of the channel's; NEW: never counted
RULES = Rules(safety_stock=(SafetyRule("MUG", units=2), SafetyRule("*", percent=Decimal(20))))
START = datetime(2026, 11, 18, 12, tzinfo=UTC)
CHECKED = [check for check in CHECKS if check.name not in ("integrity",)]


class Crash(Exception):
    """The process died between two writes."""


class Mute:
    wants_fields = False

    def item(self, outcome: Any) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


class Shop:
    """A channel whose listings show what they were told, less what is sold."""

    name = "tiktok"

    def __init__(self) -> None:
        self.shown = {str(number): 50 for number in range(1, 8)}

    def sku_of(self, listing_id: str) -> str:
        return ("MUG", "CUP", "TEA", "SET", "DUO", "NEW", "MUG")[int(listing_id) - 1]

    def search_listings(self) -> list[list[Listing]]:
        return [
            [
                Listing(listing_id, listing_id, self.sku_of(listing_id), "", "ACTIVATE", (("W1", quantity),))
                for listing_id, quantity in self.shown.items()
            ]
        ]

    def set_quantities(self, product_id: str, quantities: Any) -> tuple[list[Any], str]:
        for listing_id, pairs in quantities.items():
            self.shown[listing_id] = sum(quantity for _place, quantity in pairs)
        return [], "r1"


class StockMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "shop.db"
        path.write_bytes(EMPTY[0])
        self.store: Store = self.stack.enter_context(open_store(path))
        self.store.execute("PRAGMA synchronous = OFF")
        self.report = Mute()
        self.shop = Shop()
        self.orders: dict[str, OrderFacts] = {}
        self.numbers = itertools.count(1)
        self.seconds = itertools.count()
        self.crash_after: int | None = None

    def teardown(self) -> None:
        self.stack.close()

    # Helpers

    def now(self) -> datetime:
        return START + timedelta(seconds=next(self.seconds))

    @contextmanager
    def perhaps_crashing(self, writes: int | None):
        """Let the block die at its `writes`-th write; what it did must then be gone, or be whole."""
        if writes is None:
            yield
            return
        left = itertools.count(writes, -1)
        kept = {name: getattr(self.store, name) for name in ("execute", "execute_many", "insert")}

        def dying(write: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                if next(left) <= 0:
                    raise Crash
                return write(*arguments)

            return call

        for name, write in kept.items():
            setattr(self.store, name, dying(write))
        try:
            with suppress(Crash):
                yield
        finally:
            for name, write in kept.items():
                setattr(self.store, name, write)

    def write(self, facts: OrderFacts) -> None:
        facts = replace(facts, as_of=self.now(), updated_at=self.now())
        self.orders[facts.channel_order_id] = facts
        OrderWriter(self.store, RULES, self.report, run_id=None).write_facts([facts])

    def on_hand(self) -> Counter[str]:
        return Counter({row[0]: row[1] for row in self.store.query("SELECT sku, sum(on_hand) FROM stock GROUP BY sku")})

    def held_pieces(self, order: str) -> Counter[str]:
        rows = self.store.query(
            "SELECT v.sku, v.quantity FROM v_reserved_pieces v JOIN units u USING (unit_id)"
            " WHERE u.order_id = ? AND v.state = 'held'",
            (f"tiktok:{order}",),
        )
        found: Counter[str] = Counter()
        for row in rows:
            found[row["sku"]] += row["quantity"]
        return found

    def change_units(self, order: str, chosen: list[bool], status: str, **fields: Any) -> None:
        facts = self.orders[order]
        flags = itertools.chain(chosen, itertools.repeat(True))
        units = tuple(
            replace(unit, status=status) if flag and unit.status != "CANCELLED" else unit
            for unit, flag in zip(facts.units, flags, strict=False)
        )
        words = {unit.status for unit in units}
        self.write(replace(facts, units=units, status=status if len(words) == 1 else facts.status, **fields))

    # What can happen

    @initialize(counts=st.lists(st.integers(0, 8), min_size=3, max_size=3))
    def count_first(self, counts: list[int]) -> None:
        with self.store.transaction():
            for sku, quantity in zip(SKUS, counts, strict=True):
                count_stock(
                    self.store, sku=sku, warehouse="main", quantity=quantity, because="first", report=self.report
                )
        map_bundle(self.store, RULES, self.report, sku="SET", components={"MUG": 2, "CUP": 1}, dry_run=False)

    @rule(
        skus=st.lists(st.sampled_from(SELLING), min_size=1, max_size=6),
        status=st.sampled_from(["UNPAID", "ON_HOLD", "AWAITING_SHIPMENT"]),
        fulfillment=st.sampled_from([None, None, None, "FULFILLMENT_BY_SELLER", "FULFILLMENT_BY_TIKTOK"]),
        kind=st.sampled_from(["NORMAL", "NORMAL", "BACK_ORDER"]),
        warehouse=st.sampled_from([None, "east", "nowhere"]),
        crash=st.sampled_from([None, None, None, 0, 2, 4, 6, 8]),
        reserved=st.booleans(),
    )
    def order_comes(
        self,
        skus: list[str],
        status: str,
        fulfillment: str | None,
        kind: str,
        warehouse: str | None,
        crash: int | None,
        reserved: bool,
    ) -> None:
        number = str(next(self.numbers))
        units = tuple(
            UnitFacts(
                channel_unit_id=f"{number}-{index}",
                channel_sku_id=str(1 + SELLING.index(sku)),
                seller_sku=sku,
                status=status,
                components=(ComponentFacts("TEA", None, 1), ComponentFacts("CUP", None, 2)) if sku == "DUO" else (),
            )
            for index, sku in enumerate(skus)
        )
        at = self.now()
        facts = OrderFacts(
            channel="tiktok",
            channel_order_id=number,
            status=status,
            source="api",
            as_of=at,
            placed_at=at,
            shipping_due_at=at + timedelta(hours=int(number) % 5),
            fulfillment_type=fulfillment,
            order_type=kind,
            is_presale=kind == "BACK_ORDER",
            warehouse_id=warehouse,
            units=units,
        )
        with self.perhaps_crashing(crash):
            self.write(facts)
        if reserved:
            reserve(self.store, RULES, self.report, only_orders=None, dry_run=False)
        if self.store.scalar("SELECT 1 FROM orders WHERE channel_order_id = ?", (number,)) is None:
            del self.orders[number]

    @rule(crash=st.sampled_from([None, None, 0, 1, 2, 3, 5]), some=st.booleans())
    def reserve_stock(self, crash: int | None, some: bool) -> None:
        before = self.on_hand()
        only = [f"tiktok:{order}" for order in list(self.orders)[::2]] if some else None
        written_off = "SELECT coalesce(sum(is_written_off), 0) FROM reservations"
        off = self.store.scalar(written_off)
        with self.perhaps_crashing(crash):
            reserve(self.store, RULES, self.report, only_orders=only, dry_run=False)
        if self.store.scalar(written_off) == off:
            assert not before - self.on_hand(), "reserving takes nothing off the shelf"
        if crash is None and only is None:
            self.nothing_waits_for_what_is_free()

    def nothing_waits_for_what_is_free(self) -> None:
        free = {
            (row["sku"], row["warehouse"]): row["on_hand"] - row["reserved"]
            for row in self.store.query("SELECT * FROM stock")
        }
        counted = frozenset(sku for sku, _place in free)
        own = load_own_bundles(self.store)
        rows = self.store.query(
            "SELECT u.unit_id, u.sku FROM reservations r JOIN units u USING (unit_id) JOIN orders o USING (order_id)"
            " WHERE r.state = 'short' AND o.is_open = 1 AND u.state = 'open'"
        )
        told = load_unit_components(self.store, [row["unit_id"] for row in rows])
        for row in rows:
            pieces = pieces_of(row["sku"], own, told.get(row["unit_id"], ()), counted)
            known = {sku: number for sku, number in pieces.items() if sku in counted}
            for place in PLACES:
                assert any(free.get((sku, place), 0) < number for sku, number in known.items()), row["unit_id"]

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), chosen=st.lists(st.booleans(), max_size=3))
    def units_are_cancelled(self, data: st.DataObject, chosen: list[bool]) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        before = self.on_hand()
        self.change_units(order, chosen, "CANCELLED", cancelled_at=self.now())
        assert not before - self.on_hand(), "a cancelled piece is still there"

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), says=st.sampled_from([0, 1, None]))
    def the_channel_says_whether_to_restock(self, data: st.DataObject, says: int | None) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        self.store.execute(
            "UPDATE units SET should_restock = ? WHERE order_id = ? AND state = 'cancelled'", (says, f"tiktok:{order}")
        )

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), chosen=st.lists(st.booleans(), max_size=3))
    def units_are_shipped(self, data: st.DataObject, chosen: list[bool]) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        before, held = self.on_hand(), self.held_pieces(order)
        fulfilled_by_us = self.orders[order].fulfillment_type != "FULFILLMENT_BY_TIKTOK"
        self.change_units(
            order, chosen, "IN_TRANSIT", rts_at=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        )
        still_held = self.held_pieces(order)
        left = before - self.on_hand()
        assert fulfilled_by_us or not left, "what the channel packs never touches the shelf"
        gone = held - still_held
        assert all(left[sku] >= pieces for sku, pieces in gone.items())

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), chosen=st.lists(st.booleans(), max_size=3))
    def units_turn_up_again(self, data: st.DataObject, chosen: list[bool]) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        self.change_units(order, chosen, "AWAITING_SHIPMENT", rts_at=None)

    def ours(self) -> list[str]:
        return sorted(
            order for order, facts in self.orders.items() if facts.fulfillment_type != "FULFILLMENT_BY_TIKTOK"
        )

    @precondition(lambda self: len(self.ours()) > 2)
    @rule(data=st.data())
    def the_channel_takes_an_order_over(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.ours()))
        self.write(replace(self.orders[order], fulfillment_type="FULFILLMENT_BY_TIKTOK"))
        assert not self.held_pieces(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), sku=st.sampled_from(SKUS), pieces=st.integers(1, 3))
    def pieces_come_back(self, data: st.DataObject, sku: str, pieces: int) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        before = self.on_hand()[sku]
        try:
            self.adjust(sku, pieces, returned=order)
        except UsageError:
            assert self.on_hand()[sku] == before
        else:
            assert self.on_hand()[sku] == before + pieces

    @rule(
        sku=st.sampled_from((*SKUS, "NEW")),
        place=st.sampled_from(PLACES),
        quantity=st.integers(0, 8),
        crash=st.sampled_from([None, None, 0, 1, 2, 3]),
    )
    def stock_is_counted(self, sku: str, place: str, quantity: int, crash: int | None) -> None:
        with self.perhaps_crashing(crash), self.store.transaction():
            count_stock(self.store, sku=sku, warehouse=place, quantity=quantity, because="count", report=self.report)
            refresh_offers(self.store, RULES)
        if crash is None:
            found = self.store.scalar("SELECT on_hand FROM stock WHERE sku = ? AND warehouse = ?", (sku, place))
            assert found == quantity

    def adjust(self, sku: str, delta: int, returned: str | None = None, place: str = "main") -> None:
        adjust_stock(
            self.store,
            RULES,
            self.report,
            sku=sku,
            delta=delta,
            because="test",
            warehouse=place,
            returned=returned,
            received=False,
            dry_run=False,
        )

    @rule(sku=st.sampled_from(SKUS), delta=st.integers(-4, 4), place=st.sampled_from(PLACES))
    def stock_is_adjusted(self, sku: str, delta: int, place: str) -> None:
        before = self.on_hand()[sku]
        with suppress(UsageError):
            self.adjust(sku, delta, place=place)
            assert self.on_hand()[sku] == before + delta

    @rule(sku=st.sampled_from(SKUS), quantity=st.integers(0, 5), crash=st.sampled_from([None, None, 1, 2]))
    def stock_is_transferred(self, sku: str, quantity: int, crash: int | None) -> None:
        before = self.on_hand()[sku]
        with self.perhaps_crashing(crash), suppress(UsageError):
            transfer_stock(
                self.store, RULES, self.report, sku=sku, quantity=quantity, source="main", target="east", dry_run=False
            )
        assert self.on_hand()[sku] == before, "a transfer neither makes pieces nor loses them"

    @rule(parts=st.sampled_from([{}, {"MUG": 1}, {"MUG": 2, "CUP": 1}, {"TEA": 3, "NEW": 1}]))
    def the_bundle_is_mapped(self, parts: dict[str, int]) -> None:
        with suppress(UsageError):
            map_bundle(self.store, RULES, self.report, sku="SET", components=parts, dry_run=False)

    @rule(crash=st.sampled_from([None, None, None, 3, 6, 9, 12]))
    def what_is_left_is_pushed(self, crash: int | None) -> None:
        with self.perhaps_crashing(crash):
            push(
                self.store,
                self.shop,  # type: ignore[arg-type]
                self.report,
                ReserveCount(),
                rules=RULES,
                run_id=None,
                dry_run=False,
                yes=True,
            )
        if crash is None:
            self.nothing_is_offered_twice()

    def nothing_is_offered_twice(self) -> None:
        own = load_own_bundles(self.store)
        virtual = {
            row["listing_id"] for row in self.store.query("SELECT listing_id FROM listings WHERE is_channel_bundle = 1")
        }
        offered: Counter[str] = Counter()
        for listing_id, quantity in self.shop.shown.items():
            if listing_id not in virtual:
                for sku, number in pieces_of(self.shop.sku_of(listing_id), own).items():
                    offered[sku] += number * quantity
        for row in self.store.query("SELECT sku, sum(available_to_sell) AS pieces FROM v_stock GROUP BY sku"):
            parts_known = all(
                self.store.scalar("SELECT 1 FROM stock WHERE sku = ?", (part,)) for part in pieces_of("SET", own)
            )
            if parts_known or row["sku"] not in pieces_of("SET", own):
                assert offered[row["sku"]] <= row["pieces"], row["sku"]

    # What always holds

    @invariant()
    def the_promises_hold(self) -> None:
        for check in CHECKED:
            assert [tuple(row) for row in find_breaches(self.store, check)] == [], check.name

    @invariant()
    def nothing_is_held_for_what_another_packs(self) -> None:
        held = self.store.query(
            "SELECT r.unit_id FROM reservations r JOIN units u USING (unit_id) JOIN orders o USING (order_id)"
            " WHERE r.state = 'held' AND o.fulfillment_type = 'FULFILLMENT_BY_TIKTOK'"
        )
        assert held == []


EMPTY: list[bytes] = []


@pytest.fixture(autouse=True)
def _template(empty_database: bytes) -> None:
    EMPTY[:] = [empty_database]


TestStock = StockMachine.TestCase
TestStock.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
