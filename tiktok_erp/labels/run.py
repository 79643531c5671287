"""Buy what is due, put everything held and not printed yet into one PDF in packing order, and say what is where."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tiktok_erp.errors import ErpError, LabelFileError, StoreError
from tiktok_erp.labels.journal import BuyCount, LabelBuyer, ReadBack, Vendor
from tiktok_erp.labels.plan import next_step_for, plan_print_order, position_text
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import (
    load_candidates,
    load_live,
    load_print_facts,
    load_to_print,
    next_batch_id,
    save_batch,
    spent_since,
)
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.quarantine import open_case
from tiktok_erp.store.shipments import load_quoted_costs


@dataclass(slots=True)
class PrintCount:
    """What one batch holds; `directory` is None when there was nothing to print."""

    printed: int = 0
    pages: int = 0
    held_back: int = 0
    failed: int = 0
    directory: Path | None = None


@dataclass(frozen=True, slots=True)
class PurchasePlan:
    """What `print-labels` would buy now. `quoted` is None where not all was quoted: the price is unknown until bought.

    `costs` holds what single packages were quoted. After `cap_after` packages `cap` is reached for certain.
    """

    due: tuple[sqlite3.Row, ...]
    skipped: tuple[sqlite3.Row, ...]
    own: tuple[sqlite3.Row, ...]
    cap_after: int
    cap: str | None
    quoted: Money | None
    costs: Mapping[str, Money]


def plan_purchases(
    store: Store,
    rules: Rules,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    buys_own: bool,
    quote: Callable[[str], tuple[int | None, str | None]] | None,
) -> PurchasePlan:
    """Return what would be bought, in which order, and after how many a cap is reached for certain.

    `buys_own`: labels for Seller Shipping are bought too. `quote` asks the channel what one order's label costs.
    """
    rows = load_candidates(store, only=only)
    bought = [row for row in rows if row["shipping_type"] == "TIKTOK" or buys_own]
    due = [row for row in bought if row["obstacle"] is None][:limit]
    cap = max_cost or rules.spending.max_cost_per_run
    costs = load_quoted_costs(store, [row["package_id"] for row in due if row["shipping_type"] != "TIKTOK"])
    if quote is not None:
        for row in due:
            if row["shipping_type"] == "TIKTOK":
                price, currency = quote(row["channel_order_id"])
                if price is not None and currency is not None:
                    costs[row["package_id"]] = Money(price, currency)
    prices = [costs.get(row["package_id"]) for row in due]
    known = [price for price in prices if price is not None and price.currency == cap.currency]
    after, which = _caps(store, rules, cap, prices)
    return PurchasePlan(
        tuple(due),
        tuple(row for row in bought if row["obstacle"] is not None),
        tuple(row for row in rows if row not in bought and row["obstacle"] is None),
        after,
        which,
        Money(sum(price.minor for price in known), cap.currency) if len(known) == len(due) and due else None,
        costs,
    )


def _caps(store: Store, rules: Rules, run_cap: Money, prices: Sequence[Money | None]) -> tuple[int, str | None]:
    """Return how many purchases fit under the caps for certain, and which cap ends them. Unknown prices count in full."""
    highest = rules.spending.max_cost_per_label.minor
    zone = ZoneInfo(rules.shop.time_zone)
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    today = spent_since(store, midnight, fallback_minor=highest)
    total = 0
    for number, price in enumerate(prices):
        total += price.minor if price is not None else highest
        if total > run_cap.minor:
            return number, "max_cost_per_run"
        if today + total > rules.spending.max_cost_per_day.minor:
            return number, "max_cost_per_day"
    return len(prices), None


def buy_labels(
    store: Store,
    vendors: Sequence[Vendor],
    rules: Rules,
    report: Report,
    read_back: ReadBack,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    run_id: int | None,
) -> BuyCount:
    """Buy every label that is due, from one source after the other; see `labels/journal.py`."""
    total = BuyCount()
    chosen = [row for row in load_candidates(store, only=only) if row["obstacle"] is None]
    chosen = [row for row in chosen if any(vendor.sells(row) for vendor in vendors)][:limit]
    for vendor in vendors:
        left = None if limit is None else sum(vendor.sells(row) for row in chosen)
        buyer = LabelBuyer(store, vendor, rules, report, read_back, run_id=run_id, max_cost=max_cost)
        try:
            buyer.buy(only=only, limit=left)
        except ErpError as error:
            total.stopped = error
        total.add(buyer.count)
        if total.stopped is not None or total.cap is not None:
            break
    if total.stopped is not None:
        if total.bought + total.failed == 0:
            raise total.stopped
        report.warn(tr("stopped after {count} labels: {reason}", count=total.bought, reason=total.stopped.what))
    return total


def reconcile_labels(
    store: Store, vendors: Sequence[Vendor], rules: Rules, report: Report, read_back: ReadBack, *, run_id: int | None
) -> BuyCount:
    """Settle every purchase that was sent and has no end yet."""
    total = BuyCount()
    for vendor in vendors:
        buyer = LabelBuyer(store, vendor, rules, report, read_back, run_id=run_id)
        buyer.reconcile()
        total.add(buyer.count)
    return total


def list_own_labels(store: Store, report: Report, *, only: Sequence[str] | None) -> int:
    """Tell which packages wait for a label of the seller's own; return how many."""
    rows = [
        row for row in load_candidates(store, only=only) if row["shipping_type"] != "TIKTOK" and not row["obstacle"]
    ]
    step = next_step_for("own_label_needed")
    for row in rows:
        report.item(
            Outcome(
                "package",
                {"package_id": row["package_id"], "order_id": row["order_id"]},
                "skipped",
                cause="own_label_needed",
                next_step=step,
                fields={"carrier": row["carrier"], "service_level": row["service_level"]},
            )
        )
    if rows:
        report.warn(tr("{count} packages need a label of your own; {step}", count=len(rows), step=step))
    return len(rows)


