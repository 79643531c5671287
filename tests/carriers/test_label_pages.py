from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject
from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.carriers.label_pages import (
    AmbiguousPages,
    LabelPageMatch,
    MatchedPage,
    WantedPackage,
    extract_page,
    match_label_pages,
)
from tiktok_erp.errors import InputFileError
from tiktok_erp.pdf import PdfPages

A6 = (105 / 25.4 * 72, 148 / 25.4 * 72)
ORDER_1, ORDER_2, ORDER_3 = "576461413038785752", "576461413038785753", "576461413038785754"
USPS_1, USPS_2 = "9400111206206406260787", "9405803699300124287899"
UPS = "1Z5R89390357567127"
FEDEX = "986578788855"
DOT_PT = 72 / 203

Bulk = Callable[..., Path]


@dataclass(frozen=True)
class Page:
    """What one page of a bulk PDF shows: lines of text and the payloads of its barcodes."""

    lines: Sequence[str] = ()
    codes: Sequence[str] = ()


def usps_label(order: str | None, number: str, *more: str) -> Page:
    spaced = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    lines = ("SPECIMEN", *(() if order is None else (f"Order ID: {order}",)), *more, spaced)
    return Page(lines, (f"\xf142090210\xf1{number}",))


def _draw(pages: Sequence[Page], size: tuple[float, float]) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size)
    for page in pages:
        canvas.setFont("Helvetica", 9)
        for row, line in enumerate(page.lines):
            canvas.drawString(20, size[1] - 30 - 14 * row, line)
        for row, payload in enumerate(page.codes):
            code = Code128(payload, barWidth=3 * DOT_PT, barHeight=40, quiet=False)
            code.drawOn(canvas, 20, 40 + 60 * row)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _as_pictures(pdf: bytes) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        size = page.get_size()
        canvas.setPageSize(size)
        picture = page.render(scale=203 / 72, grayscale=True).to_pil().convert("L")
        canvas.drawImage(ImageReader(picture), 0, 0, *size)
        canvas.showPage()
    canvas.save()
    document.close()
    return buffer.getvalue()


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    """Return a function that writes a bulk PDF of the given pages."""

    def write(
        *pages: Page, name: str = "bulk.pdf", size: tuple[float, float] = (288, 432), is_picture: bool = False
    ) -> Path:
        drawn = _draw(pages, size)
        path = tmp_path / name
        path.write_bytes(_as_pictures(drawn) if is_picture else drawn)
        return path

    return write


WANTED = (WantedPackage("P1", (ORDER_1,)), WantedPackage("P2", (ORDER_2,)))


def _pages(result: LabelPageMatch) -> dict[str, tuple[int, ...]]:
    return {match.package_id: match.pages for match in result.matches}


def _causes(result: LabelPageMatch) -> list[tuple[int, str]]:
    return [(page.page, page.cause) for page in result.unmatched_pages]


def test_a_page_is_known_by_its_order_id_and_gives_its_tracking_number(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_2, USPS_2), usps_label(ORDER_1, USPS_1))
    result = match_label_pages([path], WANTED)
    assert result.matches == (
        MatchedPage("P2", path, (0,), USPS_2, "usps", "order_id"),
        MatchedPage("P1", path, (1,), USPS_1, "usps", "order_id"),
    )
    assert (result.unmatched_pages, result.ambiguous, result.missing) == ((), (), ())


@pytest.mark.parametrize("printed", ["5764 6141 3038 785752", "576461413\n038785752", "576461413-038785752"])
def test_an_order_id_may_be_split_by_spaces_or_lines(printed: str, bulk: Bulk) -> None:
    path = bulk(Page(("Ship to 90210", *printed.split("\n")), (UPS,)))
    assert _pages(match_label_pages([path], WANTED)) == {"P1": (0,)}


def test_an_order_id_may_stand_beside_other_digits(bulk: Bulk) -> None:
    path = bulk(Page(("ONTARIO CA 91761", ORDER_1, "2026 11 22"), (UPS,)))
    assert _pages(match_label_pages([path], WANTED)) == {"P1": (0,)}


