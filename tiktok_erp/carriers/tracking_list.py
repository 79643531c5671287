"""Read a seller's tracking list (CSV or XLSX) for `print-labels --from`. Edge.

Labels bought elsewhere come back as a table `order_id,carrier,tracking_number` and, when known, `package_id,label_file`
(design, section 5.4). One bad row never stops the others: it is returned as a fault beside the good ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.table_file import (
    SEPARATORS,
    TableFile,
    TableRow,
    find_columns,
    has_columns,
    is_error_word,
    is_exponent,
    is_rounded,
    plain_code,
    refuse_other_kind,
    work_it_out,
)

_COLUMNS: Mapping[str, Sequence[str]] = {
    "order_id": ("order_id",),
    "carrier": ("carrier", "Shipping Provider Name", "Shipping Provider"),
    "tracking_number": ("tracking_number", "Tracking ID"),
    "package_id": ("package_id",),
    "label_file": ("label_file",),
}
_REQUIRED = ("order_id", "carrier", "tracking_number")
_KINDS = ("tracking_list", "tracking_template")

_PLATFORM_FORM = re.compile(r"[A-Za-z0-9\-_./]{4,50}", re.ASCII)  # TikTok reference, section 4.5
_SHORTEST_TRACKING_NUMBER_OF_A_POST = 20


@dataclass(frozen=True, slots=True)
class TrackedLabel:
    """One row of the list. `order_id` is as written: `tiktok:576...`, `576...` or a package id such as `P000123`."""

    line: int
    order_id: str
    package_id: str | None
    carrier: str
    tracking_number: str
    label_file: Path | None


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be used, and why. `order_id` is what its cell says, also when that is the fault."""

    line: int
    column: str
    order_id: str
    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class TrackingList:
    """The good rows in the file's order, and the faults of the others."""

    labels: tuple[TrackedLabel, ...]
    faults: tuple[RowFault, ...]


def read_tracking_list(path: Path) -> TrackingList:
    """Return the rows of a tracking list. `label_file` is resolved against the list's folder and exists.

    Carriers become our codes (`usps`); the numbers' check digits are not looked at here. Raises InputFileError when
    the file as a whole is unreadable or lacks one of its three columns.
    """
    table = TableFile(path, delimiters=SEPARATORS, is_header=lambda row: has_columns(row, _COLUMNS, _REQUIRED))
    header, rows = table.read()
    refuse_other_kind(table, header, _KINDS)
    columns = find_columns(table, header, _COLUMNS, required=_REQUIRED, kinds=_KINDS)
    found = [
        (row.line, _cells(row, columns), _extra_cells(row, len(header.cells)), table.broken_cells(row, columns))
        for row in rows
    ]
    has_whole_order_ids = any(not is_rounded(cells["order_id"]) for _line, cells, _extra, _broken in found)

    labels: list[TrackedLabel] = []
    faults: list[RowFault] = []
    for line, cells, has_extra_cells, broken in found:
        if broken:
            field, what = next(iter(broken.items()))
            faults.append(RowFault(line, _COLUMNS[field][0], cells["order_id"], what, work_it_out()))
            continue
        fault = _fault_in(line, cells, path.parent, has_extra_cells, has_whole_order_ids=has_whole_order_ids)
        if fault is None:
            labels.append(_label(line, cells, path.parent))
        else:
            faults.append(fault)
    repeated = _repeated(labels)
    faulty_lines = {fault.line for fault in repeated}
    return TrackingList(
        tuple(label for label in labels if label.line not in faulty_lines),
        tuple(sorted([*faults, *repeated], key=lambda fault: fault.line)),
    )


def _cells(row: TableRow, columns: Mapping[str, int]) -> dict[str, str]:
    """Return the row's cells by field; a row may leave out its last cells."""
    cells = {field: row.cells[index].strip() if index < len(row.cells) else "" for field, index in columns.items()}
    return {field: cell if field == "label_file" else plain_code(cell) for field, cell in cells.items()}


def _extra_cells(row: TableRow, width: int) -> bool:
    return any(cell.strip() for cell in row.cells[width:])


def _fault_in(
    line: int, cells: Mapping[str, str], folder: Path, has_extra_cells: bool, *, has_whole_order_ids: bool
) -> RowFault | None:
    order_id, number = cells["order_id"], cells["tracking_number"]

    def fault(column: str, what: str, next_step: str) -> RowFault:
        return RowFault(line, _COLUMNS[column][0], order_id, what, next_step)

    if has_extra_cells:
        return fault(
            "order_id",
            tr("the row has more cells than the header"),
            tr("put text that contains the separator in quotes"),
        )
    for field in _REQUIRED:
        if not cells[field]:
            return fault(field, tr("the cell is empty"), tr("fill it in"))
        if is_error_word(cells[field]) or cells[field].startswith("="):
            what = tr("{cell} is a formula or an error, not its value; write the value", cell=cells[field])
            return fault(field, what, work_it_out())
    as_text = tr("write the whole number again in a column formatted as text")
    is_cut = is_exponent(order_id) or (is_rounded(order_id) and not has_whole_order_ids)
    if is_cut:
        return fault("order_id", _digits_lost(order_id), as_text)
    if is_exponent(number) or (len(number) >= _SHORTEST_TRACKING_NUMBER_OF_A_POST and is_rounded(number)):
        return fault("tracking_number", _digits_lost(number), as_text)
    if _PLATFORM_FORM.fullmatch("".join(number.split())) is None:
        return fault(
            "tracking_number",
            tr("{number} is not a tracking number: 4 to 50 letters, digits or -_./", number=number),
            tr("copy it from the label again"),
        )
    if cells.get("label_file") and not _is_file(folder / cells["label_file"]):
        return fault(
            "label_file",
            tr("there is no file {name}", name=cells["label_file"]),
            tr("put it beside the list, or correct its name"),
        )
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have, such as one of 300 characters
        return False


def _digits_lost(number: str) -> str:
    return tr("a spreadsheet program has rounded the number {found}; its last digits are lost", found=number)


def _label(line: int, cells: Mapping[str, str], folder: Path) -> TrackedLabel:
    file_name = cells.get("label_file")
    return TrackedLabel(
        line=line,
        order_id=cells["order_id"],
        package_id=cells.get("package_id") or None,
        carrier=carrier_code(cells["carrier"]),
        tracking_number="".join(cells["tracking_number"].split()),
        label_file=folder / file_name if file_name else None,
    )


def _repeated(labels: Sequence[TrackedLabel]) -> list[RowFault]:
    """Return a fault for each row that says again what an earlier row of the same order and package said.

    Where two rows give one package different numbers, neither is believed. One number for several orders is right:
    combined orders travel in one parcel.
    """
    rows_of: dict[tuple[str, str | None], list[TrackedLabel]] = {}
    for label in labels:
        rows_of.setdefault((label.order_id, label.package_id), []).append(label)
    faults: list[RowFault] = []
    for same in rows_of.values():
        first = same[0]
        if all((row.tracking_number, row.carrier) == (first.tracking_number, first.carrier) for row in same):
            what, bad = tr("the row repeats line {line}", line=first.line), same[1:]
        else:
            lines = ", ".join(str(row.line) for row in same)
            what, bad = tr("lines {lines} give one package different tracking numbers", lines=lines), same
        faults += [
            RowFault(row.line, "order_id", row.order_id, what, tr("keep one row for each package")) for row in bad
        ]
    return faults
