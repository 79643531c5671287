"""Read a SKU sheet (CSV or XLSX) for `stock import`. Edge; columns: design, section 5.4.

Every fault is reported, not the first alone, each with `file:line:column`; the caller takes the sheet whole or not at
all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money, to_minor
from tiktok_erp.table_file import (
    SEPARATORS,
    TableFile,
    TableRow,
    find_columns,
    is_error_word,
    is_exponent,
    is_rounded,
    plain_code,
    plain_header,
    refuse_other_kind,
    without_apostrophe,
)

_COLUMNS: Mapping[str, Sequence[str]] = {
    "sku": ("sku", "Seller SKU"),
    "quantity": ("quantity",),
    "warehouse": ("warehouse",),
    "name": ("name",),
    "weight_g": ("weight_g", "weight"),
    "length_mm": ("length_mm", "length"),
    "width_mm": ("width_mm", "width"),
    "height_mm": ("height_mm", "height"),
    "cost": ("cost",),
    "shelf": ("shelf",),
    "tags": ("tags",),
}
_REQUIRED = ("sku", "quantity")
# What other programs call the two columns without which there is no count; a guess is always told.
_GUESSES: Mapping[str, Sequence[str]] = {
    "sku": (
        *("sku code", "sku no", "item sku", "merchant sku", "seller-sku", "item code", "product code", "article"),
        *("item number", "item no", "code", "商品编码", "商家编码", "货号", "编码", "规格编码"),
    ),
    "quantity": (
        *(
            "qty",
            "on hand",
            "qty on hand",
            "quantity on hand",
            "stock",
            "in stock",
            "stock on hand",
            "count",
            "counted",
        ),
        *(
            "available",
            "available quantity",
            "pieces",
            "units",
            "total quantity",
            "inventory",
            "库存",
            "数量",
            "可用库存",
        ),
        *("实际库存", "库存数量"),
    ),
}
_KINDS = ("sku_sheet", "stock_template")
# What stands in the SKU's place in the row that adds the others up.
_TOTALS = frozenset(
    {
        "total",
        "totals",
        "grand total",
        "subtotal",
        "sub total",
        "sum",
        "summe",
        "gesamt",
        "合计",
        "总计",
        "小计",
        "共计",
    }
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?", re.ASCII)
_GROUP = re.compile(r"(?<=\d)['\u2019\u00a0\u202f\u2009 ](?=\d{3}(?!\d))")  # thousands, as no decimals are written
_MEASURE = re.compile(r"(?P<number>\d{1,9}(\.\d+)?)\s*(?P<unit>[a-z]*)", re.ASCII)
_GRAMS = {
    "": Decimal(1),
    "g": Decimal(1),
    "kg": Decimal(1000),
    "oz": Decimal("28.349523125"),
    "lb": Decimal("453.59237"),
}
_MILLIMETRES = {"": Decimal(1), "mm": Decimal(1), "cm": Decimal(10), "in": Decimal("25.4")}
_COST = re.compile(r"\$?(?P<amount>\d{1,9}(\.\d+)?)(\s*(?P<currency>[A-Z]{3}))?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}|\d{1,3}(,\d{3}){1,2}", re.ASCII)
_MOST_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SkuRow:
    """One SKU as the sheet has it. `None` = the sheet does not say; `quantity` None = not counted.

    `cost_amount` is in major units; `cost_currency` None means the shop's currency.
    """

    line: int
    sku: str
    quantity: int | None
    warehouse: str | None = None
    name: str | None = None
    weight_g: int | None = None
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    cost_amount: Decimal | None = None
    cost_currency: str | None = None
    shelf: str | None = None
    tags: tuple[str, ...] = ()

    def cost(self, shop_currency: str) -> Money | None:
        """Return what one piece costs, in the sheet's currency or else the shop's; None when the sheet does not say."""
        if self.cost_amount is None:
            return None
        return to_minor(self.cost_amount, self.cost_currency or shop_currency)


@dataclass(frozen=True, slots=True)
class SheetFault:
    """What is wrong in one cell. As text: `file:line:column: what`."""

    path: Path
    line: int
    column: str
    what: str
    sheet: str | None = None  # where a workbook has several

    def __str__(self) -> str:
        place = self.path if self.sheet is None else f"{self.path}:{self.sheet}"
        return f"{place}:{self.line}:{self.column}: {self.what}"


@dataclass(frozen=True, slots=True)
class SkuSheet:
    """The rows without a fault, the faults of the others, and the header's columns that mean nothing to us."""

    path: Path
    rows: tuple[SkuRow, ...]
    faults: tuple[SheetFault, ...]
    ignored_columns: tuple[str, ...] = ()
    guessed_columns: tuple[tuple[str, str], ...] = ()  # (our column, the sheet's header)
    other_sheets: tuple[str, ...] = ()  # of the workbook, with the same columns: not read

    def refuse_faults(self) -> None:
        """Raise InputFileError that lists the faults, one a line, if there are any."""
        if not self.faults:
            return
        shown = [str(fault) for fault in self.faults[:_MOST_FAULTS_SHOWN]]
        hidden = len(self.faults) - len(shown)
        if hidden:
            shown.append(tr("and {count} more", count=hidden))
        raise InputFileError(
            "\n".join([tr("{count} faults in the SKU sheet; nothing was taken over", count=len(self.faults)), *shown]),
            subject=str(self.path),
            next_step=tr("correct the cells and import the sheet again"),
        )


