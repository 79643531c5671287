"""Decide what an order as the channel tells it changes in the store. Pure: `run.py` reads and writes around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from tiktok_erp.model import order_state
from tiktok_erp.model.facts import OrderFacts, UnitFacts
from tiktok_erp.model.order_change import (
    KnownOrder,
    KnownPackage,
    KnownUnit,
    OrderChange,
    OrderEvent,
    Shipment,
    UnitChange,
)
from tiktok_erp.model.rule import Deadlines

_NOT_MAPPED: Mapping[str, str] = {}
_TAGS = {"COMBINED": "combined", "SPLIT": "split"}
_SCANNED = frozenset({"IN_TRANSIT", "DELIVERED", "COMPLETED"})


@dataclass(slots=True)
class _Layout:
    """Packages of one order while they are planned."""

    package_of: list[str | None]
    new: list[str] = field(default_factory=list)
    channel_packages: dict[str, str] = field(default_factory=dict)
    shipments: list[Shipment] = field(default_factory=list)


def is_news(facts: OrderFacts, digest: bytes | None, known: KnownOrder | None) -> bool:
    """Tell whether `facts` say anything that the store should take over.

    An order never goes back to an older version: an older `update_time` loses, and a file loses against any later
    answer of the API (design, section 3).
    """
    if known is None:
        return True
    if facts.source == "file":
        return facts.as_of > known.as_of
    if facts.updated_at is not None and known.updated_at is not None:
        if facts.updated_at < known.updated_at:
            return False
        # Two answers of one second: pages are fetched side by side, the older one may come in last.
        if facts.updated_at == known.updated_at and known.source == "api" and facts.as_of < known.as_of:
            return False
    return digest is None or digest != known.digest or known.source != "api"


def plan_order(
    facts: OrderFacts,
    digest: bytes | None,
    known: KnownOrder | None,
    *,
    deadlines: Deadlines,
    zone: tzinfo = UTC,
    sku_of: Mapping[str, str],
    free_package_ids: Iterator[str],
    mapped: Mapping[str, str] = _NOT_MAPPED,
) -> OrderChange:
    """Return what `facts` change. `sku_of` maps the channel's SKU ids to ours for units that carry no seller SKU; `mapped`
    those that a person mapped by hand, which goes before the seller SKU.

    `free_package_ids` yields ids that no package ever had; a package is planned for units that we are to ship, and for
    those that somebody shipped without us. Orders that the channel fulfils itself get none.
    """
    order_id = f"{facts.channel}:{facts.channel_order_id}"
    states = [order_state.unit_state(unit, facts.status) for unit in facts.units]
    base_state = order_state.order_state(facts.status, states)
    identities = _identify_units(order_id, facts, known)
    before = {unit.unit_id: unit for unit in known.units} if known else {}
    known_packages = known.packages if known else ()
    cancelled = {package.package_id for package in known_packages if package.is_cancelled}
    layout = _Layout([])
    for (unit_id, _position), state in zip(identities, states, strict=True):
        package_id = before[unit_id].package_id if unit_id in before else None
        # A unit that is to be shipped again after all needs a box: its own was given up.
        layout.package_of.append(None if package_id in cancelled and state != "cancelled" else package_id)
    if order_state.is_packed_by_us(facts.fulfillment_type, facts.shipping_type):
        _place_shipped(facts, states, layout, known_packages, free_package_ids)
        _place_open(facts, states, layout, known_packages, free_package_ids)
    units = tuple(
        UnitChange(unit_id, unit, state, _sku(unit, sku_of, mapped), position, package_id)
        for (unit_id, position), unit, state, package_id in zip(
            identities, facts.units, states, layout.package_of, strict=True
        )
    )
    ship_by = order_state.channel_deadline(facts)
    estimated = None if ship_by else order_state.estimated_deadline(facts, deadlines, zone)
    is_elsewhere = known is not None and address_changed(known, facts)
    return OrderChange(
        order_id=order_id,
        facts=facts,
        digest=digest,
        is_new=known is None,
        base_state=base_state,
        held_until=order_state.held_until(facts),
        ship_by=ship_by or estimated,
        ship_by_source="channel" if ship_by else "rules" if estimated else "unknown",
        address_changed=is_elsewhere,
        units=units,
        new_packages=tuple(layout.new),
        channel_packages=tuple(layout.channel_packages.items()),
        shipments=tuple(layout.shipments),
        cancelled_packages=_emptied_packages(units, known),
        events=tuple(_events(facts, base_state, known, is_elsewhere=is_elsewhere)),
    )


def _events(
    facts: OrderFacts, base_state: str, known: KnownOrder | None, *, is_elsewhere: bool
) -> Iterator[OrderEvent]:
    """Yield what happened to the order since we last saw it, with the channel's time where it told one."""
    at = facts.updated_at or facts.as_of
    before = known.base_state if known is not None else None
    asked_before = known is not None and known.cancel_requested
    if facts.cancel_requested and not asked_before:
        yield OrderEvent("cancel_requested", facts.cancel_requested_at or at)
    if asked_before and not facts.cancel_requested and base_state != "cancelled":
        yield OrderEvent("cancel_withdrawn", at)
    if base_state == "cancelled" and before != "cancelled":
        yield OrderEvent("cancelled", facts.cancelled_at or at, facts.cancelled_by)
    if is_elsewhere:
        yield OrderEvent("address_changed", at)
    if base_state == "held" and before in ("open", "closed"):
        yield OrderEvent("on_hold_again", at)
    if base_state == "open" and before in ("closed", "cancelled"):
        yield OrderEvent("reopened", at)
    tag = facts.split_or_combine
    if tag in _TAGS and (known is None or known.split_or_combine != tag):
        yield OrderEvent(_TAGS[tag], at)


