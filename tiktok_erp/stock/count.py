"""Count stock: sheets, stocktakes, single numbers, moves between warehouses, bundles. Reads and writes the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.bundle import leads_back
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.stock.offers import refresh_offers
from tiktok_erp.store.bundles import load_own_bundles, save_own_bundle
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.runs import save_cursor
from tiktok_erp.store.stock import (
    COUNTED_BY_CHANNEL,
    DEFAULT_WAREHOUSE,
    find_known_skus,
    is_sku_kept,
    knows_skus,
    load_listing_skus,
    load_listings,
    load_named_skus,
    load_returnable,
    load_stock,
    make_room,
    map_listing,
    move_stock,
    release_latest,
    save_listings,
    save_skus,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tiktok_erp.channels.base import Listing
    from tiktok_erp.channels.tiktok import TikTokShop
    from tiktok_erp.config.sku_sheet import SkuRow, SkuSheet


def count_stock(
    store: Store,
    *,
    sku: str,
    warehouse: str | None,
    quantity: int,
    because: str,
    report: Report,
    kind: str = "counted",
    reference: str | None = None,
) -> None:
    """Set what is physically there. Below what is reserved, the latest deadlines become short first. In a transaction."""
    place = warehouse or DEFAULT_WAREHOUSE
    now = utc_now()
    row = store.query_one("SELECT on_hand, reserved FROM stock WHERE sku = ? AND warehouse = ?", (sku, place))
    on_hand, reserved = (int(row["on_hand"]), int(row["reserved"])) if row else (0, 0)
    if quantity < reserved:
        lost = release_latest(store, sku, place, reserved - quantity, now)
        report.warn(
            tr("{sku}: {count} reserved units are short now, those with the latest deadlines", sku=sku, count=len(lost))
        )
    if row is None or quantity != on_hand:
        move_stock(
            store,
            sku=sku,
            warehouse=place,
            kind=kind,
            quantity=quantity - on_hand,
            because=because,
            reference=reference,
            at=now,
        )


def import_sheet(store: Store, path: Path, rules: Rules, report: Report, *, dry_run: bool, yes: bool = False) -> int:
    """Take over a SKU sheet, whole or not at all; return how many rows.

    Raises InputFileError with every fault's place, UsageError when columns had to be guessed and nobody confirmed them.
    """
    from tiktok_erp.config.sku_sheet import read_sku_sheet

    sheet = read_sku_sheet(path)
    sheet.refuse_faults()
    _tell_choices(sheet, report)
    if sheet.guessed_columns and not dry_run and not yes:
        raise UsageError(
            tr("which columns hold SKU and quantity was guessed; nothing was taken over"),
            subject=str(path),
            next_step=tr(
                "look at it with --dry-run, then run the import with --yes, or rename the columns to sku and quantity"
            ),
        )
    for column in sheet.ignored_columns:
        report.warn(tr("the column {column} of the sheet means nothing here and is ignored", column=column))
    currency = rules.spending.max_cost_per_label.currency
    with store.transaction(keep=not dry_run):
        _refuse_bundles(store, [row.sku for row in sheet.rows if row.quantity is not None])
        strangers = _strangers(store, [row.sku for row in sheet.rows])
        save_skus(store, [_sku_fields(row, currency) for row in sheet.rows])
        for row in sheet.rows:
            before = _on_hand(store, row.sku, row.warehouse)
            if row.quantity is not None:
                count_stock(
                    store,
                    sku=row.sku,
                    warehouse=row.warehouse,
                    quantity=row.quantity,
                    because=f"sheet {path.name}",
                    report=report,
                )
            report.item(
                Outcome(
                    "sku",
                    {"sku": row.sku, "warehouse": row.warehouse or DEFAULT_WAREHOUSE},
                    "planned" if dry_run else "done",
                    fields={"quantity": row.quantity, "before": before, "weight_g": row.weight_g},
                    text=_change_text(row.sku, row.warehouse, before, row.quantity) if dry_run else None,
                )
            )
        refresh_offers(store, rules)
    _tell_strangers(strangers, report)
    return len(sheet.rows)


def _tell_choices(sheet: SkuSheet, report: Report) -> None:
    for field, header in sheet.guessed_columns:
        report.warn(tr("the column {column} is taken for {field}", column=header, field=field))
    if sheet.other_sheets:
        report.warn(
            tr(
                "{file} has these columns in the sheets {sheets} too: they were not read; save each as a file of its own",
                file=sheet.path.name,
                sheets=", ".join(sheet.other_sheets),
            )
        )


def _change_text(sku: str, warehouse: str | None, before: int | None, quantity: int | None) -> str | None:
    if quantity is None or before == quantity:
        return None
    place = warehouse or DEFAULT_WAREHOUSE
    if before is None:
        return tr("{sku} in {place}: first count {quantity}", sku=sku, place=place, quantity=quantity)
    return tr("{sku} in {place}: {before} -> {quantity}", sku=sku, place=place, before=before, quantity=quantity)


def _strangers(store: Store, skus: Sequence[str]) -> list[str]:
    return sorted(set(skus) - find_known_skus(store, skus)) if knows_skus(store) else []


def _tell_strangers(strangers: Sequence[str], report: Report) -> None:
    if strangers:
        report.warn(
            tr(
                "{count} SKUs of the sheet are on no order and no listing ({examples}): check their spelling",
                count=len(strangers),
                examples=", ".join(strangers[:5]),
            )
        )


def _on_hand(store: Store, sku: str, warehouse: str | None) -> int | None:
    value = store.scalar(
        "SELECT on_hand FROM stock WHERE sku = ? AND warehouse = ?", (sku, warehouse or DEFAULT_WAREHOUSE)
    )
    return None if value is None else int(value)


def _refuse_bundles(store: Store, skus: Iterable[str]) -> None:
    """Raise UsageError for a bundle of the seller's own: its stock is that of its components."""
    own = load_own_bundles(store)
    bundles = sorted(set(skus) & set(own))
    if bundles:
        raise UsageError(
            tr("a bundle has no count of its own; it is packed from {parts}", parts=", ".join(own[bundles[0]])),
            subject=", ".join(bundles[:5]),
            next_step=tr("count its components, or run `tiktok-erp stock map {sku} --clear` first", sku=bundles[0]),
        )