def test_a_ups_number_is_read_from_the_text(bulk: Bulk) -> None:
    path = bulk(Page((f"Order ID: {ORDER_1}", "TRACKING #: 1Z 5R8 939 03 5756 7127")))
    (match,) = match_label_pages([path], WANTED).matches
    assert (match.tracking_number, match.carrier) == (UPS, "ups")


def test_a_number_whose_form_proves_nothing_comes_from_the_barcode(bulk: Bulk) -> None:
    """123456789012 in the text has a right FedEx check digit as well: only the bars tell."""
    path = bulk(Page((f"Order ID: {ORDER_1}", "REF: 123456789012", "986578788855"), (FEDEX,)))
    (match,) = match_label_pages([path], WANTED).matches
    assert (match.tracking_number, match.carrier, match.how) == (FEDEX, "fedex", "order_id")


def test_a_regional_carriers_number_is_taken_without_naming_the_carrier(bulk: Bulk) -> None:
    path = bulk(Page((f"Order ID: {ORDER_1}",), ("GFUS01036518412544",)))
    (match,) = match_label_pages([path], WANTED).matches
    assert (match.tracking_number, match.carrier) == ("GFUS01036518412544", None)


def test_of_several_plain_codes_the_one_in_print_is_the_number(bulk: Bulk) -> None:
    path = bulk(
        Page((f"Order ID: {ORDER_1}", "GFUS01036518412544"), ("GFUS01036518412544", "SORT-0042-LAX-7", ORDER_1))
    )
    (match,) = match_label_pages([path], WANTED).matches
    assert match.tracking_number == "GFUS01036518412544"


def test_a_page_with_two_sure_numbers_names_none(bulk: Bulk) -> None:
    path = bulk(Page((f"Order ID: {ORDER_1}",), (USPS_1, UPS)))
    (match,) = match_label_pages([path], WANTED).matches
    assert match.tracking_number is None


def test_a_stored_tracking_number_in_the_text_names_the_package(bulk: Bulk) -> None:
    path = bulk(Page(("SPECIMEN", "9865 7878 8855")))
    result = match_label_pages([path], [WantedPackage("P1", (ORDER_1,), FEDEX)])
    assert result.matches == (MatchedPage("P1", path, (0,), FEDEX, "fedex", "tracking_number"),)


def test_a_stored_number_may_stand_in_bars_beside_another_in_print(bulk: Bulk) -> None:
    """As on a SurePost label: a UPS number in print, and the USPS number of the last mile in bars."""
    path = bulk(Page((f"Order ID: {ORDER_1}", UPS), (f"\xf142090210\xf1{USPS_1}", UPS)))
    (match,) = match_label_pages([path], [WantedPackage("P1", (ORDER_1,), USPS_1)]).matches
    assert (match.tracking_number, match.carrier) == (USPS_1, "usps")


def test_a_picture_is_known_by_its_stored_tracking_number(bulk: Bulk) -> None:
    path = bulk(usps_label(None, USPS_1), usps_label(None, USPS_2), is_picture=True)
    wanted = [WantedPackage("P2", (ORDER_2,), USPS_2), WantedPackage("P1", (ORDER_1,), USPS_1)]
    result = match_label_pages([path], wanted)
    assert _pages(result) == {"P1": (0,), "P2": (1,)}
    assert {match.how for match in result.matches} == {"barcode"}


def test_a_picture_is_known_by_an_order_id_in_bars(bulk: Bulk) -> None:
    path = bulk(Page((), (UPS, ORDER_1)), is_picture=True)
    (match,) = match_label_pages([path], WANTED).matches
    assert (match.package_id, match.tracking_number, match.how) == ("P1", UPS, "barcode")


def test_a_combined_package_is_known_by_any_of_its_orders(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_2, USPS_1, f"Order ID: {ORDER_3}"))
    result = match_label_pages([path], [WantedPackage("P1", (ORDER_1, ORDER_2, ORDER_3))])
    assert _pages(result) == {"P1": (0,)}


