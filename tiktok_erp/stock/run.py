"""Count stock, reserve it for promised units, and push what is left. Reads, plans (`plan.py`), writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.channels.tiktok_errors import ZERO_REFUSED
from tiktok_erp.errors import ChannelRefused, OutcomeUnknown, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.stock.plan import (
    ListingState,
    PromisedUnit,
    PushPlan,
    QuantityChange,
    UnitReservation,
    plan_push,
    plan_reservations,
)
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.runs import save_cursor
from tiktok_erp.store.stock import (
    DEFAULT_WAREHOUSE,
    adopt_listing_skus,
    load_listings,
    load_stock,
    load_unreserved_units,
    move_stock,
    release_latest,
    save_listings,
    save_pushed,
    save_reservations,
    save_safety_stock,
    save_skus,
    save_wanted,
)

if TYPE_CHECKING:
    from tiktok_erp.channels.base import Listing
    from tiktok_erp.channels.tiktok import TikTokShop
    from tiktok_erp.config.sku_sheet import SkuRow

_SKUS_A_CALL = 50


@dataclass(slots=True)
class ReserveCount:
    """What one run of reserve-stock did."""

    held: int = 0
    short: int = 0
    already_short: int = 0
    pushed: int = 0
    failed: int = 0


def count_stock(
    store: Store, *, sku: str, warehouse: str | None, quantity: int, because: str, report: Report, kind: str = "counted"
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
            reference=None,
            at=now,
        )


def import_sheet(store: Store, path: Path, rules: Rules, report: Report, *, dry_run: bool) -> int:
    """Take over a SKU sheet, whole or not at all; return how many rows. Raises InputFileError with every fault's place."""
    from tiktok_erp.config.sku_sheet import read_sku_sheet

    sheet = read_sku_sheet(path)
    sheet.refuse_faults()
    for column in sheet.ignored_columns:
        report.warn(tr("the column {column} of the sheet means nothing here and is ignored", column=column))
    currency = rules.spending.max_cost_per_label.currency
    with store.transaction():
        known = {row[0] for row in store.query("SELECT DISTINCT sku FROM units UNION SELECT sku FROM listings")}
        strangers = sorted({row.sku for row in sheet.rows} - known) if known else []
        if not dry_run:
            save_skus(store, [_sku_fields(row, currency) for row in sheet.rows])
        for row in sheet.rows:
            if row.quantity is not None and not dry_run:
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
                    fields={"quantity": row.quantity, "weight_g": row.weight_g},
                )
            )
        if not dry_run:
            refresh_safety_stock(store, rules)
    if strangers:
        report.warn(
            tr(
                "{count} SKUs of the sheet are on no order and no listing ({examples}): check their spelling",
                count=len(strangers),
                examples=", ".join(strangers[:5]),
            )
        )
    return len(sheet.rows)


