"""XLSX as other programs write it: shared and inline texts, runs, dates, cells without references, both namespaces."""

from __future__ import annotations

import gc
import os
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from tiktok_erp.errors import InputFileError
from tiktok_erp.table_file import TableFile, TableRow, _Workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_MAIN = "http://purl.oclc.org/ooxml/spreadsheetml/main"
STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
STYLES = (
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="dd/mm/yyyy hh:mm:ss"/></numFmts>'
    '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="22"/></cellXfs>'
)


def save(
    path: Path,
    sheet_data: str,
    *,
    shared: str = "",
    main: str = MAIN,
    office: str = OFFICE,
    target: str = "worksheets/sheet1.xml",
    workbook: str = "",
    close: str = "</sheetData></worksheet>",
) -> Path:
    related = "".join(
        f'<Relationship Id="{number}" Type="{office}/{kind}" Target="{part}"/>'
        for number, kind, part in (
            ("rId1", "worksheet", target),
            ("rId2", "sharedStrings", "sharedStrings.xml"),
            ("rId3", "styles", "styles.xml"),
        )
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="a" Type="{office}/officeDocument" Target="/xl/book.xml"/>'
            "</Relationships>",
        )
        archive.writestr("xl/_rels/book.xml.rels", f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>')
        archive.writestr(
            "xl/book.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}">{workbook}<sheets>'
            '<sheet name="Orders" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{shared}</sst>')
        archive.writestr("xl/styles.xml", f'<styleSheet xmlns="{main}">{STYLES}</styleSheet>')
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><dimension ref="A1"/><sheetData>{sheet_data}{close}',
        )
    return path


def rows(path: Path) -> list[tuple[int, list[str]]]:
    header, rest = TableFile(path).read()
    return [(row.line, list(row.cells)) for row in (header, *rest)]


def text(value: str) -> str:
    return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def test_shared_texts_are_plain_or_in_runs_and_without_their_reading(tmp_path: Path) -> None:
    shared = (
        "<si><t>Order ID</t></si><si><r><t>To </t></r><r><rPr/><t>ship</t></r></si>"
        '<si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh></si><si/>'
    )
    cells = "".join(f'<c r="{column}1" t="s"><v>{index}</v></c>' for index, column in enumerate("ABCD"))
    path = save(tmp_path / "book.xlsx", f'<row r="1">{cells}<c r="E1" t="str"><v>x</v></c></row>', shared=shared)
    assert rows(path) == [(1, ["Order ID", "To ship", "東京", "", "x"])]


def test_inline_texts_are_plain_or_in_runs(tmp_path: Path) -> None:
    runs = '<c r="B1" t="inlineStr"><is><r><t>To </t></r><r><t>ship</t></r></is></c>'
    path = save(tmp_path / "book.xlsx", f'<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c>{runs}</row>')
    assert rows(path) == [(1, ["a", "To ship"])]


def test_characters_that_xml_cannot_hold_come_back(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx", f"<row>{text('one_x000D_two')}{text('_x005F_x000D_')}{text('a_xyz')}</row>")
    assert rows(path) == [(1, ["one\rtwo", "_x000D_", "a_xyz"])]


def test_cells_and_rows_without_references_follow_each_other(tmp_path: Path) -> None:
    data = f"<row>{text('a')}{text('b')}{text('c')}</row><row>{text('1')}<c/><c t='inlineStr'/>{text('4')}</row>"
    assert rows(save(tmp_path / "book.xlsx", data)) == [(1, ["a", "b", "c"]), (2, ["1", "", "", "4"])]


def test_a_cell_without_reference_stands_behind_the_one_before(tmp_path: Path) -> None:
    data = '<row r="3"><c r="C3"><v>1</v></c><c><v>2</v></c><c r="AB3"><v>3</v></c></row>'
    assert rows(save(tmp_path / "book.xlsx", data)) == [(3, ["", "", "1", "2", *[""] * 23, "3"])]


def test_cells_of_a_row_in_any_order_stand_at_their_place(tmp_path: Path) -> None:
    data = '<row r="1"><c r="B1"><v>2</v></c><c r="A1"><v>1</v></c></row>'
    assert rows(save(tmp_path / "book.xlsx", data)) == [(1, ["1", "2"])]


def test_row_elements_of_one_row_are_one_row(tmp_path: Path) -> None:
    data = '<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="B1"><v>2</v></c></row><row r="2"><c r="A2"><v>3</v></c></row>'
    assert rows(save(tmp_path / "book.xlsx", data)) == [(1, ["1", "2"]), (2, ["3"])]


def test_they_are_joined_while_the_sheet_is_read_not_afterwards(tmp_path: Path) -> None:
    data = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1"><c r="B1"><v>2</v></c></row><row><c><v>3</v></c></row>'
    path = save(tmp_path / "book.xlsx", data)
    assert [row.line for row in _Workbook(path).rows(None)] == [1, 2]


def test_rows_that_come_back_are_put_together(tmp_path: Path) -> None:
    data = "".join(
        f'<row r="{line}"><c r="{column}{line}"><v>{line}{number}</v></c></row>'
        for number, column in enumerate("AB")
        for line in (1, 2)
    )
    assert [(line, cells) for line, cells in rows(save(tmp_path / "book.xlsx", data))] == [
        (1, ["10", "11"]),
        (2, ["20", "21"]),
    ]


def test_numbers_keep_their_digits_and_are_marked(tmp_path: Path) -> None:
    values = ("576461413038785752", "5.76461413038785E+17", "2.0", "14.83", "-3")
    cells = "".join(f"<c><v>{value}</v></c>" for value in values)
    header, _ = TableFile(save(tmp_path / "book.xlsx", f"<row>{cells}{text('7')}</row>")).read()
    assert header.cells == ["576461413038785752", "5.76461413038785e+17", "2", "14.83", "-3", "7"]
    assert header.numbers == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("workbook", "days"), [("", 0), ('<workbookPr date1904="1"/>', 1462)])
