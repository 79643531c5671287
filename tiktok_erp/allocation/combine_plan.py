"""Decide which orders leave in one package, and how long to wait for more of them. Pure: `run.py` reads and writes around it.

Facts: TikTok reference, section 4.6 (at most 20 orders, the same buyer and address, `auto_combine_group_id`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tiktok_erp.model.rule import Combine, Pickup
from tiktok_erp.model.work_days import last_pickup


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order in a package without a label. `key`: equal ones may share a package; None: it goes alone.

    `stays`: it can be shipped now. One that is cancelled, asked to be, or on hold does not keep others waiting.
    """

    order_id: str
    package_id: str
    key: Hashable | None
    stays: bool
    may_grow: bool  # the platform groups it, or it was sold in a live session
    paid_at: datetime | None
    ship_by: datetime | None


@dataclass(frozen=True, slots=True)
class Combination:
    """`absorbed` packages go into `survivor`, the earliest of them."""

    survivor: str
    absorbed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A package that may still get company: since when it counts, its deadline, and whether it is full."""

    first_paid_at: datetime | None
    ship_by: datetime | None
    is_full: bool


@dataclass(frozen=True, slots=True)
class CombinePlan:
    """`leaving`: (package, order) pairs that leave a combined package. `waiting` is by package, after combining."""

    leaving: tuple[tuple[str, str], ...]
    combinations: tuple[Combination, ...]
    waiting: Mapping[str, Waiting]


def plan_combining(orders: Sequence[OpenOrder], rules: Combine, *, only: frozenset[str] | None = None) -> CombinePlan:
    """Return who leaves, who joins, and which packages may wait. The order of `orders` does not matter.

    With `only` nothing else than these packages is touched.
    """
    packages: dict[str, list[OpenOrder]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: (_age(order.package_id), order.order_id)):
        if only is None or order.package_id in only:
            packages[order.package_id].append(order)
    leaving: list[tuple[str, str]] = []
    by_key: dict[Hashable, list[tuple[str, list[OpenOrder]]]] = defaultdict(list)
    waiting: dict[str, Waiting] = {}
    for package_id, members in packages.items():
        staying = _staying(members)
        leaving += [(package_id, order.order_id) for order in members if order not in staying]
        keys = {order.key for order in staying}
        if all(order.stays and order.key is not None for order in staying):
            by_key[keys.pop()].append((package_id, staying))
    combinations: list[Combination] = []
    for entries in by_key.values():
        for group in _groups(entries, rules.max_orders):
            members = [order for _package_id, staying in group for order in staying]
            if len(group) > 1:
                combinations.append(Combination(group[0][0], tuple(package_id for package_id, _staying in group[1:])))
            if len(members) > 1 or any(order.may_grow for order in members):
                waiting[group[0][0]] = Waiting(
                    min((order.paid_at for order in members if order.paid_at is not None), default=None),
                    min((order.ship_by for order in members if order.ship_by is not None), default=None),
                    len(members) >= rules.max_orders,
                )
    return CombinePlan(tuple(leaving), tuple(combinations), waiting)


def _age(package_id: str) -> tuple[int, str]:
    # P1000000 is younger than P999999.
    return len(package_id), package_id


def _staying(members: Sequence[OpenOrder]) -> list[OpenOrder]:
    """Return the orders that keep the package: the largest part that can go together, or all where none can go.

    An order that nothing can be said of stays where it is.
    """
    parts: dict[Hashable, list[OpenOrder]] = defaultdict(list)
    for order in members:
        if order.stays and order.key is not None:
            parts[order.key].append(order)
    unknown = [order for order in members if order.stays and order.key is None]
    if not parts and not unknown:
        return list(members)
    largest = max(parts.values(), key=lambda part: (len(part), -members.index(part[0])), default=[])
    return sorted([*largest, *unknown], key=members.index)


def _groups(entries: Sequence[tuple[str, list[OpenOrder]]], most: int) -> list[list[tuple[str, list[OpenOrder]]]]:
    """Return packages that go together, earliest first, at most `most` orders each."""
    groups: list[list[tuple[str, list[OpenOrder]]]] = []
    room = 0
    for entry in sorted(entries, key=lambda entry: _age(entry[0])):
        if len(entry[1]) > room:
            groups.append([])
            room = most
        groups[-1].append(entry)
        room -= len(entry[1])
    return groups


def wait_until(waiting: Waiting, rules: Combine, pickup: Pickup | None, zone: ZoneInfo) -> datetime | None:
    """Return until when to wait for more orders (design, section 3); None: no longer at all.

    The earliest payment plus `wait`, but never closer than `margin` to the earliest deadline, and not beyond the carrier's
    last pickup that meets it.
    """
    if waiting.is_full or waiting.first_paid_at is None:
        return None
    moments = [waiting.first_paid_at + rules.wait]
    if waiting.ship_by is not None:
        moments.append(waiting.ship_by - rules.margin)
        collected = last_pickup(pickup, waiting.ship_by, zone) if pickup is not None else None
        if collected is not None:
            moments.append(collected)
    return min(moments)
