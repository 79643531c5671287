"""Decide which units hold which pieces, and what each listing should show. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

Pool = Mapping[str, int]  # warehouse -> pieces that can be sold there


@dataclass(frozen=True, slots=True)
class PromisedUnit:
    """A unit that the channel promised and that holds nothing yet. `preferred` is the warehouse its order names.

    `parts` are the pieces of a bundle and their numbers; empty: one piece of the SKU itself. `by_intent`: sold before there
    is stock (pre-order, back-order), so that a shortage is no surprise.
    """

    unit_id: str
    order_id: str
    sku: str
    preferred: str | None
    was_short: bool
    parts: tuple[tuple[str, int], ...] = ()
    by_intent: bool = False


@dataclass(frozen=True, slots=True)
class UnitReservation:
    """What becomes of one promised unit: `held` in a warehouse, or `short` of the SKUs in `lacking`."""

    unit_id: str
    order_id: str
    sku: str
    warehouse: str
    state: str
    was_short: bool
    parts: tuple[tuple[str, int], ...] = ()
    by_intent: bool = False
    lacking: tuple[str, ...] = ()


def plan_reservations(
    units: Iterable[PromisedUnit], stock: Mapping[tuple[str, str], tuple[int, int]]
) -> tuple[UnitReservation, ...]:
    """Give each unit, in the order given, a free piece; `stock` maps (SKU, warehouse) to (on hand, reserved).

    A unit of a SKU that was never counted is left out: unknown stock holds nothing back (design, promise 10). A piece is
    taken from the order's own warehouse first, then from the first by name that has one. A bundle takes all of its pieces
    in one warehouse or none; a component that was never counted does not hold it back.
    """
    free = {key: on_hand - reserved for key, (on_hand, reserved) in stock.items()}
    warehouses: dict[str, list[str]] = {}
    for sku, warehouse in sorted(stock):
        warehouses.setdefault(sku, []).append(warehouse)
    planned = []
    for unit in units:
        parts = [(sku, number) for sku, number in unit.parts or ((unit.sku, 1),) if sku in warehouses]
        if not parts:
            continue
        places = _places(parts, warehouses, unit.preferred)
        chosen = next((place for place in places if all(free[sku, place] >= number for sku, number in parts)), None)
        if chosen is not None:
            for sku, number in parts:
                free[sku, chosen] -= number
        home = chosen or (places[0] if places else warehouses[parts[0][0]][0])
        lacking = () if chosen is not None else _lacking(parts, free, home)
        planned.append(
            UnitReservation(
                unit.unit_id,
                unit.order_id,
                unit.sku,
                home,
                "held" if chosen is not None else "short",
                unit.was_short,
                unit.parts,
                unit.by_intent,
                lacking,
            )
        )
    return tuple(planned)


def _places(parts: Sequence[tuple[str, int]], warehouses: Mapping[str, list[str]], preferred: str | None) -> list[str]:
    """Return the warehouses where all parts are counted, the preferred one first."""
    found = warehouses[parts[0][0]]
    if len(parts) > 1:
        found = [place for place in found if all(place in warehouses[sku] for sku, number in parts[1:])]
    if preferred in found and found[0] != preferred:
        return [preferred, *(place for place in found if place != preferred)]
    return found


def _lacking(parts: Sequence[tuple[str, int]], free: Mapping[tuple[str, str], int], place: str) -> tuple[str, ...]:
    return tuple(sku for sku, number in parts if free.get((sku, place), 0) < number) or (parts[0][0],)


@dataclass(frozen=True, slots=True)
class ListingState:
    """One listing before a push. `offers` holds what its SKU can still sell in each of our warehouses, in order.

    No offers: the SKU was never counted. A bundle has `parts` instead, the pieces it is picked as. A listing of another
    channel (`is_pushed` off) takes its share and is not changed. `per_minute` is how fast the SKU sells.
    """

    listing_id: str
    product_id: str
    sku: str
    offers: tuple[tuple[str, int], ...]
    reserved: int
    shown: int | None  # what the channel itself shows now, over all its warehouses
    warehouses: tuple[str, ...]  # the channel's ids
    shown_per_warehouse: tuple[tuple[str, int], ...] = ()
    channel: str = ""
    parts: tuple[tuple[str, int], ...] = ()
    is_pushed: bool = True
    per_minute: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class QuantityChange:
    """One quantity to be set: `per_warehouse` lists every warehouse of the listing, as the channel demands."""

    listing_id: str
    product_id: str
    sku: str
    wanted: int
    shown: int | None
    per_warehouse: tuple[tuple[str, int], ...]
    per_minute: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What to push, biggest risk first, and why a person should look first (None: no reason)."""

    wanted: tuple[tuple[str, int], ...]  # every counted listing and what it should show
    changes: tuple[QuantityChange, ...]
    uncounted: tuple[str, ...]
    surprise: tuple[int, int, int] | None  # (set to zero, cut by more than half, of how many)