@pytest.mark.parametrize("style", [1, 2])
def test_a_number_in_a_date_format_is_a_time_to_the_second(
    tmp_path: Path, style: int, workbook: str, days: int
) -> None:
    moment = datetime(2026, 11, 21, 18, 42, 11)
    serial = (moment - datetime(1899, 12, 30)).total_seconds() / 86400 - days
    path = save(tmp_path / "book.xlsx", f'<row><c s="{style}"><v>{serial!r}</v></c></row>', workbook=workbook)
    assert rows(path) == [(1, ["2026-11-21 18:42:11"])]


def test_a_time_that_was_written_with_few_digits_is_the_nearest_second(tmp_path: Path) -> None:
    serial = (datetime(2026, 11, 21, 18, 42, 11) - datetime(1899, 12, 30)).total_seconds() / 86400
    path = save(tmp_path / "book.xlsx", f'<row><c s="1"><v>{serial - 0.000001:.6f}</v></c></row>')
    assert rows(path) == [(1, ["2026-11-21 18:42:11"])]


def test_booleans_and_errors_are_their_words(tmp_path: Path) -> None:
    data = '<row><c t="b"><v>1</v></c><c t="b"><v>0</v></c><c t="e"><v>#N/A</v></c></row>'
    assert rows(save(tmp_path / "book.xlsx", data)) == [(1, ["True", "False", "#N/A"])]


def test_the_strict_namespaces_and_an_absolute_target_are_understood(tmp_path: Path) -> None:
    path = save(
        tmp_path / "book.xlsx",
        f"<row>{text('a')}</row>",
        main=STRICT_MAIN,
        office=STRICT_OFFICE,
        target="/xl/worksheets/sheet1.xml",
    )
    assert rows(path) == [(1, ["a"])]


def test_a_prefixed_namespace_is_understood(tmp_path: Path) -> None:
    data = '</sheetData><x:sheetData xmlns:x="urn:x"/>'  # any other element beside the rows is passed over
    assert rows(save(tmp_path / "book.xlsx", f"<row>{text('a')}</row>{data}", close="</worksheet>")) == [(1, ["a"])]


@pytest.mark.parametrize("close", ["", "</sheetData>", "<row><c"])
def test_a_sheet_that_breaks_off_is_refused(tmp_path: Path, close: str) -> None:
    with pytest.raises(InputFileError, match="not a whole XLSX workbook"):
        rows(save(tmp_path / "book.xlsx", f"<row>{text('a')}</row>", close=close))


@pytest.mark.parametrize("index", ["7", "-1", "x"])
def test_a_text_that_the_table_does_not_have_is_refused(tmp_path: Path, index: str) -> None:
    path = save(tmp_path / "book.xlsx", f'<row><c t="s"><v>{index}</v></c></row>', shared="<si><t>a</t></si>")
    with pytest.raises(InputFileError, match="not a whole XLSX workbook"):
        rows(path)


def test_a_sheet_larger_than_one_piece_is_read_whole_and_again(tmp_path: Path) -> None:
    data = "".join(f'<row r="{line}">{text(f"row {line}")}{text("x" * 50)}</row>' for line in range(1, 4001))
    table = TableFile(save(tmp_path / "book.xlsx", data))
    for _reading in range(2):
        header, rest = table.read()
        found = [header, *rest]
        assert [row.line for row in found] == list(range(1, 4001))
        assert found[-1] == TableRow(4000, ["row 4000", "x" * 50])


def test_two_readers_may_take_turns(tmp_path: Path) -> None:
    data = "".join(f"<row>{text(str(number))}</row>" for number in range(1500))
    table = TableFile(save(tmp_path / "book.xlsx", data))
    first, second = table.read()[1], table.read()[1]
    assert [(one.cells, other.cells) for one, other in zip(first, second, strict=True)] == [
        ([str(number)], [str(number)]) for number in range(1, 1500)
    ]


def test_nothing_of_the_rows_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    table = TableFile(save(tmp_path / "book.xlsx", f"<row>{text('a')}</row><row>{text('b')}</row>"))
    assert list(table.read()[1])
    assert os.listdir(tmp_path / "own") == []  # noqa: PTH208 - nameless even while it is open
    del table
    gc.collect()  # a file left open would be a warning, and warnings are errors


cells = st.one_of(
    st.none(),
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="_\ufffe\uffff"), max_size=8
    ),
    st.integers(-(10**14), 10**14),
    st.booleans(),
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(st.lists(cells, min_size=1, max_size=6), min_size=1, max_size=6))
def test_what_openpyxl_writes_is_read_as_it_was_meant(tmp_path: Path, table: list[list[object]]) -> None:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for line, row in enumerate([["header"], *table], start=1):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(line, column)
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"  # also where it begins with =
    path = tmp_path / "book.xlsx"
    workbook.save(path)

    def shown(value: object) -> str:
        return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else "" if value is None else str(value)

    expected = [(line, _trimmed([shown(value) for value in row])) for line, row in enumerate(table, start=2)]
    assert rows(path)[1:] == [(line, row) for line, row in expected if any(cell.strip() for cell in row)]


def _trimmed(row: Sequence[str]) -> list[str]:
    width = max((index for index, cell in enumerate(row, start=1) if cell), default=0)
    return list(row[:width])
