"""Rows of a CSV or XLSX file that a person or Seller Center made. Edge: it reads the file, knows no order or stock.

Used by the readers in `channels/`, `carriers/` and `config/`, so that all of them answer the same way to a file that is
cut off, in another encoding, or was saved by a spreadsheet program. Any fault of the file as a whole is an
InputFileError with `file:line:column`.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element
    from zipfile import ZipFile


_ZIP_MAGIC = b"PK\x03\x04"
_OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"  # .xls, and any Office file with a password
_SNIFFED_BYTES = 65536
_PIECE_BYTES = 1 << 16
_ROWS_IN_A_BLOCK = 500
_NO_NUMBERS: frozenset[int] = frozenset()
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")

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
        self._kept: _KeptRows | None = None
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
        # A header cell may have several lines: the row ends at the first line break outside of quotes.
        unquoted = re.sub(r'"[^"]*"?', "", start.decode("utf-8", "replace"))
        header = re.split(r"[\r\n]", unquoted, maxsplit=1)[0]
        return max(delimiters, key=header.count)  # the first of equals

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
        before = 0
        for row in workbook.rows(self._sheet):
            if row.line <= before:
                kept.clear()
                break
            before = row.line
            if not row.is_blank():
                kept.add(row)
        else:
            return kept.finish()
        whole: dict[int, TableRow] = {}
        for row in workbook.rows(self._sheet):
            whole[row.line] = _joined(whole[row.line], row) if row.line in whole else row
        for line in sorted(whole):
            if not whole[line].is_blank():
                kept.add(whole[line])
        return kept.finish()


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
        self._block: list[tuple[int, Sequence[str], tuple[int, ...]]] = []
        self._blocks: list[tuple[int, int]] = []

    def add(self, row: TableRow) -> None:
        self._block.append((row.line, row.cells, tuple(row.numbers)))
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
            for line, cells, numbers in marshal.loads(zlib.decompress(self._file.read(length))):
                yield TableRow(line, cells, frozenset(numbers) if numbers else _NO_NUMBERS)


class _Workbook:
    """The parts of an XLSX file that hold text and numbers, read as a stream: openpyxl keeps every text in memory.

    Namespaces are not looked at, since there are two sets of them (ECMA-376, transitional and strict). Raises whatever
    the zip and XML readers raise, and KeyError for a missing part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, sheet: str | None) -> Iterator[TableRow]:
        """Yield the rows of the sheet of that name, else of the first; a row's `line` is its number in the sheet."""
        from zipfile import ZipFile

        with ZipFile(self._path) as archive:
            main = _main_part(archive)
            book = _parse(archive, main)
            parts = _sheet_parts(archive, main)
            target = parts[sheet] if sheet in parts else next(iter(parts.values()))
            cells = _CellReader(
                texts=_SharedTexts(archive, main),
                dates=_date_styles(archive, main),
                is_1904=any(
                    element.get("date1904") in ("1", "true")
                    for element in book.iter()
                    if _local(element.tag) == "workbookPr"
                ),
            )
            yield from _sheet_rows(archive, target, cells)


def sheet_parts(path: Path) -> dict[str, str]:
    """Return the archive member of each sheet of a workbook by the sheet's name. Raises whatever zip and XML readers raise."""
    from zipfile import ZipFile

    with ZipFile(path) as archive:
        return _sheet_parts(archive, _main_part(archive))


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
    return TableRow(first.line, [b or a for a, b in zip(*padded, strict=True)], first.numbers | second.numbers)


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

    def __init__(self, texts: _SharedTexts, dates: frozenset[str], *, is_1904: bool) -> None:
        self._texts = texts
        self._dates = dates
        self._is_1904 = is_1904
        self._columns: dict[str, int] = {}

    def row(self, element: Element, line: int) -> TableRow:
        """Return the row; the reference of its first cell tells its number, else its own, else it is `line`.

        Called for every row and looking at every cell of a file: hence one flat loop.
        """
        value_tag = element.tag[: -len("row")] + "v"  # with the namespace that this file uses
        cells: list[str] = []
        numbers: list[int] = []
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
                if not value:
                    continue
                number = self._number(value, cell.get("s"))
                text = _xlsx_text(number)
                if isinstance(number, int | float):
                    numbers.append(column)
            else:
                text = self._other(cell, kind, value_tag)
            if text:
                missing = column - len(cells)
                if missing == 0:
                    cells.append(text)
                elif missing > 0:
                    cells += [""] * missing
                    cells.append(text)
                else:
                    cells[column] = text
        return TableRow(line, cells, frozenset(numbers) if numbers else _NO_NUMBERS)

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
