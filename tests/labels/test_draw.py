from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from pypdf import PdfReader

from tiktok_erp.errors import LabelFileError
from tiktok_erp.labels.draw import render_packing_slips, render_pick_list
from tiktok_erp.labels.fonts import PaperFonts
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine

Item = Callable[..., PrintItem]
Place = Callable[[PrintItem, int], PrintedPosition]

FOUR_BY_SIX, LETTER, A4 = (288, 432), (612, 792), (595.2756, 841.8898)


def _latin_fonts() -> PaperFonts:
    return PaperFonts(directories=[])


def _texts(path: Path) -> list[str]:
    return [page.extract_text() for page in PdfReader(path).pages]


def _size(path: Path) -> tuple[float, float]:
    box = PdfReader(path).pages[0].mediabox
    return float(box.width), float(box.height)


def _pick_list(positions: list[PrintedPosition], target: Path, **options: object) -> str:
    options = {"batch": "B07", "date_text": "2026-11-22 09:30", "fonts": _latin_fonts(), **options}
    render_pick_list(positions, target, **options)  # type: ignore[arg-type]
    return "\n".join(_texts(target))


def test_the_pick_list_adds_up_pieces_and_packages_by_sku(item: Item, at_position: Place, tmp_path: Path) -> None:
    mug, lamp = PrintLine("MUG", "Ceramic mug", "Red", 2), PrintLine("LAMP", "Desk lamp", "", 1)
    positions = [at_position(item("P1", lines=(mug, lamp)), 1), at_position(item("P2", lines=(mug, mug)), 2)]
    text = _pick_list(positions, tmp_path / "pick.pdf")
    assert "Packages: 2    Pieces: 7    SKUs: 2" in text
    rows = text.split("Packages\n", 1)[1]
    assert rows.index("LAMP") < rows.index("MUG")
    assert rows.split()[:4] == ["1", "1", "LAMP", "Desk"]
    assert rows[rows.index("lamp") :].split()[1:4] == ["6", "2", "MUG"]


def test_the_pick_list_goes_by_shelf_as_people_number_them(item: Item, at_position: Place, tmp_path: Path) -> None:
    lines = tuple(
        PrintLine(sku, "name", "", 1, shelf=shelf)
        for sku, shelf in [("SKU-none", None), ("SKU-ten", "A10"), ("SKU-two", "A2"), ("SKU-b", "B1")]
    )
    text = _pick_list([at_position(item(lines=lines), 1)], tmp_path / "pick.pdf")
    places = [text.index(sku) for sku in ("SKU-two", "SKU-ten", "SKU-b", "SKU-none")]
    assert places == sorted(places)


def test_the_notes_follow_with_position_order_and_both_notes(item: Item, at_position: Place, tmp_path: Path) -> None:
    noted = item("P2", buyer_note="No plastic please", seller_note="Add a sample", is_gift=True)
    text = _pick_list([at_position(item("P1"), 1), at_position(noted, 2)], tmp_path / "pick.pdf")
    notes = text[text.index("Notes") :]
    assert "B07-001" not in notes
    for expected in ("B07-002", "GIFT", "576461413038785752", "Buyer: No plastic please", "Seller: Add a sample"):
        assert expected in notes


def test_the_pick_lists_pages_are_numbered_and_carry_the_head(item: Item, at_position: Place, tmp_path: Path) -> None:
    lines = tuple(PrintLine(f"SKU-{number:03d}", "A product", "One size", 1) for number in range(60))
    render_pick_list(
        [at_position(item(lines=lines), 1)], tmp_path / "pick.pdf", batch="B07", date_text="today", fonts=_latin_fonts()
    )
    texts = _texts(tmp_path / "pick.pdf")
    assert len(texts) > 2
    for number, text in enumerate(texts, start=1):
        assert f"Page {number} / {len(texts)}" in text
        assert "Pick list B07" in text
    assert sum(text.count("SKU-") for text in texts) == 60


@pytest.mark.parametrize(("paper", "size"), [("letter", LETTER), ("a4", A4)])
def test_the_pick_list_has_the_paper_asked_for(
    paper: str, size: tuple[float, float], item: Item, at_position: Place, tmp_path: Path
) -> None:
    _pick_list([at_position(item(), 1)], tmp_path / "pick.pdf", paper=paper)
    assert _size(tmp_path / "pick.pdf") == pytest.approx(size, abs=0.01)


