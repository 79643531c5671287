"""Write the kit for the hour when nothing works: who does what, the paper for it, and one page that says how things stand."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tiktok_erp.errors import LabelFileError
from tiktok_erp.handover import pages
from tiktok_erp.handover.kit import INCOMING, KitWriter
from tiktok_erp.handover.list_file import write_list
from tiktok_erp.handover.plan import (
    BUY,
    BUY_ELSEWHERE,
    DONE,
    LOOK,
    PACK,
    PRINT,
    STOP,
    WAIT,
    WORK,
    OrderFacts,
    PackageFacts,
    plan_people,
    plan_step,
    urgency,
)
from tiktok_erp.labels.plan import position_text
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import csv_cell, file_text
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.handwork import load_addresses, load_batches, load_sellable, load_slips, load_work
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.runs import load_as_of

TRACKING_FILE = "seller-center/tracking-upload.xlsx"
TRACKING_TEMPLATE = "seller-center/tracking-template.xlsx"  # as it was downloaded, for the next kits
STOCK_FILE = "seller-center/stock-update.xlsx"
# Small enough for a printer, and so that a new label makes one file anew and not all.
_PAGES_A_FILE = 100
_FEWEST_PAGES = 20
_A_FEW = 5
_BEGINS_EVERY = 50
_STOCK = ("sku", "warehouse", "on_hand", "reserved", "safety_stock", "available_to_sell")


@dataclass(frozen=True, slots=True)
class Work:
    """One package as people see it: what to do with it, and where its label is."""

    item: PrintItem
    step: str
    why: str
    orders: tuple[OrderFacts, ...]
    place: str  # the position stamped on its printed label; else the package id, which the kit's own label carries
    batch_id: int | None
    tells: str  # `file`: its number is in the tracking file; `told`: the channel knows it; empty: no number yet
    pages: int


@dataclass(slots=True)
class KitCount:
    """What a kit holds, by step."""

    steps: Counter[str] = field(default_factory=Counter)
    urgency: Counter[str] = field(default_factory=Counter)
    told: int = 0
    to_tell: int = 0
    missing_labels: int = 0


def load_kit_work(store: Store, rules: Rules, now: datetime) -> list[Work]:
    """Return every package that is somebody's work, or must not leave, or is done today."""
    rows = load_work(store, now)
    ids = [row["package_id"] for row in rows]
    slips = load_slips(store, ids)
    units: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for unit in load_package_units(store, ids):
        units[unit["package_id"]].append(unit)
    return [_work(row, units[row["package_id"]], slips[row["package_id"]], now, rules) for row in rows]


def _has_unwritable(row: pages.ListRow) -> bool:
    texts = (row.place, row.numbers, row.items, row.carrier, row.tracking_number)
    return any(file_text(text) != text for text in texts)