def print_batch(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    only: Sequence[str] | None,
    out: Path,
    pick_list: bool,
    packing_slips: bool,
    run_id: int | None,
) -> PrintCount:
    """Write every held label that was never printed into one PDF in packing order, with its lists beside it.

    The batch directory appears whole, `out` gets copies, and only then the labels count as printed: whatever happens
    in between, the next run makes the same batch again.
    """
    count = PrintCount()
    rows, items = _collect(store, report, count, only)
    if not items:
        return count
    batch_id = next_batch_id(store)
    base = store.path.with_name(store.path.stem + ".batches")
    final = base / f"B{batch_id:02d}"
    part = base / f".B{batch_id:02d}.part"
    _fresh_folder(part)
    positions, failed = _write_labels(store, report, part, batch_id, items, run_id)
    count.failed += failed
    if positions:
        _write_papers(rules, report, part, batch_id, positions, pick_list=pick_list, packing_slips=packing_slips)
        if final.exists():  # left by a run that ended before its batch counted
            shutil.rmtree(final)
        part.rename(final)
        _sync_folder(base)
        _copy_out(final, out)
        label_ids = {row["package_id"]: int(row["label_id"]) for row in rows}
        with store.transaction():
            save_batch(
                store,
                batch_id,
                str(final.relative_to(store.path.parent)),
                [(label_ids[place.item.package_id], number) for number, place in enumerate(positions, start=1)],
                run_id=run_id,
                at=utc_now(),
            )
        count.printed = len(positions)
        count.pages = sum(len(place.pages) for place in positions)
        count.directory = final
    else:
        shutil.rmtree(part)
    return count


def reprint(store: Store, rules: Rules, report: Report, package_ids: Sequence[str], out: Path) -> PrintCount:
    """Write the held labels of these packages, in packing order, to `reprint.pdf`. Nothing is bought."""
    from tiktok_erp.labels.merge import LabelPages, merge_labels

    count = PrintCount()
    files = LabelFiles(store.path)
    held: dict[str, sqlite3.Row] = {}
    for package_id in package_ids:
        label = load_live(store, package_id)
        if label is None or label["state"] != "bought" or label["sha256"] is None:
            count.failed += 1
            report.item(
                Outcome(
                    "package",
                    {"package_id": package_id},
                    "failed",
                    cause="no_label_held",
                    next_step=tr("run `tiktok-erp labels list {package}`", package=package_id),
                    text=tr("{package}: no label document is held", package=package_id),
                )
            )
            continue
        held[package_id] = label
    items = plan_print_order(_items(store, list(held.values())))
    sources, packages = [], []
    for item in items:
        label = held[item.package_id]
        stamp = position_text(label["batch_id"], label["position"]) if label["batch_id"] else None
        try:
            sources.append(LabelPages(files.load(label["sha256"]), stamp=stamp, subject=item.package_id))
            packages.append(item.package_id)
        except LabelFileError as error:
            count.failed += 1
            report.item(_failed(item.package_id, error, is_new=True))
    if not sources:
        return count
    out.mkdir(parents=True, exist_ok=True)
    merged = merge_labels(sources, out / "reprint.pdf")
    for failure in merged.failed:
        count.failed += 1
        report.item(_failed(packages[failure.index], failure.error, is_new=True))
    for package_id, pages in zip(packages, merged.pages_of_source, strict=True):
        if pages:
            count.printed += 1
            report.item(Outcome("package", {"package_id": package_id}, "done", fields={"pages": list(pages)}))
    count.pages = merged.pages
    count.directory = out
    return count


