"""Rows of a CSV or XLSX file that a person or Seller Center made. Edge: it reads the file, knows no order or stock.

Used by the readers in `channels/`, `carriers/` and `config/`, so that all of them answer the same way to a file that is
cut off, in another encoding, or was saved by a spreadsheet program. Any fault of the file as a whole is an
InputFileError with `file:line:column`, or `file:sheet:line:column` where a workbook has several sheets.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.table_kind import name_archive, name_first_bytes, name_table

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element
    from zipfile import ZipFile


SEPARATORS = (",", ";", "\t", "|")  # what programs write between the cells of a CSV, each in its countries

_ZIP_MAGIC = b"PK\x03\x04"
_SNIFFED_BYTES = 65536
_PIECE_BYTES = 1 << 16
_ROWS_IN_A_BLOCK = 500
_ROWS_WITH_HEADERS = 8  # Seller Center's templates explain themselves above their header
_NO_NUMBERS: frozenset[int] = frozenset()
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<mark>.)"?\s*', re.IGNORECASE)  # Excel's own first line, no header
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")

# A spreadsheet program keeps 15 significant digits and shows longer numbers as 5.76461E+17.
_EXPONENT = re.compile(r"[+-]?\d+([.,]\d*)?[eE][+-]?\d+", re.ASCII)
_KEPT_DIGITS = 15
_ERROR_WORDS = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!"}
)

# Marks without width that come along when text is copied: zero-width blanks and joiners, direction marks, the byte order
# mark, the soft hyphen. Inside a name a joiner may belong to an emoji.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad"
_UNSEEN_ENDS = re.compile(rf"^[{_UNSEEN}]+|[{_UNSEEN}]+(?=\s*$)")
_UNSEEN_ANYWHERE = re.compile(rf"[{_UNSEEN}]")
# How programs keep a spreadsheet from taking text for a number: ="9400", =T("9400"), or a link that shows it; the same for
# a bare number.
_TEXT_FORMULA = re.compile(
    r'=\s*(?:(?:T|CLEAN|TRIM|TEXT|HYPERLINK)\((?:\s*"(?:[^"]|"")*"\s*[,;])?)?\s*"(?P<text>(?:[^"]|"")*)"\s*\)?',
    re.IGNORECASE,
)
_NUMBER_FORMULA = re.compile(r"=\s*(?P<text>\d+)", re.ASCII)
# A leading apostrophe says the same, where what follows is a number, a code of digits and capitals, or would be a formula.
_APOSTROPHE = re.compile(r"['\u2019](?=[\d.,:/\s-]+$|(?=.*\d{4})[A-Z0-9-]{8,}$|[=+@-])", re.ASCII)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the 1-based line where it starts, its cells as text, and which of them were numbers in a spreadsheet.

    `broken` holds (index, text) of the cells whose value nobody knows: formulas that were never worked out (text empty)
    and errors of the spreadsheet program (`#N/A`).
    """

    line: int
    cells: Sequence[str]
    numbers: frozenset[int] = _NO_NUMBERS
    broken: tuple[tuple[int, str], ...] = ()

    def is_blank(self) -> bool:
        return not self.broken and not any(cell.strip() for cell in self.cells)


