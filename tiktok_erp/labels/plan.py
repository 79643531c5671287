"""Decide in which order packages are printed, and what each place is called. Pure: no clock, no files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tiktok_erp.messages import tr
from tiktok_erp.model.print_job import PrintItem

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_BUCKET_S = 6 * 3600
_PARTS = re.compile(r"\d+|\D+")
_RANGE = re.compile(r"[Bb](?P<batch>\d{1,9})(?:-(?P<first>\d{1,9})(?:\.\.(?:[Bb](?P=batch)-)?(?P<last>\d{1,9}))?)?")
_BATCHES = re.compile(r"[Bb](?P<first>\d{1,9})(?:(?:\.\.[Bb]?|-[Bb])(?P<last>\d{1,9}))?")
_POSITION = re.compile(r"[Bb](?P<batch>\d{1,9})-(?P<place>\d{1,9})")

# EasyPost makes a batch of what is on a form, and wants batches below 1,000 shipments (carriers reference, section 1).
MOST_ON_A_FORM = 999

SkuSignature = tuple[tuple[str, int], ...]


def plan_print_order(items: Iterable[PrintItem]) -> tuple[PrintItem, ...]:
    """Return `items` in packing order: deadline, carrier, packages of one SKU, then the others along the shelves.

    Deadlines of the same six hours count as one, or every other second would tear a run of equal packages apart; the
    channel's come before estimated ones, packages without any come last. Packages with the same content follow each
    other, so that they are packed in one go. The order of `items` plays no part.
    """
    return tuple(sorted(items, key=_place))


def plan_runs(items: Sequence[PrintItem]) -> tuple[tuple[int, int], ...]:
    """Return (first, last) of each run of packages that are packed alike, as places from 1 in `items`."""
    runs: list[tuple[int, int]] = []
    for place, item in enumerate(items, start=1):
        if runs and _run(items[runs[-1][0] - 1]) == _run(item):
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return tuple(runs)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts shelves as people number them: A2 before A10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in _PARTS.findall(text))


def sku_signature(item: PrintItem) -> SkuSignature:
    """Return what is in the package as (SKU, pieces), sorted: equal for packages that are packed alike."""
    pieces: Counter[str] = Counter()
    for line in item.lines:
        pieces[line.sku] += line.quantity
    return tuple(sorted(pieces.items()))


def deadline_bucket(item: PrintItem) -> int:
    """Return the number of the six hours in which the deadline lies, counted from 1970; a package without one comes last."""
    return int((item.ship_by or _END_OF_TIME).timestamp() // _BUCKET_S)


def position_text(batch_number: int, place: int) -> str:
    """Return the name of the 1-based `place` in a batch: `B07-063`. Both numbers grow longer when they must."""
    return f"B{batch_number:02d}-{place:03d}"


def read_position(text: str) -> tuple[int, int]:
    """Return (batch, place) of a position such as `B07-063`. Raises ValueError for anything else."""
    match = _POSITION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return int(match["batch"]), int(match["place"])


def read_range(text: str) -> tuple[int, int, int | None] | None:
    """Return (batch, first, last place) of `B07`, `B07-063`, or `B07-063..080`; None for what is none of them.

    A last place of None is the batch's end.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    if match["first"] is None:
        return int(match["batch"]), 1, None
    first = int(match["first"])
    return int(match["batch"]), first, int(match["last"] or first)


def read_batches(text: str) -> tuple[int, int] | None:
    """Return (first, last batch) of `B01..B06`, `B01-B06` or `B07`; None for what is none of them."""
    match = _BATCHES.fullmatch(text.strip())
    return (int(match["first"]), int(match["last"] or match["first"])) if match is not None else None