def test_packing_slips_after_their_labels_belong_to_them(bulk: Bulk) -> None:
    path = bulk(
        usps_label(ORDER_1, USPS_1),
        Page(("Packing slip", f"Order ID: {ORDER_1}", "2 x MUG")),
        usps_label(ORDER_2, USPS_2),
        Page(("Packing slip", "continued", "2 x LAMP")),
    )
    assert _pages(match_label_pages([path], WANTED)) == {"P1": (0, 1), "P2": (2, 3)}


def test_slips_may_come_before_or_after_all_labels(bulk: Bulk) -> None:
    slips = [Page(("Packing slip", f"Order ID: {order}")) for order in (ORDER_1, ORDER_2)]
    path = bulk(slips[0], usps_label(ORDER_1, USPS_1), usps_label(ORDER_2, USPS_2), slips[1])
    assert _pages(match_label_pages([path], WANTED)) == {"P1": (0, 1), "P2": (2, 3)}


def test_a_further_page_that_only_repeats_the_order_id_belongs_to_the_label(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1), Page((f"Order ID: {ORDER_1}", "Contents: 2 x MUG")))
    assert _pages(match_label_pages([path], WANTED)) == {"P1": (0, 1)}


def test_a_slip_after_a_strangers_label_is_not_given_to_the_label_before(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1), usps_label(ORDER_3, USPS_2), Page(("Packing slip", "1 x MUG")))
    result = match_label_pages([path], WANTED)
    assert _pages(result) == {"P1": (0,)}
    assert _causes(result) == [(1, "other_order"), (2, "nothing_known")]


def test_a_slip_without_its_label_is_no_label(bulk: Bulk) -> None:
    result = match_label_pages([bulk(Page(("Packing slip", f"Order ID: {ORDER_1}")))], WANTED[:1])
    assert (result.matches, _causes(result), result.missing) == ((), [(0, "no_label")], ("P1",))


def test_a_list_of_orders_is_no_label_and_spoils_none(bulk: Bulk) -> None:
    path = bulk(Page(("Manifest", ORDER_1, ORDER_2)), usps_label(ORDER_1, USPS_1), usps_label(ORDER_2, USPS_2))
    result = match_label_pages([path], WANTED)
    assert _pages(result) == {"P1": (1,), "P2": (2,)}
    assert _causes(result) == [(0, "no_label")]


def test_two_labels_of_one_order_with_different_numbers_are_not_used(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1), usps_label(ORDER_2, UPS), usps_label(ORDER_1, USPS_2))
    result = match_label_pages([path], WANTED)
    assert _pages(result) == {"P2": (1,)}
    (doubt,) = result.ambiguous
    assert (doubt.package_ids, doubt.cause, doubt.pages) == (("P1",), "two_numbers", ((path, 0), (path, 2)))
    assert result.missing == ()


def test_the_same_label_a_second_time_is_left_out(bulk: Bulk) -> None:
    first = bulk(usps_label(ORDER_1, USPS_1), usps_label(ORDER_1, USPS_1), name="first.pdf")
    again = bulk(usps_label(ORDER_1, USPS_1), name="again.pdf")
    result = match_label_pages([first, again], WANTED)
    assert [(match.path, match.pages) for match in result.matches] == [(first, (0,))]
    assert [(page.path, page.page, page.cause) for page in result.unmatched_pages] == [
        (first, 1, "repeated"),
        (again, 0, "repeated"),
    ]


def test_a_file_given_twice_is_read_once(bulk: Bulk, tmp_path: Path) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1))
    result = match_label_pages([path, tmp_path / "." / "bulk.pdf"], WANTED)
    assert (_pages(result), result.unmatched_pages) == ({"P1": (0,)}, ())


def test_a_label_that_names_orders_of_two_packages_is_not_used(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1, f"Order ID: {ORDER_2}"))
    result = match_label_pages([path], WANTED)
    assert result.matches == ()
    assert [(doubt.package_ids, doubt.cause) for doubt in result.ambiguous] == [(("P1", "P2"), "several_packages")]


