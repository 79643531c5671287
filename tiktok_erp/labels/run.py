"""Buy what is due, put everything held and not printed yet into one PDF in packing order, and say what is where."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tiktok_erp.errors import ErpError, LabelFileError, StoreError
from tiktok_erp.labels.buy import BuyCount, LabelBuyer, ReadBack, next_step_for
from tiktok_erp.labels.plan import plan_print_order, position_text
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
)
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.quarantine import open_case

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop


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
    """What `print-labels` would buy now. `quoted` is None where nothing was quoted: the price is unknown until bought."""

    due: tuple[sqlite3.Row, ...]
    skipped: tuple[sqlite3.Row, ...]
    own: tuple[sqlite3.Row, ...]
    cap_after: int
    quoted: Money | None


def plan_purchases(
    store: Store,
    rules: Rules,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    quote: Callable[[str], tuple[int | None, str | None]] | None,
) -> PurchasePlan:
    """Return what would be bought, in which order, and after how many the cap is reached for certain."""
    rows = load_candidates(store, only=only)
    bought = [row for row in rows if row["shipping_type"] == "TIKTOK"]
    due = [row for row in bought if row["obstacle"] is None][:limit]
    cap = max_cost or rules.spending.max_cost_per_run
    quoted: Money | None = None
    if quote is not None and due:
        prices = [quote(row["channel_order_id"]) for row in due]
        if all(price is not None and currency == cap.currency for price, currency in prices):
            quoted = Money(sum(price for price, currency in prices if price is not None), cap.currency)
    return PurchasePlan(
        tuple(due),
        tuple(row for row in bought if row["obstacle"] is not None),
        tuple(row for row in rows if row["shipping_type"] != "TIKTOK" and row["obstacle"] is None),
        cap.minor // max(1, rules.spending.max_cost_per_label.minor),
        quoted,
    )


def buy_labels(
    store: Store,
    shop: TikTokShop,
    rules: Rules,
    report: Report,
    read_back: ReadBack,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    run_id: int | None,
) -> BuyCount:
    """Buy every label that is due from the channel; see `labels/buy.py`."""
    buyer = LabelBuyer(store, shop, rules, report, read_back, run_id=run_id, max_cost=max_cost)
    try:
        buyer.buy(only=only, limit=limit)
    except ErpError as error:
        if buyer.count.bought + buyer.count.failed == 0:
            raise
        report.warn(tr("stopped after {count} labels: {reason}", count=buyer.count.bought, reason=error.what))
        buyer.count.stopped = error
    return buyer.count


def reconcile_labels(
    store: Store, shop: TikTokShop, rules: Rules, report: Report, read_back: ReadBack, *, run_id: int | None
) -> BuyCount:
    """Settle every purchase that was sent and has no end yet."""
    buyer = LabelBuyer(store, shop, rules, report, read_back, run_id=run_id)
    buyer.reconcile()
    return buyer.count


def list_own_labels(store: Store, report: Report, *, only: Sequence[str] | None, seller_shipping: str) -> int:
    """Tell which packages wait for a label of the seller's own; return how many."""
    rows = [
        row for row in load_candidates(store, only=only) if row["shipping_type"] != "TIKTOK" and not row["obstacle"]
    ]
    step = tr(
        "buy the labels elsewhere and run `tiktok-erp print-labels --from FILE` with the tracking list or the PDFs"
    )
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
    if seller_shipping == "easypost" and rows:
        report.warn(tr("labels.seller_shipping: easypost is not available in this version; `file` is used"))
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