def address_changed(known: KnownOrder, facts: OrderFacts) -> bool:
    """Tell whether the parcel would now go elsewhere. A part that is masked or missing on either side says nothing."""
    if facts.has_updated_address and not known.has_updated_address:
        return True
    old, new = known.recipient, facts.recipient
    if old is None or new is None:
        return False
    pairs = (
        (old.street1, new.street1),
        (old.street2, new.street2),
        (old.city, new.city),
        (old.state, new.state),
        (old.zip, new.zip),
    )
    return any(a and b and "*" not in a + b and a.casefold() != b.casefold() for a, b in pairs)


def _sku(unit: UnitFacts, sku_of: Mapping[str, str], mapped: Mapping[str, str]) -> str:
    return mapped.get(unit.channel_sku_id) or unit.seller_sku or sku_of.get(unit.channel_sku_id) or unit.channel_sku_id


def _identify_units(order_id: str, facts: OrderFacts, known: KnownOrder | None) -> list[tuple[str, int]]:
    """Return (unit id, position) for each unit of `facts`; a unit met in a file first keeps its id (design, section 3)."""
    by_channel_id = {u.channel_unit_id: u for u in known.units if u.channel_unit_id} if known else {}
    waiting: dict[str, list[KnownUnit]] = defaultdict(list)
    for held in sorted(known.units if known else (), key=lambda held: held.position):
        # A file names no units, so it may speak of any; an answer of the API only of those that have no id yet.
        if facts.source == "file" or held.channel_unit_id is None:
            waiting[held.channel_sku_id].append(held)
    next_position = 1 + max((unit.position for unit in known.units), default=0) if known else 1
    counted: dict[str, int] = defaultdict(int)
    result = []
    for unit in facts.units:
        counted[unit.channel_sku_id] += 1
        match = by_channel_id.get(unit.channel_unit_id) if unit.channel_unit_id else None
        if match is None and waiting[unit.channel_sku_id]:
            match = waiting[unit.channel_sku_id].pop(0)
        if match is not None:
            result.append((match.unit_id, match.position))
            continue
        if unit.channel_unit_id:
            unit_id = f"{facts.channel}:{unit.channel_unit_id}"
        else:
            unit_id = f"{order_id}/{unit.channel_sku_id}/{counted[unit.channel_sku_id]}"
        result.append((unit_id, next_position))
        next_position += 1
    return result


def _place_shipped(
    facts: OrderFacts,
    states: Sequence[str],
    layout: _Layout,
    known: Sequence[KnownPackage],
    free_package_ids: Iterator[str],
) -> None:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, unit in enumerate(facts.units):
        if states[index] == "shipped":
            groups[unit.channel_package_id or unit.tracking_number or ""].append(index)
    packages = {package.package_id: package for package in known}
    by_channel_id = {p.channel_package_id: p for p in known if p.channel_package_id and not p.is_cancelled}
    # What the channel names by its own id is spoken for: another shipment must not slip into it.
    taken = {by_channel_id[key].package_id for key in groups if key in by_channel_id}
    for key, indexes in sorted(groups.items()):
        package = by_channel_id.get(key) or _holder_of(indexes, states, layout, packages, taken)
        if package is None:
            package_id = next(free_package_ids)
            layout.new.append(package_id)
        else:
            package_id = package.package_id
        taken.add(package_id)
        for index in indexes:
            layout.package_of[index] = package_id
        if package is not None and package.label_state in ("sent", "unknown"):
            continue  # our own purchase without an answer: settling it reads this order again
        layout.shipments.append(_shipment(facts, [facts.units[index] for index in indexes], package_id, package))


