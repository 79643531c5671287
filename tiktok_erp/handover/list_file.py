"""A person's list as a spreadsheet: what to do, and empty columns to tick. Edge: written and read back.

XLSX and not CSV, since a spreadsheet program cuts long numbers of a CSV to 15 digits. Every header begins with the
column's own name, whatever language stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import file_text
from tiktok_erp.table_file import SEPARATORS, TableFile, refuse_other_kind

if TYPE_CHECKING:
    from tiktok_erp.handover.pages import ListRow

_SHEET = "List"
_FIXED_TIME = datetime(1980, 1, 1)
_COLUMNS = (
    ("package_id", 12),
    ("label", 12),
    ("orders", 22),
    ("ship_by", 19),
    ("do", 36),
    ("items", 40),
    ("pieces", 8),
    ("carrier", 22),
    ("tracking_number", 30),
    ("where", 32),
)
TO_FILL = ("printed", "packed", "new_carrier", "new_tracking_number")


@dataclass(frozen=True, slots=True)
class FilledRow:
    """A row that somebody filled in."""

    line: int
    package_id: str
    printed: str
    packed: str
    new_carrier: str
    new_tracking_number: str


def write_list(path: Path, person: int, rows: Sequence[ListRow]) -> None:
    """Write the list of one person."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    from tiktok_erp.handover.pages import column_title, step_text

    workbook = Workbook()
    workbook.properties.creator = "tiktok_erp"
    workbook.properties.created = _FIXED_TIME
    sheet = workbook.active
    assert sheet is not None
    sheet.title = _SHEET
    sheet.append([_header(name, column_title(name)) for name in (*(name for name, width in _COLUMNS), *TO_FILL)])
    for row in rows:
        cells = (
            *(row.package_id, row.place, row.numbers, row.ship_by, step_text(row.step), row.items, row.pieces),
            *(row.carrier, row.tracking_number, row.label),
        )
        sheet.append([file_text(cell) if isinstance(cell, str) else cell for cell in cells])
    yellow = PatternFill("solid", fgColor="FFF2CC")
    first_to_fill = len(_COLUMNS) + 1
    for cell in sheet[1]:
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    for line in range(2, len(rows) + 2):
        # Text, so that a number typed here keeps all its digits, and no text is taken for a formula.
        for column in range(1, first_to_fill):
            cell = sheet.cell(line, column)
            if isinstance(cell.value, str):
                cell.data_type = "s"
        for column in range(first_to_fill, first_to_fill + len(TO_FILL)):
            sheet.cell(line, column).fill = yellow
            sheet.cell(line, column).number_format = "@"
    for column, width in enumerate([*(width for name, width in _COLUMNS), 9, 9, 14, 30], start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "B2"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = "1:1"
    if sheet.oddFooter is not None:
        sheet.oddFooter.center.text = f"{person} - &P / &N"
    workbook.save(path)


def read_list(path: Path) -> tuple[FilledRow, ...]:
    """Return the rows that somebody filled in. Raises InputFileError when the file is no such list."""
    table = TableFile(path, delimiters=SEPARATORS, sheet=_SHEET)
    header, rows = table.read()
    places = {cell.split()[0].casefold(): index for index, cell in enumerate(header.cells) if cell.split()}
    if "package_id" not in places or "packed" not in places:
        refuse_other_kind(table, header, ("kit_list",))
        raise InputFileError(
            tr("this is no list of a kit: the columns package_id and packed are missing"),
            subject=str(path),
            next_step=tr("keep the first row of the list as it is"),
        )
    filled = []
    headers = {name: (name,) for name in ("package_id", *TO_FILL)}
    for row in rows:
        table.refuse_broken(row, {name: places[name] for name in headers if name in places}, headers)
        values = {name: row.cells[place].strip() if place < len(row.cells) else "" for name, place in places.items()}
        if values["package_id"] and any(values.get(name) for name in TO_FILL):
            filled.append(_filled(row.line, values))
    return tuple(filled)


def _filled(line: int, values: Mapping[str, str]) -> FilledRow:
    return FilledRow(line, values["package_id"], *(values.get(name, "") for name in TO_FILL))


def _header(name: str, title: str) -> str:
    return name if title == name else f"{name}\n{title}"