def import_from_channel(store: Store, shop: TikTokShop, rules: Rules, report: Report, *, dry_run: bool) -> int:
    """Count every SKU of the channel as available + committed; an existing count is never touched. Return how many.

    A bundle, the channel's or the seller's own, has no count: its components have.
    """
    pages = list(shop.search_listings())
    with store.transaction(keep=not dry_run):
        save_offers(store, shop, pages)
        listings = load_listings(store, shop.name)
        skus = {row["listing_id"]: row["sku"] for row in listings}
        bundles = {row["sku"] for row in listings if row["is_channel_bundle"]} | set(load_own_bundles(store))
    held = shop.fetch_stock(list(skus))
    warehouses = {stock.warehouse_id for stock in held}
    totals: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, str]] = set()
    unreadable: set[str] = set()
    for stock in held:
        sku = skus.get(stock.listing_id) or stock.seller_sku or stock.listing_id
        # One warehouse needs no name of the channel's; several keep theirs, so that a push can tell them apart.
        place = DEFAULT_WAREHOUSE if len(warehouses) == 1 else stock.warehouse_id
        seen.add((sku, place))
        if stock.available is None or stock.committed is None:
            unreadable.add(sku)
        else:
            totals[sku, place] += stock.available + stock.committed
    imported = 0
    with store.transaction(keep=not dry_run):
        counted = {row["sku"] for row in load_stock(store)}
        for sku, place in sorted(seen):
            if sku in counted or sku in bundles:
                cause = "already_counted" if sku in counted else "bundle"
                report.item(Outcome("sku", {"sku": sku, "warehouse": place}, "skipped", cause=cause, fields={}))
                continue
            if sku in unreadable:
                report.item(
                    Outcome(
                        "sku",
                        {"sku": sku, "warehouse": place},
                        "failed",
                        cause="unreadable_quantity",
                        next_step=tr("count it yourself: `tiktok-erp stock set {sku} QUANTITY`", sku=sku),
                        text=tr("{sku}: the channel's figure cannot be read, so it stays uncounted", sku=sku),
                    )
                )
                continue
            imported += 1
            save_skus(store, [{"sku": sku}])
            count_stock(
                store,
                sku=sku,
                warehouse=place,
                quantity=totals[sku, place],
                because=COUNTED_BY_CHANNEL.format(channel=shop.name),
                report=report,
            )
            report.item(
                Outcome(
                    "sku",
                    {"sku": sku, "warehouse": place},
                    "planned" if dry_run else "done",
                    fields={"quantity": totals[sku, place]},
                )
            )
        refresh_offers(store, rules)
    return imported