def batches_text(batch_ids: Sequence[int], *, between: str = "-", apart: str = ", ") -> str:
    """Return batch numbers, sorted, as people read them: `B01-B06, B08`."""
    runs: list[list[int]] = []
    for batch_id in batch_ids:
        if runs and batch_id == runs[-1][-1] + 1:
            runs[-1].append(batch_id)
        else:
            runs.append([batch_id])
    return apart.join(f"B{run[0]:02d}" + (f"{between}B{run[-1]:02d}" if len(run) > 1 else "") for run in runs)


@dataclass(frozen=True, slots=True)
class FormKey:
    """What the parcels on one scan form have in common. `day` is that on which their labels were bought."""

    source: str
    carrier: str
    day: str
    ship_from: str | None


def plan_forms(labels: Iterable[tuple[FormKey, int]], *, most: int = MOST_ON_A_FORM) -> list[tuple[FormKey, list[int]]]:
    """Return the scan forms to ask for, each with the ids of its labels: one a key, or several where there are too many.

    The order of `labels` plays no part.
    """
    groups: dict[FormKey, list[int]] = defaultdict(list)
    for key, label_id in labels:
        groups[key].append(label_id)
    ordered = sorted(groups, key=lambda key: (key.source, key.carrier, key.day, key.ship_from or ""))
    return [
        (key, ids[start : start + most])
        for key in ordered
        for ids in [sorted(groups[key])]
        for start in range(0, len(ids), most)
    ]


def _place(item: PrintItem) -> tuple[object, ...]:
    signature = sku_signature(item)
    shelf = min((line.shelf for line in item.lines if line.shelf), key=natural_key, default=None)
    return (
        item.ship_by is None,
        deadline_bucket(item),
        item.ship_by_estimated,
        item.carrier,
        len(signature) > 1,
        shelf is None,
        natural_key(shelf or ""),
        signature,
        item.service_level,
        item.package_id,
    )


def _run(item: PrintItem) -> tuple[object, ...]:
    signature = sku_signature(item)
    content = signature if len(signature) == 1 else "several"
    return (item.carrier, content, deadline_bucket(item))


def next_step_for(obstacle: str) -> str:
    """Return what a person does about a package that is not due."""
    steps = {
        "order_cancelled": tr("nothing to do: the order was cancelled"),
        "cancel_requested": tr(
            "answer the buyer: `tiktok-erp orders answer ID approve` or `reject`, or in Seller Center, then `tiktok-erp sync`"
        ),
        "on_hold": tr("wait for the hold to end, then run this again"),
        "short": tr("restock, then run `tiktok-erp reserve-stock`"),
        "address_changed": tr("run `tiktok-erp allocate`"),
        "decision_outdated": tr("run `tiktok-erp allocate`: it changed since it was decided"),
        "other_address": tr("look at `tiktok-erp quarantine`"),
        "not_allocated": tr("run `tiktok-erp allocate`"),
        "carrier_not_taken": tr("run `tiktok-erp allocate`"),
        "own_label_needed": tr(
            "buy the labels elsewhere and run `tiktok-erp print-labels --from FILE` with the tracking list or the PDFs"
        ),
        "already_shipped": tr("nothing to do: it has left"),
        "not_told": tr(
            "the channel told nothing about this order just now; look at it in Seller Center, then run this again"
        ),
        "unknown_status": tr("look at the order in Seller Center"),
        "unknown_shipping_type": tr("look in Seller Center how this order is to be shipped"),
        "quarantined": tr("look at `tiktok-erp quarantine`; name the package to try it again"),
        "fulfilled_by_channel": tr("look in Seller Center who ships this order"),
    }
    return steps.get(obstacle, tr("run `tiktok-erp sync`"))


def step_of_moved(package_id: str, source: str) -> str:
    """Return what a person does about a label whose order goes to another address since it was bought."""
    if source in ("tiktok", "channel"):
        return tr(
            "ask in Seller Center where the parcel goes; if this label is right, `tiktok-erp labels reprint {package}` prints it",
            package=package_id,
        )
    return tr(
        "run `tiktok-erp labels void {package}`, then `tiktok-erp allocate` and `tiktok-erp print-labels`",
        package=package_id,
    )