def read_sku_sheet(path: Path) -> SkuSheet:
    """Return the rows and faults of a SKU sheet.

    Weights are read as grams (`120`, `120g`; kg, oz and lb too) and lengths as millimetres (`120`, `120mm`; cm and in
    too), both rounded up. Raises InputFileError when the file as a whole is unreadable or lacks `sku` or `quantity`.
    """
    table = TableFile(path, delimiters=SEPARATORS, is_header=_is_header)
    header, rows = table.read()
    refuse_other_kind(table, header, _KINDS)
    guesses = _guess_columns(table, header)
    names = {field: (*names, *filter(None, [guesses.get(field)])) for field, names in _COLUMNS.items()}
    columns = find_columns(table, header, names, required=_REQUIRED, kinds=_KINDS)
    used = set(columns.values())
    ignored = tuple(cell.strip() for index, cell in enumerate(header.cells) if index not in used and plain_header(cell))
    good: list[SkuRow] = []
    faults: list[SheetFault] = []
    first_lines: dict[tuple[str, str | None], int] = {}
    for row in rows:
        reader = _RowReader(table, row, columns, len(header.cells))
        sku_row = reader.read()
        key = (sku_row.sku, sku_row.warehouse)
        if sku_row.sku:
            first_line = first_lines.setdefault(key, row.line)
            if first_line != row.line:
                reader.note("sku", tr("{sku} is already in line {line}", sku=sku_row.sku, line=first_line))
        faults += reader.faults
        if not reader.faults:
            good.append(sku_row)
    return SkuSheet(path, tuple(good), tuple(faults), ignored, tuple(guesses.items()), table.other_sheets)


def _is_header(row: TableRow) -> bool:
    """Tell whether a sheet's first row names the required columns, by our names or by others'."""
    cells = {plain_header(cell) for cell in row.cells}
    return all(
        any(plain_header(name) in cells for name in (*_COLUMNS[field], *_GUESSES[field]))
        or any(_is_quantity_in(field, cell) for cell in cells)
        for field in _REQUIRED
    )


def _guess_columns(table: TableFile, header: TableRow) -> dict[str, str]:
    """Return the headers that probably mean the required columns that are not there under a name of ours.

    Raises InputFileError when several headers could be meant: a wrong guess would be a wrong count.
    """
    cells = {plain_header(cell): cell.strip() for cell in header.cells if plain_header(cell)}
    guesses: dict[str, str] = {}
    for field in _REQUIRED:
        if any(plain_header(name) in cells for name in _COLUMNS[field]):
            continue
        known = {plain_header(name) for name in _GUESSES[field]}
        likely = [cell for plain, cell in cells.items() if plain in known or _is_quantity_in(field, plain)]
        if len(likely) > 1:
            raise table.fault(
                tr("any of the columns {columns} could be {field}", columns=", ".join(likely), field=field),
                line=header.line,
                next_step=tr("rename the right one to {field}", field=field),
            )
        if likely:
            guesses[field] = likely[0]
    return guesses