def save_offers(store: Store, shop: TikTokShop, pages: Iterable[Sequence[Listing]]) -> None:
    """Write every SKU on offer with its warehouses and the quantity that the channel shows. Call inside a transaction."""
    now = utc_now()
    for page in pages:
        save_listings(store, shop.name, [listing.row() for listing in page if listing.listing_id], now)
    save_cursor(store, shop.name, "listings", cursor=None, as_of=now)


def similar_sku(store: Store, sku: str) -> str | None:
    """Return the SKU that orders or listings name and that `sku`, which nobody knows, was probably meant to be; else None."""
    from difflib import get_close_matches

    named = load_named_skus(store)
    if sku in named or is_sku_kept(store, sku):
        return None
    spelt = {name.casefold(): name for name in sorted(named)}
    return next((spelt[match] for match in get_close_matches(sku.casefold(), spelt, n=1, cutoff=0.8)), None)


def set_stock(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    sku: str,
    quantity: int | None,
    warehouse: str | None,
    weight_g: int | None,
    dry_run: bool,
) -> None:
    """Set the counted quantity or the weight of one SKU. Raises UsageError for a negative quantity."""
    _refuse_negative(sku, quantity)
    with store.transaction(keep=not dry_run):
        if quantity is not None:
            _refuse_bundles(store, [sku])
        save_skus(store, [{"sku": sku, "weight_g": weight_g}])
        if quantity is not None:
            count_stock(store, sku=sku, warehouse=warehouse, quantity=quantity, because="stock set", report=report)
        refresh_offers(store, rules)
        _tell_sku(store, report, sku, warehouse, dry_run=dry_run, extra={"weight_g": weight_g})


def _refuse_negative(sku: str, quantity: int | None) -> None:
    if quantity is not None and quantity < 0:
        raise UsageError(
            tr("a counted quantity cannot be below 0"),
            subject=sku,
            next_step=tr("count the pieces and set that number"),
        )


def _tell_sku(
    store: Store,
    report: Report,
    sku: str,
    warehouse: str | None,
    *,
    dry_run: bool,
    extra: Mapping[str, object] | None = None,
) -> None:
    place = warehouse or DEFAULT_WAREHOUSE
    row = store.query_one("SELECT * FROM v_stock WHERE sku = ? AND warehouse = ?", (sku, place))
    report.item(
        Outcome(
            "sku",
            {"sku": sku, "warehouse": place},
            "planned" if dry_run else "done",
            fields=(dict(row) if row else {}) | dict(extra or {}),
        )
    )


