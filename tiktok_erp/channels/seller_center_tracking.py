"""Read, fill and write Seller Center's bulk tracking template. Edge; layout: TikTok reference, section 8.3.

The same rows give the same bytes, so that a second run leaves a file that was uploaded as it is.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.channels.workbook_edit import (
    NewRow,
    column_letters,
    read_part,
    replace_part,
    with_rows,
    write_whole,
)
from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import file_text
from tiktok_erp.table_file import TableFile, TableRow, name_other_file, plain_header, sheet_parts

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

NO_GROUP = "N/A"

_SHEET = "Shipping info"
_NOTE = "Review the examples before you fill out this sheet."
_HEADERS = ("Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID")
# The older template has these as well (TikTok reference, section 8.3).
_ALL_HEADERS = frozenset(
    plain_header(header)
    for header in (*_HEADERS, "SKU ID(optional)", "Quantity(optional)", "Shipping Service(optional)")
)
_SPLIT_SHEET = "Split orders"
_SPLIT_HEADERS = ("Order ID", "Package", "Items", "Tracking ID", "Shipping Provider Name", "Done")
_SPLIT_OWN = frozenset(plain_header(header) for header in _SPLIT_HEADERS[:-1])
_LAST_ROW_OF_HEADERS = 8
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


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """One row of a template as it was read. `remarks` are the cells outside the template's own columns: ticks, errors."""

    line: int
    order_id: str
    tracking_number: str
    provider_name: str
    auto_combine_group_id: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrackingTemplate:
    """A downloaded or filled template as it was read. `columns` are the letters of our columns, by header."""

    path: Path
    part: str
    header_line: int
    columns: Mapping[str, str]
    rows: tuple[TemplateRow, ...]


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One package of an order that leaves in several: no file tells its number, a person does it order by order."""

    order_id: str
    package_id: str
    items: str
    tracking_number: str
    provider_name: str


def write_tracking_template(path: Path, rows: Sequence[TrackingRow]) -> None:
    """Write `rows` in the current template's exact shape. Every cell is text; a file that is there is replaced whole.

    Raises UsageError when the file cannot be written (what was there stays).
    """
    write_whole(path, _workbook_bytes(rows))


def read_tracking_template(path: Path) -> TrackingTemplate:
    """Return the rows of a template, of the current kind or the older one. Raises InputFileError when the file is none."""
    return _read(path, _SHEET, _ALL_HEADERS)


def read_told_rows(path: Path) -> tuple[TemplateRow, ...]:
    """Return the rows of a template, or of a file of split orders, that somebody worked on. Raises InputFileError."""
    try:
        is_split = _SPLIT_SHEET in sheet_parts(path)
    except Exception as cause:  # a broken file is answered with whatever the parsers of its parts raise
        raise _other_file(path) from cause
    return (_read(path, _SPLIT_SHEET, _SPLIT_OWN) if is_split else read_tracking_template(path)).rows


def fill_tracking_template(
    template: TrackingTemplate, rows: Sequence[tuple[TemplateRow | None, TrackingRow | None]]
) -> int:
    """Make `rows` the data of the file in place; return how many cells changed. None changed: nothing is written.

    A pair is a row that stands there and what it is to say: None keeps all it has, and None as the first makes a new
    row. Rows in no pair go. Only cells are written: every sheet and every other part of the workbook keeps its bytes.
    """
    changed = 0
    lines: list[NewRow] = []
    for standing, wanted in rows:
        cells = _changed_cells(template, standing, wanted) if wanted is not None else {}
        changed += len(cells)
        lines.append(NewRow(standing.line if standing is not None else None, cells))
    kept = {line.line for line in lines}
    changed += sum(row.line not in kept for row in template.rows)
    if changed:
        sheet = with_rows(read_part(template.path, template.part), template.header_line + 1, lines)
        replace_part(template.path, template.part, sheet.encode("utf-8"))
    return changed


def write_split_orders(path: Path, rows: Sequence[SplitRow]) -> None:
    """Write the orders that Seller Center's template cannot tell, with what a person does about them."""
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.properties.creator = "tiktok_erp"
    workbook.properties.created = _FIXED_TIME
    sheet = workbook.active
    assert sheet is not None
    sheet.title = _SPLIT_SHEET
    how_to = (
        tr("These orders leave in several packages; Seller Center's file cannot tell their numbers."),
        tr("1. Open the order under Manage Orders in Seller Center and choose to ship a part of it."),
        tr("2. Choose exactly the items of the row, enter its number and its carrier, and confirm."),
        tr("3. Write x into the column Done. `tiktok-erp upload-tracking --from FILE` takes it back."),
    )
    _fill(sheet, 1, [(line,) for line in how_to])
    _fill(sheet, len(how_to) + 2, [_SPLIT_HEADERS])
    _fill(
        sheet,
        len(how_to) + 3,
        [(row.order_id, row.package_id, row.items, row.tracking_number, row.provider_name) for row in rows],
    )
    for column, width in zip("ABCDEF", (24, 12, 48, 32, 24, 10), strict=True):
        sheet.column_dimensions[column].width = width
    write_whole(path, _saved(workbook))


def _read(path: Path, sheet: str, own_headers: Collection[str]) -> TrackingTemplate:
    try:
        part = sheet_parts(path)[sheet]
    except Exception as cause:  # a broken file is answered with whatever the parsers of its parts raise
        raise _other_file(path) from cause
    table = TableFile(path, sheet=sheet)
    first, rest = table.read()
    rows = [first, *rest]
    for index, row in enumerate(rows[:_LAST_ROW_OF_HEADERS]):
        names = {plain_header(cell): place for place, cell in enumerate(row.cells) if cell.strip()}
        places = {header: names[plain_header(header)] for header in _HEADERS if plain_header(header) in names}
        if set(_HEADERS[:3]) <= places.keys():
            own = {place for name, place in names.items() if name in own_headers}
            for below in rows[index + 1 :]:
                table.refuse_broken(below, places, {header: (header,) for header in places})
            return TrackingTemplate(
                path,
                part,
                row.line,
                {header: column_letters(place) for header, place in places.items()},
                tuple(_template_row(below, places, own) for below in rows[index + 1 :]),
            )
    raise _other_file(path)


def _template_row(row: TableRow, places: Mapping[str, int], own: Collection[int]) -> TemplateRow:
    def cell(header: str) -> str:
        place = places.get(header, len(row.cells))
        return row.cells[place].strip() if place < len(row.cells) else ""

    remarks = tuple(text.strip() for place, text in enumerate(row.cells) if place not in own and text.strip())
    order_id, number, provider, group = (cell(header) for header in _HEADERS)
    return TemplateRow(row.line, order_id, number, provider, group, remarks)


def _changed_cells(template: TrackingTemplate, standing: TemplateRow | None, row: TrackingRow) -> dict[str, str]:
    """Return what must be written so that the line says `row`."""
    old = ("", "", "", "")
    if standing is not None:
        old = (standing.order_id, standing.tracking_number, standing.provider_name, standing.auto_combine_group_id)
    return {
        template.columns[header]: value
        for header, value, stands in zip(_HEADERS, _values(row), old, strict=True)
        if header in template.columns and value != stands
    }


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


def _other_file(template: Path) -> InputFileError:
    """Return the error for a file that is no template: what it is, where that is known."""
    return name_other_file(template, ("tracking_template", "split_orders")) or InputFileError(
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
            cell.value = file_text(value)
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