def _collect(
    store: Store, report: Report, count: PrintCount, only: Sequence[str] | None
) -> tuple[list[sqlite3.Row], tuple[PrintItem, ...]]:
    rows = []
    for row in load_to_print(store, only=only):
        cause = (
            "barcode_contradiction"
            if row["barcode"] == "contradiction"
            else "order_cancelled"
            if row["is_cancelled"]
            else "cancel_requested"
            if row["cancel_requested"]
            else None
        )
        if cause is None:
            rows.append(row)
            continue
        count.held_back += 1
        step = tr("look at `tiktok-erp quarantine`") if cause == "barcode_contradiction" else next_step_for(cause)
        report.item(Outcome("package", {"package_id": row["package_id"]}, "skipped", cause=cause, next_step=step))
    return rows, plan_print_order(_items(store, rows))


def _items(store: Store, labels: Sequence[sqlite3.Row]) -> list[PrintItem]:
    by_package = {label["package_id"]: label for label in labels}
    units: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for unit in load_package_units(store, list(by_package)):
        units[unit["package_id"]].append(unit)
    return [
        _item(row, units[row["package_id"]], by_package[row["package_id"]])
        for row in load_print_facts(store, list(by_package))
    ]


def _item(row: sqlite3.Row, units: Sequence[sqlite3.Row], label: sqlite3.Row) -> PrintItem:
    quantities: Counter[tuple[str, str, str, bool, str | None]] = Counter()
    for unit in units:
        name = unit["sku_name"] or unit["product_name"] or unit["sku"]
        quantities[unit["sku"], name, unit["variant_name"] or "", bool(unit["is_gift"]), unit["shelf"]] += 1
    return PrintItem(
        package_id=row["package_id"],
        order_ids=tuple(json.loads(row["order_ids"])),
        channel_order_ids=tuple(json.loads(row["channel_order_ids"])),
        ship_by=from_text(row["ship_by"]) if row["ship_by"] else None,
        ship_by_estimated=bool(row["is_estimated"]),
        carrier=label["carrier"] or row["carrier"] or "",
        service_level=label["service_level"] or row["service_level"] or "",
        tracking_number=label["tracking_number"],
        lines=tuple(
            PrintLine(sku, name, variant, quantity, is_gift, shelf)
            for (sku, name, variant, is_gift, shelf), quantity in sorted(
                quantities.items(), key=lambda entry: (entry[0][3], entry[0][0], entry[0][2])
            )
        ),
        buyer_note=row["buyer_note"] or "",
        seller_note=row["seller_note"] or "",
        recipient_name=row["name"],
        recipient_city_state=", ".join(part for part in (row["city"], row["state"]) if part) or None,
        is_gift=any(unit["is_gift"] for unit in units),
        label_sha256=label["sha256"],
    )


def _write_labels(
    store: Store, report: Report, folder: Path, batch_id: int, items: Sequence[PrintItem], run_id: int | None
) -> tuple[list[PrintedPosition], int]:
    """Merge the labels; return the positions, numbered without gaps, and how many could not be merged."""
    from tiktok_erp.labels.merge import LabelPages, merge_labels

    files = LabelFiles(store.path)
    good: list[PrintItem] = []
    failed = 0
    for item in items:
        try:
            files.load(item.label_sha256 or "")
            good.append(item)
        except LabelFileError as error:
            failed += _quarantine(store, report, item, error, run_id)
    while good:
        sources = [
            LabelPages(
                files.path_of(item.label_sha256 or ""), stamp=position_text(batch_id, number), subject=item.package_id
            )
            for number, item in enumerate(good, start=1)
        ]
        try:
            merged = merge_labels(sources, folder / "labels.pdf")
            broken = {failure.index: failure.error for failure in merged.failed}
        except LabelFileError as error:
            if len(good) > 1:
                raise
            broken = {0: error}
        if not broken:
            if merged.unstamped:
                report.warn(
                    tr(
                        "{count} label pages have no white place for their position: see packages.csv",
                        count=len(merged.unstamped),
                    )
                )
            return [
                PrintedPosition(position_text(batch_id, number), pages, item)
                for number, (item, pages) in enumerate(zip(good, merged.pages_of_source, strict=True), start=1)
            ], failed
        # Positions must have no gaps, so the batch is made again without the broken ones.
        for index, reason in broken.items():
            failed += _quarantine(store, report, good[index], reason, run_id)
        good = [item for index, item in enumerate(good) if index not in broken]
    return [], failed