def write_kit(
    store: Store, rules: Rules, report: Report, kit: KitWriter, *, people: int, now: datetime | None = None
) -> KitCount:
    """Write everything but Seller Center's templates, which their own stages fill."""
    now = now or utc_now()
    everything = load_kit_work(store, rules, now)
    by_id = {work.item.package_id: work for work in everything}
    todo = [work for work in everything if work.step in WORK]
    before = {}
    if kit.before is not None and kit.before.people == people:
        before = {package_id: int(told.get("person") or 0) for package_id, told in kit.before.packages.items()}
    shares = plan_people([work.item for work in todo], people, before)
    person_of = {item.package_id: person for person, items in shares.items() for item in items}
    count = KitCount()
    for work in everything:
        count.steps[work.step] += 1
        count.told += work.tells == "told"
        count.to_tell += work.tells == "file"
        if work.step in WORK:
            count.urgency[urgency(work.item.ship_by, now)] += 1
    labels: dict[str, str] = {}
    for person, items in shares.items():
        mine = [by_id[item.package_id] for item in items]
        labels |= _write_paper(store, rules, kit, f"person-{person}", mine, count)
        report.progress(tr("people"), person, people)
    labels |= _write_printed(store, kit, todo)
    labels |= {
        work.item.package_id: tr("bought elsewhere: you have it")
        for work in todo
        if work.step == PACK and work.item.label_sha256 is None
    }
    as_of = _as_of(store)
    replaced: list[str] = []
    for person, items in shares.items():
        rows = [_list_row(by_id[item.package_id], labels, rules, now) for item in items]
        name = f"person-{person}/list.xlsx"
        kit.drawn(name, (rows, person), lambda path, rows=rows, person=person: write_list(path, person, rows))  # type: ignore[misc]
        kit.text(f"person-{person}/list.html", pages.render_list(person, rows, now, rules.shop.zone))
        replaced += [row.package_id for row in rows if _has_unwritable(row)]
    if replaced:
        report.warn(
            tr(
                "{count} parcels have characters that no file can hold ({packages}): they stand as � in the kit; look at"
                " `tiktok-erp orders show ID`",
                count=len(replaced),
                packages=", ".join(replaced[:_A_FEW]) + (", ..." if len(replaced) > _A_FEW else ""),
            )
        )
    _write_tables(store, rules, kit, everything, person_of, labels, now)
    view = pages.View(
        shop=rules.shop.name,
        zone=rules.shop.zone,
        made_at=now,
        as_of=as_of,
        steps=dict(count.steps),
        urgency=dict(count.urgency),
        to_tell=count.to_tell,
        told=count.told,
        people={person: len(items) for person, items in shares.items()},
        rows=tuple(
            pages.Row(
                package_id=work.item.package_id,
                place=work.place,
                numbers=work.item.channel_order_ids,
                step=work.step,
                why=work.why,
                ship_by=work.item.ship_by,
                is_estimated=work.item.ship_by_estimated,
                urgency=urgency(work.item.ship_by, now),
                items=_items_text(work.item),
                carrier=work.item.carrier,
                tracking_number=work.item.tracking_number or "",
                person=person_of.get(work.item.package_id, 0),
                label=labels.get(work.item.package_id, ""),
            )
            for work in sorted(everything, key=_by_deadline)
            if work.step != DONE
        ),
    )
    kit.text("START-HERE.html", pages.render_phone_page(view))
    kit.text("SUMMARY.txt", pages.render_summary(view))
    kit.text("scans.txt", pages.scans_head())
    kit.text(f"{INCOMING}/READ-ME.txt", pages.incoming_note())
    kit.seal(
        made_at=to_text(now),
        people=people,
        packages={
            work.item.package_id: {
                "step": work.step,
                "person": person_of.get(work.item.package_id, 0),
                "orders": {order.order_id: order.status for order in work.orders},
                "number": work.item.tracking_number or "",
            }
            for work in everything
        },
    )
    return count


# Reading


def _work(row: sqlite3.Row, units: Sequence[sqlite3.Row], slip: sqlite3.Row, now: datetime, rules: Rules) -> Work:
    entries = sorted(json.loads(row["orders"]), key=lambda entry: str(entry["order_id"]))
    orders = tuple(
        OrderFacts(
            order_id=entry["order_id"],
            number=entry["number"],
            state=entry["state"],
            status=entry["status"],
            held_until=_moment(entry["held_until"]),
            asks_to_cancel=bool(entry["asks"]),
            shipping_type=entry["shipping"],
            fulfillment_type=entry["fulfillment"],
            uploaded_at=_moment(entry["uploaded_at"]),
            is_moved=bool(entry["is_moved"]),
        )
        for entry in entries
    )
    step, why = plan_step(_facts(row, orders, rules), now)
    item = _item(row, entries, units, slip)
    is_printed = row["batch_id"] is not None
    tells = ""
    if row["label_state"] == "bought" and row["tracking_number"]:
        tells = "told" if all(order.uploaded_at for order in orders) else "file"
    return Work(
        item=item,
        step=step,
        why=why,
        orders=orders,
        place=position_text(row["batch_id"], row["position"]) if is_printed else row["package_id"],
        batch_id=row["batch_id"],
        tells=tells,
        pages=row["pages"] or 1,
    )


