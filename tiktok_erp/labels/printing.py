"""Put everything held and not printed yet into one batch in packing order, and say what is where. Prints held labels again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tiktok_erp.errors import ErpError, LabelFileError, StoreError, UsageError
from tiktok_erp.labels.copies import copy_batch, copy_rest, is_free
from tiktok_erp.labels.lists import (
    label_pages,
    write_bag_list,
    write_header_pages,
    write_manifests,
    write_packages,
)
from tiktok_erp.labels.plan import (
    next_step_for,
    plan_print_order,
    plan_runs,
    position_text,
    read_position,
    step_of_moved,
)
from tiktok_erp.labels.spool import JOB_SIZE, Spool, SpoolCount, batch_file, batches_folder, why_held_back
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine, PulledPackage
from tiktok_erp.model.rule import Rules
from tiktok_erp.printers.base import VIEWER, Printer
from tiktok_erp.private_files import write_private
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import load_live, load_print_facts
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.print_jobs import (
    claim,
    close_jobs,
    drop_planned,
    load_batch,
    load_job_labels,
    load_placed,
    load_pulls,
    load_to_copy,
    load_to_print,
    mark_printed,
    plan_jobs,
    release,
    save_batch,
    save_copied,
)
from tiktok_erp.store.quarantine import open_case

# Longer than the longest batch takes to write; after that a crashed station's packages are anybody's.
_CLAIM_FOR = timedelta(minutes=15)
_NO_STATION = "-"


@dataclass(frozen=True, slots=True)
class PrintOptions:
    """What is wanted besides the labels. `files_of` 0: one file; `paper` None: each label at its own size.

    `confirm` asks a person whether what a viewer shows is on paper. `on_request`: labels that were bought elsewhere, which
    are in no other batch.
    """

    out: Path
    pick_list: bool = True
    packing_slips: bool = True
    files_of: int = 0
    paper: str | None = None
    station: str | None = None
    printers: tuple[Printer, ...] = ()
    confirm: Callable[[str], bool] = lambda range_: False
    on_request: bool = False


@dataclass(slots=True)
class PrintCount:
    """What one batch holds; `directory` is None when there was nothing to print.

    `on_paper` counts what printers reported as printed, `doubtful` jobs that a person has to look at, `opened` those that
    a viewer shows, and `confirmed` the labels that a person says are on paper.
    """

    printed: int = 0
    pages: int = 0
    held_back: int = 0
    failed: int = 0
    on_paper: int = 0
    doubtful: int = 0
    opened: int = 0
    confirmed: int = 0
    directory: Path | None = None
    files: tuple[Path, ...] = ()
    not_copied: StoreError | None = None  # why the files are nowhere but in `directory`

    def add(self, spooled: SpoolCount) -> None:
        """Count what printers did."""
        self.on_paper, self.doubtful, self.opened = spooled.printed, spooled.doubtful, spooled.opened
        self.held_back += spooled.held_back


def print_batch(
    store: Store,
    rules: Rules,
    report: Report,
    options: PrintOptions,
    *,
    only: Sequence[str] | None,
    run_id: int | None,
) -> PrintCount:
    """Write every held label that was never printed into one PDF in packing order, with its lists beside it.

    The batch directory appears whole, then its labels count as printed, and last `out` gets copies: a run that ends before
    the second step makes a batch anew, one that ends before the third leaves the copies to the next run. With printers
    labels count once a printer reported them. An `out` that cannot hold the copies stops nothing: see `not_copied`.
    """
    count = PrintCount()
    _copy_left(store, report, options)
    spool = _spool(store, report, options, run_id, options.station)
    if spool is not None:
        spool.settle()
        spool.run()
    else:
        # Whoever asks for a PDF now does not wait for a printer any more.
        with store.transaction():
            drop_planned(store, options.station)
    batch_id, rows, items = _collect(store, report, count, only, options)
    if items:
        _make_batch(store, rules, report, options, count, batch_id, rows, items, run_id)
    with store.transaction():
        release(store, options.station or _NO_STATION)
    if spool is not None:
        try:
            spool.run()
        finally:
            count.add(spool.count)
    return count


def resume_from(
    store: Store, rules: Rules, report: Report, options: PrintOptions, position: str, *, run_id: int | None
) -> PrintCount:
    """Print a batch again from one position on; what is before it is on paper, as somebody who looked at it says.

    The position after the last one says that all of it is.
    """
    try:
        batch_id, place = read_position(position)
    except ValueError as error:
        raise UsageError(
            tr("{text} is no position", text=position),
            subject="--resume-from",
            next_step=tr("write it as it stands on the label: B07-063"),
        ) from error
    batch = load_batch(store, batch_id)
    if batch is None or not batch["last"] or place > batch["last"] + 1:
        raise UsageError(
            tr("there is no label {position}", position=position),
            subject="--resume-from",
            next_step=tr("run `tiktok-erp labels list`: it shows the positions"),
        )
    count = PrintCount(directory=batch_file(store, batch).parent)
    with store.transaction():
        close_jobs(store, batch_id)
        count.confirmed = mark_printed(store, batch_id, 1, place - 1, is_on_paper=True)
        if options.printers:
            plan_jobs(store, batch_id, place, int(batch["last"]), _job_size(options))
    if options.printers:
        spool = _spool(store, report, options, run_id, batch["station"])
        if spool is not None:
            try:
                spool.run()
            finally:
                count.add(spool.count)
        return count
    rows = load_job_labels(store, batch_id, place, int(batch["last"]))
    good = [row for row in rows if why_held_back(row) is None]
    count.held_back = len(rows) - len(good)
    pages = label_pages(batch_file(store, batch).parent, good)
    folder = batch_file(store, batch).parent
    if pages:
        count.files = copy_rest(folder, options.out, pages, report, paper=options.paper, place=place)
    left_out = [row["label_id"] for row in rows if row not in good]
    with store.transaction():
        mark_printed(store, batch_id, place, int(batch["last"]), without=left_out, is_on_paper=False)
    count.printed, count.pages = len(good), _count_sheets(count.files)
    return count


def reprint(
    store: Store, rules: Rules, report: Report, package_ids: Sequence[str], options: PrintOptions
) -> PrintCount:
    """Write the held labels of these packages, in packing order, to `reprint.pdf`. Nothing is bought.

    With a printer they go there too; nothing is counted as printed anew.
    """
    from tiktok_erp.labels.merge import LabelPages, merge_labels
    from tiktok_erp.labels.paper import MEDIA, take_pages

    count = PrintCount()
    files = LabelFiles(store.path)
    held: dict[str, sqlite3.Row] = {}
    for package_id in package_ids:
        label = load_live(store, package_id)
        if label is None or label["state"] != "bought" or label["sha256"] is None or label["void_sent_at"]:
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
    items = sorted(
        plan_print_order(load_items(store, list(held.values()))), key=lambda item: _old_place(held[item.package_id])
    )
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
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "reprint.pdf"
    merged = merge_labels(sources, target)
    for failure in merged.failed:
        count.failed += 1
        report.item(_failed(packages[failure.index], failure.error, is_new=True))
    for package_id, pages in zip(packages, merged.pages_of_source, strict=True):
        if pages:
            count.printed += 1
            fields = {"pages": list(pages), "is_reprint": True}
            report.item(Outcome("package", {"package_id": package_id}, "done", fields=fields))
    count.directory = options.out
    if options.paper is not None:
        pdf = take_pages(target, range(merged.pages), options.paper)
        write_private(target, pdf)
    count.pages = _count_sheets((target,))
    for printer in options.printers[:1]:
        printer.send(target.read_bytes(), title="tiktok-erp reprint", media=MEDIA[options.paper or "4x6"])
    return count


def list_pulls(store: Store) -> list[PulledPackage]:
    """Return the packages to pull out of what is labelled: cancelled, asked to be, or moved since the label."""
    return [
        PulledPackage(
            row["package_id"],
            position_text(row["batch_id"], row["position"]) if row["batch_id"] and row["position"] else None,
            row["order_id"],
            row["cause"],
            row["items"] or "",
            row["tracking_number"],
        )
        for row in load_pulls(store)
    ]


def _spool(
    store: Store, report: Report, options: PrintOptions, run_id: int | None, station: str | None
) -> Spool | None:
    if not options.printers:
        return None
    return Spool(
        store,
        options.printers,
        report,
        paper=options.paper,
        station=station,
        run_id=run_id,
        confirm=options.confirm,
    )


def _job_size(options: PrintOptions) -> int:
    """A person who prints from a viewer wants one window, not one for every hundred labels."""
    return sys.maxsize if all(printer.name == VIEWER for printer in options.printers) else JOB_SIZE


def _make_batch(
    store: Store,
    rules: Rules,
    report: Report,
    options: PrintOptions,
    count: PrintCount,
    batch_id: int,
    rows: Sequence[sqlite3.Row],
    items: Sequence[PrintItem],
    run_id: int | None,
) -> None:
    base = batches_folder(store)
    final = base / f"B{batch_id:02d}"
    part = base / f".B{batch_id:02d}.part"
    fresh_folder(part)
    try:
        positions, failed = _write_labels(store, rules, report, part, batch_id, items, run_id)
        count.failed += failed
        if not positions:
            shutil.rmtree(part)
            return
        write_papers(store, rules, report, part, batch_id, positions, options)
        part.rename(final)
        _sync_folder(base)
    except OSError as error:
        raise _no_folder(part, error) from error
    label_ids = {row["package_id"]: int(row["label_id"]) for row in rows}
    with store.transaction():
        save_batch(
            store,
            batch_id,
            str(final.relative_to(store.path.parent)),
            [
                (label_ids[place.item.package_id], number, place.pages[0])
                for number, place in enumerate(positions, start=1)
            ],
            station=options.station,
            is_printed=not options.printers,
            run_id=run_id,
            at=utc_now(),
        )
        if options.printers:
            plan_jobs(store, batch_id, 1, len(positions), options.files_of or _job_size(options))
    count.printed = len(positions)
    count.directory = final
    try:
        count.files = _copy_newest(store, batch_id, final, report, options)
    except StoreError as error:
        count.not_copied, count.files = error, (final / "labels.pdf",)
    count.pages = _count_sheets(count.files)


def _copy_newest(store: Store, batch_id: int, folder: Path, report: Report, options: PrintOptions) -> tuple[Path, ...]:
    """Copy a batch to `out`, and write down that this is done."""
    pages = [label.page + label.pages - 1 for label in load_placed(store, batch_id) if label.page is not None]
    files: tuple[Path, ...] = ()
    if pages and (folder / "labels.pdf").is_file():
        files = copy_batch(
            folder, options.out, pages, report, paper=options.paper, files_of=options.files_of, is_newest=True
        )
    with store.transaction():
        save_copied(store, batch_id)
    return files


def _copy_left(store: Store, report: Report, options: PrintOptions) -> None:
    """Copy the batches that an earlier run made and did not copy: it was killed, or the folder was full."""
    for batch in load_to_copy(store):
        if batch["station"] != options.station:
            continue  # that place may be at it just now
        try:
            _copy_newest(store, int(batch["batch_id"]), batch_file(store, batch).parent, report, options)
        except StoreError as error:
            report.warn(f"{error.what}: {error.next_step}")
            return


def _collect(
    store: Store, report: Report, count: PrintCount, only: Sequence[str] | None, options: PrintOptions
) -> tuple[int, list[sqlite3.Row], tuple[PrintItem, ...]]:
    """Choose what to print and claim it, in one transaction, so that no other station prints it too."""
    with store.transaction():
        rows = []
        held_back = []
        for row in load_to_print(store, only=only, on_request=options.on_request):
            cause = row["stop"] or why_held_back(row)
            if cause is None:
                rows.append(row)
            else:
                held_back.append((row, cause))
        items = plan_print_order(load_items(store, rows))
        batch_id, free = claim(
            store,
            [item.package_id for item in items],
            options.station or _NO_STATION,
            utc_now() + _CLAIM_FOR,
            is_free=lambda number: is_free(batches_folder(store), options.out, number),
        )
        # A station leaves the rest to the others.
        wanted = set(free[: options.files_of or JOB_SIZE] if options.station is not None else free)
        store.execute_many(
            "DELETE FROM claims WHERE package_id = ?",
            [(package_id,) for package_id in free if package_id not in wanted],
        )
    for row, cause in held_back:
        count.held_back += 1
        if row["stop"] or cause in ("barcode_contradiction", "other_address"):
            step = tr("look at `tiktok-erp quarantine`")
        elif cause == "address_changed":
            step = step_of_moved(row["package_id"], row["source"])
        elif cause == "order_cancelled" and row["orders_left"]:
            step = tr(
                "the other orders of this parcel still have to leave: `tiktok-erp labels reprint {package}` prints its label;"
                " leave out what was cancelled",
                package=row["package_id"],
            )
        else:
            step = next_step_for(cause)
        report.item(Outcome("package", {"package_id": row["package_id"]}, "skipped", cause=cause, next_step=step))
    chosen = tuple(item for item in items if item.package_id in wanted)
    return batch_id, [row for row in rows if row["package_id"] in wanted], chosen


def load_items(store: Store, labels: Sequence[sqlite3.Row]) -> list[PrintItem]:
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
        print_note=row["print_note"] or "",
        recipient_name=row["name"],
        recipient_city_state=", ".join(part for part in (row["city"], row["state"]) if part) or None,
        is_gift=any(unit["is_gift"] for unit in units),
        label_sha256=label["sha256"],
        buyer=row["buyer_id"] or row["name"],
    )


def _old_place(label: sqlite3.Row) -> tuple[bool, int, int]:
    """Labels of one batch come in the order that they had there."""
    return label["batch_id"] is None, label["batch_id"] or 0, label["position"] or 0


def _write_labels(
    store: Store,
    rules: Rules,
    report: Report,
    folder: Path,
    batch_id: int,
    items: Sequence[PrintItem],
    run_id: int | None,
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
        headers = _headers(rules, batch_id, good)
        sources: list[LabelPages] = []
        of_item: list[int] = []
        for number, item in enumerate(good, start=1):
            if number in headers:
                sources.append(LabelPages(headers[number], subject=position_text(batch_id, number)))
            of_item.append(len(sources))
            path = files.path_of(item.label_sha256 or "")
            sources.append(LabelPages(path, stamp=position_text(batch_id, number), subject=item.package_id))
        try:
            merged = merge_labels(sources, folder / "labels.pdf")
            broken = {of_item.index(failure.index): failure.error for failure in merged.failed}
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
            write_header_pages(
                folder, {number: merged.pages_of_source[of_item[number - 1] - 1][0] for number in headers}
            )
            return [
                PrintedPosition(position_text(batch_id, number), merged.pages_of_source[of_item[number - 1]], item)
                for number, item in enumerate(good, start=1)
            ], failed
        # Positions must have no gaps, so the batch is made again without the broken ones.
        for index, reason in broken.items():
            failed += _quarantine(store, report, good[index], reason, run_id)
        good = [item for index, item in enumerate(good) if index not in broken]
    return [], failed


def _headers(rules: Rules, batch_id: int, items: Sequence[PrintItem]) -> dict[int, bytes]:
    """Return by place the page that goes before a run of packages that are packed alike."""
    if not rules.printing.header_pages:
        return {}
    from tiktok_erp.labels.draw import render_run_header
    from tiktok_erp.labels.fonts import PaperFonts

    fonts = PaperFonts([Path(path) for path in rules.printing.fonts])
    zone = ZoneInfo(rules.shop.time_zone)
    return {
        first: render_run_header(
            items[first - 1 : last],
            positions=f"{position_text(batch_id, first)} - {last:03d}",
            zone=zone,
            language=rules.printing.language,
            fonts=fonts,
        )
        for first, last in plan_runs(items)
        if last > first
    }


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


def write_papers(
    store: Store,
    rules: Rules,
    report: Report,
    folder: Path,
    batch_id: int,
    positions: Sequence[PrintedPosition],
    options: PrintOptions,
) -> None:
    from tiktok_erp.labels.draw import render_packing_slips, render_pick_list
    from tiktok_erp.labels.fonts import PaperFonts

    write_packages(folder / "packages.csv", positions)
    write_manifests(folder, positions)
    write_bag_list(folder / "bags.csv", positions)
    fonts = PaperFonts([Path(path) for path in rules.printing.fonts])
    missing: set[str] = set()
    if options.pick_list:
        now = datetime.now(ZoneInfo(rules.shop.time_zone))
        drawn = render_pick_list(
            positions,
            folder / "pick-list.pdf",
            batch=f"B{batch_id:02d}",
            date_text=now.strftime("%Y-%m-%d %H:%M"),
            language=rules.printing.language,
            paper="a4" if options.paper in ("a4", "a6") else "letter",
            pulls=list_pulls(store),
            fonts=fonts,
        )
        missing |= drawn.missing
    if options.packing_slips:
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


def fresh_folder(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _no_folder(folder, error) from error


def _no_folder(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        tr("the batch folder cannot be made ({reason})", reason=error.strerror),
        subject=str(folder),
        next_step=tr("check that the disk is not full and that you may write there"),
    )


def _count_sheets(files: Sequence[Path]) -> int:
    from tiktok_erp.labels.merge import count_pages

    return sum(count_pages(path) for path in files)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
