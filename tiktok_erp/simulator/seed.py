"""Invent the orders of a live stream: who buys what when, and what becomes of it. Every choice comes from the seed."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field
from functools import partial

from tiktok_erp.simulator.entities import Address, Buyer, Content, Order, Unit
from tiktok_erp.simulator.goods import SCARCE, Sku
from tiktok_erp.simulator.places import (
    DROP_OFFS,
    FIRST_NAMES,
    LAST_NAMES,
    NOTES,
    PLACES,
    SECOND_LINES,
    STREETS,
    Place,
)
from tiktok_erp.simulator.shop import DAY_S, Shop

HISTORY_S = 6 * 3600  # with minutes=0 the orders were placed over this time before the start
FREE_SHIPPING_FROM = 2000
SHIPPING_FEE = 499
RETAIL_DELIVERY_FEE = {"CO": 29, "MN": 50}
UNPAID_LIFE_S = 48 * 3600
CANCEL_REASONS = ("No longer needed", "Found a better price", "Wrong size ordered", "Delivery takes too long")

# What becomes of an order, its share, in order of importance when there are few orders.
FATES: tuple[tuple[str, float], ...] = (
    ("cancel_request", 0.02),
    ("platform", 0.02),
    ("cancelled_on_hold", 0.02),
    ("in_transit", 0.015),
    ("unpaid", 0.02),
    ("pre_order", 0.02),
    ("sample", 0.02),
    ("line_cancelled", 0.01),
    ("completed", 0.015),
    ("delivered", 0.01),
    ("made_to_order", 0.005),
    ("unpaid_expired", 0.005),
    ("replacement", 0.005),
)
PAST_FATES = frozenset({"in_transit", "delivered", "completed", "unpaid_expired"})
# Among how many orders one is special at most.
SPECIAL_SHARE = 0.25
# Totals on the very edges of price rules: SKU, bought by someone in a state without sales tax and shipped free.
EDGES = ("SCR-BLSH-3", "LIP-FIG", "TOTE-NAT", "SLP-CRM-78")
WANTED_STATES = ("CA", "NY", "TX", "PR", "AK", "AE", "AP")


@dataclass(slots=True)
class Plan:
    """One order to come. `at` is its Unix second."""

    number: int
    at: float
    fate: str
    buyer: Buyer
    lines: list[tuple[Sku, int]]
    shipping_type: str
    note: str = ""
    group_id: str = ""
    is_edge: bool = False
    content: Content | None = None
    warehouse_id: str = ""
    dice: random.Random = field(default_factory=random.Random)


class Seeder:
    """Make the plans and let the shop's events carry them out."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.options = shop.options
        self.dice = random.Random(f"{shop.options.seed}/seed")
        skus = list(shop.catalogue.skus.values())
        self.goods = [sku for sku in skus if not sku.is_gift]
        self.gift = next(sku for sku in skus if sku.is_gift)
        self.by_seller_sku = {sku.seller_sku: sku for sku in skus}
        self.room_id = shop.ids.make("7573210", 19)
        self._numbers = itertools.count(shop.options.orders)
        shop.newcomer = self.send_newcomer

    def populate(self) -> None:
        """Plan all orders, stock the shop for them, and let the past happen."""
        plans = self._plans()
        self._stock(plans)
        for plan in sorted(plans, key=lambda plan: (plan.at, plan.number)):
            self.shop.schedule(plan.at, partial(self._arrive, plan))
        self.shop.advance()

    # Planning

    def _plans(self) -> list[Plan]:
        count = self.options.orders
        fates = self._fates(count)
        times = self._times(count, fates)
        plans = [self._plan(number, fates[number], times[number]) for number in range(count)]
        self._place_wanted(plans)
        self._make_groups(plans)
        return plans

    def _fates(self, count: int) -> list[str]:
        special: list[str] = []
        for name, share in FATES:
            special += [name] * (max(1, round(count * share)) if count >= 20 else 0)
        # With few orders the later fates go first; history must not crowd out the stream.
        wanted = math.floor(count * SPECIAL_SHARE)
        if len(special) > wanted:
            special = [name for name, share in FATES][:wanted]
        fates = special + ["normal"] * (count - len(special))
        self.dice.shuffle(fates)
        return fates

    def _times(self, count: int, fates: list[str]) -> list[float]:
        start = float(self.shop.started_at)
        # A stream swells and ebbs; the last hour before the start is quiet, so that most orders are past the hold.
        points = sorted(self.dice.betavariate(2, 2.6) for number in range(count))
        if self.options.minutes > 0:
            span = self.options.wait_s(self.options.minutes * 60)
            times = [start + span * point for point in points]
        else:
            times = [start - HISTORY_S + HISTORY_S * point for point in points]
        # What happened before the stream lies days back.
        ages = {"in_transit": (1.2, 3.1), "delivered": (5, 9), "completed": (14, 25), "unpaid_expired": (2.2, 4)}
        for number, fate in enumerate(fates):
            if fate in ages:
                times[number] = start - DAY_S * self.dice.uniform(*ages[fate])
            elif fate == "cancel_request" and self.options.minutes <= 0:
                times[number] = start - HISTORY_S * self.dice.uniform(0.5, 0.95)
            elif fate == "platform" and self.options.minutes <= 0:
                times[number] = start - HISTORY_S * self.dice.uniform(0.05, 0.95)
        return times

    def _plan(self, number: int, fate: str, at: float) -> Plan:
        dice = random.Random(f"{self.options.seed}/order/{number}")
        shipping_type = self._shipping_type(fate, dice)
        buyer = self._buyer(dice, dice.choices(PLACES, [place.share for place in PLACES])[0])
        lines = self._lines(dice, fate)
        note = dice.choice(NOTES) if dice.random() < 0.12 else ""
        plan = Plan(number, at, fate, buyer, lines, shipping_type, note, dice=dice)
        plan.content = self._content(dice) if fate not in ("sample", "replacement") else None
        plan.warehouse_id = self._warehouse(plan)
        return plan

    def _shipping_type(self, fate: str, dice: random.Random) -> str:
        draw = dice.random()
        if fate == "platform" or self.options.carrier == "tiktok":
            return "TIKTOK"
        if self.options.carrier == "seller":
            return "SELLER"
        return "TIKTOK" if draw < 0.7 else "SELLER"

    def _buyer(self, dice: random.Random, place: Place) -> Buyer:
        first, last = dice.choice(FIRST_NAMES), dice.choice(LAST_NAMES)
        if place.city == "APO":
            line1 = f"PSC {dice.randrange(1000, 9999)} Box {dice.randrange(100, 9999)}"
            line2 = ""
        elif place.iso == "PR":
            line1, line2 = (
                f"{dice.randrange(1, 90)} Calle Jardín Escondido",
                f"Urb. Valle Sereno, {dice.randrange(1, 40)}",
            )
        else:
            line1 = f"{dice.randrange(2, 9990)} {dice.choice(STREETS)}"
            line2 = dice.choice(SECOND_LINES)
        phone = f"(+1){place.area_code}-555-{dice.randrange(10_000):04d}"
        address = Address(
            first, last, phone, line1, line2, place.city, place.county, place.state, place.iso, place.zip5,
            dice.choice(DROP_OFFS),
        )  # fmt: skip
        nickname = f"{first.lower()}_{dice.randrange(100)}"
        sign = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
        email = "".join(dice.choice(sign) for place_in_name in range(8)) + "@chat.seller.us.tiktok.com"
        return Buyer(self.shop.ids.make("70", 19), nickname, email, address, place.tax_bp)

    def _lines(self, dice: random.Random, fate: str) -> list[tuple[Sku, int]]:
        kinds = dice.choices((1, 2, 3, 4), (62, 25, 9, 4))[0]
        if fate == "line_cancelled":
            kinds = max(kinds, 2)
        if fate in ("sample", "replacement"):
            kinds = 1
        chosen: dict[str, int] = {}
        while len(chosen) < kinds:
            sku = dice.choices(self.goods, [sku.demand for sku in self.goods])[0]
            chosen.setdefault(sku.id, dice.choices((1, 2, 3, 5), (80, 14, 5, 1))[0])
        if fate in ("sample", "replacement"):
            chosen = dict.fromkeys(chosen, 1)
        return [(self.shop.catalogue.skus[sku_id], quantity) for sku_id, quantity in chosen.items()]

    def _content(self, dice: random.Random) -> Content | None:
        draw = dice.random()
        if draw < 0.6:
            return Content("", "SHOP", "", self.room_id, 0)
        if draw < 0.9:
            kind = dice.choice(("LIVE", "LIVE", "VIDEO"))
            creator = dice.choice(("glow.with.tess", "marlowfinds", "bex.unboxes"))
            room = self.room_id if kind == "LIVE" else ""
            content_id = room or str(7_500_000_000_000_000_000 + dice.randrange(10**15))
            return Content(creator, kind, content_id, room, dice.choice((1000, 1550, 2000)))
        return None

    def _warehouse(self, plan: Plan) -> str:
        first, second = self.shop.catalogue.sales_warehouses
        in_second = all(second.id in sku.available for sku, quantity in plan.lines)
        return second.id if in_second and plan.dice.random() < 0.3 else first.id

    def _place_wanted(self, plans: list[Plan]) -> None:
        """Make sure that the states and totals that carrier rules turn on are there."""
        normal = [plan for plan in plans if plan.fate == "normal"]
        if len(normal) < len(WANTED_STATES) + len(EDGES) + 4:
            return
        self.dice.shuffle(normal)
        untaxed = [place for place in PLACES if place.iso in ("OR", "NH", "MT")]
        for plan, seller_sku in zip(normal, EDGES, strict=False):
            plan.lines = [(self.by_seller_sku[seller_sku], 1)]
            plan.buyer = self._buyer(plan.dice, plan.dice.choice(untaxed))
            plan.is_edge = True
            plan.warehouse_id = self._warehouse(plan)
        for plan, state in zip(normal[len(EDGES) :], WANTED_STATES, strict=False):
            place = next(place for place in PLACES if place.iso == state)
            plan.buyer = self._buyer(plan.dice, place)
        small, large = normal[len(EDGES) + len(WANTED_STATES) :][:2]
        california = [place for place in PLACES if place.iso == "CA"]
        small.lines = [(self.by_seller_sku["LAN-PRL"], 1)]
        large.lines = [(self.by_seller_sku["KTL-600"], 1)]
        for plan in (small, large):
            plan.buyer = self._buyer(plan.dice, plan.dice.choice(california))
            plan.warehouse_id = self.shop.catalogue.sales_warehouses[0].id

    def _make_groups(self, plans: list[Plan]) -> None:
        """Let some buyers come back within the three hours in which the platform combines (reference, section 4.6)."""
        normal = sorted(
            (plan for plan in plans if plan.fate == "normal" and not plan.is_edge), key=lambda plan: plan.at
        )
        sizes: list[int] = []
        if self.shop.dice.roll("giant_combine_group"):
            sizes.append(22)
        sizes += [self.dice.choice((2, 2, 2, 3, 4)) for number in range(len(normal) // 30)]
        taken: set[int] = set()
        default = self.shop.catalogue.sales_warehouses[0].id
        for size in sizes:
            free = [
                plan for plan in normal if plan.number not in taken and plan.buyer.address.iso not in WANTED_STATES[3:]
            ]
            if len(free) < size + 2:
                continue
            start = self.dice.randrange(len(free) - size + 1)
            members = [plan for plan in free[start : start + 3 * size] if plan.at - free[start].at <= 3 * 3600][:size]
            if len(members) < 2:
                continue
            group_id = self.shop.ids.make("75733", 19)
            for plan in members:
                taken.add(plan.number)
                plan.buyer, plan.group_id = members[0].buyer, group_id
                plan.shipping_type, plan.warehouse_id = members[0].shipping_type, default

    def _stock(self, plans: list[Plan]) -> None:
        """Put in enough for every plan, and more than enough of most SKUs."""
        demand: dict[tuple[str, str], int] = {}
        for plan in plans:
            lines = [*plan.lines, (self.gift, 1)]
            for sku, quantity in lines if plan.fate != "platform" else []:
                key = (sku.id, plan.warehouse_id)
                demand[key] = demand.get(key, 0) + quantity
        for sku in self.shop.catalogue.skus.values():
            for place, warehouse_id in enumerate(sku.available):
                spare = self.dice.randrange(60, 400)
                if sku.seller_sku in SCARCE:
                    spare = SCARCE[sku.seller_sku] if place == 0 else 1
                sku.available[warehouse_id] = demand.get((sku.id, warehouse_id), 0) + spare

    # Carrying plans out

    def send_newcomer(self, at: int) -> None:
        """Let one more buyer, beyond all plans, order what is in stock and pay in the same second."""
        plan = self._plan(next(self._numbers), "normal", at)
        lines = self._available_lines(plan)
        if not lines:
            return
        order = self._order(plan, lines, at)
        self.shop.place(order)
        self.shop.pay(order, at)

    def _arrive(self, plan: Plan, at: int) -> None:
        lines = self._available_lines(plan)
        if not lines:
            self.shop.ledger.add("lost_sales", time=at, skus=[sku.id for sku, quantity in plan.lines])
            return
        order = self._order(plan, lines, at)
        self.shop.place(order)
        wait = self.options.wait_s
        if plan.fate in ("unpaid", "unpaid_expired"):
            life = wait(UNPAID_LIFE_S) if plan.fate == "unpaid" else UNPAID_LIFE_S
            self.shop.schedule(at + life, lambda second: self.shop.expire_unpaid(order, second))
            return
        self.shop.schedule(at + wait(plan.dice.uniform(3, 45)), lambda second: self._paid(plan, order, second))

    def _paid(self, plan: Plan, order: Order, at: int) -> None:
        self.shop.pay(order, at)
        wait, dice = self.options.wait_s, plan.dice
        if plan.fate == "cancelled_on_hold":
            in_hold = wait(self.options.hold_seconds) * dice.uniform(0.1, 0.8)
            reason = dice.choice(CANCEL_REASONS)
            self.shop.schedule(at + in_hold, lambda second: self.shop.buyer_cancels(order, reason, second))
        elif plan.fate == "cancel_request":
            after = order.hold_until + wait(dice.uniform(60, 1200))
            reason = dice.choice(CANCEL_REASONS)
            self.shop.schedule(after, lambda second: self.shop.buyer_cancels(order, reason, second))
        elif plan.fate == "line_cancelled":
            self.shop.schedule(order.hold_until + wait(30), lambda second: self._cancel_line(order, second))
        elif plan.fate in PAST_FATES:
            self.shop.schedule(order.hold_until + wait(3600), lambda second: self._ship_in_the_past(order, second))

    def _cancel_line(self, order: Order, at: int) -> None:
        if order.status == "AWAITING_SHIPMENT":
            reason = "seller_cancel_reason_out_of_stock"
            self.shop.cancel(order, order.open_units[:1], role="SELLER", reason=reason, at=at)

    def _ship_in_the_past(self, order: Order, at: int) -> None:
        if order.status != "AWAITING_SHIPMENT":
            return
        planned = self.shop.packages[order.package_ids[0]] if order.package_ids else None
        package = self.shop.ship([order], order.open_units, at, tag="DEFAULT", planned=planned)
        self.shop.buy_label(package, self.shop.catalogue.services[0], at)
        if package.is_pending:
            package.sub_status = "RTS"
        # The real time of the scan does not matter for what lies behind us; it was picked up long ago.
        self.shop.schedule(at + 5 * 3600, lambda second: self.shop.collect(package, second))

    def _available_lines(self, plan: Plan) -> list[tuple[Sku, int]]:
        """Return what the buyer still can get: what is sold out gives way to another variant of the same product."""
        if plan.fate == "platform":
            return plan.lines
        found: dict[str, int] = {}
        for sku, quantity in plan.lines:
            variants = self.shop.catalogue.products[sku.product_id].skus
            others = [other for other in variants if other is not sku]
            for choice in [sku, *others]:
                left = choice.available.get(plan.warehouse_id, 0) - found.get(choice.id, 0)
                if left > 0:
                    found[choice.id] = found.get(choice.id, 0) + min(quantity, left)
                    break
        return [(self.shop.catalogue.skus[sku_id], quantity) for sku_id, quantity in found.items()]

    def _order(self, plan: Plan, lines: list[tuple[Sku, int]], at: int) -> Order:
        free = plan.fate in ("sample", "replacement")
        units: list[Unit] = []
        for sku, quantity in lines:
            seller, platform = (sku.price, 0) if free else self._discounts(plan, sku)
            for _piece in range(quantity):
                units.append(self._unit(plan, sku, seller, platform))
        subtotal = sum(unit.sale for unit in units)
        gift_left = self.gift.available.get(plan.warehouse_id, 0) > 0
        if subtotal >= 2500 and gift_left and plan.dice.random() < 0.4 and not plan.is_edge and plan.fate != "platform":
            units.append(self._unit(plan, self.gift, 0, 0))
        if not free and not plan.is_edge:
            units[0].retail_delivery_fee = RETAIL_DELIVERY_FEE.get(plan.buyer.address.iso, 0)
        pays_shipping = not free and not plan.is_edge
        free_shipping = subtotal >= FREE_SHIPPING_FROM or plan.dice.random() < 0.6
        order = Order(
            id=self.shop.ids.make("57699", 18),
            buyer=plan.buyer,
            units=units,
            created_at=at,
            updated_at=at,
            shipping_type=plan.shipping_type,
            fulfillment_type="FULFILLMENT_BY_TIKTOK" if plan.fate == "platform" else "FULFILLMENT_BY_SELLER",
            warehouse_id=plan.warehouse_id,
            is_sample=plan.fate == "sample",
            replaces=self.shop.ids.make("57698", 18) if plan.fate == "replacement" else "",
            buyer_message=plan.note,
            group_id=plan.group_id,
            content=plan.content,
            shipping_fee=SHIPPING_FEE if pays_shipping else 0,
            shipping_fee_platform_discount=SHIPPING_FEE if pays_shipping and free_shipping else 0,
        )
        if plan.fate == "pre_order":
            order.order_type = "PRE_ORDER"
            order.release_date = at + DAY_S * plan.dice.randrange(3, 30)
        elif plan.fate == "made_to_order":
            order.order_type, order.handling_days = "MADE_TO_ORDER", plan.dice.randrange(3, 15)
        return order

    def _discounts(self, plan: Plan, sku: Sku) -> tuple[int, int]:
        if plan.is_edge:
            return 0, 0
        seller = plan.dice.choice((0, 0, 0, 50, 100, 350)) if sku.price >= 900 else 0
        platform = plan.dice.choice((0, 0, 50, 150)) if sku.price >= 900 else 0
        return seller, platform

    def _unit(self, plan: Plan, sku: Sku, seller_discount: int, platform_discount: int) -> Unit:
        sale = sku.price - seller_discount - platform_discount
        return Unit(
            id=self.shop.ids.make("57708", 18),
            sku=sku,
            original=sku.price,
            seller_discount=seller_discount,
            platform_discount=platform_discount,
            tax=(sale * plan.buyer.tax_bp + 5000) // 10_000,
            tax_bp=plan.buyer.tax_bp,
            is_gift=sku.is_gift,
            room_id=plan.content.room_id if plan.content else "",
        )
