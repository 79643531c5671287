"""Decide what people have to do with each package while the tool cannot help them, and who does it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from tiktok_erp.labels.plan import deadline_bucket, plan_print_order, sku_signature
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN
from tiktok_erp.model.print_job import PrintItem

PACK = "pack"  # its label is on paper
PRINT = "print"  # its label is held and in the kit
BUY = "buy"  # the channel sells the label, in Seller Center
BUY_ELSEWHERE = "buy_elsewhere"  # a label of the seller's own
LOOK = "look"  # a label may have been bought: nobody knows yet
WAIT = "wait"  # must not be sent now
STOP = "stop"  # has a label and must not leave
DONE = "done"

WORK = (PACK, PRINT, BUY, BUY_ELSEWHERE, LOOK)

# Packages that are packed alike stay with one person, but not so many that the others stand idle.
_BLOCK = 20
_STOPPING_CASES = frozenset(
    {"barcode_contradiction", "left_out", "other_tracking_number", "packed_but_cancelled", "same_label"}
)


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One order of a package, as of the last fetch."""

    order_id: str
    number: str
    state: str
    status: str
    held_until: datetime | None
    asks_to_cancel: bool
    shipping_type: str | None
    fulfillment_type: str | None
    uploaded_at: datetime | None
    is_moved: bool  # its address is another one than that of the label


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What decides what is to be done with a package. `label_state` is None without a live label."""

    orders: tuple[OrderFacts, ...]
    is_cancelled: bool = False
    is_moving: bool = False  # a carrier has scanned it
    is_packed: bool = False
    wait_until: datetime | None = None
    hold_because: str | None = None
    is_held_by_seller: bool = False
    is_short: bool = False
    quarantine_cause: str | None = None
    label_state: str | None = None
    label_source: str | None = None
    has_document: bool = False
    is_printed: bool = False
    is_being_voided: bool = False
    barcode: str | None = None
    is_taken: bool = True  # the channel takes an own label of the carrier that was decided on
    address_check: str | None = None


def plan_step(facts: PackageFacts, now: datetime) -> tuple[str, str]:
    """Return what is to be done and, for `wait` and `stop`, why: a cause of ours, or a quarantine's."""
    if facts.is_moving or facts.is_packed:
        return DONE, ""
    obstacle = _obstacle(facts, now)
    if facts.label_state == "bought":
        if facts.label_source == "channel" and not facts.has_document:  # somebody shipped it by hand
            return DONE, ""
        return _with_label(facts, obstacle)
    if facts.label_state in ("sent", "unknown"):
        return (STOP, obstacle) if obstacle in ("order_cancelled", "cancel_requested") else (LOOK, "")
    # A cancelled order keeps nobody else's from leaving while there is no label for both.
    alive = tuple(order for order in facts.orders if order.state != "cancelled")
    if facts.is_cancelled or all(order.state == "closed" for order in alive):
        return DONE, ""
    obstacle = _obstacle(replace(facts, orders=alive), now)
    if obstacle:
        return WAIT, obstacle
    kinds = {order.shipping_type for order in alive}
    if kinds == {"TIKTOK"}:
        return BUY, ""
    if kinds == {"SELLER"}:
        return (BUY_ELSEWHERE, "") if facts.is_taken else (WAIT, CARRIER_NOT_TAKEN)
    return WAIT, "unknown_shipping_type"


def _with_label(facts: PackageFacts, obstacle: str) -> tuple[str, str]:
    if facts.is_being_voided:
        return STOP, "label_voided"
    if facts.barcode == "contradiction":
        return STOP, "barcode_contradiction"
    if facts.quarantine_cause in _STOPPING_CASES:
        return STOP, facts.quarantine_cause
    if obstacle in ("order_cancelled", "cancel_requested", "unknown_status"):
        return STOP, obstacle
    if any(order.is_moved for order in facts.orders):
        return STOP, "address_changed"
    if facts.address_check == "contradiction":
        return STOP, "other_address"
    return (PRINT if facts.has_document and not facts.is_printed else PACK), ""