def import_from_channel(store: Store, shop: TikTokShop, rules: Rules, report: Report, *, dry_run: bool) -> int:
    """Count every SKU of the channel as available + committed; an existing count is never touched. Return how many."""
    pages = list(shop.search_listings())
    with store.transaction(keep=not dry_run):
        save_offers(store, shop, pages)
        skus = {row["listing_id"]: row["sku"] for row in load_listings(store, shop.name)}
    held = shop.fetch_stock(list(skus))
    warehouses = {stock.warehouse_id for stock in held}
    totals: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, str]] = set()
    for stock in held:
        sku = skus.get(stock.listing_id) or stock.seller_sku or stock.listing_id
        # One warehouse needs no name of the channel's; several keep theirs, so that a push can tell them apart.
        place = DEFAULT_WAREHOUSE if len(warehouses) == 1 else stock.warehouse_id
        totals[sku, place] += stock.available + stock.committed
        seen.add((sku, place))
    imported = 0
    with store.transaction():
        counted = {row["sku"] for row in load_stock(store)}
        for sku, place in sorted(seen):
            if sku in counted:
                report.item(
                    Outcome("sku", {"sku": sku, "warehouse": place}, "skipped", cause="already_counted", fields={})
                )
                continue
            imported += 1
            if not dry_run:
                save_skus(store, [{"sku": sku}])
                count_stock(
                    store,
                    sku=sku,
                    warehouse=place,
                    quantity=totals[sku, place],
                    because=f"{shop.name}: available + committed",
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
        if not dry_run:
            refresh_safety_stock(store, rules)
    return imported


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
    if quantity is not None and quantity < 0:
        raise UsageError(
            tr("a counted quantity cannot be below 0"),
            subject=sku,
            next_step=tr("count the pieces and set that number"),
        )
    if not dry_run:
        with store.transaction():
            save_skus(store, [{"sku": sku, "weight_g": weight_g}])
            if quantity is not None:
                count_stock(store, sku=sku, warehouse=warehouse, quantity=quantity, because="stock set", report=report)
            refresh_safety_stock(store, rules)
    row = store.query_one(
        "SELECT * FROM v_stock WHERE sku = ? AND warehouse = ?", (sku, warehouse or DEFAULT_WAREHOUSE)
    )
    report.item(
        Outcome(
            "sku",
            {"sku": sku, "warehouse": warehouse or DEFAULT_WAREHOUSE},
            "planned" if dry_run else "done",
            fields=(dict(row) if row else {}) | {"weight_g": weight_g},
        )
    )


def refresh_safety_stock(store: Store, rules: Rules) -> None:
    """Work out anew what is kept back of every counted SKU. Call inside a transaction."""
    save_safety_stock(
        store,
        [
            (row["sku"], row["warehouse"], rules.kept_back(row["sku"], int(row["on_hand"]) - int(row["reserved"])))
            for row in load_stock(store)
        ],
    )


def reserve(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    only_orders: Sequence[str] | None,
    dry_run: bool,
) -> ReserveCount:
    """Give every promised unit a counted piece, earliest deadline first; all in one transaction."""
    count = ReserveCount()
    with store.transaction(keep=not dry_run):
        adopt_listing_skus(store)
        rows = load_unreserved_units(store, only_orders=only_orders)
        stock = {(row["sku"], row["warehouse"]): (row["on_hand"], row["reserved"]) for row in load_stock(store)}
        planned = plan_reservations(
            (
                PromisedUnit(
                    row["unit_id"],
                    row["order_id"],
                    row["sku"],
                    row["channel_warehouse_id"],
                    row["reservation"] == "short",
                )
                for row in rows
            ),
            stock,
        )
        news = [entry for entry in planned if not (entry.was_short and entry.state == "short")]
        if not dry_run:
            save_reservations(
                store, [(entry.unit_id, entry.sku, entry.warehouse, entry.state) for entry in news], utc_now()
            )
            refresh_safety_stock(store, rules)
    counted = {sku for sku, warehouse in stock}
    uncounted = Counter(row["sku"] for row in rows if row["sku"] not in counted)
    for entry in planned:
        if entry.state == "held":
            count.held += 1
        elif entry.was_short:
            count.already_short += 1
        else:
            count.short += 1
        is_held = entry.state == "held"
        report.item(
            Outcome(
                "unit",
                {"unit_id": entry.unit_id, "order_id": entry.order_id, "sku": entry.sku},
                ("planned" if dry_run else "done") if is_held else "skipped",
                cause=None if is_held else "short",
                next_step=None
                if is_held
                else tr("restock {sku} and run `tiktok-erp reserve-stock` again", sku=entry.sku),
                fields={"warehouse": entry.warehouse, "state": entry.state},
            )
        )
    _tell_shortages(planned, uncounted, report)
    return count


def _tell_shortages(planned: Iterable[UnitReservation], uncounted: Counter[str], report: Report) -> None:
    short = Counter(entry.sku for entry in planned if entry.state == "short")
    for sku, units in sorted(short.items()):
        report.warn(tr("short: {sku} lacks {count} units; their orders wait", sku=sku, count=units))
    if uncounted:
        names = ", ".join(sku for sku, units in uncounted.most_common(5))
        report.warn(
            tr(
                "{count} SKUs on open orders were never counted ({examples}): they hold nothing back and are never pushed;"
                " run `tiktok-erp stock import`",
                count=len(uncounted),
                examples=names,
            )
        )


def save_offers(store: Store, shop: TikTokShop, pages: Iterable[Sequence[Listing]]) -> None:
    """Write every SKU on offer with its warehouses and the quantity that the channel shows. Call inside a transaction."""
    now = utc_now()
    for page in pages:
        save_listings(store, shop.name, [listing.row() for listing in page if listing.listing_id], now)
    save_cursor(store, shop.name, "listings", cursor=None, as_of=now)


def plan_quantities(store: Store, shop: TikTokShop, pages: Iterable[Sequence[Listing]]) -> PushPlan:
    """Return what a push would change now, by what the channel shows now (`pages`)."""
    shown = {listing.listing_id: listing.quantities for page in pages for listing in page}
    states = [
        ListingState(
            listing_id=row["listing_id"],
            product_id=row["product_id"] or "",
            sku=row["sku"],
            offers=tuple(json.loads(row["offers"] or "{}").items()),
            reserved=int(row["reserved"]),
            shown=row["channel_quantity"],
            warehouses=tuple(json.loads(row["warehouses"])),
            shown_per_warehouse=shown.get(row["listing_id"], ()),
        )
        for row in load_listings(store, shop.name)
        if row["status"] in ("ACTIVATE", "SELLER_DEACTIVATED", "DRAFT", "PENDING", "FAILED", "", None)
    ]
    return plan_push(states)


def push(
    store: Store,
    shop: TikTokShop,
    report: Report,
    count: ReserveCount,
    *,
    rules: Rules,
    run_id: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Set on the channel what each counted listing may sell, only where it differs.

    Raises UsageError when the push would surprise and nobody said yes; nothing was pushed then.
    """
    pages = list(shop.search_listings())
    with store.transaction(keep=not dry_run):
        save_offers(store, shop, pages)
        _settle_quantities(store)
        if adopt_listing_skus(store):  # only now is it known which counted pieces these units are
            late = reserve(store, rules, report, only_orders=None, dry_run=dry_run)
            count.held, count.short = count.held + late.held, count.short + late.short
        plan = plan_quantities(store, shop, pages)
        save_wanted(store, shop.name, plan.wanted)
    if plan.surprise is not None and not yes:
        zeroed, halved, considered = plan.surprise
        report.warn(
            tr(
                "not pushed: of {considered} listings, {zeroed} would go to 0 and {halved} would lose more than half, and"
                " no reservation explains it",
                considered=considered,
                zeroed=zeroed,
                halved=halved,
            )
        )
        report.item(
            Outcome(
                "push",
                {"channel": shop.name},
                "failed",
                cause="surprising_push",
                next_step=tr(
                    "compare the counts with the shelf; run `tiktok-erp reserve-stock --yes` if they are right"
                ),
                text=tr("the push of {count} quantities waits for --yes", count=len(plan.changes)),
            )
        )
        count.failed += 1
        return
    groups: dict[str, list[QuantityChange]] = {}
    for change in plan.changes:
        groups.setdefault(change.product_id, []).append(change)
    done = 0
    for product_id, changes in groups.items():
        for start in range(0, len(changes), _SKUS_A_CALL):
            batch = changes[start : start + _SKUS_A_CALL]
            if dry_run:
                for change in batch:
                    report.item(_quantity_outcome(shop.name, change, "planned"))
                continue
            _push_batch(store, shop, report, count, product_id, batch, run_id)
            done += len(batch)
            report.progress(tr("quantities"), done, len(plan.changes))


def _settle_quantities(store: Store) -> None:
    """Settle pushes that a run left without an answer, by what the channel shows now. Call inside a transaction.

    One that does not show is dropped: this push decides anew what to set.
    """
    for row in outbox.load_unanswered_quantities(store):
        is_shown = row["sent_at"] is not None and row["channel_quantity"] == row["quantity"]
        if is_shown:
            save_pushed(store, row["channel"], row["subject"], row["quantity"], from_text(row["sent_at"]))
        outbox.settle(store, row["outbox_id"], "done" if is_shown else "dropped")


def _push_batch(
    store: Store,
    shop: TikTokShop,
    report: Report,
    count: ReserveCount,
    product_id: str,
    batch: Sequence[QuantityChange],
    run_id: int | None,
) -> None:
    entries: dict[str, int] = {}
    with store.transaction():
        for change in batch:
            key = f"set_quantity/{shop.name}/{change.listing_id}/{change.wanted}/{run_id}"
            entries[change.listing_id] = outbox.intend(
                store,
                kind="set_quantity",
                subject=change.listing_id,
                idempotency_key=key,
                payload={"product_id": product_id, "quantity": change.wanted, "shown": change.shown},
                run_id=run_id,
            )
            outbox.mark_sent(store, entries[change.listing_id])
    quantities = {change.listing_id: change.per_warehouse for change in batch}
    try:
        try:
            refusals, request_id = shop.set_quantities(product_id, quantities)
        except OutcomeUnknown:
            # An absolute number may be set twice.
            refusals, request_id = shop.set_quantities(product_id, quantities)
        refused = {refusal.listing_id: (refusal.code, refusal.message) for refusal in refusals}
    except OutcomeUnknown as error:
        with store.transaction():
            for outbox_id in entries.values():
                outbox.settle(store, outbox_id, "unknown")
        for change in batch:
            count.failed += 1
            report.item(
                _quantity_outcome(
                    shop.name,
                    change,
                    "failed",
                    cause=error.cause,
                    next_step=tr(
                        "run `tiktok-erp reserve-stock` again: it sees what the channel shows and decides anew"
                    ),
                    text=f"{change.sku}: {error.what}",
                )
            )
        return
    except ChannelRefused as refusal:
        request_id = refusal.request_id
        refused = {change.listing_id: (refusal.code, refusal.what) for change in batch}
    now = utc_now()
    with store.transaction():
        for change in batch:
            refusal_of = refused.get(change.listing_id)
            if refusal_of is None:
                save_pushed(store, shop.name, change.listing_id, change.wanted, now)
            outbox.settle(
                store,
                entries[change.listing_id],
                "refused" if refusal_of else "done",
                request_id=request_id,
                error_code=str(refusal_of[0]) if refusal_of else None,
            )
    for change in batch:
        refusal_of = refused.get(change.listing_id)
        if refusal_of is None:
            count.pushed += 1
            report.item(_quantity_outcome(shop.name, change, "done"))
            continue
        count.failed += 1
        step = (
            tr("deactivate the listing in Seller Center: the channel does not take 0")
            if (refusal_of[0] in ZERO_REFUSED and change.wanted == 0)
            else tr("look at the listing in Seller Center, then run `tiktok-erp reserve-stock` again")
        )
        report.item(
            _quantity_outcome(
                shop.name,
                change,
                "failed",
                cause="quantity_refused",
                next_step=step,
                text=tr(
                    "{sku}: TikTok says {code}: {message}", sku=change.sku, code=refusal_of[0], message=refusal_of[1]
                ),
            )
        )


def _quantity_outcome(
    channel: str,
    change: QuantityChange,
    result: str,
    *,
    cause: str | None = None,
    next_step: str | None = None,
    text: str | None = None,
) -> Outcome:
    return Outcome(
        "listing",
        {"channel": channel, "listing_id": change.listing_id, "sku": change.sku},
        result,
        cause=cause,
        next_step=next_step,
        fields={"wanted_quantity": change.wanted, "shown_quantity": change.shown},
        text=text,
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