def plan_push(
    listings: Sequence[ListingState],
    *,
    most: int = 99_999,
    pools: Mapping[str, Pool] | None = None,
    caps: Mapping[tuple[str, str], Pool] | None = None,
) -> PushPlan:
    """Return what listings must change. Listings that take from one pool share it: together they never offer more than there is.

    `pools` holds what can be sold of the components of bundles; `caps` the most that one channel may offer of a SKU, where a
    rule keeps more back from it. A listing whose SKU was never counted is left alone. `most` is the channel's own limit for
    a quantity (TikTok reference, section 4.10). A cut that open reservations explain is no surprise. What shows too much and
    sells fastest comes first.
    """
    shares = share_pools(listings, pools or {}, caps or {})
    wanted = {
        listing.listing_id: _spread(
            tuple(shares[listing.channel, listing.listing_id].items()), listing.warehouses, most
        )
        for listing in listings
        if listing.is_pushed and (listing.channel, listing.listing_id) in shares
    }
    changes = []
    zeroed = halved = 0
    for listing in sorted(listings, key=lambda entry: entry.listing_id):
        if not listing.is_pushed or listing.listing_id not in wanted:
            continue
        spread = wanted[listing.listing_id]
        total = sum(quantity for name, quantity in spread)
        if total == listing.shown and _is_shown(spread, listing.shown_per_warehouse):
            continue
        changes.append(
            QuantityChange(
                listing.listing_id, listing.product_id, listing.sku, total, listing.shown, spread, listing.per_minute
            )
        )
        shown = listing.shown or 0
        if shown - total > listing.reserved:
            zeroed += total == 0
            halved += total * 2 < shown
    changes.sort(key=_risk)
    is_surprising = zeroed > max(2, len(wanted) // 10) or halved * 2 > len(wanted)
    return PushPlan(
        tuple(
            (listing_id, sum(quantity for name, quantity in spread)) for listing_id, spread in sorted(wanted.items())
        ),
        tuple(changes),
        tuple(sorted({entry.sku for entry in listings if entry.is_pushed and entry.listing_id not in wanted})),
        (zeroed, halved, len(wanted)) if is_surprising else None,
    )


def share_pools(
    listings: Sequence[ListingState], pools: Mapping[str, Pool], caps: Mapping[tuple[str, str], Pool]
) -> dict[tuple[str, str], dict[str, int]]:
    """Return how many of each listing can be offered in each warehouse, keyed by (channel, listing id).

    Each pool is shared evenly by the listings that take from it; a bundle is offered as often as its smallest share allows,
    and what it leaves of the others goes to the listings of the single SKU. Listings of uncounted SKUs are left out.
    """
    known: dict[str, Pool] = {listing.sku: dict(listing.offers) for listing in listings if listing.offers} | dict(pools)
    takers = [
        (listing, listing.parts or ((listing.sku, 1),))
        for listing in sorted(listings, key=lambda entry: (entry.channel, entry.listing_id))
        if all(sku in known for sku, number in listing.parts or ((listing.sku, 1),))
    ]
    users: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for listing, parts in takers:
        for sku, _number in parts:
            users[sku].append((listing.channel, listing.listing_id))
    left = {(sku, place): pieces for sku in users for place, pieces in known[sku].items()}
    places = {key: known[sku] for sku, keys in users.items() for key in keys}
    shares: dict[tuple[str, str], dict[str, int]] = {}
    budget = {(channel, sku, place): pieces for (channel, sku), pool in caps.items() for place, pieces in pool.items()}
    for is_bundle in (True, False):  # what bundles leave is there for the single SKUs
        for listing, parts in takers:
            if bool(listing.parts) is not is_bundle:
                continue
            key = (listing.channel, listing.listing_id)
            offered: dict[str, int] = {}
            for place in places[key]:
                count = min(
                    min(
                        _share(known[sku].get(place, 0), len(users[sku]), users[sku].index(key)),
                        budget.get((listing.channel, sku, place), known[sku].get(place, 0)),
                    )
                    // number
                    for sku, number in parts
                )
                offered[place] = count
                for sku, number in parts:
                    _take(left, budget, listing.channel, sku, place, count * number)
            shares[key] = offered
    _give_rest(takers, left, budget, shares)
    return shares


def _take(
    left: dict[tuple[str, str], int],
    budget: dict[tuple[str, str, str], int],
    channel: str,
    sku: str,
    place: str,
    pieces: int,
) -> None:
    if (sku, place) in left:
        left[sku, place] -= pieces
    if (channel, sku, place) in budget:
        budget[channel, sku, place] -= pieces


def _give_rest(
    takers: Sequence[tuple[ListingState, tuple[tuple[str, int], ...]]],
    left: dict[tuple[str, str], int],
    budget: dict[tuple[str, str, str], int],
    shares: dict[tuple[str, str], dict[str, int]],
) -> None:
    """Give what is left of each pool to the listings of the single SKU, a piece more to the first ones."""
    singles: dict[str, list[ListingState]] = defaultdict(list)
    for listing, _parts in takers:
        if not listing.parts:
            singles[listing.sku].append(listing)
    for sku, group in singles.items():
        for index, listing in enumerate(group):
            offered = shares[listing.channel, listing.listing_id]
            for place in offered:
                rest = left[sku, place]
                more = min(-(-rest // (len(group) - index)), budget.get((listing.channel, sku, place), rest))
                if more > 0:
                    offered[place] += more
                    _take(left, budget, listing.channel, sku, place, more)


def _risk(change: QuantityChange) -> tuple[bool, Decimal, int, str]:
    """Order by what can be oversold soonest: shown too high and selling fast, then by how much too high."""
    excess = (change.shown or 0) - change.wanted
    return excess <= 0, -change.per_minute if excess > 0 else Decimal(0), -excess, change.listing_id


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


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What a listing should show after all that is known, against what it shows.

    `missing` pieces are shown less than is accounted for: most likely sold after the last fetch.
    """

    least: int
    most: int
    shown: int

    @property
    def missing(self) -> int:
        return max(0, self.least - self.shown)

    @property
    def is_too_high(self) -> bool:
        return self.shown > self.most


def reckon(
    shown: int | None, base: int | None, *, sold: int, cancelled: int, came_back: int, near: int
) -> Reckoning | None:
    """Return what a listing should show; None where nobody knows what it showed before.

    `base` is what it showed last by our reckoning; since then `sold` units were placed and stand, `cancelled` were placed and
    cancelled, `came_back` of earlier ones were cancelled; `near` were placed so near to the base that they are in it or not.
    Whether the channel puts a cancelled piece back on sale is not asked here: both fit.
    """
    if shown is None or base is None:
        return None
    return Reckoning(max(0, base - sold - cancelled - near), max(0, base - sold + came_back), shown)


def without_unseen(pools: Mapping[str, Pool], unseen: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return `pools` without the pieces that were most likely sold after the last fetch, taken where most is left."""
    left = {sku: dict(pool) for sku, pool in pools.items()}
    for sku, pieces in unseen.items():
        pool = left.get(sku, {})
        for place in sorted(pool, key=lambda name: (-pool[name], name)):
            taken = min(pool[place], pieces)
            pool[place] -= taken
            pieces -= taken
    return left