def test_a_label_shared_by_two_packages_puts_their_own_labels_in_doubt_too(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, UPS), usps_label(ORDER_1, USPS_1, f"Order ID: {ORDER_2}"))
    result = match_label_pages([path], WANTED)
    assert result.matches == ()
    assert {place for doubt in result.ambiguous for place in doubt.pages} == {(path, 0), (path, 1)}


def test_a_page_with_an_order_id_alone_gives_way_to_the_label(bulk: Bulk) -> None:
    path = bulk(Page((f"Order ID: {ORDER_1}",)), usps_label(ORDER_2, USPS_2), usps_label(ORDER_1, USPS_1))
    result = match_label_pages([path], WANTED)
    assert _pages(result) == {"P1": (2,), "P2": (1,)}
    assert _causes(result) == [(0, "no_label")]


def test_an_order_in_two_packages_needs_the_tracking_number(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1), usps_label(ORDER_1, USPS_2))
    known = [WantedPackage("P1", (ORDER_1,), USPS_1), WantedPackage("P2", (ORDER_1,), USPS_2)]
    unknown = [WantedPackage("P1", (ORDER_1,)), WantedPackage("P2", (ORDER_1,))]
    assert _pages(match_label_pages([path], known)) == {"P1": (0,), "P2": (1,)}
    doubtful = match_label_pages([path], unknown)
    assert doubtful.matches == ()
    assert doubtful.ambiguous == (
        AmbiguousPages(("P1", "P2"), ((path, 0), (path, 1)), "split_order", doubtful.ambiguous[0].why),
    )


def test_a_page_with_another_number_than_the_stored_one_is_not_used(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_2))
    result = match_label_pages([path], [WantedPackage("P1", (ORDER_1,), USPS_1)])
    assert result.matches == ()
    assert [doubt.cause for doubt in result.ambiguous] == ["number_differs"]


def test_pages_of_nobody_are_reported_with_ids_and_numbers_alone(bulk: Bulk) -> None:
    path = bulk(
        Page(("Jane Private", "1 Secret Street", f"Order ID: {ORDER_3}")),
        Page(("Jane Private", "1 Secret Street"), (UPS,)),
        Page(("Jane Private", "1 Secret Street")),
    )
    result = match_label_pages([path], WANTED)
    assert _causes(result) == [(0, "other_order"), (1, "other_number"), (2, "nothing_known")]
    assert ORDER_3 in result.unmatched_pages[0].seen
    assert UPS in result.unmatched_pages[1].seen
    assert not any("Private" in page.seen or "Secret" in page.seen for page in result.unmatched_pages)
    assert result.missing == ("P1", "P2")


def test_sixty_labels_over_two_files_all_find_their_packages(bulk: Bulk) -> None:
    orders = [f"5764614130387{number:05d}" for number in range(60)]
    numbers = [_with_check_digit(f"940011120620{number:09d}") for number in range(60)]
    pages = [usps_label(order, number) for order, number in zip(orders, numbers, strict=True)]
    files = [bulk(*pages[:25], name="a.pdf"), bulk(*pages[25:], name="b.pdf", size=A6)]
    wanted = [WantedPackage(f"P{number}", (order,)) for number, order in enumerate(orders)]
    seen: list[tuple[int, int]] = []
    result = match_label_pages(files, wanted, progress=lambda done, total: seen.append((done, total)))
    assert {match.package_id: match.tracking_number for match in result.matches} == {
        f"P{number}": numbers[number] for number in range(60)
    }
    assert seen == [(done, 60) for done in range(1, 61)]


def _with_check_digit(digits: str) -> str:
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return f"{digits}{(10 - total % 10) % 10}"


