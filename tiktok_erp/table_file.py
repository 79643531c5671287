"""Rows of a CSV or XLSX file that a person or Seller Center made. Edge: it reads the file, knows no order or stock.

Used by the readers in `channels/`, `carriers/` and `config/`, so that all of them answer the same way to a file that is
cut off, in another encoding, or was saved by a spreadsheet program. Any fault of the file as a whole is an
InputFileError with `file:line:column`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

_ZIP_MAGIC = b"PK\x03\x04"
_OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"  # .xls, and any Office file with a password
_SNIFFED_BYTES = 65536
_NO_NUMBERS: frozenset[int] = frozenset()

# A spreadsheet program keeps 15 significant digits and shows longer numbers as 5.76461E+17.
_EXPONENT = re.compile(r"[+-]?\d+([.,]\d*)?[eE][+-]?\d+", re.ASCII)
_KEPT_DIGITS = 15


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the 1-based line where it starts, its cells as text, and which of them were numbers in a spreadsheet."""

    line: int
    cells: Sequence[str]
    numbers: frozenset[int] = _NO_NUMBERS

    def is_blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


class TableFile:
    """A table on disk. `read()` begins at its start each time, and refuses a file that changed in between.

    `delimiters` are tried in this order; the one that the header holds most often wins. `sheet` is the XLSX sheet to
    read if there is one of that name, else the first.
    """

    def __init__(self, path: Path, *, delimiters: Sequence[str] = (",",), sheet: str | None = None) -> None:
        self.path = path
        self._sheet = sheet
        start, self._seen = self._read_start()
        self.is_xlsx = start.startswith(_ZIP_MAGIC)
        if not self.is_xlsx:
            self._delimiter = self._choose_delimiter(start, delimiters)

    def read(self) -> tuple[TableRow, Iterator[TableRow]]:
        """Return the header row and the rows below it, blank ones left out.

        Raises InputFileError when there is no header, and while iterating where the file breaks off.
        """
        try:
            is_changed = self._fingerprint() != self._seen
        except OSError as cause:
            raise self._unreadable(cause) from cause
        if is_changed:
            raise self.fault(
                tr("the file changed while it was read"), next_step=tr("wait until it is written, then run this again")
            )
        rows = self._xlsx_rows() if self.is_xlsx else self._csv_rows()
        header = next(rows, None)
        if header is None:
            raise self._empty()
        return header, rows

    def fault(
        self, what: str, *, next_step: str, line: int | None = None, column: str | None = None, order: str | None = None
    ) -> InputFileError:
        """Return the error for a fault at `line` and `column`, in the row of `order`."""
        where = ":".join(str(part) for part in (self.path, line, column) if part is not None)
        if order is not None:
            where = tr("{where}, order {order}", where=where, order=order)
        return InputFileError(what, subject=where, next_step=next_step)

    def _unreadable(self, cause: OSError) -> InputFileError:
        return self.fault(
            tr("the file cannot be read: {reason}", reason=cause.strerror or "?"), next_step=_give_another()
        )

    def _empty(self) -> InputFileError:
        return self.fault(tr("the file is empty"), next_step=tr("download or save it again"))

    def _fingerprint(self) -> tuple[int, int, int]:
        status = self.path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read_start(self) -> tuple[bytes, tuple[int, int, int]]:
        try:
            if not self.path.is_file():
                what = tr("there is no such file") if not self.path.exists() else tr("this is not a regular file")
                raise self.fault(what, next_step=_give_another())
            with self.path.open("rb") as raw:
                start = raw.read(_SNIFFED_BYTES)
            seen = self._fingerprint()
        except OSError as cause:
            raise self._unreadable(cause) from cause
        plain = start.removeprefix(b"\xef\xbb\xbf").strip()
        if not plain:
            raise self._empty()
        if start.startswith(_OLD_EXCEL_MAGIC):
            raise self.fault(
                tr("this is an old .xls file, or one with a password"),
                next_step=tr("save it as XLSX without a password, or as CSV"),
            )
        if plain[:9].lower() == b"<!doctype" or plain[:5].lower() == b"<html":
            raise self.fault(tr("this is a web page, not a table"), next_step=tr("sign in and download the file again"))
        return start, seen

    def _choose_delimiter(self, start: bytes, delimiters: Sequence[str]) -> str:
        header = start.splitlines()[0].decode("utf-8", "replace")
        unquoted = re.sub(r'"[^"]*"', "", header)
        return max(delimiters, key=unquoted.count)  # the first of equals

    def _csv_rows(self) -> Iterator[TableRow]:
        line = 1
        try:
            with self.path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                reader = csv.reader(text, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    row = TableRow(line, cells)
                    line = reader.line_num + 1
                    if not row.is_blank():
                        yield row
        except OSError as cause:
            raise self._unreadable(cause) from cause
        except UnicodeDecodeError as cause:
            raise self.fault(
                tr("this is not UTF-8 text"),
                line=self._first_broken_line(),
                next_step=tr(
                    "take the file as it was downloaded, not as a spreadsheet program saved it, or save it as CSV UTF-8"
                ),
            ) from cause
        except csv.Error as cause:
            raise self.fault(
                tr("a quoted cell that begins in this row does not end, or ends in the middle of its text"),
                line=line,
                next_step=tr("the file is cut off or was edited: download or save it again"),
            ) from cause

    def _first_broken_line(self) -> int | None:
        with self.path.open("rb") as raw:
            for number, line in enumerate(raw, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    return number
        return None

    def _xlsx_rows(self) -> Iterator[TableRow]:
        """Read the sheet row by row; whole when its rows are malformed.

        Some of Seller Center's files give a stale dimension, or put each header cell into a row element of its own,
        which only the reader of whole sheets puts together (TikTok reference, section 8.1).
        """
        found = self._xlsx_rows_of(read_only=True)
        header = next(found, None)
        if header is not None and sum(1 for cell in header.cells if cell.strip()) <= 1:
            found.close()
            yield from self._xlsx_rows_of(read_only=False)
            return
        if header is not None:
            yield header
            yield from found

    def _xlsx_rows_of(self, *, read_only: bool) -> Generator[TableRow, None, None]:
        try:
            workbook = open_workbook(self.path, read_only=read_only, data_only=True)
            try:
                named = self._sheet is not None and self._sheet in workbook.sheetnames
                sheet = workbook[self._sheet] if named and self._sheet is not None else workbook.worksheets[0]
                if read_only:
                    sheet.reset_dimensions()
                for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                    row = _xlsx_row(line, values)
                    if not row.is_blank():
                        yield row
            finally:
                workbook.close()
        except Exception as cause:  # openpyxl answers to a broken file with whatever its parsers raise
            raise self.fault(
                tr("this is not a whole XLSX workbook"),
                next_step=tr("the file is cut off or damaged: download or save it again"),
            ) from cause


def _give_another() -> str:
    return tr("give the path of a CSV or XLSX file")


def open_workbook(path: Path, *, read_only: bool = False, data_only: bool = False) -> Workbook:
    """Return the workbook as openpyxl opens it, without its warnings. Raises whatever openpyxl raises."""
    import warnings

    from openpyxl import load_workbook

    with warnings.catch_warnings():
        # No default style, extensions that openpyxl does not know: Seller Center's files have them, we need none.
        warnings.simplefilter("ignore", UserWarning)
        return load_workbook(path, read_only=read_only, data_only=data_only)


def _xlsx_row(line: int, values: Sequence[object]) -> TableRow:
    numbers = frozenset(
        index for index, value in enumerate(values) if isinstance(value, int | float) and not isinstance(value, bool)
    )
    return TableRow(line, [_xlsx_text(value) for value in values], numbers)


def _xlsx_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_KEPT_DIGITS:
        return str(int(value))
    return str(value)


def plain_header(text: str) -> str:
    """Return a header as it is compared: lower case, spaces and underscores collapsed to one space."""
    return " ".join(text.replace("\ufeff", " ").replace("_", " ").split()).casefold()


def find_columns(
    table: TableFile, header: TableRow, names: Mapping[str, Sequence[str]], *, required: Collection[str]
) -> dict[str, int]:
    """Return the index of each field of `names` that the header has; a field's first name wins over its aliases.

    Raises InputFileError when a required field is missing or a name appears twice.
    """
    places: dict[str, list[int]] = {}
    for index, cell in enumerate(header.cells):
        places.setdefault(plain_header(cell), []).append(index)
    columns: dict[str, int] = {}
    for field, spellings in names.items():
        found = next((spelling for spelling in spellings if plain_header(spelling) in places), None)
        if found is None:
            continue
        indexes = places[plain_header(found)]
        if len(indexes) > 1:
            raise table.fault(
                tr("the header has the column {column} twice", column=found),
                line=header.line,
                column=found,
                next_step=tr("leave one of the two, or download the file again"),
            )
        columns[field] = indexes[0]
    missing = [names[field][0] for field in names if field in required and field not in columns]
    if missing:
        raise table.fault(
            tr("the header has no column {columns}", columns=", ".join(missing)),
            line=header.line,
            next_step=tr("check that this is the right file, with its header in the first row"),
        )
    return columns


def is_exponent(text: str) -> bool:
    """Tell whether `text` is a long number as a spreadsheet program shows it: `5.76E+17`."""
    return _EXPONENT.fullmatch(text) is not None


def is_rounded(text: str) -> bool:
    """Tell whether `text` may be a number that a spreadsheet program cut to 15 digits and filled up with zeros."""
    return text.isdecimal() and len(text) > _KEPT_DIGITS + 1 and not text[_KEPT_DIGITS:].strip("0")