def _facts(row: sqlite3.Row, orders: tuple[OrderFacts, ...], rules: Rules) -> PackageFacts:
    return PackageFacts(
        orders=orders,
        is_cancelled=row["cancelled_at"] is not None,
        is_moving=row["scanned_at"] is not None or row["delivered_at"] is not None,
        is_packed=row["packed_at"] is not None,
        wait_until=_moment(row["wait_until"]),
        hold_because=row["hold_because"],
        is_held_by_seller=bool(row["is_held_by_seller"]),
        is_short=bool(row["is_short"]),
        quarantine_cause=row["quarantine_cause"],
        label_state=row["label_state"],
        label_source=row["label_source"],
        has_document=row["sha256"] is not None,
        is_printed=row["printed_at"] is not None,
        is_being_voided=row["void_sent_at"] is not None,
        address_check=row["address_check"],
        barcode=row["barcode"],
        is_taken=row["carrier"] is None or rules.takes_own_label("tiktok", row["carrier"]),
    )


def _item(
    row: sqlite3.Row, entries: Sequence[Mapping[str, object]], units: Sequence[sqlite3.Row], slip: sqlite3.Row
) -> PrintItem:
    pieces: Counter[tuple[str, str, str, bool, str | None]] = Counter()
    for unit in units:
        name = unit["sku_name"] or unit["product_name"] or unit["sku"]
        pieces[unit["sku"], name, unit["variant_name"] or "", bool(unit["is_gift"]), unit["shelf"]] += 1
    deadlines = sorted((str(entry["ship_by"]), entry["source"] == "rules") for entry in entries if entry["ship_by"])
    return PrintItem(
        package_id=row["package_id"],
        order_ids=tuple(str(entry["order_id"]) for entry in entries),
        channel_order_ids=tuple(str(entry["number"]) for entry in entries),
        ship_by=from_text(deadlines[0][0]) if deadlines else None,
        ship_by_estimated=deadlines[0][1] if deadlines else False,
        carrier=row["label_carrier"] or row["carrier"] or "",
        service_level=row["label_service"] or row["service_level"] or "",
        tracking_number=row["tracking_number"],
        lines=tuple(
            PrintLine(sku, name, variant, quantity, is_gift, shelf)
            for (sku, name, variant, is_gift, shelf), quantity in sorted(
                pieces.items(), key=lambda entry: (entry[0][3], entry[0][0], entry[0][2])
            )
        ),
        buyer_note=slip["buyer_note"] or "",
        seller_note=row["print_note"] or "",
        recipient_name=slip["name"],
        recipient_city_state=", ".join(part for part in (slip["city"], slip["state"]) if part) or None,
        is_gift=any(unit["is_gift"] for unit in units),
        label_sha256=row["sha256"],
    )


def _moment(text: str | None) -> datetime | None:
    return from_text(text) if text else None


def _as_of(store: Store) -> datetime | None:
    known = [load_as_of(store, "tiktok", resource) for resource in ("orders", "orders_file")]
    return max((moment for moment in known if moment is not None), default=None)


# Paper


def _write_paper(
    store: Store, rules: Rules, kit: KitWriter, folder: str, mine: Sequence[Work], count: KitCount
) -> dict[str, str]:
    """Write one person's labels, slips and pick list; return, by package, where its label is."""
    where = _write_labels(store, kit, folder, [work for work in mine if work.step == PRINT], count)
    fresh = [work for work in mine if work.step != PACK]  # the slips of printed labels are in their batch
    if not mine:
        return where
    from tiktok_erp.labels.draw import render_packing_slips, render_pick_list
    from tiktok_erp.labels.fonts import PaperFonts

    language, fonts = rules.printing.language, [Path(path) for path in rules.printing.fonts]
    for number, part in enumerate(_parts(fresh), start=1):
        positions = [PrintedPosition(work.place, (), work.item) for work in part]
        kit.drawn(
            f"{folder}/packing-slips-{number:02d}.pdf",
            (positions, language, fonts),
            lambda path, positions=positions: render_packing_slips(  # type: ignore[misc]
                positions, path, language=language, shop_name=rules.shop.name, fonts=PaperFonts(fonts)
            ),
        )
    positions = [PrintedPosition(work.place, (), work.item) for work in mine]
    now = datetime.now(rules.shop.zone)
    kit.drawn(
        f"{folder}/pick-list.pdf",
        (positions, language, fonts),
        lambda path: render_pick_list(
            positions,
            path,
            batch=folder,
            date_text=now.strftime("%Y-%m-%d %H:%M"),
            language=language,
            fonts=PaperFonts(fonts),
        ),
    )
    return where