def _encrypted(pdf: bytes) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt("secret", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a web page": (lambda pdf: b"<html>Sign in</html>", "this is a web page, not a PDF"),
    "cut off": (lambda pdf: pdf[:-200], "this PDF is cut off"),
    "encrypted": (_encrypted, "asks for a password"),
    "empty": (lambda pdf: b"", "the file is empty"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_cannot_be_read_is_named(damage: str, bulk: Bulk, tmp_path: Path) -> None:
    make, text = DAMAGES[damage]
    good = bulk(usps_label(ORDER_1, USPS_1))
    bad = tmp_path / "download (1).pdf"
    bad.write_bytes(make(good.read_bytes()))
    with pytest.raises(InputFileError, match=text) as caught:
        match_label_pages([good, bad], WANTED)
    assert caught.value.subject == "download (1).pdf"


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"absent\.pdf"):
        match_label_pages([tmp_path / "absent.pdf"], WANTED)


def test_pages_are_taken_out_at_their_own_size(bulk: Bulk) -> None:
    path = bulk(usps_label(ORDER_1, USPS_1), usps_label(ORDER_2, USPS_2), Page(("Packing slip",)), size=A6)
    data = extract_page(path, (1, 2))
    with PdfPages(data, subject="") as document:
        assert len(document) == 2
        assert document.size_pt(0) == pytest.approx(A6, abs=0.01)
        assert [code.payload for code in document.barcodes(0, 203)] == [b"42090210\x1d" + USPS_2.encode()]
        assert ORDER_2 in document.text(0)


def test_a_page_that_is_not_there_cannot_be_taken_out(bulk: Bulk) -> None:
    with pytest.raises(InputFileError, match="page 9"):
        extract_page(bulk(usps_label(ORDER_1, USPS_1)), (8,))


def test_a_page_taken_out_leaves_the_other_pages_pictures_behind(bulk: Bulk, tmp_path: Path) -> None:
    """Some generators give every page one list of all pictures."""
    reader = PdfReader(bulk(*(usps_label(None, USPS_1), usps_label(None, USPS_2)) * 10, is_picture=True))
    writer = PdfWriter()
    pictures = DictionaryObject()
    for number, page in enumerate(reader.pages):
        added = writer.add_page(page)
        ((name, picture),) = added["/Resources"]["/XObject"].items()
        content = added.get_contents().get_data().replace(name.encode(), f"/Page{number}".encode())
        picture_of_its_own = picture.get_object().clone(writer, force_duplicate=True)
        pictures[NameObject(f"/Page{number}")] = picture_of_its_own.indirect_reference
        stream = DecodedStreamObject()
        stream.set_data(content)
        added[NameObject("/Contents")] = writer._add_object(stream)
    shared = writer._add_object(DictionaryObject({NameObject("/XObject"): pictures}))
    for page in writer.pages:
        page[NameObject("/Resources")] = shared
    path = tmp_path / "shared.pdf"
    writer.write(path)
    data = extract_page(path, (3,))
    assert len(data) < 2 * path.stat().st_size / 20
    with PdfPages(data, subject="") as document:
        assert [code.payload for code in document.barcodes(0, 203)] == [b"42090210\x1d" + USPS_2.encode()]


def _sheet(
    labels: Sequence[tuple[float, float, str, str]], size: tuple[float, float] = (595.28, 841.89), *, turn: int = 0
) -> bytes:
    """Return a sheet with framed labels of 260 x 380 pt, each (left, bottom, order, number)."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size)
    for left, bottom, order, number in labels:
        canvas.saveState()
        canvas.translate(left, bottom)
        canvas.rotate(turn)
        canvas.rect(0, 0, 260, 380)
        canvas.setFont("Helvetica", 9)
        canvas.drawString(15, 350, "USPS GROUND ADVANTAGE")
        code = Code128(f"\xf142090210\xf1{number}", barWidth=3 * DOT_PT, barHeight=60, quiet=False)
        code.drawOn(canvas, (260 - code.width) / 2, 180)
        canvas.drawString(15, 20, f"Order ID: {order}")
        canvas.restoreState()
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _shown(data: bytes) -> tuple[str, list[str], tuple[float, float]]:
    with PdfPages(data, subject="") as document:
        codes = [code.payload.decode("ascii").partition("\x1d")[2] for code in document.barcodes(0, 203)]
        return document.text(0), codes, document.size_pt(0)


@pytest.mark.parametrize("is_picture", [False, True])
@pytest.mark.parametrize(
    ("size", "places", "turn"),
    [
        ((595.28, 841.89), [(20, 440), (310, 440)], 0),
        ((792, 612), [(90, 100), (450, 100)], 0),
        ((595.28, 841.89), [(480, 60), (480, 480)], 90),
        ((595.28, 841.89), [(90, 780), (90, 360)], 270),
    ],
)
def test_each_label_of_a_sheet_becomes_a_page_of_its_own_upright(
    size: tuple[float, float], places: list[tuple[float, float]], turn: int, is_picture: bool, tmp_path: Path
) -> None:
    (left, bottom), (other_left, other_bottom) = places
    drawn = _sheet([(left, bottom, ORDER_1, USPS_1), (other_left, other_bottom, ORDER_2, USPS_2)], size, turn=turn)
    path = tmp_path / "sheet.pdf"
    path.write_bytes(_as_pictures(drawn) if is_picture else drawn)
    wanted = (WantedPackage("P1", (ORDER_1,), USPS_1), WantedPackage("P2", (ORDER_2,), USPS_2))
    result = match_label_pages([path], wanted)
    assert (result.unmatched_pages, result.ambiguous) == ((), ())
    shown = {match.package_id: _shown(extract_page(path, match.pages, match.box)) for match in result.matches}
    for package_id, order, number in (("P1", ORDER_1, USPS_1), ("P2", ORDER_2, USPS_2)):
        text, codes, (width, height) = shown[package_id]
        assert codes == [number]
        if not is_picture:
            assert order in text
            assert text.count("Order ID") == 1
            assert height > width or size == (595.28, 841.89)


def test_four_labels_on_a_sheet_are_four_pages(tmp_path: Path) -> None:
    numbers = [USPS_1, USPS_2, "9400100208303109505657", "9400190321704571000083"]
    path = tmp_path / "sheet.pdf"
    orders = [f"57646141303878575{n}" for n in range(4)]
    places = [(20.0, 440.0), (310.0, 440.0), (20.0, 20.0), (310.0, 20.0)]
    path.write_bytes(_sheet([(*place, o, n) for place, o, n in zip(places, orders, numbers, strict=True)]))
    wanted = [WantedPackage(f"P{n}", (order,)) for n, order in enumerate(orders)]
    result = match_label_pages([path], wanted)
    assert {match.package_id: match.tracking_number for match in result.matches} == {
        f"P{n}": number for n, number in enumerate(numbers)
    }


def test_a_sheet_with_a_label_of_nobody_here_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    path.write_bytes(_sheet([(20, 440, ORDER_1, USPS_1), (310, 440, "576461413099999999", USPS_2)]))
    result = match_label_pages([path], (WantedPackage("P1", (ORDER_1,), USPS_1),))
    assert (result.matches, [entry.cause for entry in result.ambiguous]) == ((), ["label_of_others"])


def test_labels_without_white_between_them_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    path.write_bytes(_sheet([(20, 440, ORDER_1, USPS_1), (280, 440, ORDER_2, USPS_2)]))
    result = match_label_pages([path], WANTED)
    assert (result.matches, [entry.cause for entry in result.ambiguous]) == ((), ["several_labels"])


def test_what_lies_outside_of_the_visible_box_names_nobody(tmp_path: Path) -> None:
    writer = PdfWriter()
    sheet = _sheet([(20, 440, ORDER_1, USPS_1), (310, 440, ORDER_2, USPS_2)])
    for left in (0, 298):
        page = writer.add_page(PdfReader(io.BytesIO(sheet)).pages[0])
        page.cropbox.lower_left, page.cropbox.upper_right = (left, 420), (left + 297, 841)
        page.rotate(90)
    path = tmp_path / "cropped.pdf"
    writer.write(path)
    result = match_label_pages([path], WANTED)
    assert _pages(result) == {"P1": (0,), "P2": (1,)}
    assert {match.tracking_number for match in result.matches} == {USPS_1, USPS_2}