def _holder_of(
    indexes: Sequence[int],
    states: Sequence[str],
    layout: _Layout,
    packages: Mapping[str, KnownPackage],
    taken: set[str],
) -> KnownPackage | None:
    """Return the planned package that this shipment must be, or None when it needs one of its own."""
    for index in indexes:
        package = packages.get(layout.package_of[index] or "")
        if package is None or package.is_cancelled or package.package_id in taken:
            continue
        if package.label_state not in (None, "intent"):
            return package
        if package.is_shared:
            continue  # somebody shipped this order alone: what the others wait in has no label yet
        rest = [
            other
            for other, package_id in enumerate(layout.package_of)
            if package_id == package.package_id and states[other] != "cancelled" and other not in indexes
        ]
        if not rest:
            return package
    return None


def _shipment(facts: OrderFacts, units: Sequence[UnitFacts], package_id: str, package: KnownPackage | None) -> Shipment:
    number = next((unit.tracking_number for unit in units if unit.tracking_number), None)
    ours = package.tracking_number if package and package.label_state == "bought" else None
    foreign = package is None or package.label_state in (None, "intent") or package.label_source == "channel"
    scanned = all(unit.status in _SCANNED for unit in units)
    delivered = all(unit.status == "DELIVERED" for unit in units) or facts.delivered_at is not None
    return Shipment(
        package_id=package_id,
        channel_package_id=next((unit.channel_package_id for unit in units if unit.channel_package_id), None),
        tracking_number=number,
        provider_name=next((unit.provider_name for unit in units if unit.provider_name), None),
        uploaded_at=facts.rts_at or facts.updated_at or facts.as_of,
        scanned_at=order_state.scanned_at(facts) or (facts.updated_at or facts.as_of) if scanned else None,
        delivered_at=order_state.delivered_at(facts) or (facts.updated_at or facts.as_of) if delivered else None,
        adopt=foreign,
        contradicts=ours if not foreign and number and ours and number != ours else None,
    )


def _place_open(
    facts: OrderFacts,
    states: Sequence[str],
    layout: _Layout,
    known: Sequence[KnownPackage],
    free_package_ids: Iterator[str],
) -> None:
    homeless = [
        index for index, state in enumerate(states) if state in ("open", "unknown") and layout.package_of[index] is None
    ]
    if homeless:
        shipped = {shipment.package_id for shipment in layout.shipments}
        home = next(
            (
                package.package_id
                for package in known
                if not package.is_cancelled
                and package.label_state is None
                and not package.is_uploaded
                and package.package_id not in shipped
            ),
            None,
        )
        if home is None:
            home = next(free_package_ids)
            layout.new.append(home)
        for index in homeless:
            layout.package_of[index] = home
    _part_as_the_channel(facts, states, layout, known, free_package_ids)
    for index, state in enumerate(states):
        package_id, channel_id = layout.package_of[index], facts.units[index].channel_package_id
        if state == "open" and package_id and channel_id:
            layout.channel_packages[package_id] = channel_id


def _part_as_the_channel(
    facts: OrderFacts,
    states: Sequence[str],
    layout: _Layout,
    known: Sequence[KnownPackage],
    free_package_ids: Iterator[str],
) -> None:
    """Plan a package for each that the channel has made of what was one of ours: it sells a label for each, and ships each.

    What has a label, or is about to get one, stays together.
    """
    fixed = {package.package_id for package in known if package.label_state is not None or package.is_uploaded}
    fixed |= {shipment.package_id for shipment in layout.shipments}
    before = {package.package_id: package.channel_package_id for package in known}
    parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, state in enumerate(states):
        package_id, channel_id = layout.package_of[index], facts.units[index].channel_package_id
        if state == "open" and package_id is not None and channel_id is not None and package_id not in fixed:
            parts[package_id][channel_id].append(index)
    for package_id, by_channel_id in parts.items():
        keeps = before.get(package_id)
        staying = keeps if keeps in by_channel_id else min(by_channel_id)
        for channel_id in sorted(by_channel_id.keys() - {staying}):
            own = next(free_package_ids)
            layout.new.append(own)
            for index in by_channel_id[channel_id]:
                layout.package_of[index] = own


def _emptied_packages(units: Sequence[UnitChange], known: KnownOrder | None) -> tuple[str, ...]:
    """Return packages that have nothing left to ship and no label that was paid for."""
    if known is None:
        return ()
    still = {unit.package_id for unit in units if unit.state != "cancelled"}
    told = {unit.unit_id for unit in units}
    still |= {unit.package_id for unit in known.units if unit.unit_id not in told and unit.state != "cancelled"}
    return tuple(
        package.package_id
        for package in known.packages
        if not package.is_cancelled and package.label_state in (None, "intent") and package.package_id not in still
    )