def adjust_stock(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    sku: str,
    delta: int,
    because: str,
    warehouse: str | None,
    returned: str | None,
    received: bool,
    dry_run: bool,
) -> None:
    """Add `delta` pieces to the count of one SKU, or take them away; the reason goes into the ledger.

    With `returned`, an order, they are pieces that came back from its buyer; no more than it had, and each once. Raises
    UsageError for a SKU that was never counted, and where fewer are there than are taken away.
    """
    place = warehouse or DEFAULT_WAREHOUSE
    with store.transaction(keep=not dry_run):
        _refuse_bundles(store, [sku])
        on_hand = _on_hand(store, sku, warehouse)
        if on_hand is None:
            raise UsageError(
                tr("this SKU was never counted in {place}", place=place),
                subject=sku,
                next_step=tr("run `tiktok-erp stock set {sku} QUANTITY`", sku=sku),
            )
        if delta == 0 or on_hand + delta < 0:
            raise UsageError(
                tr("there is nothing to adjust")
                if delta == 0
                else tr(
                    "there are {on_hand} in {place}, fewer than {pieces}", on_hand=on_hand, place=place, pieces=-delta
                ),
                subject=sku,
                next_step=tr("count the pieces; `tiktok-erp stock set {sku} QUANTITY` sets the number", sku=sku),
            )
        if returned is not None:
            returned = _refuse_unsold_return(store, sku, delta, returned)
        if delta < 0:
            lost = make_room(store, sku, place, -delta, utc_now())
            if lost:
                report.warn(
                    tr(
                        "{sku}: {count} reserved units are short now, those with the latest deadlines",
                        sku=sku,
                        count=len(lost),
                    )
                )
        move_stock(
            store,
            sku=sku,
            warehouse=place,
            kind="returned" if returned else "received" if received else "adjusted",
            quantity=delta,
            because=because,
            reference=returned,
            at=utc_now(),
        )
        refresh_offers(store, rules)
        _tell_sku(store, report, sku, warehouse, dry_run=dry_run, extra={"delta": delta})