def _write_labels(
    store: Store, kit: KitWriter, folder: str, labelled: Sequence[Work], count: KitCount
) -> dict[str, str]:
    """Write the labels that are not on paper, each stamped with its package id, into files of a hundred."""
    from tiktok_erp.labels.merge import LabelPages, merge_labels

    files = LabelFiles(store.path)
    where: dict[str, str] = {}
    good = []
    for work in labelled:
        try:
            files.load(work.item.label_sha256 or "")
            good.append(work)
        except LabelFileError:
            count.missing_labels += 1
            where[work.item.package_id] = tr("the file is missing: print it from Seller Center")
    for number, part in enumerate(_parts(good), start=1):
        name = f"{folder}/labels-{number:02d}.pdf"
        sources = [
            LabelPages(
                files.path_of(work.item.label_sha256 or ""), stamp=work.item.package_id, subject=work.item.package_id
            )
            for work in part
        ]
        kit.drawn(
            name,
            [(work.item.package_id, work.item.label_sha256) for work in part],
            lambda path, sources=sources: merge_labels(sources, path),  # type: ignore[misc]
        )
        page = 1
        for work in part:
            where[work.item.package_id] = tr("{file}, page {page}", file=name, page=page)
            page += work.pages
    return where


def _write_printed(store: Store, kit: KitWriter, todo: Sequence[Work]) -> dict[str, str]:
    """Copy the batches whose packages are not all packed: the labels are on paper, and may be needed once more."""
    printed = [work for work in todo if work.step == PACK and work.batch_id is not None]
    batches = load_batches(store, sorted({work.batch_id for work in printed if work.batch_id is not None}))
    page_of = {
        row["package_id"]: row["page"]
        for directory in batches.values()
        for row in _rows_of(store.path.parent / directory / "packages.csv")
    }
    where = {
        work.item.package_id: tr(
            "printed; printed/B{batch}-labels.pdf, page {page}",
            batch=f"{work.batch_id:02d}",
            page=page_of.get(work.item.package_id, "?"),
        )
        for work in printed
    }
    for batch_id, directory in batches.items():
        for name in ("labels", "packing-slips"):
            source = store.path.parent / directory / f"{name}.pdf"
            if source.is_file():
                status = source.stat()
                kit.drawn(
                    f"printed/B{batch_id:02d}-{name}.pdf",
                    (directory, status.st_size, status.st_mtime_ns),
                    lambda path, source=source: path.write_bytes(source.read_bytes()),  # type: ignore[misc]
                )
    return where


