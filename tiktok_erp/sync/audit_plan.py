"""Decide where an order of an export and the store's own copy differ. Pure: `audit.py` reads and tells.

The export's words are coarser than the API's, its rows coarser than units: a difference is only claimed where no
reading of the file agrees with the store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tiktok_erp.model.facts import OrderFacts
from tiktok_erp.model.tracking_number import barcode_matches
from tiktok_erp.store.audit import HeldOrder, HeldUnit

OTHER_STATUS = "other_status"
OTHER_TRACKING_NUMBER = "other_tracking_number"

# An order's life (TikTok reference, section 5.2); it may skip steps and, at AWAITING_SHIPMENT, be held once more.
_LIFE = (
    "UNPAID",
    "ON_HOLD",
    "AWAITING_SHIPMENT",
    "PARTIALLY_SHIPPING",
    "AWAITING_COLLECTION",
    "IN_TRANSIT",
    "DELIVERED",
    "COMPLETED",
)
_NEVER_CANCELLED = frozenset({"DELIVERED", "COMPLETED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which file and store differ; None stands for no tracking number."""

    kind: str
    in_file: str | None
    in_store: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of one order. `is_newer`: the store knows a later state than the file, which is no difference."""

    differences: tuple[Difference, ...] = ()
    is_newer: bool = False


def compare(facts: OrderFacts, statuses: frozenset[str], held: HeldOrder, *, tells_tracking: bool = True) -> Comparison:
    """Compare an exported order with the store's. `statuses` are all that the file's words may stand for."""
    status = "CANCELLED" if held.status == "CANCEL" else held.status
    is_later = held.known_at > facts.as_of
    differences: list[Difference] = []
    is_newer = False
    if status not in statuses:
        if is_later and any(may_become(earlier, status) for earlier in statuses):
            is_newer = True
        else:
            differences.append(Difference(OTHER_STATUS, facts.status, held.status))
    if tells_tracking and "CANCELLED" not in (status, facts.status):
        found, has_more = _tracking(facts, held)
        if found is not None:
            differences.append(found)
        elif has_more is not None and is_later:
            is_newer = True
        elif has_more is not None:
            differences.append(has_more)
    return Comparison(tuple(differences), is_newer and not differences)


def may_become(earlier: str, later: str) -> bool:
    """Tell whether an order in the status `earlier` may come to be `later`. False for words that nobody knows."""
    if later == "CANCELLED":
        return earlier in _LIFE and earlier not in _NEVER_CANCELLED
    if earlier not in _LIFE or later not in _LIFE:
        return False
    if (earlier, later) == ("AWAITING_SHIPMENT", "ON_HOLD"):
        return True
    return _LIFE.index(earlier) < _LIFE.index(later)


def _tracking(facts: OrderFacts, held: HeldOrder) -> tuple[Difference | None, Difference | None]:
    """Return what contradicts the file, and what the store knows where the file has nothing."""
    units = {unit.channel_sku_id for unit in held.units}
    told: dict[str, set[str]] = defaultdict(set)
    for unit in facts.units:
        # A bundle may have other SKU ids there: then all of the order's numbers are asked.
        told[unit.channel_sku_id if unit.channel_sku_id in units else ""].update(_numbers(unit.tracking_number))
    has_more = None
    for sku, numbers in told.items():
        packages = _numbers_by_package(unit for unit in held.units if not sku or unit.channel_sku_id == sku)
        if numbers:
            wrong = _contradiction(numbers, list(packages.values()))
            if wrong is not None:
                return wrong, None
        elif has_more is None:
            # A label that we bought and have not told yet is no fact of the channel: only its own word counts here.
            own = sorted({u.tracking_number for u in held.units if u.tracking_number and sku in ("", u.channel_sku_id)})
            has_more = Difference(OTHER_TRACKING_NUMBER, None, ", ".join(own)) if own else None
    return None, has_more


def _contradiction(numbers: set[str], packages: Sequence[set[str]]) -> Difference | None:
    """Compare one SKU's numbers in the file with those of the packages that hold it.

    A row has room for one number only: pieces in further packages may have others, one package may not.
    """
    here = ", ".join(sorted(numbers))
    known = sorted(set().union(*packages))
    missing = [number for number in sorted(numbers) if not _is_among(number, known)]
    if missing:
        return Difference(OTHER_TRACKING_NUMBER, here, ", ".join(known) or None)
    for package in packages:
        agrees = [_is_among(number, numbers) for number in package]
        if not all(agrees) and (len(packages) == 1 or any(agrees)):
            return Difference(OTHER_TRACKING_NUMBER, here, ", ".join(sorted(package)))
    return None


def _numbers_by_package(units: Iterable[HeldUnit]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for unit in units:
        numbers = found.setdefault(unit.package_id or "", set())
        numbers.update(number for number in (unit.tracking_number, unit.label_number) if number)
    return found


def _numbers(cell: str | None) -> list[str]:
    return [part for part in (cell or "").replace(";", ",").split(",") if part.strip()]


def _is_among(number: str, others: Iterable[str]) -> bool:
    return any(is_same_number(number, other) for other in others)


def is_same_number(one: str, other: str) -> bool:
    """Tell whether two texts are one tracking number: blanks, hyphens, case and the ZIP in front aside."""
    left, right = (("".join(text.split())).replace("-", "").upper() for text in (one, other))
    return (
        left == right or barcode_matches(left.encode(), right) is True or barcode_matches(right.encode(), left) is True
    )