def _obstacle(facts: PackageFacts, now: datetime) -> str:
    """Return why the package must not be sent now, or nothing. What holds for one order of it holds for all."""
    states = {order.state for order in facts.orders}
    if facts.is_cancelled or "cancelled" in states:
        return "order_cancelled"
    if any(order.asks_to_cancel for order in facts.orders):
        return "cancel_requested"
    if "unknown" in states:
        return "unknown_status"
    if any(order.fulfillment_type not in (None, "", "FULFILLMENT_BY_SELLER") for order in facts.orders):
        return "fulfilled_by_channel"
    if states & {"unpaid", "held"} or any(
        order.held_until is not None and order.held_until > now for order in facts.orders
    ):
        return "on_hold"
    if facts.is_held_by_seller:
        return "held_by_seller"
    if facts.hold_because:
        return "held_by_rule"
    if facts.is_short:
        return "short"
    if facts.quarantine_cause is not None:
        return facts.quarantine_cause
    if facts.wait_until is not None and facts.wait_until > now:
        return "waiting"
    return ""


def plan_people(items: Iterable[PrintItem], people: int, before: Mapping[str, int]) -> dict[int, tuple[PrintItem, ...]]:
    """Share `items` among `people`, numbered from 1; each has theirs in packing order.

    Who had a package in an earlier kit keeps it: two lists of different age must not name it twice. The rest goes, in
    blocks of packages that are packed alike, to whoever has the least to do, the most urgent block first.
    """
    ordered = plan_print_order(items)
    share: dict[int, list[PrintItem]] = {person: [] for person in range(1, people + 1)}
    load = dict.fromkeys(share, 0)

    def give(person: int, block: Sequence[PrintItem]) -> None:
        share[person].extend(block)
        load[person] += sum(1 + item.unit_count for item in block)

    rest = []
    for item in ordered:
        person = before.get(item.package_id, 0)
        if person in share:
            give(person, [item])
        else:
            rest.append(item)
    for block in _blocks(rest):
        give(min(share, key=lambda person: (load[person], person)), block)
    return {person: plan_print_order(packages) for person, packages in share.items()}


def _blocks(items: Sequence[PrintItem]) -> list[list[PrintItem]]:
    blocks: list[list[PrintItem]] = []
    for item in items:
        last = blocks[-1] if blocks else None
        if last is not None and len(last) < _BLOCK and _alike(last[-1], item):
            last.append(item)
        else:
            blocks.append([item])
    return blocks


def _alike(one: PrintItem, other: PrintItem) -> bool:
    return all(of(one) == of(other) for of in (deadline_bucket, attrgetter("carrier"), sku_signature))


def urgency(ship_by: datetime | None, now: datetime) -> str:
    """Return `late`, `now` (less than 4 hours), `today` (less than 24), `later` or `unknown`."""
    if ship_by is None:
        return "unknown"
    left = ship_by - now
    if left < timedelta(0):
        return "late"
    if left < timedelta(hours=4):
        return "now"
    return "today" if left < timedelta(hours=24) else "later"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person says of a package: `packed`, and with what (`tick`, `scan`), or only `printed`."""

    package_id: str
    is_packed: bool
    because: str
    file: str


@dataclass(frozen=True, slots=True)
class MarkedPackage:
    """What the store knows of a package that somebody marked, after the channel was asked again."""

    is_cancelled: bool
    asks_to_cancel: bool
    packed_before: bool
    label_state: str | None
    has_document: bool
    is_printed: bool


def plan_mark(mark: Mark, known: MarkedPackage) -> tuple[str, str]:
    """Return (`packed` | `printed` | `nothing` | `failed`, cause)."""
    if not mark.is_packed:
        if known.label_state == "bought" and known.has_document and not known.is_printed:
            return "printed", ""
        return "nothing", "already_printed" if known.is_printed else "no_label"
    if known.packed_before:
        return "nothing", "already_packed"
    if known.is_cancelled:
        return "failed", "packed_but_cancelled"
    if known.asks_to_cancel:
        return "failed", "packed_but_cancel_requested"
    if known.label_state in ("sent", "unknown"):
        return "failed", "purchase_without_an_answer"
    if known.label_state != "bought":
        return "failed", "packed_without_a_number"
    return "packed", ""