def _quarantine(store: Store, report: Report, item: PrintItem, error: LabelFileError, run_id: int | None) -> int:
    with store.transaction():
        is_new = open_case(
            store,
            cause=error.cause,
            detail=error.what,
            next_step=error.next_step,
            package_id=item.package_id,
            order_id=item.order_ids[0],
            run_id=run_id,
        )
    report.item(_failed(item.package_id, error, is_new=is_new))
    return int(is_new)


def _failed(package_id: str, error: ErpError, *, is_new: bool) -> Outcome:
    return Outcome(
        "package",
        {"package_id": package_id},
        "failed",
        cause=error.cause,
        next_step=error.next_step,
        text=f"{package_id}: {error.what}",
        is_new=is_new,
    )


def _write_papers(
    rules: Rules,
    report: Report,
    folder: Path,
    batch_id: int,
    positions: Sequence[PrintedPosition],
    *,
    pick_list: bool,
    packing_slips: bool,
) -> None:
    from tiktok_erp.labels.draw import render_packing_slips, render_pick_list
    from tiktok_erp.labels.fonts import PaperFonts

    _write_packages(folder / "packages.csv", positions)
    fonts = PaperFonts([Path(path) for path in rules.printing.fonts])
    missing: set[str] = set()
    if pick_list:
        now = datetime.now(ZoneInfo(rules.shop.time_zone))
        drawn = render_pick_list(
            positions,
            folder / "pick-list.pdf",
            batch=f"B{batch_id:02d}",
            date_text=now.strftime("%Y-%m-%d %H:%M"),
            language=rules.printing.language,
            fonts=fonts,
        )
        missing |= drawn.missing
    if packing_slips:
        drawn = render_packing_slips(
            positions,
            folder / "packing-slips.pdf",
            language=rules.printing.language,
            shop_name=rules.shop.name,
            fonts=fonts,
        )
        missing |= drawn.missing
    letters = {letter for letter in missing if letter.isalpha()}
    if letters:
        report.warn(
            tr(
                "{count} characters are in no font of this machine and print as ?; install a font such as WenQuanYi Micro Hei"
                " (fonts-wqy-microhei), or name one in printing.fonts",
                count=len(letters),
            )
        )


def _write_packages(path: Path, positions: Sequence[PrintedPosition]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "position",
                "page",
                "package_id",
                "order_id",
                "items",
                "carrier",
                "service_level",
                "tracking_number",
                "ship_by",
            ]
        )
        for place in positions:
            item = place.item
            writer.writerow(
                [
                    place.position,
                    place.pages[0] if place.pages else "",
                    item.package_id,
                    " ".join(item.order_ids),
                    "; ".join(f"{line.sku} x {line.quantity}" for line in item.lines),
                    item.carrier,
                    item.service_level,
                    item.tracking_number or "",
                    item.ship_by.strftime("%Y-%m-%dT%H:%M:%SZ") if item.ship_by else "",
                ]
            )


def _fresh_folder(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StoreError(
            tr("the batch folder cannot be made ({reason})", reason=error.strerror),
            subject=str(folder),
            next_step=tr("check that the disk is not full and that you may write there"),
        ) from error


def _copy_out(batch: Path, out: Path) -> None:
    """Copy a batch's files to `out`, each of them whole or not at all."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for source in sorted(batch.iterdir()):
            fresh = out / f".{source.name}.new"
            fresh.unlink(missing_ok=True)
            # Names and addresses: nobody else on this machine needs to read them.
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as target, source.open("rb") as pages:
                shutil.copyfileobj(pages, target)
            fresh.replace(out / source.name)
    except OSError as error:
        raise StoreError(
            tr("the batch cannot be copied ({reason}); it is whole in {folder}", reason=error.strerror, folder=batch),
            subject=str(out),
            next_step=tr("name another folder with --out and run this again"),
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