class TableFile:
    """A table on disk. `read()` begins at its start each time, and refuses a file that changed in between.

    `delimiters` are those that may separate the cells of a CSV; the one that the header holds most often wins. Where tabs
    may, UTF-16 is read too: spreadsheet programs save the two together. Of an XLSX file the sheet named `sheet` is read if
    there is one; else the first that a person sees and whose first row `is_header` takes for a header; else the first
    that a person sees. `other_sheets` are further ones with such a header, known once the file was read.
    """

    def __init__(
        self,
        path: Path,
        *,
        delimiters: Sequence[str] = (",",),
        sheet: str | None = None,
        is_header: Callable[[TableRow], bool] | None = None,
    ) -> None:
        self.path = path
        self.other_sheets: tuple[str, ...] = ()
        self._sheet = sheet
        self._is_header = is_header
        self._sheet_read: str | None = None
        self._has_several_sheets = False
        self._kept: _KeptRows | None = None
        start, self._seen = self._read_start()
        self.is_xlsx = start.startswith(_ZIP_MAGIC)
        if not self.is_xlsx:
            self._encoding = _encoding(start)
            self._delimiter, self._header_line = self._choose_delimiter(start, delimiters)

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

    @property
    def sheet(self) -> str | None:
        """The sheet that was read, where a workbook has several."""
        return self._sheet_read if self._has_several_sheets else None

    def fault(
        self, what: str, *, next_step: str, line: int | None = None, column: str | None = None, order: str | None = None
    ) -> InputFileError:
        """Return the error for a fault at `line` and `column`, in the row of `order`."""
        where = ":".join(str(part) for part in (self.path, self.sheet, line, column) if part is not None)
        if order is not None:
            where = tr("{where}, order {order}", where=where, order=order)
        return InputFileError(what, subject=where, next_step=next_step)

    def broken_cells(self, row: TableRow, columns: Mapping[str, int]) -> dict[str, str]:
        """Return what is wrong with the cells of `columns` whose value nobody knows, by field."""
        found = dict(row.broken)
        return {
            field: self._broken(index, row.line, found[index]) for field, index in columns.items() if index in found
        }

    def refuse_broken(self, row: TableRow, columns: Mapping[str, int], headers: Mapping[str, Sequence[str]]) -> None:
        """Raise InputFileError for the first cell of `columns` whose value nobody knows; `headers` name the columns."""
        for field, what in self.broken_cells(row, columns).items() if row.broken else ():
            raise self.fault(what, line=row.line, column=headers[field][0], next_step=work_it_out())

    def refuse_broken_header(self, header: TableRow) -> None:
        """Raise InputFileError when a header is a formula that was never worked out, or an error."""
        for index, error in header.broken:
            raise self.fault(self._broken(index, header.line, error), line=header.line, next_step=work_it_out())

    def first_rows(self, count: int) -> Iterator[TableRow]:
        """Yield the first rows of the table, and of a workbook those of every sheet that a person sees."""
        header, rows = self.read()
        yield header
        yield from islice(rows, count - 1)
        if self.is_xlsx and self._has_several_sheets:
            workbook = _Workbook(self.path)
            for name in workbook.sheets()[0]:
                if name != self._sheet_read:
                    yield from islice(workbook.rows(name), count)

    def _broken(self, index: int, line: int, error: str) -> str:
        cell, sheet = f"{_column_letters(index)}{line}", self._sheet_read
        if error:
            return tr("cell {cell} of sheet {sheet} holds the error {error}", cell=cell, sheet=sheet, error=error)
        return tr("cell {cell} of sheet {sheet} is a formula whose value was never worked out", cell=cell, sheet=sheet)

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
        if not start.removeprefix(b"\xef\xbb\xbf").strip():
            raise self._empty()
        no_table = _name_format(self.path, start)
        if no_table is not None:
            raise self.fault(no_table[0], next_step=no_table[1])
        return start, seen

    def _choose_delimiter(self, start: bytes, delimiters: Sequence[str]) -> tuple[str, int]:
        """Return what separates the cells, and the header's line: behind Excel's `sep=;` it is the second."""
        names = {";": tr("semicolons"), "\t": tr("tabs"), "|": tr("vertical bars"), ",": tr("commas")}
        text = start.decode(self._encoding, "replace").lstrip("\ufeff")
        named = _SEPARATOR_LINE.match(text.split("\n", 1)[0])
        if named is not None:
            text = text.split("\n", 1)[-1]
        # A header cell may have several lines: the row ends at the first line break outside of quotes.
        unquoted = re.sub(r'"[^"]*"?', "", text)
        header = re.split(r"[\r\n]", unquoted.lstrip("\r\n"), maxsplit=1)[0]
        found = named["mark"] if named is not None else max((*delimiters, *SEPARATORS), key=header.count)
        if self._encoding != "utf-8-sig" and "\t" not in delimiters:
            raise self.fault(
                tr(
                    "this is UTF-16 text with {found} between its columns, not UTF-8 with commas",
                    found=names.get(found, found),
                ),
                next_step=_save_as_utf_8(),
            )
        if found in delimiters:  # the first of equals
            return found, 1 if named is None else 2
        raise self.fault(
            tr("the columns are separated by {found}, not by commas", found=names.get(found, found)),
            line=1,
            next_step=tr("take the file as it was downloaded, not as a spreadsheet program saved it"),
        )

    def _csv_rows(self) -> Iterator[TableRow]:
        line = 1
        try:
            with self.path.open("rb") as raw, io.TextIOWrapper(raw, encoding=self._encoding, newline="") as text:
                lines = _Lines(text)
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
                if self._header_line == 2:
                    next(reader)
                    line = 2
                for cells in reader:
                    row = TableRow(line, [plain_cell(cell) for cell in cells] if lines.take_odd() else cells)
                    line = reader.line_num + 1
                    if not row.is_blank():
                        yield row
        except OSError as cause:
            raise self._unreadable(cause) from cause
        except UnicodeError as cause:  # UTF-16 without its first mark is a plain UnicodeError
            raise self.fault(
                tr("this is not UTF-8 text"), line=self._first_broken_line(), next_step=_save_as_utf_8()
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
        """Yield the sheet's rows. They are unpacked once and kept aside: unpacking takes longer than all the rest."""
        if self._kept is None:
            kept = _KeptRows()
            try:
                with _without_cycle_search():
                    self._unpack(kept)
            except OSError as cause:
                raise self._unreadable(cause) from cause
            except Exception as cause:  # a broken file is answered with whatever the parsers of its parts raise
                raise self.fault(
                    tr("this is not a whole XLSX workbook"),
                    next_step=tr("the file is cut off or damaged: download or save it again"),
                ) from cause
            self._kept = kept
        return iter(self._kept)

    def _unpack(self, kept: _KeptRows) -> None:
        """Read the sheet row by row; whole when its rows come in no order.

        Some of Seller Center's files give a stale dimension, or put each header cell into a row element of its own
        (TikTok reference, section 8.1): cells go by their own references, never by what stands around them.
        """
        workbook = _Workbook(self.path)
        sheet = self._choose_sheet(workbook)
        before = 0
        for row in workbook.rows(sheet):
            if row.line <= before:
                kept.clear()
                break
            before = row.line
            if not row.is_blank():
                kept.add(_plain_row(row))
        else:
            return kept.finish()
        whole: dict[int, TableRow] = {}
        for row in workbook.rows(sheet):
            whole[row.line] = _joined(whole[row.line], row) if row.line in whole else row
        for line in sorted(whole):
            if not whole[line].is_blank():
                kept.add(_plain_row(whole[line]))
        return kept.finish()

    def _choose_sheet(self, workbook: _Workbook) -> str:
        seen, hidden = workbook.sheets()
        self._has_several_sheets = len(seen) + len(hidden) > 1
        if self._sheet in (*seen, *hidden):
            self._sheet_read = self._sheet
            return self._sheet
        firsts = {name: workbook.first_row(name) for name in seen} if len(seen) > 1 else {}
        fitting = [
            name
            for name, row in firsts.items()
            if row is not None and self._is_header is not None and self._is_header(row)
        ]
        filled = [name for name, row in firsts.items() if row is not None]
        chosen = next(iter((*fitting, *filled, *seen, *hidden)))
        self.other_sheets = tuple(fitting[1:])
        self._sheet_read = chosen
        return chosen


class _Lines:
    """The lines of a CSV. Notes whether one of them may hold a cell that is not what it looks like."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text = text
        self._is_odd = False

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            # Looked at line by line, since a look at each of an export's ten million cells takes longer than reading it.
            if not line.isascii() or "=" in line:
                self._is_odd = True
            yield line

    def take_odd(self) -> bool:
        """Tell whether there was such a line since this was asked the last time."""
        was_odd, self._is_odd = self._is_odd, False
        return was_odd


@contextmanager
def _without_cycle_search() -> Iterator[None]:
    """Keep Python from searching for cycles: XML elements have none, and there are so many that it takes a quarter of the time."""
    import gc

    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _KeptRows:
    """Rows put aside in a nameless temporary file, packed, to be read again and again. It goes with the object."""

    def __init__(self) -> None:
        import tempfile
        import weakref

        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the object
        weakref.finalize(self, self._file.close)
        self._block: list[tuple[int, Sequence[str], tuple[int, ...], tuple[tuple[int, str], ...]]] = []
        self._blocks: list[tuple[int, int]] = []

    def add(self, row: TableRow) -> None:
        self._block.append((row.line, row.cells, tuple(row.numbers), row.broken))
        if len(self._block) >= _ROWS_IN_A_BLOCK:
            self.finish()

    def finish(self) -> None:
        """Write what is still in memory."""
        import marshal
        import zlib

        if self._block:
            packed = zlib.compress(marshal.dumps(self._block), 1)
            self._blocks.append((self._file.tell(), len(packed)))
            self._file.write(packed)
            self._block = []

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._block, self._blocks = [], []

    def __iter__(self) -> Iterator[TableRow]:
        import marshal
        import zlib

        for start, length in self._blocks:
            self._file.seek(start)  # each time: two readers may take turns
            for line, cells, numbers, broken in marshal.loads(zlib.decompress(self._file.read(length))):
                yield TableRow(line, cells, frozenset(numbers) if numbers else _NO_NUMBERS, broken)


class _Workbook:
    """The parts of an XLSX file that hold text and numbers, read as a stream: openpyxl keeps every text in memory.

    Namespaces are not looked at, since there are two sets of them (ECMA-376, transitional and strict). Raises whatever
    the zip and XML readers raise, and KeyError for a missing part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def sheets(self) -> tuple[list[str], list[str]]:
        """Return the names of the sheets that a person sees, and of the hidden ones."""
        from zipfile import ZipFile

        with ZipFile(self._path) as archive:
            return _sheet_names(archive, _main_part(archive))

    def first_row(self, sheet: str) -> TableRow | None:
        """Return the first row of a sheet that holds something."""
        return next((_plain_row(row) for row in self.rows(sheet) if not row.is_blank()), None)

    def rows(self, sheet: str | None) -> Iterator[TableRow]:
        """Yield the rows of the sheet of that name, else of the first; a row's `line` is its number in the sheet."""
        from zipfile import ZipFile

        with ZipFile(self._path) as archive:
            main = _main_part(archive)
            book = list(_parse(archive, main).iter())
            parts = _sheet_parts(archive, main)
            target = parts[sheet] if sheet in parts else next(iter(parts.values()))
            cells = _CellReader(
                texts=_SharedTexts(archive, main),
                dates=_date_styles(archive, main),
                is_1904=_is_set(book, "workbookPr", "date1904"),
                is_to_be_calculated=_is_set(book, "calcPr", "fullCalcOnLoad"),
            )
            yield from _sheet_rows(archive, target, cells)


def _is_set(book: Sequence[Element], tag: str, name: str) -> bool:
    return any(element.get(name) in ("1", "true") for element in book if _local(element.tag) == tag)


def _sheet_names(archive: ZipFile, main: str) -> tuple[list[str], list[str]]:
    states = {
        element.get("name", ""): element.get("state", "visible")
        for element in _parse(archive, main).iter()
        if _local(element.tag) == "sheet"
    }
    names = list(_sheet_parts(archive, main))
    return (
        [name for name in names if states[name] == "visible"],
        [name for name in names if states[name] != "visible"],
    )


def _name_format(path: Path, start: bytes) -> tuple[str, str] | None:
    """Return what a file of no table's format is, and what to do; None for a table, and for what cannot be opened."""
    if not start.startswith(_ZIP_MAGIC):
        return name_first_bytes(start, path.suffix)
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            mimetype = archive.read("mimetype")[:200] if "mimetype" in names else b""
    except (BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None  # cut off: whoever reads it says so
    return name_archive(names, mimetype)


def sheet_parts(path: Path) -> dict[str, str]:
    """Return the archive member of each sheet by the sheet's name, hidden ones last. Raises whatever zip and XML readers raise."""
    from zipfile import ZipFile

    with ZipFile(path) as archive:
        main = _main_part(archive)
        parts = _sheet_parts(archive, main)
        seen, hidden = _sheet_names(archive, main)
        return {name: parts[name] for name in (*seen, *hidden)}


def _main_part(archive: ZipFile) -> str:
    return next(iter(_related(archive, "", "officeDocument").values()), "xl/workbook.xml")


def _sheet_parts(archive: ZipFile, main: str) -> dict[str, str]:
    sheets = _related(archive, main, "worksheet")
    return {
        element.get("name", ""): sheets[_relation_id(element)]
        for element in _parse(archive, main).iter()
        if _local(element.tag) == "sheet" and _relation_id(element) in sheets
    }


def _sheet_rows(archive: ZipFile, part: str, reader: _CellReader) -> Iterator[TableRow]:
    """Yield the rows of a sheet; row elements that follow each other with cells of one row are one row."""
    waiting: TableRow | None = None
    line = 0
    for element in _elements(archive, part, "sheetData"):
        row = reader.row(element, line + 1)
        line = row.line
        if waiting is not None and waiting.line == line:
            waiting = _joined(waiting, row)
            continue
        if waiting is not None:
            yield waiting
        waiting = row
    if waiting is not None:
        yield waiting


def _joined(first: TableRow, second: TableRow) -> TableRow:
    width = max(len(first.cells), len(second.cells))
    padded = [[*row.cells, *[""] * (width - len(row.cells))] for row in (first, second)]
    return TableRow(
        first.line,
        [b or a for a, b in zip(*padded, strict=True)],
        first.numbers | second.numbers,
        first.broken + second.broken,
    )


def _elements(archive: ZipFile, part: str, container: str | None = None) -> Iterator[Element]:
    """Yield the children of the root, or of its child `container`, each once it is whole, and forget them."""
    from xml.etree.ElementTree import TreeBuilder, XMLParser

    builder = TreeBuilder()
    document = builder.start("document", {})  # our own element around the root: through it the tree is seen growing
    parser = XMLParser(target=builder)
    holder: Element | None = None
    with archive.open(part) as source:
        while piece := source.read(_PIECE_BYTES):
            parser.feed(piece)
            if holder is None and len(document):
                root = document[0]
                holder = root if container is None else next((e for e in root if _local(e.tag) == container), None)
            if holder is not None:
                whole = holder[:-1]  # the last one may still be growing
                del holder[: len(whole)]
                yield from whole
    builder.end("document")
    parser.close()
    if holder is not None:
        yield from holder


class _SharedTexts:
    """A workbook's table of texts: one buffer and the places in it, a tenth of what as many `str` would take."""

    def __init__(self, archive: ZipFile, main: str) -> None:
        self._buffer = bytearray()
        self._ends = array("Q", [0])
        part = next(iter(_related(archive, main, "sharedStrings").values()), None)
        if part is not None:
            for item in _elements(archive, part):
                self._buffer += _rich_text(item).encode("utf-8", "surrogatepass")
                self._ends.append(len(self._buffer))

    def __getitem__(self, index: int) -> str:
        if index < 0:
            raise IndexError(index)
        return self._buffer[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogatepass")


class _CellReader:
    """Turns row elements into rows: a cell is text, a number, a time, or empty."""

    def __init__(self, texts: _SharedTexts, dates: frozenset[str], *, is_1904: bool, is_to_be_calculated: bool) -> None:
        self._texts = texts
        self._dates = dates
        self._is_1904 = is_1904
        # A program that works no formula out writes 0 in its place and asks that it be worked out on opening.
        self._untrue = "0" if is_to_be_calculated else None
        self._columns: dict[str, int] = {}

    def row(self, element: Element, line: int) -> TableRow:
        """Return the row; the reference of its first cell tells its number, else its own, else it is `line`.

        Called for every row and looking at every cell of a file: hence one flat loop.
        """
        value_tag = element.tag[: -len("row")] + "v"  # with the namespace that this file uses
        formula_tag = value_tag[:-1] + "f"
        cells: list[str] = []
        numbers: list[int] = []
        broken: list[tuple[int, str]] = []
        columns = self._columns
        texts = self._texts
        tail = 0
        column = -1
        line = int(element.get("r") or line)
        for cell in element:
            place = cell.get("r")
            if place is None:
                column += 1
            else:
                if not tail:
                    digits = place[len(place.rstrip("0123456789")) :]
                    line, tail = int(digits), len(digits)
                letters = place[:-tail]
                found = columns.get(letters)
                column = columns.setdefault(letters, _column_index(letters)) if found is None else found
            kind = cell.get("t")
            if kind == "s":
                value = cell.findtext(value_tag)
                text = texts[int(value)] if value else ""
            elif kind is None or kind == "n":
                value = cell.findtext(value_tag)
                if not value or value == self._untrue:
                    formula = cell.find(formula_tag)
                    if formula is not None:
                        text = _literal(formula)
                        if not text:
                            broken.append((column, ""))
                    elif not value:
                        continue
                    else:
                        text = value
                        numbers.append(column)
                else:
                    number = self._number(value, cell.get("s"))
                    text = _xlsx_text(number)
                    if isinstance(number, int | float):
                        numbers.append(column)
            else:
                text = self._other(cell, kind, value_tag)
                if kind == "e":
                    broken.append((column, text))
                elif not text and cell.find(value_tag) is None and (formula := cell.find(formula_tag)) is not None:
                    text = _literal(formula)
                    if not text:
                        broken.append((column, ""))
            if text:
                missing = column - len(cells)
                if missing == 0:
                    cells.append(text)
                elif missing > 0:
                    cells += [""] * missing
                    cells.append(text)
                else:
                    cells[column] = text
        return TableRow(line, cells, frozenset(numbers) if numbers else _NO_NUMBERS, tuple(broken))

    def _other(self, cell: Element, kind: str, value_tag: str) -> str:
        if kind == "inlineStr":
            return _rich_text(cell[0]) if len(cell) else ""
        text = cell.findtext(value_tag) or ""
        if kind == "b":
            return str(text == "1") if text else ""
        return _unescaped(text)  # a formula's text, an error, an ISO date

    def _number(self, text: str, style: str | None) -> object:
        number = float(text) if any(mark in text for mark in ".eE") else int(text)
        if style is None or style not in self._dates:
            return number
        from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

        moment = from_excel(number, CALENDAR_MAC_1904 if self._is_1904 else CALENDAR_WINDOWS_1900)
        # A day is a float there: whole seconds come back as 41.9999.
        return moment + timedelta(milliseconds=500) if isinstance(moment, datetime) else moment


def _literal(formula: Element) -> str:
    """Return the text of a formula that is a mere text or number, `"9400"`, and needs no working out; else nothing."""
    written = f"={formula.text or ''}"
    plain = plain_cell(written)
    return "" if plain == written else plain


def _date_styles(archive: ZipFile, main: str) -> frozenset[str]:
    """Return the style numbers whose numbers are times."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

    part = next(iter(_related(archive, main, "styles").values()), None)
    if part is None:
        return frozenset()
    styles = _parse(archive, part)
    formats = {str(number): text for number, text in BUILTIN_FORMATS.items()}
    for element in styles.iter():
        if _local(element.tag) == "numFmt" and element.get("numFmtId"):
            formats[element.get("numFmtId", "")] = element.get("formatCode", "")
    uses = next((element for element in styles if _local(element.tag) == "cellXfs"), ())
    return frozenset(
        str(index) for index, use in enumerate(uses) if is_date_format(formats.get(use.get("numFmtId", ""), ""))
    )


def _related(archive: ZipFile, part: str, kind: str) -> dict[str, str]:
    """Return the parts of one kind that `part` names in its relationships, by their ids."""
    import posixpath

    folder, name = posixpath.split(part)
    try:
        relations = _parse(archive, posixpath.join(folder, "_rels", f"{name}.rels"))
    except KeyError:
        return {}
    return {
        relation.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/")
        for relation in relations
        if relation.get("Type", "").rpartition("/")[2] == kind
    }


def _parse(archive: ZipFile, part: str) -> Element:
    from xml.etree.ElementTree import fromstring

    return fromstring(archive.read(part))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _relation_id(element: Element) -> str:
    return next((value for name, value in element.attrib.items() if name.endswith("}id")), "")


def _rich_text(element: Element) -> str:
    """Return the text of an `si` or `is` element: plain, or in runs. What is to be read above the signs is left out."""
    if len(element) == 1 and element[0].text:
        return _unescaped(element[0].text)  # plain, as nearly all are; a run has no text of its own
    parts: list[str] = []
    for child in element:
        name = _local(child.tag)
        if name == "t":
            parts.append(child.text or "")
        elif name == "r":
            parts.extend(run.text or "" for run in child if _local(run.tag) == "t")
    return _unescaped("".join(parts))


def _unescaped(text: str) -> str:
    """Return `text` with the characters that XML cannot hold, which the format writes as _x000D_."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _give_another() -> str:
    return tr("give the path of a CSV or XLSX file")


def _xlsx_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_KEPT_DIGITS:
        return str(int(value))
    return str(value)


@lru_cache(maxsize=1024)
def _column_index(letters: str) -> int:
    """Return 0 for A, 26 for AA."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - 64
    return index - 1


def _column_letters(index: int) -> str:
    """Return A for 0, AA for 26."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def plain_header(text: str) -> str:
    """Return a header as it is compared: lower case, spaces and underscores collapsed to one space."""
    return " ".join(_UNSEEN_ANYWHERE.sub(" ", text).replace("_", " ").split()).casefold()


def plain_cell(cell: str) -> str:
    """Return the text that a cell stands for: that inside `="9400"`, without unseen marks at its ends.

    Blanks are left alone: a tab behind a number tells that it never was a number of a spreadsheet program.
    """
    if cell.isascii() and "=" not in cell:
        return cell
    text = _UNSEEN_ENDS.sub("", cell)
    bare = text.strip()
    if bare[:1] == "=":
        found = _TEXT_FORMULA.fullmatch(bare) or _NUMBER_FORMULA.fullmatch(bare)
        return text if found is None else plain_cell(found["text"].replace('""', '"'))
    return text


def without_apostrophe(cell: str) -> str:
    """Return what stands behind the apostrophe that keeps a spreadsheet program from taking text for a number."""
    return cell[1:] if _APOSTROPHE.match(cell) else cell


def plain_code(cell: str) -> str:
    """Return an id, a SKU or a number that somebody typed or copied: no unseen marks in it, no apostrophe before it."""
    return " ".join(_UNSEEN_ANYWHERE.sub("", cell).strip().lstrip("'\u2019").split())


def is_error_word(cell: str) -> bool:
    """Tell whether a cell says what a spreadsheet program shows in place of a value: `#N/A`."""
    return cell.strip().upper() in _ERROR_WORDS


def work_it_out() -> str:
    """Return what to do about a cell whose value nobody knows."""
    return tr("open the file in a spreadsheet program and save it again, or write the value in place of the formula")


def _plain_row(row: TableRow) -> TableRow:
    text = "".join(row.cells)
    if text.isascii() and "=" not in text:
        return row
    return TableRow(row.line, [plain_cell(cell) for cell in row.cells], row.numbers, row.broken)


def _encoding(start: bytes) -> str:
    """Return how a text file is written: UTF-16 shows by its first mark, or by the zeros beside plain letters."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start[:200].count(0) > len(start[:200]) // 4:
        return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def _save_as_utf_8() -> str:
    return tr("take the file as it was downloaded, not as a spreadsheet program saved it, or save it as CSV UTF-8")


def has_columns(header: TableRow, names: Mapping[str, Sequence[str]], required: Collection[str]) -> bool:
    """Tell whether a row names each required field of `names`."""
    cells = {plain_header(cell) for cell in header.cells}
    return all(any(plain_header(name) in cells for name in names[field]) for field in required)


def find_columns(
    table: TableFile,
    header: TableRow,
    names: Mapping[str, Sequence[str]],
    *,
    required: Collection[str],
    kinds: Collection[str] = (),
) -> dict[str, int]:
    """Return the index of each field of `names` that the header has; a field's first name wins over its aliases.

    Raises InputFileError when a required field is missing or a name appears twice. A table of another kind than `kinds`
    (`model/table_kind.py`) is then called by its name.
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
    table.refuse_broken_header(header)
    missing = [names[field][0] for field in names if field in required and field not in columns]
    if missing:
        refuse_other_kind(table, header, kinds)
        raise table.fault(
            tr("the header has no column {columns}", columns=", ".join(missing)),
            line=header.line,
            next_step=tr("check that this is the right file, with its header in the first row"),
        )
    return columns


def refuse_other_kind(table: TableFile, header: TableRow, kinds: Collection[str] = ()) -> None:
    """Raise InputFileError when the table is one that is known and of none of these `kinds` (`model/table_kind.py`)."""
    kind = name_table(map(plain_header, header.cells))
    if kind is None:
        rows = table.first_rows(_ROWS_WITH_HEADERS)
        kind = next(filter(None, (name_table(map(plain_header, row.cells)) for row in rows)), None)
    if kind is not None and kind.name not in kinds:
        raise table.fault(tr(kind.what), line=header.line, next_step=tr(kind.command))


def name_other_file(path: Path, kinds: Collection[str]) -> InputFileError | None:
    """Return an error that calls a file by its name when it is known and of none of these `kinds`, else None."""
    try:
        with path.open("rb") as raw:
            named = _name_format(path, raw.read(_SNIFFED_BYTES))
        if named is not None:
            return InputFileError(named[0], subject=str(path), next_step=named[1])
        table = TableFile(path, delimiters=SEPARATORS)
        header = table.read()[0]
    except (InputFileError, OSError):
        return None
    try:
        refuse_other_kind(table, header, kinds)
    except InputFileError as other:
        return other
    return None


def is_exponent(text: str) -> bool:
    """Tell whether `text` is a long number as a spreadsheet program shows it: `5.76E+17`."""
    return _EXPONENT.fullmatch(text) is not None


def is_rounded(text: str) -> bool:
    """Tell whether `text` may be a number that a spreadsheet program cut to 15 digits and filled up with zeros."""
    return text.isdecimal() and len(text) > _KEPT_DIGITS + 1 and not text[_KEPT_DIGITS:].strip("0")
