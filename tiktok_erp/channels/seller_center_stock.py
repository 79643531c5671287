"""Read and fill Seller Center's bulk stock template. Edge; layout: TikTok reference, section 8.5.

Only quantity cells are written, into the sheet's own XML: every other cell, and every other part of the workbook, keeps its
bytes, whatever is in it that nobody documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tiktok_erp.channels.workbook_edit import column_index, column_letters, read_part, replace_part
from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.table_file import SEPARATORS, TableFile, TableRow, name_other_file, plain_header, sheet_parts

_ROWS_WITH_HEADERS = 8
_SELLER_SKU = "seller sku"
_SKU_IDS = frozenset({"sku id", "sku id (cannot be edited)", "platform sku id"})
_QUANTITY = ("quantity in ", "total quantity in ")
_LOCKED = "cannot be edited"


@dataclass(frozen=True, slots=True)
class StockRow:
    """One SKU of the template. `quantities` holds (warehouse's name, number or None for an empty cell), in order of columns."""

    line: int
    seller_sku: str
    listing_id: str
    quantities: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class StockTemplate:
    """A downloaded template as it was read. `unreadable` are the lines whose quantity is no number: explanations, mostly."""

    path: Path
    part: str
    columns: Mapping[str, str]  # the warehouse's name -> the column's letters
    rows: tuple[StockRow, ...]
    unreadable: tuple[int, ...]


def read_stock_template(path: Path) -> StockTemplate:
    """Return the rows of a downloaded template. Raises InputFileError when the file is none."""
    if not TableFile(path, delimiters=SEPARATORS).is_xlsx:
        raise _other_file(path)
    try:
        parts = sheet_parts(path)
    except Exception as cause:  # a broken file is answered with whatever the parsers of its parts raise
        raise _other_file(path) from cause
    for name, part in parts.items():
        table = TableFile(path, sheet=name)
        header, rows = table.read()
        above = [header, *islice(rows, _ROWS_WITH_HEADERS - 1)]
        for index, candidate in enumerate(above):
            if _is_header(candidate):
                return _template(table, part, candidate, [*above[index + 1 :], *rows])
    raise _other_file(path)


def fill_stock_template(template: StockTemplate, quantities: Mapping[int, Mapping[str, int]]) -> int:
    """Write {line: {warehouse's name: number}} into the file; return how many cells changed. None changed: no write.

    Raises UsageError when the file cannot be written (what was there stays).
    """
    sheet = before = read_part(template.path, template.part)
    changed = 0
    told = {row.line: dict(row.quantities) for row in template.rows}
    for line, wanted in sorted(quantities.items()):
        for warehouse, quantity in wanted.items():
            if told[line][warehouse] != quantity:
                sheet = _with_cell(template, sheet, f"{template.columns[warehouse]}{line}", quantity)
                changed += 1
    if sheet != before:
        replace_part(template.path, template.part, sheet.encode("utf-8"))
    return changed


def _is_header(row: TableRow) -> bool:
    cells = [_plain(cell) for cell in row.cells]
    return _SELLER_SKU in cells and any(cell.startswith(_QUANTITY) for cell in cells)


def _plain(cell: str) -> str:
    return plain_header(cell).removesuffix("*").strip()


def _template(table: TableFile, part: str, header: TableRow, rows: Sequence[TableRow]) -> StockTemplate:
    path = table.path
    names: dict[str, int] = {}
    places: dict[str, int] = {}
    for index, cell in enumerate(header.cells):
        plain = _plain(cell)
        prefix = next((prefix for prefix in _QUANTITY if plain.startswith(prefix)), None)
        if prefix is not None:
            warehouse = " ".join(cell.replace("_", " ").split()).rstrip("* ")[len(prefix) :]
            if warehouse in places:
                raise _twice(path, header.line, cell)
            places[warehouse] = index
        elif plain == _SELLER_SKU and _SELLER_SKU in names:
            raise _twice(path, header.line, cell)
        elif plain == _SELLER_SKU or plain in _SKU_IDS:
            names[_SELLER_SKU if plain == _SELLER_SKU else "id"] = index
    good: list[StockRow] = []
    unreadable: list[int] = []
    for row in rows:
        if any(_LOCKED in cell.casefold() for cell in row.cells):
            continue
        sku = _cell(row, names[_SELLER_SKU])
        listing_id = _cell(row, names["id"]) if "id" in names else ""
        table.refuse_broken(row, names, {name: (name,) for name in names})
        cells = {warehouse: _cell(row, index) for warehouse, index in places.items()}
        if not sku and not listing_id:
            continue
        if any(cell and not re.fullmatch(r"\d{1,9}", cell) for cell in cells.values()):
            unreadable.append(row.line)
            continue
        quantities = tuple((warehouse, int(cell) if cell else None) for warehouse, cell in cells.items())
        good.append(StockRow(row.line, sku, listing_id, quantities))
    columns = {warehouse: column_letters(index) for warehouse, index in places.items()}
    return StockTemplate(path, part, columns, tuple(good), tuple(unreadable))


def _cell(row: TableRow, index: int) -> str:
    return row.cells[index].strip() if index < len(row.cells) else ""


def _with_cell(template: StockTemplate, sheet: str, reference: str, quantity: int) -> str:
    """Return the sheet with one number written: in the cell's own kind, or in a new cell at its place in the row."""
    cell = re.compile(
        rf'<(?P<ns>\w+:)?c(?=\s)(?P<head>[^>]*?\sr="{reference}"[^>]*?)(?:/>|>(?P<body>.*?)</(?P=ns)?c>)', re.DOTALL
    )
    found = cell.search(sheet)
    if found is not None:
        head = found["head"]
        is_text = re.search(r'\st="(s|str|inlineStr)"', head) is not None
        head = re.sub(r'\st="\w+"', "", head)
        return sheet[: found.start()] + _cell_xml(found["ns"] or "", head, quantity, is_text) + sheet[found.end() :]
    letters, line = re.fullmatch(r"([A-Z]+)(\d+)", reference).groups()  # type: ignore[union-attr]
    row = re.compile(
        rf'<(?P<ns>\w+:)?row(?=\s)(?P<head>[^>]*?\sr="{line}"[^>]*?)(?:/>|>(?P<body>.*?)</(?P=ns)?row>)', re.DOTALL
    )
    place = row.search(sheet)
    if place is None:
        raise _no_template(template.path)
    prefix, body = place["ns"] or "", place["body"] or ""
    written = _cell_xml(prefix, f' r="{reference}"', quantity, False)
    at = len(body)
    for other in re.finditer(rf'<{prefix}c\s[^>]*?\br="([A-Z]+){line}"', body):
        if column_index(other[1]) > column_index(letters):
            at = other.start()
            break
    whole = f"<{prefix}row{place['head']}>{body[:at]}{written}{body[at:]}</{prefix}row>"
    return sheet[: place.start()] + whole + sheet[place.end() :]


def _cell_xml(prefix: str, head: str, quantity: int, is_text: bool) -> str:
    if is_text:
        return f'<{prefix}c{head} t="inlineStr"><{prefix}is><{prefix}t>{quantity}</{prefix}t></{prefix}is></{prefix}c>'
    return f"<{prefix}c{head}><{prefix}v>{quantity}</{prefix}v></{prefix}c>"


def _other_file(path: Path) -> InputFileError:
    """Return the error for a file that is no template: what it is, where that is known."""
    return name_other_file(path, ("stock_template",)) or _no_template(path)


def _no_template(path: Path) -> InputFileError:
    return InputFileError(
        tr("this is not Seller Center's template for stock: no sheet has the columns Seller SKU and Quantity in ..."),
        subject=str(path),
        next_step=tr("download it under Products, batch edit, as XLSX and name that file"),
    )


def _twice(path: Path, line: int, column: str) -> InputFileError:
    return InputFileError(
        tr("the header has the column {column} twice", column=column),
        subject=f"{path}:{line}",
        next_step=tr("leave one of the two, or download the file again"),
    )