def _is_quantity_in(field: str, plain: str) -> bool:
    """Tell whether a header is Seller Center's `Quantity in <warehouse>`."""
    return field == "quantity" and plain.startswith(("quantity in ", "total quantity in "))


class _RowReader:
    """Reads one row; what cannot be read is noted in `faults` and left out."""

    def __init__(self, table: TableFile, row: TableRow, columns: Mapping[str, int], width: int) -> None:
        self.faults: list[SheetFault] = []
        self._table = table
        self._line = row.line
        self._broken = table.broken_cells(row, columns) if row.broken else {}
        for field, what in self._broken.items():
            self.note(field, what)
        self._cells = {field: row.cells[index].strip() for field, index in columns.items() if index < len(row.cells)}
        if any(cell.strip() for cell in row.cells[width:]):
            self.note("sku", tr("the row has more cells than the header; put text with a separator in quotes"))

    def note(self, field: str, what: str) -> None:
        self.faults.append(SheetFault(self._table.path, self._line, _COLUMNS[field][0], what, self._table.sheet))

    def read(self) -> SkuRow:
        amount, currency = self._cost()
        return SkuRow(
            line=self._line,
            sku=self._sku(),
            quantity=self._quantity(),
            warehouse=self._text("warehouse"),
            name=self._text("name"),
            weight_g=self._measure("weight_g", _GRAMS),
            length_mm=self._measure("length_mm", _MILLIMETRES),
            width_mm=self._measure("width_mm", _MILLIMETRES),
            height_mm=self._measure("height_mm", _MILLIMETRES),
            cost_amount=amount,
            cost_currency=currency,
            shelf=self._text("shelf"),
            tags=tuple(dict.fromkeys(tag.strip() for tag in re.split(r"[;|]", self._cell("tags")) if tag.strip())),
        )

    def _cell(self, field: str) -> str:
        return "" if field in self._broken else without_apostrophe(self._cells.get(field, ""))

    def _text(self, field: str) -> str | None:
        return self._cell(field) or None

    def _sku(self) -> str:
        sku = plain_code(self._cell("sku"))
        if "sku" in self._broken:
            return ""
        if not sku:
            self.note("sku", tr("the SKU is missing"))
        elif sku.startswith("=") or is_error_word(sku):
            self.note("sku", tr("{cell} is a formula or an error, not its value; write the value", cell=sku))
        elif _DAY.fullmatch(sku):
            self.note(
                "sku", tr("a spreadsheet program has made a date of it: {cell}; write it again as text", cell=sku)
            )
        elif plain_header(sku).rstrip(":") in _TOTALS:
            self.note("sku", tr("{cell}: this row adds up the others; take it out", cell=sku))
        elif (is_exponent(sku) and "+" in sku) or is_rounded(sku):
            self.note("sku", tr("a spreadsheet program has rounded {sku}; write it again as text", sku=sku))
        return sku

    def _quantity(self) -> int | None:
        quantity = _GROUP.sub("", self._cell("quantity"))
        if not quantity:
            return None
        if _WHOLE.fullmatch(quantity) is None:
            self.note("quantity", tr("{quantity} is not a whole number from 0 up", quantity=quantity))
            return None
        return int(quantity.replace(",", ""))

    def _measure(self, field: str, units: Mapping[str, Decimal]) -> int | None:
        cell = self._cell(field)
        if not cell:
            return None
        found = _MEASURE.fullmatch(cell.casefold())
        factor = units.get(found["unit"]) if found is not None else None
        if found is None or factor is None:
            self.note(
                field,
                tr(
                    "{cell} is not a number, or not with one of {units}",
                    cell=cell,
                    units=", ".join(filter(None, units)),
                ),
            )
            return None
        whole = int((Decimal(found["number"]) * factor).to_integral_value(ROUND_CEILING))
        if whole == 0:
            self.note(field, tr("{cell} is nothing; leave the cell empty if it is not known", cell=cell))
            return None
        return whole

    def _cost(self) -> tuple[Decimal | None, str | None]:
        cell = self._cell("cost")
        if not cell:
            return None, None
        found = _COST.fullmatch(cell.upper())
        if found is None:
            self.note("cost", tr("{cell} is not an amount; write it as 3.20 or 3.20 USD", cell=cell))
            return None, None
        return Decimal(found["amount"]), found["currency"]