def _rows_of(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:  # the batch was moved or deleted; its labels are on paper all the same
        return []


def _parts(works: Sequence[Work]) -> list[Sequence[Work]]:
    """Cut into runs of at most a hundred pages.

    Certain packages begin a run wherever they stand, so that one that comes or goes leaves the other files as they were.
    """
    parts: list[list[Work]] = []
    pages_in_last = 0
    for work in works:
        is_full = pages_in_last + work.pages > _PAGES_A_FILE
        begins = pages_in_last >= _FEWEST_PAGES and int(work.item.package_id[1:]) % _BEGINS_EVERY == 0
        if not parts or is_full or begins:
            parts.append([])
            pages_in_last = 0
        parts[-1].append(work)
        pages_in_last += work.pages
    return list(parts)


# Tables


def _list_row(work: Work, labels: Mapping[str, str], rules: Rules, now: datetime) -> pages.ListRow:
    item = work.item
    return pages.ListRow(
        package_id=item.package_id,
        place=work.place,
        numbers=" ".join(item.channel_order_ids),
        ship_by=pages.local(item.ship_by, rules.shop.zone, is_estimated=item.ship_by_estimated),
        urgency=urgency(item.ship_by, now),
        step=work.step,
        items=_items_text(item),
        pieces=item.unit_count,
        carrier=" ".join(part for part in (item.carrier, item.service_level) if part),
        tracking_number=item.tracking_number or "",
        label=labels.get(item.package_id, ""),
        tells=work.tells,
    )


def _write_tables(
    store: Store,
    rules: Rules,
    kit: KitWriter,
    everything: Sequence[Work],
    person_of: Mapping[str, int],
    labels: Mapping[str, str],
    now: datetime,
) -> None:
    zone = rules.shop.zone
    urgent = sorted((work for work in everything if work.step in WORK), key=_by_deadline)
    kit.text(
        "urgent.csv",
        _table(
            ("urgency", "ship_by", "package_id", "orders", "do", "items", "person", "label"),
            (
                (
                    urgency(work.item.ship_by, now),
                    pages.local(work.item.ship_by, zone, is_estimated=work.item.ship_by_estimated),
                    work.item.package_id,
                    " ".join(work.item.channel_order_ids),
                    work.step,
                    _items_text(work.item),
                    person_of[work.item.package_id],
                    labels.get(work.item.package_id, ""),
                )
                for work in urgent
            ),
        ),
    )
    for name, steps in (("seller-center/buy-labels.csv", (BUY, LOOK)), ("not-now.csv", (WAIT, STOP))):
        kit.text(
            name,
            _table(
                ("order", "package_id", "ship_by", "do", "why", "what_to_do", "items"),
                (
                    (
                        order.number,
                        work.item.package_id,
                        pages.local(work.item.ship_by, zone, is_estimated=work.item.ship_by_estimated),
                        work.step,
                        work.why,
                        pages.advice(work.step, work.why),
                        _items_text(work.item),
                    )
                    for work in sorted(everything, key=_by_deadline)
                    if work.step in steps
                    for order in work.orders
                ),
            ),
        )
    _write_addresses(store, kit, [work for work in urgent if work.step == BUY_ELSEWHERE])
    kit.text(
        "stock.csv",
        _table(
            _STOCK,
            (tuple(row[name] for name in _STOCK) for row in load_sellable(store)),
        ),
    )


def _write_addresses(store: Store, kit: KitWriter, works: Sequence[Work]) -> None:
    """Write the addresses that somebody must type to buy a label; the only file of the kit that has whole ones."""
    addresses = load_addresses(store, [work.item.package_id for work in works])
    fields = ("name", "phone", "street1", "street2", "city", "state", "zip", "country")
    rows = []
    for work in works:
        address = addresses.get(work.item.package_id)
        is_known = address is not None and not address["is_masked"]
        rows.append(
            (
                work.item.package_id,
                " ".join(work.item.channel_order_ids),
                work.item.carrier,
                work.item.service_level,
                *((address[name] or "" for name in fields) if address is not None and is_known else [""] * len(fields)),
            )
        )
    kit.text("buy-elsewhere.csv", _table(("package_id", "orders", "carrier", "service_level", *fields), rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV whose long numbers a spreadsheet program leaves alone when the column is opened as text."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(header)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return written.getvalue()


def _items_text(item: PrintItem) -> str:
    return "; ".join(f"{line.quantity} x {line.sku}" for line in item.lines)


def _by_deadline(work: Work) -> tuple[bool, str, str]:
    ship_by = work.item.ship_by
    return ship_by is None, to_text(ship_by) if ship_by is not None else "", work.item.package_id
