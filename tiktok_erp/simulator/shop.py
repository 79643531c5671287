"""The shop itself: its state behind one lock, what happens by itself as time passes, and how orders change status."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from tiktok_erp.simulator.calls import Pages
from tiktok_erp.simulator.deadlines import end_of_business_day
from tiktok_erp.simulator.entities import SHIPPABLE, Cancellation, Order, Package, Unit
from tiktok_erp.simulator.faults import Dice
from tiktok_erp.simulator.goods import ShippingService, Sku, make_catalogue
from tiktok_erp.simulator.ledger import Ledger
from tiktok_erp.simulator.numbers import IdMaker, ups_number, usps_number
from tiktok_erp.simulator.options import SimulatorOptions

DAY_S = 86400
# The buyer's cancel request is granted when nobody answers it in this time (reference, section 7).
ANSWER_REQUEST_S = 48 * 3600
# A client that has not looked at an order for this long before shipping it cannot call its news a surprise.
FRESH_S = 60.0


class Shop:
    """All state. Every method expects `lock` to be held by the caller."""

    def __init__(self, options: SimulatorOptions, dice: Dice, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.dice = dice
        self.clock = clock
        self.lock = threading.RLock()
        self.ids = IdMaker(options.seed)
        self.random = random.Random(f"{options.seed}/shop")
        self.started_at = int(clock())
        self.shop_id = self.ids.make("7495", 19)
        self.name = "Simulated shop"
        self.catalogue = make_catalogue(self.ids, self.started_at - 200 * DAY_S)
        self.orders: dict[str, Order] = {}
        self.packages: dict[str, Package] = {}
        self.cancellations: dict[str, Cancellation] = {}
        self.orders_by_number: dict[str, list[str]] = {}
        self.external_references: dict[tuple[str, str], dict[str, object]] = {}
        self.pages = Pages(options.seed)
        self.ledger = Ledger(options.state, self.lock)
        self.ledger.watch_faults(dice.hits)
        # Lets somebody place and pay an order in the second given; whoever fills the shop with orders sets it.
        self.newcomer: Callable[[int], None] = lambda at: None
        self._units: dict[str, tuple[Order, Unit]] = {}
        self._events: list[tuple[float, int, Callable[[int], None]]] = []
        self._event_numbers = itertools.count()
        self._marks = itertools.count(1)
        self._serials = itertools.count(1 + self.random.randrange(90_000))

    # Time

    def now(self) -> int:
        """Return the shop's wall-clock second."""
        return int(self.clock())

    def schedule(self, at: float, action: Callable[[int], None]) -> None:
        """Let `action` happen at `at`; it is called with that second, whenever the shop next looks at the clock."""
        heapq.heappush(self._events, (at, next(self._event_numbers), action))

    def advance(self) -> int:
        """Let everything happen that was due by now; return now."""
        now = self.clock()
        while self._events and self._events[0][0] <= now:
            at, _number, action = heapq.heappop(self._events)
            action(int(at))
        return int(now)

    # Looking things up

    def unit(self, unit_id: str) -> tuple[Order, Unit] | None:
        """Return a line item and its order."""
        return self._units.get(unit_id)

    def package_units(self, package: Package) -> list[Unit]:
        """Return the line items in a package."""
        return [self._units[unit_id][1] for unit_id in package.unit_ids]

    def package_orders(self, package: Package) -> list[Order]:
        """Return the orders in a package."""
        return [self.orders[order_id] for order_id in package.order_ids]

    def pending_request(self, order: Order) -> Cancellation | None:
        """Return the buyer's open cancel request, if any."""
        if not order.cancel_requested:
            return None
        for cancellation in self.cancellations.values():
            if cancellation.order_id == order.id and cancellation.status == "CANCELLATION_REQUEST_PENDING":
                return cancellation
        return None

    def served(self, order: Order) -> None:
        """Note that an answer shows this order to the client."""
        order.served_at, order.served_mark = self.clock(), next(self._marks)

    # What happens to orders

    def touch(self, order: Order, at: int, status: str | None = None) -> None:
        """Note a change: update_time moves, cached answers are dropped, the ledger's entry is stale."""
        if status is not None:
            order.status = status
            order.changed_mark = next(self._marks)
        order.updated_at = max(order.updated_at, at)
        order.encoded = ""
        self.ledger.order_changed(order)

    def place(self, order: Order) -> None:
        """Take a new order in: its units hold stock from now on (reference, section 5.4: UNPAID counts)."""
        self.orders[order.id] = order
        for unit in order.units:
            self._units[unit.id] = (order, unit)
            if not order.is_platform_fulfilled:
                unit.sku.available[order.warehouse_id] -= 1
                unit.sku.committed[order.warehouse_id] += 1
        self.touch(order, order.created_at, "UNPAID")

    def pay(self, order: Order, at: int) -> None:
        """The buyer paid: the order goes on hold until an hour later, or until the release date of a pre-order."""
        if order.status != "UNPAID":
            return
        order.paid_at = at
        order.hold_until = order.release_date or int(at + self.options.wait_s(self.options.hold_seconds))
        self._set_deadlines(order)
        for unit in order.live_units:
            unit.status = "AWAITING_SHIPMENT"
        self.touch(order, at, "ON_HOLD")
        self.schedule(order.hold_until, lambda second: self.release(order, second))
        self.schedule(order.shipping_due, partial(self._expire, order, SHIPPABLE))

    def release(self, order: Order, at: int) -> None:
        """The hold is over."""
        if order.status != "ON_HOLD":
            return
        self.touch(order, at, "AWAITING_SHIPMENT")
        if self.options.mode == "packages-first":
            self._plan_package(order, at)
        if order.is_platform_fulfilled:
            self.schedule(at + self.options.wait_s(1800), lambda second: self._fulfil_by_platform(order, second))

    def _set_deadlines(self, order: Order) -> None:
        if order.release_date:
            order.rts_sla = end_of_business_day(order.release_date, 2)
            order.shipping_due = end_of_business_day(order.rts_sla, 5)
            order.delivery_sla = end_of_business_day(order.release_date, 6)
        elif order.handling_days:
            order.rts_sla = end_of_business_day(order.created_at, order.handling_days)
            order.shipping_due = end_of_business_day(order.rts_sla, 4)
            order.delivery_sla = end_of_business_day(order.created_at, order.handling_days + 5)
        else:
            order.rts_sla = end_of_business_day(order.created_at, 2)
            order.shipping_due = end_of_business_day(order.created_at, 7)
            order.delivery_sla = end_of_business_day(order.created_at, 6)

    def _expire(self, order: Order, statuses: Iterable[str], at: int) -> None:
        if order.status in statuses:
            self.cancel(order, order.live_units, role="SYSTEM", reason="Package collection overdue", at=at)

    def expire_unpaid(self, order: Order, at: int) -> None:
        """Cancel an order that was not paid in time."""
        if order.status == "UNPAID":
            self.cancel(order, order.live_units, role="SYSTEM", reason="Customer overdue to pay", at=at)

    def _plan_package(self, order: Order, at: int) -> None:
        package = self._new_package([order], order.live_units, at)
        self._put_in(package, order, order.live_units)
        self.touch(order, at)

    def _new_package(self, orders: Sequence[Order], units: Sequence[Unit], at: int) -> Package:
        first = orders[0]
        package = Package(
            id=self.ids.make("1153", 19),
            order_ids=[order.id for order in orders],
            unit_ids=[unit.id for unit in units],
            shipping_type=first.shipping_type,
            warehouse_id=first.warehouse_id,
            created_at=at,
            updated_at=at,
        )
        self.packages[package.id] = package
        return package

    def _put_in(self, package: Package, order: Order, units: Iterable[Unit]) -> None:
        for unit in units:
            unit.package_id = package.id
        if package.id not in order.package_ids:
            order.package_ids.append(package.id)

    # Shipping

    def ship(
        self, orders: Sequence[Order], units: Sequence[Unit], at: int, *, tag: str, planned: Package | None = None
    ) -> Package:
        """Put these units into one shipped package; the tracking number and provider are set by the caller."""
        package = planned or self._new_package(orders, units, at)
        package.tag = tag
        package.status, package.sub_status = "PROCESSING", "RTS"
        package.shipped_at = package.updated_at = at
        package.document_at = float(at)
        chosen = {unit.id for unit in units}
        for order in orders:
            mine = [unit for unit in order.units if unit.id in chosen]
            self._put_in(package, order, mine)
            for unit in mine:
                unit.status, unit.rts_at = "AWAITING_COLLECTION", at
                if not order.is_platform_fulfilled:
                    unit.sku.committed[order.warehouse_id] -= 1
            order.rts_at = at
            if tag != "DEFAULT":
                order.split_tag = {"COMBINE": "COMBINED", "SPLIT": "SPLIT"}[tag]
            self.touch(order, at, "PARTIALLY_SHIPPING" if order.open_units else "AWAITING_COLLECTION")
            self.schedule(order.shipping_due, partial(self._expire, order, ("AWAITING_COLLECTION",)))
        self.schedule(at + self.options.scan_after_s, lambda second: self.collect(package, second))
        return package

    def buy_label(self, package: Package, service: ShippingService, at: int) -> None:
        """Give a shipped package its platform label: number, price, and a document that may take a moment."""
        weight_g = sum(unit.sku.weight_g for unit in self.package_units(package)) + 40
        package.service_id, package.service_name = service.id, service.name
        package.cost = service.base_cents + service.cents_per_100g * weight_g // 100
        self.set_tracking(package, self._fresh_number(service.provider), service.provider)
        orders = self.package_orders(package)
        delay = 0.0
        if self.options.document_seconds and self.random.random() < 0.2:
            delay = self.random.uniform(0.3, 1.0) * self.options.document_seconds
        package.document_at = self.clock() + self.options.wait_s(delay)
        pending_s = 0.0
        if self.dice.roll("label_pending"):
            pending_s = self.options.wait_s(10)
        elif delay and self.random.random() < 0.3:
            pending_s = self.options.wait_s(delay / 2)
        if pending_s:
            package.sub_status = "RTSING"
            package.document_at = max(package.document_at, self.clock() + pending_s)
            self.schedule(self.clock() + pending_s, lambda second: self._label_arrived(package, orders, second))

    def _label_arrived(self, package: Package, orders: Sequence[Order], at: int) -> None:
        if package.sub_status == "RTSING":
            package.sub_status, package.updated_at = "RTS", at
            for order in orders:
                self.touch(order, at)

    def set_tracking(self, package: Package, number: str, provider_name: str) -> None:
        """Give a package its number and carrier."""
        for order_id in package.order_ids:
            if package.tracking_number:
                self.orders_by_number[package.tracking_number].remove(order_id)
            self.orders_by_number.setdefault(number, []).append(order_id)
        package.tracking_number = number
        package.provider_name = provider_name
        package.provider_id = self.catalogue.providers.get(provider_name, "")

    def _fresh_number(self, provider: str) -> str:
        serial = next(self._serials)
        return ups_number(serial) if provider == "UPS" else usps_number(serial)

    def collect(self, package: Package, at: int) -> None:
        """The carrier scanned the parcel; only the first scan counts."""
        if package.collected_at:
            return
        self._move(package, at, "FULFILLING", "TTS", "IN_TRANSIT")
        self.schedule(at + 3 * DAY_S, lambda second: self._deliver(package, second))

    def _deliver(self, package: Package, at: int) -> None:
        self._move(package, at, "COMPLETED", "DELIVERED", "DELIVERED")
        self.schedule(at + 8 * DAY_S, lambda second: self._complete(package, second))

    def _complete(self, package: Package, at: int) -> None:
        self._move(package, at, "COMPLETED", "DELIVERED", "COMPLETED")

    def _move(self, package: Package, at: int, status: str, sub_status: str, unit_status: str) -> None:
        if package.status == "CANCELLED":
            return
        package.status, package.sub_status, package.updated_at = status, sub_status, at
        if unit_status == "IN_TRANSIT":
            package.collected_at = at
        elif unit_status == "DELIVERED":
            package.delivered_at = at
        for unit in self.package_units(package):
            if not unit.is_cancelled:
                unit.status = unit_status
        for order in self.package_orders(package):
            words = {unit.status for unit in order.live_units}
            if words == {unit_status}:
                if unit_status == "IN_TRANSIT":
                    order.collected_at = at
                elif unit_status == "DELIVERED":
                    order.delivered_at = at
                else:
                    order.completed_at = at
                self.touch(order, at, unit_status)
            else:
                self.touch(order, at)

    def _fulfil_by_platform(self, order: Order, at: int) -> None:
        if order.status in SHIPPABLE:
            planned = self.packages[order.package_ids[0]] if order.package_ids else None
            package = self.ship([order], order.open_units, at, tag="DEFAULT", planned=planned)
            self.buy_label(package, self.catalogue.services[0], at)

    # Cancelling

    def cancel(
        self,
        order: Order,
        units: Sequence[Unit],
        *,
        role: str,
        reason: str,
        at: int,
        request: Cancellation | None = None,
    ) -> Cancellation:
        """Cancel units of an order, all or some; stock comes back; return the cancellation that says so."""
        was_unpaid = order.status == "UNPAID"
        for unit in units:
            if not unit.is_shipped and not order.is_platform_fulfilled:
                unit.sku.committed[order.warehouse_id] -= 1
            if not order.is_platform_fulfilled:
                unit.sku.available[order.warehouse_id] += 1
            unit.status, unit.cancel_reason, unit.cancel_user = "CANCELLED", reason, role
        if request is None:
            kind = "BUYER_CANCEL" if role == "BUYER" else "CANCEL"
            request = self._new_cancellation(order, units, kind, role, reason, at)
        request.status, request.updated_at = "CANCELLATION_REQUEST_COMPLETE", at
        if was_unpaid:
            request.status = "CANCELLATION_REQUEST_SUCCESS"
        self._cancel_empty_packages(units, at)
        status = None
        if not order.live_units:
            status = "CANCELLED"
            order.cancelled_at, order.cancel_reason, order.cancel_initiator = at, reason, role
            pending = self.pending_request(order)
            if pending is not None and pending is not request:
                pending.status, pending.updated_at = "CANCELLATION_REQUEST_CANCEL", at
            order.cancel_requested = False
        elif order.status == "PARTIALLY_SHIPPING" and not order.open_units:
            status = "AWAITING_COLLECTION"
        self.touch(order, at, status)
        return request

    def _cancel_empty_packages(self, units: Iterable[Unit], at: int) -> None:
        for package_id in {unit.package_id for unit in units if unit.package_id}:
            package = self.packages[package_id]
            if all(unit.is_cancelled for unit in self.package_units(package)):
                package.status = package.sub_status = "CANCELLED"
                package.updated_at = at

    def _new_cancellation(
        self, order: Order, units: Sequence[Unit], kind: str, role: str, reason: str, at: int
    ) -> Cancellation:
        cancellation = Cancellation(
            id=self.ids.make("40353", 19),
            order_id=order.id,
            unit_ids=[unit.id for unit in units],
            kind=kind,
            status="CANCELLATION_REQUEST_PENDING",
            role=role,
            reason=reason,
            reason_text=reason.replace("_", " "),
            created_at=at,
            updated_at=at,
        )
        self.cancellations[cancellation.id] = cancellation
        return cancellation

    def buyer_cancels(self, order: Order, reason: str, at: int) -> None:
        """The buyer wants out: at once while unpaid or on hold, by request while awaiting shipment, else not at all."""
        if order.status in ("UNPAID", "ON_HOLD"):
            self.cancel(order, order.live_units, role="BUYER", reason=reason, at=at)
        elif order.status == "AWAITING_SHIPMENT" and not order.cancel_requested:
            request = self._new_cancellation(order, order.live_units, "BUYER_CANCEL", "BUYER", reason, at)
            request.deadline = at + ANSWER_REQUEST_S
            order.cancel_requested, order.request_cancel_at = True, at
            order.changed_mark = next(self._marks)
            self.touch(order, at)
            self.schedule(request.deadline, lambda second: self.answer_request(request, granted=True, at=second))

    def answer_request(self, request: Cancellation, *, granted: bool, at: int) -> None:
        """Grant or reject a pending cancel request; answered ones stay as they are."""
        if request.status != "CANCELLATION_REQUEST_PENDING":
            return
        order = self.orders[request.order_id]
        order.cancel_requested = False
        if granted:
            self.cancel(order, order.open_units, role="BUYER", reason=request.reason, at=at, request=request)
        else:
            request.status, request.updated_at = "CANCELLATION_REQUEST_CANCEL", at
            self.touch(order, at)

    # What a correct client never does

    def violation(self, kind: str, *, order_id: str = "", request_id: str = "", detail: str = "") -> None:
        """Write a violation into the ledger."""
        self.ledger.add(
            "violations", kind=kind, order_id=order_id, request_id=request_id, time=self.now(), detail=detail
        )

    def should_have_known(self, order: Order) -> bool:
        """Return whether a client that reads an order just before shipping it knew its present status.

        False only when the status changed after the client's last look and that look is recent: nobody can see
        a change that comes between the last read and the purchase.
        """
        saw_it = order.served_mark > order.changed_mark
        return saw_it or self.clock() - order.served_at > FRESH_S

    def sold_out(self, sku: Sku, warehouse_id: str) -> bool:
        """Return whether a buyer can no longer order this."""
        return sku.available.get(warehouse_id, 0) <= 0


def empty_shop(first: Shop, number: int) -> Shop:
    """Return one more shop of the same seller: no goods, no orders, but warehouses, an id and a name of its own."""
    options = replace(first.options, orders=0, state=None, seed=first.options.seed * 1000 + number)
    made = Shop(options, first.dice, first.clock)
    made.lock, made.ledger = first.lock, first.ledger
    made.name = f"{first.name} {number}"
    made.catalogue.products.clear()
    made.catalogue.skus.clear()
    return made
