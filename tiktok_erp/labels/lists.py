"""Lists beside a batch's labels, for people, carriers and warehouse systems. Writes CSV files; decides nothing."""

from __future__ import annotations

import csv
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tiktok_erp.labels.paper import sheet_of
from tiktok_erp.model.foreign_text import csv_cell
from tiktok_erp.model.print_job import PrintedPosition

HEADER_PAGES = "header-pages.csv"
MANIFEST_COLUMNS = ("tracking_number", "service_level", "package_id", "position")


def write_packages(path: Path, positions: Sequence[PrintedPosition]) -> None:
    """Write packages.csv: where each package's label is, and what is in it."""
    columns = "position page package_id order_id items carrier service_level tracking_number ship_by"
    _write(
        path,
        columns.split(),
        (
            (
                place.position,
                place.pages[0] if place.pages else "",
                place.item.package_id,
                " ".join(place.item.order_ids),
                _items(place),
                place.item.carrier,
                place.item.service_level,
                place.item.tracking_number or "",
                place.item.ship_by.strftime("%Y-%m-%dT%H:%M:%SZ") if place.item.ship_by else "",
            )
            for place in positions
        ),
    )


def rewrite_sheets(source: Path, target: Path, paper: str) -> None:
    """Write a packages.csv again, its `page` counted in sheets of `paper`."""
    with source.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    at = columns.index("page")
    for row in rows:
        row[at] = str(sheet_of(int(row[at]), paper)) if row[at] else ""
    _write(target, columns, rows)


def write_header_pages(folder: Path, pages: Mapping[int, int]) -> None:
    """Write by place the page (from 1) that goes before the labels from there on, for whoever prints a part of the batch."""
    if pages:
        _write(folder / HEADER_PAGES, ["position", "page"], sorted(pages.items()))


def label_pages(folder: Path, labels: Sequence[sqlite3.Row]) -> list[int]:
    """Return the pages (from 0) of these labels of a batch, each header page before the label that it was made for."""
    headers: dict[int, int] = {}
    if (folder / HEADER_PAGES).exists():
        with (folder / HEADER_PAGES).open(encoding="utf-8", newline="") as file:
            headers = {int(row["position"]): int(row["page"]) - 1 for row in csv.DictReader(file)}
    pages: list[int] = []
    for label in labels:
        if label["position"] in headers:
            pages.append(headers[label["position"]])
        pages += range(label["page"] - 1, label["page"] - 1 + (label["pages"] or 1))
    return pages


def write_manifests(folder: Path, positions: Sequence[PrintedPosition]) -> list[Path]:
    """Write one manifest-CARRIER.csv a carrier: what is handed over to it. Return the files."""
    by_carrier: dict[str, list[PrintedPosition]] = defaultdict(list)
    for place in positions:
        by_carrier[place.item.carrier or "unknown"].append(place)
    paths = []
    for carrier, places in sorted(by_carrier.items()):
        path = folder / f"manifest-{carrier}.csv"
        _write(
            path,
            MANIFEST_COLUMNS,
            (
                (place.item.tracking_number or "", place.item.service_level, place.item.package_id, place.position)
                for place in places
            ),
        )
        paths.append(path)
    return paths


def write_bag_list(path: Path, positions: Sequence[PrintedPosition]) -> None:
    """Write bags.csv, one row a buyer in order of the first position: whose goods lie in one bag after a live stream."""
    bags: dict[str, list[PrintedPosition]] = defaultdict(list)
    for place in positions:
        bags[place.item.buyer or place.item.package_id].append(place)
    _write(
        path,
        ["bag", "recipient", "packages", "pieces", "positions", "items"],
        (
            (
                number,
                places[0].item.recipient_name or "",
                len(places),
                sum(place.item.unit_count for place in places),
                " ".join(place.position for place in places),
                "; ".join(_items(place) for place in places),
            )
            for number, places in enumerate(bags.values(), start=1)
        ),
    )


def _items(place: PrintedPosition) -> str:
    return "; ".join(f"{line.sku} x {line.quantity}" for line in place.item.lines)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([csv_cell(cell) for cell in row] for row in rows)
