"""Change rows in a sheet of somebody else's workbook and leave every other byte of it as it is. Edge.

openpyxl would write the whole workbook anew and lose what it does not know. Here the sheet's own XML is changed, and the
other parts of the archive are copied.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import file_text
from tiktok_erp.private_files import create_private

_DATA = re.compile(r"(<(?:\w+:)?sheetData[^>/]*>)(.*)(</(?:\w+:)?sheetData>)", re.DOTALL)
_ROW = re.compile(r"<(?P<ns>\w+:)?row\b(?P<head>[^>]*?)(?:/>|>(?P<body>.*?)</(?P=ns)?row>)", re.DOTALL)
_CELL = re.compile(r"<(?P<ns>\w+:)?c\b(?P<head>[^>]*?)(?:/>|>(?P<body>.*?)</(?P=ns)?c>)", re.DOTALL)
_PLACE = re.compile(r'\sr="([A-Z]*)(\d+)"')
_TYPE = re.compile(r'\st="\w+"')
_DIMENSION = re.compile(r'(<(?:\w+:)?dimension\s+ref=")([A-Z]+)(\d+):([A-Z]+)(\d+)(")')


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row as it is to be: what stood in `line` (None: nothing), with these cells, by column, written as text."""

    line: int | None
    cells: Mapping[str, str]


@dataclass(slots=True)
class _Row:
    head: str
    cells: dict[str, tuple[str, str]]  # column -> attributes without place, content

    @property
    def is_blank(self) -> bool:
        return not any(content for _head, content in self.cells.values())


def read_part(path: Path, part: str) -> str:
    """Return a part of the archive as text. Raises whatever the zip reader raises."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(part).decode("utf-8")


def with_rows(sheet: str, first: int, rows: Sequence[NewRow]) -> str:
    """Return the sheet's XML with its rows from line `first` on replaced by `rows`, without gaps.

    A kept row keeps its other cells and every cell its style; new rows take the style of the empty rows that a template
    has ready. Rows above `first` keep their bytes. Raises ValueError when the text holds no rows.
    """
    found = _DATA.search(sheet)
    if found is None:
        raise ValueError("no rows")
    above: list[str] = []
    old: dict[int, _Row] = {}
    prefix = ""
    for line, match in _numbered_rows(found[2]):
        prefix = match["ns"] or ""
        if line < first:
            above.append(match[0])
            continue
        row = old.setdefault(line, _Row(_PLACE.sub("", match["head"]), {}))
        row.cells.update(_cells(match["body"] or ""))
    written = [*above]
    for line, new in enumerate(rows, start=first):
        written.append(_row_xml(prefix, line, _base(old, new.line, line), new.cells))
    last = first + len(rows) - 1
    written += [_row_xml(prefix, line, row, {}) for line, row in sorted(old.items()) if line > last and row.is_blank]
    whole = sheet[: found.start(2)] + "".join(written) + sheet[found.end(2) :]
    return _DIMENSION.sub(lambda place: _dimension(place, rows, last), whole, count=1)


def replace_part(path: Path, part: str, content: bytes) -> None:
    """Put `content` in place of one part of the archive; the others keep their bytes.

    Raises UsageError when the file cannot be written (what was there stays).
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, content if entry.filename == part else source.read(entry))
    write_whole(path, packed.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path`, whole or not at all. Raises UsageError when it cannot be written."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with os.fdopen(create_private(unfinished), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
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


def column_letters(index: int) -> str:
    """Return `A` for 0, `AA` for 26."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_index(letters: str) -> int:
    """Return 1 for `A`, 27 for `AA`."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index


def _numbered_rows(body: str) -> Iterator[tuple[int, re.Match[str]]]:
    line = 0
    for match in _ROW.finditer(body):
        place = _PLACE.search(match["head"])
        if place is not None:
            line = int(place[2])
        else:
            cell = _PLACE.search(match["body"] or "")
            line = int(cell[2]) if cell is not None else line + 1
        yield line, match


def _cells(body: str) -> dict[str, tuple[str, str]]:
    cells: dict[str, tuple[str, str]] = {}
    column = 0
    for match in _CELL.finditer(body):
        place = _PLACE.search(match["head"])
        column = column_index(place[1]) if place is not None and place[1] else column + 1
        cells[column_letters(column - 1)] = (_PLACE.sub("", match["head"]), match["body"] or "")
    return cells


def _base(old: Mapping[int, _Row], kept: int | None, line: int) -> _Row:
    if kept is not None:
        return old[kept]
    ready = old.get(line)
    return ready if ready is not None and ready.is_blank else _Row("", {})


def _row_xml(prefix: str, line: int, base: _Row, texts: Mapping[str, str]) -> str:
    cells = dict(base.cells)
    for column, text in texts.items():
        head = _TYPE.sub("", cells.get(column, ("", ""))[0])
        if text:
            plain = escape(file_text(text))
            cells[column] = (
                f'{head} t="inlineStr"',
                f'<{prefix}is><{prefix}t xml:space="preserve">{plain}</{prefix}t></{prefix}is>',
            )
        elif column in cells:
            cells[column] = (head, "")
    parts = [f'<{prefix}row r="{line}"{_spans(base.head, cells)}>']
    for column in sorted(cells, key=column_index):
        head, content = cells[column]
        start = f'<{prefix}c r="{column}{line}"{head}'
        parts.append(f"{start}>{content}</{prefix}c>" if content else f"{start}/>")
    parts.append(f"</{prefix}row>")
    return "".join(parts)


def _spans(head: str, cells: Mapping[str, object]) -> str:
    """Return a row's attributes without `spans`: a hint that would be wrong where a cell was added."""
    return re.sub(r'\sspans="[^"]*"', "", head) if cells else head


def _dimension(place: re.Match[str], rows: Sequence[NewRow], last: int) -> str:
    columns = [place[4], *(column for row in rows for column in row.cells)]
    widest = max(columns, key=column_index)
    return f"{place[1]}{place[2]}{place[3]}:{widest}{max(int(place[5]), last)}{place[6]}"
