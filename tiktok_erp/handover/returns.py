"""Read what people brought back in a kit: ticks, scans, numbers of labels bought by hand, and Seller Center's files. Edge."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tiktok_erp.errors import ErpError
from tiktok_erp.handover.kit import Kit
from tiktok_erp.handover.list_file import read_list
from tiktok_erp.handover.plan import Mark
from tiktok_erp.model.tick import is_tick, says_nothing
from tiktok_erp.table_file import SEPARATORS, TableFile, plain_header, sheet_parts

# FedEx's barcode has 34 digits; \x1d stands between the parts of a USPS code. Who types a number in groups writes capitals:
# anything else with spaces in it is a note, and may tell of a buyer.
_SCANNED = re.compile(r"(?=.*\d)([A-Za-z0-9:^/+.\x1d-]{4,50}|[A-Z0-9 -]{4,50})")
# What a kit has for people to write into; the rest of it is made anew each time.
_TO_FILL = ("/list.xlsx", "scans.txt", "tracking-upload.xlsx", "tracking-upload.split-orders.xlsx")


@dataclass(frozen=True, slots=True)
class NewNumber:
    """A label that was bought by hand, as somebody wrote it down."""

    name: str  # a package id, or an order's number
    carrier: str
    tracking_number: str
    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Scan:
    """One line that a scanner wrote: a tracking number, a package id or an order's number."""

    text: str
    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What stands where a tick was expected."""

    package_id: str
    text: str
    file: Path
    line: int


@dataclass(slots=True)
class Returns:
    """Everything that came back, by what it is.

    `broken` are files that cannot be read, and why; `useless` those that say nothing that can be taken back.
    """

    marks: list[Mark] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    not_scanned: list[Scan] = field(default_factory=list)  # lines among scans that no scanner wrote
    numbers: list[NewNumber] = field(default_factory=list)
    exports: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    templates: list[Path] = field(default_factory=list)
    pdfs: list[Path] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    broken: list[tuple[Path, ErpError]] = field(default_factory=list)
    useless: list[Path] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)


def read_returns(kit: Kit, further: Sequence[Path]) -> Returns:
    """Return what people wrote into the kit since it was made or last taken back, and what `further` files hold."""
    found = Returns()
    for path in [*kit.written_by_people(), *further]:
        name = path.relative_to(kit.folder).as_posix() if path.is_relative_to(kit.folder) else ""
        try:
            if name in kit.files and not name.endswith(_TO_FILL):
                found.useless.append(path)
            else:
                _read(path, found)
            found.read.append(path)
        except ErpError as error:
            found.broken.append((path, error))
    return found


def write_tracking_list(path: Path, numbers: Sequence[NewNumber]) -> None:
    """Write numbers as the list that `print-labels --from` takes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("order_id", "carrier", "tracking_number"))
        writer.writerows((number.name, number.carrier, number.tracking_number) for number in numbers)


def _read(path: Path, found: Returns) -> None:
    kind = path.suffix.casefold()
    if kind == ".pdf":
        found.pdfs.append(path)
    elif kind == ".txt":
        _read_scans(path, found)
    elif kind in (".csv", ".xlsx"):
        _read_table(path, found)
    else:
        found.useless.append(path)


def _read_scans(path: Path, found: Returns) -> None:
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = [text.strip() for text in re.split(r"\r\n?|\n", content.decode(encoding, "replace"))]
    scans = [Scan(text, path, line) for line, text in enumerate(lines, start=1) if text and not text.startswith("#")]
    if scans and not any(_SCANNED.fullmatch(scan.text) for scan in scans):
        found.useless.append(path)
        return
    found.scans.extend(scan for scan in scans if _SCANNED.fullmatch(scan.text))
    found.not_scanned.extend(scan for scan in scans if not _SCANNED.fullmatch(scan.text))


def _read_table(path: Path, found: Returns) -> None:
    table = TableFile(path, delimiters=SEPARATORS)
    sheets = sheet_parts(path) if table.is_xlsx else {}
    if "Shipping info" in sheets or "Split orders" in sheets:
        return _read_template(path, found)
    header = table.read()[0]
    names = {plain_header(cell) for cell in header.cells if cell.strip()}
    if {"package_id", "packed"} <= {cell.split()[0].casefold() for cell in header.cells if cell.split()}:
        return _read_marks(path, found)
    if {"order id", "carrier", "tracking number"} <= names:
        return found.lists.append(path)
    # Exports have their headers in many languages: whoever reads them says what is wrong with one that is none.
    return found.exports.append(path)


def _read_template(path: Path, found: Returns) -> None:
    from tiktok_erp.channels.seller_center_tracking import read_told_rows

    found.templates.append(path)
    for row in read_told_rows(path):
        if row.order_id and row.tracking_number and row.provider_name:
            found.numbers.append(NewNumber(row.order_id, row.provider_name, row.tracking_number, path, row.line))


def _read_marks(path: Path, found: Returns) -> None:
    for row in read_list(path):
        if row.new_tracking_number:
            found.numbers.append(NewNumber(row.package_id, row.new_carrier, row.new_tracking_number, path, row.line))
        said = row.packed if not says_nothing(row.packed) else row.printed
        if says_nothing(said):
            continue
        if is_tick(said):
            is_packed = not says_nothing(row.packed)
            found.marks.append(Mark(row.package_id, is_packed, "tick", path.name))
        else:
            found.remarks.append(Remark(row.package_id, said, path, row.line))
