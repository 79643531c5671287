"""Rows of the store as the facts that rules ask for. Reads nothing; the ZIP codes come from a package of data."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from math import cos, hypot, radians

from tiktok_erp.allocation.plan import Size, plan_box, plan_weight
from tiktok_erp.model.address import (
    Address,
    AddressFault,
    clean_address,
    find_fault,
    is_military,
    is_po_box,
    line_length,
    phone_of,
)
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Box, Rules

_SECONDS_AN_HOUR = 3600
# A place counts as next to another up to so many times the way to the third nearest. Of 90 ZIP codes that are known to serve
# two states this finds 88, and it keeps the middle of a city apart from the state across the river.
_NEIGHBOUR, _NEIGHBOUR_WAYS = 3, 3


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A stream that the seller has marked: which SKUs it sells, and from when to when (UTC text; None: it is on)."""

    name: str
    fits: Callable[[str], object]
    started_at: str
    ended_at: str | None

    def sold(self, row: sqlite3.Row, units: Sequence[sqlite3.Row]) -> bool:
        """Tell whether the package of `row` was ordered in the session."""
        is_during = self.started_at <= row["placed_at"] <= (self.ended_at or row["placed_at"])
        return is_during and any(self.fits(unit["sku"]) for unit in units)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the package itself: refused labels by package, each buyer's orders by time, marked streams."""

    refused: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    history: Mapping[str, Sequence[str]] | None = None  # None: no rule asks for it
    sessions: tuple[LiveSession, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a package: its weight without a box in grams, the sizes of its pieces, and the box it goes into."""

    weight_g: int | None
    sizes: tuple[Size | None, ...]
    box: Box | None

    def in_box(self, box: Box | None) -> int | None:
        """Return the packed weight in `box`, in grams."""
        return None if self.weight_g is None else self.weight_g + (box.weight_g if box is not None else 0)


def content_of(row: sqlite3.Row, units: Sequence[sqlite3.Row], rules: Rules) -> Content:
    """Return what is in the package of `row`."""
    weight = plan_weight([unit["weight_g"] for unit in units], 0)
    if weight is None and row["order_weight_g"] is not None:
        weight = int(row["order_weight_g"])
    sizes = tuple(_size(unit) for unit in units)
    return Content(weight, sizes, plan_box(rules.boxes, weight, sizes))


def _size(unit: sqlite3.Row) -> Size | None:
    length, width, height = unit["length_mm"], unit["width_mm"], unit["height_mm"]
    return None if length is None or width is None or height is None else (length, width, height)


def address_of(row: sqlite3.Row) -> Address:
    """Return the delivery address of the package of `row`, cleaned."""
    return clean_address(
        Address(
            row["name"],
            row["street1"],
            row["street2"],
            row["city"],
            row["state"],
            row["zip"],
            row["country"],
            row["phone"],
            row["full_address"],
            bool(row["is_masked"]),
        )
    )


def parcel_of(
    row: sqlite3.Row,
    units: Sequence[sqlite3.Row],
    content: Content,
    address: Address,
    now: datetime,
    known: Surroundings,
) -> Parcel:
    """Return the facts about the package of `row` as they were, or are, at `now`."""
    total = None
    if row["total_minor"] is not None and row["currency"] and row["currencies"] == 1:
        total = Money(int(row["total_minor"]), row["currency"])
    creators = {unit["creator"] for unit in units if unit["creator"]}
    ship_by = from_text(row["ship_by"]) if row["ship_by"] else None
    hours_left = Decimal(int((ship_by - now).total_seconds())) / _SECONDS_AN_HOUR if ship_by is not None else None
    streets = address.streets()
    return Parcel(
        package_id=row["package_id"],
        channel=row["channel"],
        order_ids=tuple(json.loads(row["order_ids"])),
        order_total=total,
        weight_g=content.in_box(content.box),
        item_count=len(units),
        skus=tuple(unit["sku"] for unit in units),
        tags=tuple(sorted({tag for unit in units for tag in _tags(unit)})),
        country=address.country,
        state=address.state,
        zip=address.zip,
        shipping_type=row["shipping_type"],
        fulfillment_type=row["fulfillment_type"],
        is_presale=bool(row["is_presale"]),
        is_sample=bool(row["is_sample"]),
        has_gift=any(unit["is_gift"] for unit in units),
        buyer_note=row["buyer_note"] or "",
        creator=min(creators) if creators else "",
        delivery_option=row["delivery_option"],
        warehouse=row["warehouse"],
        hours_left=hours_left,
        repeat_orders=_earlier_orders(row, known),
        live_sessions=_live_sessions(row, units, known),
        is_military=is_military(address),
        is_po_box=is_po_box(address),
        has_phone=phone_of(address, "US") is not None,
        longest_line=line_length(streets),
        refused=known.refused.get(row["package_id"], frozenset()),
        overrides=frozenset(json.loads(row["overrides"])),
    )


def address_fault(row: sqlite3.Row, address: Address, rules: Rules) -> AddressFault | None:
    """Return what keeps an own label from being bought for this address; the platform sees to its own labels."""
    if row["shipping_type"] != "SELLER":
        return None
    home = rules.shop.ship_from.country if rules.shop.ship_from is not None else "US"
    return find_fault(
        address,
        home=home,
        states_of_zip=states_of_zip,
        states_near_zip=states_near_zip,
        skip=frozenset(json.loads(row["overrides"])),
    )


def states_of_zip(code: str) -> frozenset[str]:
    """Return the states that a five-digit ZIP code lies in; none for one that the data does not have."""
    return _states_by_zip(code[:3]).get(code, frozenset())


@cache
def states_near_zip(code: str) -> frozenset[str]:
    """Return the states that have a ZIP code next to this one: its routes may cross the line between them.

    The data names one state a ZIP code, that of its post office. How far "next" is follows how thickly ZIP codes lie there.
    Reads all of the data: ask only where a state does not fit.
    """
    import zipcodes

    places = [
        (radians(float(entry["lat"])), radians(float(entry["long"])), entry["state"])
        for entry in zipcodes.list_all()  # type: ignore[no-untyped-call]
        if entry["lat"] and entry["long"] and (entry["zip_code_type"] == "STANDARD" or entry["zip_code"] == code)
    ]
    found: set[str] = set()
    for own in zipcodes.matching(code):  # type: ignore[no-untyped-call]
        if own["lat"] and own["long"] and own["zip_code_type"] != "MILITARY":
            lat, long = radians(float(own["lat"])), radians(float(own["long"]))
            ways = sorted((hypot(north - lat, (east - long) * cos(lat)), state) for north, east, state in places)
            reach = _NEIGHBOUR_WAYS * ways[_NEIGHBOUR][0]  # the first is the place itself
            found |= {state for way, state in ways if way <= reach}
    return frozenset(found)


@cache
def _states_by_zip(prefix: str) -> dict[str, frozenset[str]]:
    import zipcodes

    states: dict[str, set[str]] = {}
    # Prefix by prefix: the whole list takes half a second, which a run for three orders need not wait for.
    for entry in zipcodes.similar_to(prefix):  # type: ignore[no-untyped-call]
        states.setdefault(entry["zip_code"], set()).add(entry["state"])
    return {code: frozenset(found) for code, found in states.items()}


def _earlier_orders(row: sqlite3.Row, known: Surroundings) -> int | None:
    if known.history is None or row["buyer_id"] is None:
        return None
    return len([placed_at for placed_at in known.history.get(row["buyer_id"], ()) if placed_at < row["placed_at"]])


def _live_sessions(row: sqlite3.Row, units: Sequence[sqlite3.Row], known: Surroundings) -> tuple[str, ...]:
    rooms = {unit["content_id"] or "LIVE" for unit in units if unit["content_type"] == "LIVE"}
    names = {session.name for session in known.sessions if session.sold(row, units)}
    return tuple(sorted(rooms | names))


def _tags(unit: Mapping[str, str | None] | sqlite3.Row) -> list[str]:
    return [str(tag) for tag in json.loads(unit["tags"] or "[]")]