def test_there_is_a_4x6_slip_for_each_package_in_the_given_order(
    item: Item, at_position: Place, tmp_path: Path
) -> None:
    positions = [at_position(item(f"P{place}"), place) for place in (1, 2, 3)]
    drawn = render_packing_slips(positions, tmp_path / "slips.pdf", fonts=_latin_fonts())
    assert drawn.pages == 3
    assert _size(tmp_path / "slips.pdf") == FOUR_BY_SIX
    assert [text[text.index("B07-") :][:7] for text in _texts(tmp_path / "slips.pdf")] == [
        "B07-001",
        "B07-002",
        "B07-003",
    ]


def test_a_slip_tells_order_buyer_items_and_gifts(item: Item, at_position: Place, tmp_path: Path) -> None:
    lines = (PrintLine("MUG", "Ceramic mug", "Red", 2), PrintLine("STICKER", "Sticker", "", 1, is_gift=True))
    package = item(
        lines=lines, recipient_name="Ann Example", recipient_city_state="Ontario, CA", buyer_note="Ring twice"
    )
    render_packing_slips(
        [at_position(package, 63)], tmp_path / "slips.pdf", shop_name="Beauty US", fonts=_latin_fonts()
    )
    (text,) = _texts(tmp_path / "slips.pdf")
    for expected in (
        "B07-063",
        "Beauty US",
        "Order: 576461413038785752",
        "To: Ann Example",
        "Ontario, CA",
        "2 x",
        "Ceramic mug",
        "STICKER  (GIFT)",
        "Total pieces: 3",
        "Buyer: Ring twice",
        "9400111206206406260787",
    ):
        assert expected in text


def test_a_slips_foot_names_the_carrier_once(item: Item, at_position: Place, tmp_path: Path) -> None:
    for service_level in ("ground_advantage", "USPS Ground Advantage"):
        place = at_position(item(service_level=service_level), 1)
        render_packing_slips([place], tmp_path / "slips.pdf", fonts=_latin_fonts())
        assert _texts(tmp_path / "slips.pdf")[0].count("USPS") == 1


def test_the_sellers_note_stays_out_of_the_parcel_unless_asked_for(
    item: Item, at_position: Place, tmp_path: Path
) -> None:
    place = at_position(item(seller_note="Returned twice"), 1)
    render_packing_slips([place], tmp_path / "without.pdf", fonts=_latin_fonts())
    render_packing_slips([place], tmp_path / "with.pdf", with_seller_notes=True, fonts=_latin_fonts())
    assert "Returned twice" not in _texts(tmp_path / "without.pdf")[0]
    assert "Seller: Returned twice" in _texts(tmp_path / "with.pdf")[0]


def test_what_a_rule_tells_the_packer_is_on_the_slip_and_the_pick_list(
    item: Item, at_position: Place, tmp_path: Path
) -> None:
    place = at_position(item(print_note="Glass: two layers of bubble wrap"), 1)
    render_packing_slips([place], tmp_path / "slips.pdf", fonts=_latin_fonts())
    assert "Packing: Glass: two layers of bubble wrap" in _texts(tmp_path / "slips.pdf")[0]
    assert "Packing: Glass: two layers of bubble wrap" in _pick_list([place], tmp_path / "pick.pdf")


def test_a_slip_with_many_lines_goes_on_over_further_pages(item: Item, at_position: Place, tmp_path: Path) -> None:
    lines = tuple(PrintLine(f"SKU-{number:03d}", "A product", "One size", 1) for number in range(30))
    drawn = render_packing_slips(
        [at_position(item(lines=lines), 1), at_position(item(), 2)], tmp_path / "slips.pdf", fonts=_latin_fonts()
    )
    texts = _texts(tmp_path / "slips.pdf")
    assert len(texts) == drawn.pages > 3
    slip = texts[:-1]
    assert all(f"Page {number} / {len(slip)}" in text for number, text in enumerate(slip, start=1))
    assert all("continued: 576461413038785752" in text and "B07-001" in text for text in slip[1:])
    assert sum(text.count("SKU-") for text in slip) == 30
    assert "B07-002" in texts[-1]


