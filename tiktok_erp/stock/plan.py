"""Decide which units hold which pieces, and what each listing should show. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromisedUnit:
    """A unit that the channel promised and that holds nothing yet. `preferred` is the warehouse its order names."""

    unit_id: str
    order_id: str
    sku: str
    preferred: str | None
    was_short: bool


@dataclass(frozen=True, slots=True)
class UnitReservation:
    """What becomes of one promised unit: `held` in a warehouse, or `short`."""

    unit_id: str
    order_id: str
    sku: str
    warehouse: str
    state: str
    was_short: bool


def plan_reservations(
    units: Iterable[PromisedUnit], stock: Mapping[tuple[str, str], tuple[int, int]]
) -> tuple[UnitReservation, ...]:
    """Give each unit, in the order given, a free piece; `stock` maps (SKU, warehouse) to (on hand, reserved).

    A unit of a SKU that was never counted is left out: unknown stock holds nothing back (design, promise 10). A piece is
    taken from the order's own warehouse first, then from the first by name that has one.
    """
    free = {key: on_hand - reserved for key, (on_hand, reserved) in stock.items()}
    warehouses: dict[str, list[str]] = {}
    for sku, warehouse in sorted(stock):
        warehouses.setdefault(sku, []).append(warehouse)
    planned = []
    for unit in units:
        counted = warehouses.get(unit.sku)
        if not counted:
            continue
        chosen = next(
            (
                warehouse
                for warehouse in sorted(counted, key=lambda name: (name != unit.preferred, name))
                if free[unit.sku, warehouse] > 0
            ),
            None,
        )
        if chosen is not None:
            free[unit.sku, chosen] -= 1
        planned.append(
            UnitReservation(
                unit.unit_id,
                unit.order_id,
                unit.sku,
                chosen or (unit.preferred if unit.preferred in counted else counted[0]),
                "held" if chosen is not None else "short",
                unit.was_short,
            )
        )
    return tuple(planned)


@dataclass(frozen=True, slots=True)
class ListingState:
    """One listing before a push. `offers` holds what its SKU can still sell in each of our warehouses, in order.

    No offers: the SKU was never counted.
    """

    listing_id: str
    product_id: str
    sku: str
    offers: tuple[tuple[str, int], ...]
    reserved: int
    shown: int | None  # what the channel itself shows now, over all its warehouses
    warehouses: tuple[str, ...]  # the channel's ids
    shown_per_warehouse: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class QuantityChange:
    """One quantity to be set: `per_warehouse` lists every warehouse of the listing, as the channel demands."""

    listing_id: str
    product_id: str
    sku: str
    wanted: int
    shown: int | None
    per_warehouse: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What to push, biggest cut first, and why a person should look first (None: no reason)."""

    wanted: tuple[tuple[str, int], ...]  # every counted listing and what it should show
    changes: tuple[QuantityChange, ...]
    uncounted: tuple[str, ...]
    surprise: tuple[int, int, int] | None  # (set to zero, cut by more than half, of how many)


def plan_push(listings: Sequence[ListingState], *, most: int = 99_999) -> PushPlan:
    """Return what listings must change. Listings of one SKU share its stock: together they never offer more than there is.

    A listing whose SKU was never counted is left alone. `most` is the channel's own limit for a quantity (TikTok
    reference, section 4.10). A cut that open reservations explain is no surprise.
    """
    by_sku: dict[str, list[ListingState]] = {}
    for listing in sorted(listings, key=lambda entry: entry.listing_id):
        by_sku.setdefault(listing.sku, []).append(listing)
    wanted: dict[str, tuple[tuple[str, int], ...]] = {}
    for group in by_sku.values():
        for index, listing in enumerate(group):
            if listing.offers:
                share = tuple((name, _share(quantity, len(group), index)) for name, quantity in listing.offers)
                wanted[listing.listing_id] = _spread(share, listing.warehouses, most)
    changes = []
    zeroed = halved = 0
    for listing in sorted(listings, key=lambda entry: entry.listing_id):
        if listing.listing_id not in wanted:
            continue
        total = sum(quantity for name, quantity in wanted[listing.listing_id])
        if total == listing.shown and _is_shown(wanted[listing.listing_id], listing.shown_per_warehouse):
            continue
        changes.append(
            QuantityChange(
                listing.listing_id, listing.product_id, listing.sku, total, listing.shown, wanted[listing.listing_id]
            )
        )
        shown = listing.shown or 0
        if shown - total > listing.reserved:
            zeroed += total == 0
            halved += total * 2 < shown
    changes.sort(key=lambda change: (change.wanted - (change.shown or 0), change.listing_id))
    is_surprising = zeroed > max(2, len(wanted) // 10) or halved * 2 > len(wanted)
    return PushPlan(
        tuple(
            (listing_id, sum(quantity for name, quantity in spread)) for listing_id, spread in sorted(wanted.items())
        ),
        tuple(changes),
        tuple(sorted({listing.sku for listing in listings if not listing.offers})),
        (zeroed, halved, len(wanted)) if is_surprising else None,
    )


def _share(quantity: int, parts: int, index: int) -> int:
    return quantity // parts + (1 if index < quantity % parts else 0)


def _is_shown(wanted: Sequence[tuple[str, int]], shown: Sequence[tuple[str, int]]) -> bool:
    """Tell whether each warehouse shows what it should; with one warehouse, or none told, the total says it all."""
    return len(shown) < 2 or dict(wanted) == dict(shown)


def _spread(offers: Sequence[tuple[str, int]], warehouses: Sequence[str], most: int) -> tuple[tuple[str, int], ...]:
    """Put each of our warehouses' stock where the channel has the same id, and the rest in its first warehouse."""
    names = list(warehouses) or [""]
    quantities = dict.fromkeys(names, 0)
    for name, quantity in offers:
        place = name if name in quantities else names[0]
        quantities[place] = min(most, quantities[place] + quantity)
    return tuple(quantities.items())
