"""Write Seller Center's bulk tracking template. Edge; layout: TikTok reference, section 8.3.

The same rows give the same bytes, so that a second run leaves a file that was uploaded as it is.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.errors import InputFileError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.table_file import open_workbook

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

NO_GROUP = "N/A"

_SHEET = "Shipping info"
_NOTE = "Review the examples before you fill out this sheet."
_HEADERS = ("Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID")
_LAST_ROW_OF_HEADERS = 5
_WIDTHS = (24, 32, 28, 26)
_HOW_TO = (
    "1. Fill out the sheet Shipping info, one row for each order. Data begins in row 3.",
    "2. Keep every cell as text, so that long numbers keep all their digits.",
    "3. Use the shipping provider's name exactly as Seller Center shows it.",
    "4. Orders that are shipped together have the same Tracking ID and Auto Combine Group ID; otherwise write N/A.",
    "5. Orders that were split into several packages cannot be uploaded with this file.",
)
_DEFINITIONS = (
    ("Column", "Required", "Definition"),
    ("Order ID", "Yes", "The order's number in Manage Orders."),
    ("Tracking ID", "Yes", "The carrier's tracking number, 4 to 50 characters."),
    ("Shipping Provider Name", "Yes", "The carrier's name as Seller Center shows it."),
    ("Auto Combine Group ID", "No", "The group of orders that are shipped together, or N/A."),
)
_EXAMPLES = (
    _HEADERS,
    ("576000000000000001", "9400111206206406260787", "USPS", NO_GROUP),
    ("576000000000000002", "1Z12345E6605272234", "UPS", "7570000000000000001"),
    ("576000000000000003", "1Z12345E6605272234", "UPS", "7570000000000000001"),
)

# The format has no place for "no time"; a zip archive's calendar begins here.
_FIXED_TIME = datetime(1980, 1, 1)
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")


@dataclass(frozen=True, slots=True)
class TrackingRow:
    """One order to tell. `provider_name` is the platform's display name; None as group means shipped alone."""

    order_id: str
    tracking_number: str
    provider_name: str
    auto_combine_group_id: str | None = None


def write_tracking_template(path: Path, rows: Sequence[TrackingRow], *, template: Path | None = None) -> None:
    """Write `rows` in the current template's shape, or into a copy of `template`, the file the seller downloaded.

    A template keeps its sheets; rows that stood below its headers are replaced. It may be of the older kind, whose
    further columns stay empty. Every cell is text; a file that is there is replaced whole.
    Raises UsageError when the file cannot be written (what was there stays), InputFileError when `template` is not
    such a file.
    """
    content = _workbook_bytes(rows) if template is None else _filled_bytes(template, rows)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with unfinished.open("wb") as target:
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
    except OSError as cause:
        raise UsageError(
            tr("the file cannot be written: {reason}", reason=cause.strerror or "?"),
            subject=str(path),
            next_step=tr("give a path in a folder that exists and can be written"),
        ) from cause


def _workbook_bytes(rows: Sequence[TrackingRow]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment

    workbook = Workbook()
    workbook.properties.creator = "tiktok_erp"
    workbook.properties.created = _FIXED_TIME

    how_to = workbook.active
    assert how_to is not None
    how_to.title = "How to use it"
    _fill(how_to, 1, [(line,) for line in _HOW_TO])

    shipping = workbook.create_sheet(_SHEET)
    _fill(shipping, 1, [(_NOTE,)])
    shipping.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(_HEADERS))
    shipping["A1"].alignment = Alignment(wrap_text=True, vertical="center")
    _fill(shipping, 2, [_HEADERS])
    _fill(shipping, 3, [_values(row) for row in rows])
    for column, width in zip("ABCD", _WIDTHS, strict=True):
        shipping.column_dimensions[column].width = width
    shipping.freeze_panes = "A3"

    _fill(workbook.create_sheet("Data definitions"), 1, _DEFINITIONS)
    _fill(workbook.create_sheet("Example of shipment"), 1, _EXAMPLES)
    workbook.active = shipping

    return _saved(workbook)


def _filled_bytes(template: Path, rows: Sequence[TrackingRow]) -> bytes:
    try:
        workbook = open_workbook(template)
    except Exception as cause:  # openpyxl answers to a broken file with whatever its parsers raise
        raise _no_template(template) from cause
    if _SHEET not in workbook.sheetnames:
        raise _no_template(template)
    sheet = workbook[_SHEET]
    header_row, columns = _find_headers(sheet, template)
    if sheet.max_row > header_row:
        sheet.delete_rows(header_row + 1, sheet.max_row - header_row)
    width = max(columns.values())
    table = []
    for row in rows:
        cells = [""] * width
        for header, value in zip(_HEADERS, _values(row), strict=True):
            if header in columns:
                cells[columns[header] - 1] = value
        table.append(cells)
    _fill(sheet, header_row + 1, table)
    return _saved(workbook)


def _find_headers(sheet: Worksheet, template: Path) -> tuple[int, dict[str, int]]:
    """Return the header row and the column of each of our headers in it. The group's column may be missing."""
    for row_number in range(1, _LAST_ROW_OF_HEADERS + 1):
        names = {" ".join(str(cell.value).split()).casefold(): cell.column for cell in sheet[row_number] if cell.value}
        columns = {header: names[header.casefold()] for header in _HEADERS if header.casefold() in names}
        if set(_HEADERS[:3]) <= columns.keys():
            return row_number, columns
    raise _no_template(template)


def _no_template(template: Path) -> InputFileError:
    return InputFileError(
        tr("this is not Seller Center's template for tracking numbers"),
        subject=str(template),
        next_step=tr("download it again under Manage Orders, Upload, or leave it out"),
    )


def _values(row: TrackingRow) -> tuple[str, str, str, str]:
    return row.order_id, row.tracking_number, row.provider_name, row.auto_combine_group_id or NO_GROUP


def _saved(workbook: Workbook) -> bytes:
    written = io.BytesIO()
    workbook.save(written)
    return _without_times(written.getvalue())


def _fill(sheet: Worksheet, first_row: int, rows: Sequence[Sequence[str]]) -> None:
    """Write `rows` as text cells. The type is set by hand: a value that begins with `=` must not become a formula."""
    for row_number, values in enumerate(rows, start=first_row):
        for column, value in enumerate(values, start=1):
            if not value:
                continue
            cell = sheet.cell(row=row_number, column=column)
            cell.value = value
            cell.data_type = "s"
            cell.number_format = "@"


def _without_times(workbook: bytes) -> bytes:
    """Return the workbook with the time of writing taken out of its properties and of its archive."""
    fixed = _FIXED_TIME.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook)) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _MODIFIED.sub(rb"\g<1>" + fixed + rb"\g<2>", content)
            entry = zipfile.ZipInfo(name, date_time=_FIXED_TIME.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return packed.getvalue()