def test_twenty_combined_orders_all_stand_on_the_slip(item: Item, at_position: Place, tmp_path: Path) -> None:
    orders = tuple(f"5764614130387857{number:02d}" for number in range(20))
    render_packing_slips([at_position(item(channel_order_ids=orders), 1)], tmp_path / "slips.pdf", fonts=_latin_fonts())
    (text,) = _texts(tmp_path / "slips.pdf")
    assert all(order in text for order in orders)


def test_a_note_is_never_cut(item: Item, at_position: Place, tmp_path: Path) -> None:
    note = " ".join(f"word{number}" for number in range(900))
    render_packing_slips([at_position(item(buyer_note=note), 1)], tmp_path / "slips.pdf", fonts=_latin_fonts())
    text = " ".join(_texts(tmp_path / "slips.pdf"))
    assert "word0" in text
    assert "word899" in text


def test_nothing_is_drawn_over_the_right_edge(item: Item, at_position: Place, tmp_path: Path) -> None:
    endless = PrintLine("W" * 80, "M" * 400, "W W " * 60, 1)
    render_packing_slips(
        [at_position(item(lines=(endless,), buyer_note="W" * 300, recipient_name="M" * 80), 1)],
        tmp_path / "slips.pdf",
        fonts=_latin_fonts(),
    )
    page = pypdfium2.PdfDocument(tmp_path / "slips.pdf", autoclose=True)[0]
    edges = [drawn.get_bounds()[2] for drawn in page.get_objects()]
    page.close()
    assert max(edges) <= 288 - 13


@pytest.mark.parametrize("language", ["en", "zh"])
def test_paper_in_either_language_has_its_own_words(
    language: str, item: Item, at_position: Place, tmp_path: Path
) -> None:
    words = {"en": ("Packing slip", "Pick list"), "zh": ("装箱单", "拣货单")}[language]
    render_packing_slips([at_position(item(), 1)], tmp_path / "slips.pdf", language=language)
    pick = _pick_list([at_position(item(), 1)], tmp_path / "pick.pdf", language=language, fonts=None)
    assert words[0] in _texts(tmp_path / "slips.pdf")[0]
    assert words[1] in pick


def test_the_same_input_gives_the_same_bytes(item: Item, at_position: Place, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        render_packing_slips([at_position(item(), 1)], tmp_path / name, fonts=_latin_fonts())
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_emoji_are_replaced_and_reported(item: Item, at_position: Place, tmp_path: Path) -> None:
    place = at_position(item(recipient_name="Ann \U0001f98a\U0001f3fd\ufe0f"), 1)
    drawn = render_packing_slips([place], tmp_path / "slips.pdf", fonts=_latin_fonts())
    assert drawn.missing == {"\U0001f98a"}
    assert "To: Ann ?" in _texts(tmp_path / "slips.pdf")[0]


@pytest.mark.parametrize("has_font_files", [True, False])
def test_a_chinese_name_can_be_read_back_with_and_without_font_files(
    has_font_files: bool, item: Item, at_position: Place, tmp_path: Path
) -> None:
    fonts = PaperFonts() if has_font_files else _latin_fonts()
    place = at_position(item(recipient_name="张伟", buyer_note="请包装好"), 1)
    drawn = render_packing_slips([place], tmp_path / "slips.pdf", language="zh", fonts=fonts)
    text = _texts(tmp_path / "slips.pdf")[0]
    assert all(words in text for words in ("收件人", "张伟", "买家留言", "请包装好"))
    assert drawn.missing == frozenset()
    assert drawn.has_unembedded_font == (b"STSong" in (tmp_path / "slips.pdf").read_bytes())


def test_no_package_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no package"):
        render_packing_slips([], tmp_path / "slips.pdf")
    with pytest.raises(ValueError, match="at least one"):
        render_pick_list([], tmp_path / "pick.pdf", batch="B07", date_text="today")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_said_so(item: Item, at_position: Place, tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="cannot be written"):
        render_packing_slips([at_position(item(), 1)], tmp_path / "absent" / "slips.pdf")