def _refuse_unsold_return(store: Store, sku: str, delta: int, order: str) -> str:
    """Return our id of the order that `delta` pieces of `sku` can have come back from. Raises UsageError if they cannot."""
    order_id, shipped, back = load_returnable(store, sku, order)
    if order_id is None:
        what = tr("no such order is known")
    elif delta < 0:
        what = tr("a return brings pieces back; the number is above 0")
    elif back + delta > shipped:
        what = tr("of this order {shipped} pieces were shipped and {back} came back before", shipped=shipped, back=back)
    else:
        return order_id
    raise UsageError(
        what,
        subject=f"{sku}, {order}",
        next_step=tr("look at the order with `tiktok-erp orders show {order}`", order=order),
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """One line of a stocktake."""

    sku: str
    quantity: int
    warehouse: str | None


def read_stocktake(path: Path, report: Report) -> list[Counted]:
    """Return the lines of a stocktake that have a number. Raises InputFileError with every fault's place."""
    from tiktok_erp.config.sku_sheet import read_sku_sheet

    sheet = read_sku_sheet(path)
    sheet.refuse_faults()
    _tell_choices(sheet, report)
    return [Counted(row.sku, row.quantity, row.warehouse) for row in sheet.rows if row.quantity is not None]


def take_stock(
    store: Store, rules: Rules, report: Report, counted: Sequence[Counted], *, because: str, dry_run: bool
) -> int:
    """Set what was counted and touch nothing else; return how many numbers differ from the ledger's."""
    differences = 0
    with store.transaction(keep=not dry_run):
        _refuse_bundles(store, [line.sku for line in counted])
        strangers = _strangers(store, [line.sku for line in counted])
        for line in counted:
            _refuse_negative(line.sku, line.quantity)
            before = _on_hand(store, line.sku, line.warehouse)
            save_skus(store, [{"sku": line.sku}])
            count_stock(
                store, sku=line.sku, warehouse=line.warehouse, quantity=line.quantity, because=because, report=report
            )
            differences += before != line.quantity
            place = line.warehouse or DEFAULT_WAREHOUSE
            report.item(
                Outcome(
                    "sku",
                    {"sku": line.sku, "warehouse": place},
                    "planned" if dry_run else "done",
                    fields={
                        "quantity": line.quantity,
                        "before": before,
                        "difference": None if before is None else line.quantity - before,
                    },
                    text=_change_text(line.sku, line.warehouse, before, line.quantity),
                )
            )
        refresh_offers(store, rules)
    _tell_strangers(strangers, report)
    return differences


def transfer_stock(
    store: Store, rules: Rules, report: Report, *, sku: str, quantity: int, source: str, target: str, dry_run: bool
) -> None:
    """Move free pieces from one warehouse to another. Raises UsageError when fewer are free there.

    What is reserved stays: its order is to be packed where it is.
    """
    with store.transaction(keep=not dry_run):
        row = store.query_one("SELECT on_hand, reserved FROM stock WHERE sku = ? AND warehouse = ?", (sku, source))
        free = int(row["on_hand"]) - int(row["reserved"]) if row else 0
        what = None
        if quantity <= 0 or source == target:
            what = tr("a transfer moves at least one piece from one warehouse to another one")
        elif row is None:
            what = tr("this SKU was never counted in {place}", place=source)
        elif free < quantity:
            what = tr("{free} of {on_hand} pieces in {place} are free", free=free, on_hand=row["on_hand"], place=source)
        if what is not None:
            raise UsageError(
                what,
                subject=sku,
                next_step=tr("look at `tiktok-erp stock show {sku}` and move no more than that", sku=sku),
            )
        now = utc_now()
        for place, pieces, other in ((source, -quantity, target), (target, quantity, source)):
            move_stock(
                store,
                sku=sku,
                warehouse=place,
                kind="transferred",
                quantity=pieces,
                because="transfer",
                reference=other,
                at=now,
            )
        refresh_offers(store, rules)
        for place in (source, target):
            _tell_sku(store, report, sku, place, dry_run=dry_run)


def map_bundle(
    store: Store, rules: Rules, report: Report, *, sku: str, components: Mapping[str, int], dry_run: bool
) -> None:
    """Write what the seller's own bundle `sku` is packed from; no components: it is no bundle any more.

    Raises UsageError when it would contain itself, or when it has a count of its own.
    """
    with store.transaction(keep=not dry_run):
        own = load_own_bundles(store)
        if components and leads_back(sku, components, own):
            raise UsageError(
                tr("this bundle would contain itself"),
                subject=sku,
                next_step=tr("look at `tiktok-erp stock map` and name single SKUs"),
            )
        there = store.scalar("SELECT sum(on_hand) FROM stock WHERE sku = ?", (sku,))
        if components and there:
            raise UsageError(
                tr("{count} pieces of it are counted as a SKU of its own", count=there),
                subject=sku,
                next_step=tr("count its components, then run `tiktok-erp stock set {sku} 0` and map it", sku=sku),
            )
        save_own_bundle(store, sku, components, utc_now())
        refresh_offers(store, rules)
        report.item(
            Outcome(
                "sku",
                {"sku": sku},
                "planned" if dry_run else "done",
                fields={"components": dict(components)},
            )
        )


def map_listing_to(
    store: Store, rules: Rules, report: Report, *, channel: str, listing_id: str, sku: str | None, dry_run: bool
) -> None:
    """Say by hand which SKU a listing sells; None goes back to the channel's own text. Raises UsageError for no listing.

    Open units of the listing follow: what they hold is given back, and the next `reserve-stock` reserves the right SKU.
    """
    with store.transaction(keep=not dry_run):
        known = load_listing_skus(store, channel, listing_id)
        if known is None:
            raise UsageError(
                tr("no listing of {channel} has this id", channel=channel),
                subject=listing_id,
                next_step=tr("the id is the channel's SKU id; run `tiktok-erp sync` to fetch new ones"),
            )
        released = map_listing(store, channel, listing_id, sku, utc_now())
        refresh_offers(store, rules)
        report.item(
            Outcome(
                "listing",
                {"channel": channel, "listing_id": listing_id, "sku": sku or known},
                "planned" if dry_run else "done",
                fields={"released": released},
            )
        )
        if released:
            report.warn(
                tr("{count} open units gave back what they held; run `tiktok-erp reserve-stock`", count=released)
            )


def _sku_fields(row: SkuRow, currency: str) -> dict[str, object]:
    cost = row.cost(currency)
    return {
        "sku": row.sku,
        "name": row.name,
        "weight_g": row.weight_g,
        "length_mm": row.length_mm,
        "width_mm": row.width_mm,
        "height_mm": row.height_mm,
        "cost_minor": cost.minor if cost else None,
        "cost_currency": cost.currency if cost else None,
        "shelf": row.shelf,
        "tags": json.dumps(list(row.tags), ensure_ascii=False),
    }
