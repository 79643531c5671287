"""Draw the packers' paper of a batch: the pick list and the packing slips. Postage is never drawn here.

Edge: writes PDFs with reportlab's canvas. The paper has a language of its own (`printing.language`), apart from the
messages', so its words are a table in this module.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from reportlab import rl_config
from reportlab.lib.pagesizes import A4, letter
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.labels.fonts import PaperFonts
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine, PulledPackage
from tiktok_erp.pdf import whole_file

Paper = Literal["letter", "a4", "4x6"]
PAPER_SIZES_PT: dict[str, tuple[float, float]] = {"letter": letter, "a4": A4, "4x6": (288.0, 432.0)}

_LEADING = 1.22  # line height as a multiple of the type size
_FOOT = 16.0  # for the page number or the tracking number
_HEADER_SKUS = 6
_NAME_LINES = 2  # a product name may take as much and is then cut: titles on the channel run to 250 letters
# Between what this finds, a line may break: at spaces, after hyphens and slashes, and around every Chinese character.
_BREAKABLE = re.compile(r"\s+|[^\s\-/_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+[\-/_]*|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DrawnPaper:
    """What was written. `missing` are characters that no font has: each printed as `?`.

    `has_unembedded_font`: Chinese text relies on a font of the machine that prints, and may print as boxes. The remedy
    for both is a font: install fonts-wqy-microhei or name one in printing.fonts.
    """

    pages: int
    missing: frozenset[str]
    has_unembedded_font: bool


@dataclass(frozen=True, slots=True)
class _Words:
    pick_list: str
    packing_slip: str
    packages: str
    pieces: str
    skus: str
    shelf: str
    quantity: str
    item: str
    notes: str
    order: str
    orders: str
    recipient: str
    gift: str
    buyer_note: str
    seller_note: str
    print_note: str
    page: str
    continued: str
    total: str
    pull_out: str
    order_cancelled: str
    cancel_requested: str
    address_changed: str
    ship_by: str


_WORDS = {
    "en": _Words(
        pick_list="Pick list",
        packing_slip="Packing slip",
        packages="Packages",
        pieces="Pieces",
        skus="SKUs",
        shelf="Shelf",
        quantity="Qty",
        item="Item",
        notes="Notes",
        order="Order",
        orders="Orders",
        recipient="To",
        gift="GIFT",
        buyer_note="Buyer",
        seller_note="Seller",
        print_note="Packing",
        page="Page",
        continued="continued",
        total="Total pieces",
        pull_out="Pull out before packing: these labels must not leave",
        order_cancelled="cancelled",
        cancel_requested="buyer asks to cancel",
        address_changed="address changed",
        ship_by="Ship by",
    ),
    "zh": _Words(
        pick_list="拣货单",
        packing_slip="装箱单",
        packages="包裹",
        pieces="件数",
        skus="SKU 数",
        shelf="货架",
        quantity="数量",
        item="商品",
        notes="备注",
        order="订单号",
        orders="订单号",
        recipient="收件人",
        gift="赠品",
        buyer_note="买家留言",
        seller_note="卖家备注",
        print_note="打包",
        page="页",
        continued="续页",
        total="总件数",
        pull_out="打包前请先抽出：以下面单不得发出",
        order_cancelled="已取消",
        cancel_requested="买家申请取消",
        address_changed="地址已变更",
        ship_by="发货期限",
    ),
}


def render_pick_list(
    positions: Sequence[PrintedPosition],
    target: Path,
    *,
    batch: str,
    date_text: str,
    language: str = "en",
    paper: Paper = "letter",
    pulls: Sequence[PulledPackage] = (),
    fonts: PaperFonts | None = None,
) -> DrawnPaper:
    """Write what to fetch for `positions` to `target`: totals by SKU in walking order, then the notes by position.

    `pulls`, packages of earlier batches that must not leave, stand above everything else.
    Shelves sort as people number them (A2 before A10), SKUs without one come last. `batch` and `date_text` stand in
    the head as given. Raises KeyError for an unknown language or paper, ValueError when there is no position, and
    LabelFileError when `target` cannot be written.
    """
    if not positions:
        raise ValueError("a pick list needs at least one package")
    words = _WORDS[language]
    totals = _totals(positions)
    with _new_sheet(target, PAPER_SIZES_PT[paper], 36, fonts, f"{words.pick_list} {batch}") as sheet:
        blocks = [*_pull_rows(sheet, words, pulls)]
        blocks += [*_pick_rows(sheet, words, totals), *_note_rows(sheet, words, positions)]
        head = _pick_head(sheet, words, f"{words.pick_list} {batch}", date_text, _counts(words, positions, totals))
        pages = _paginate(blocks, sheet.inner_height - head.height - _FOOT)
        for number, page in enumerate(pages, start=1):
            _draw_blocks((head, *page), sheet.top)
            sheet.right(sheet.right_edge, sheet.margin, f"{words.page} {number} / {len(pages)}", 8)
            sheet.end_page()
    return sheet.drawn


def render_packing_slips(
    positions: Sequence[PrintedPosition],
    target: Path,
    *,
    language: str = "en",
    paper: Paper = "4x6",
    shop_name: str = "",
    with_seller_notes: bool = False,
    fonts: PaperFonts | None = None,
) -> DrawnPaper:
    """Write one packing slip for each of `positions`, in their order, to `target`.

    A slip takes one page and goes on over further ones when it must. It lies in the parcel: the seller's notes, which
    may be about the buyer, are on it only `with_seller_notes`. Raises KeyError for an unknown language or paper,
    ValueError when there is no position, and LabelFileError when `target` cannot be written.
    """
    if not positions:
        raise ValueError("there is no package to draw a packing slip for")
    words = _WORDS[language]
    with _new_sheet(target, PAPER_SIZES_PT[paper], 14 if paper == "4x6" else 36, fonts, words.packing_slip) as sheet:
        for place in positions:
            first, further = _slip_heads(sheet, words, place, shop_name)
            body = [*_slip_address(sheet, words, place), *_slip_lines(sheet, words, place)]
            body += _slip_notes(sheet, words, place, with_seller_notes)
            pages = _paginate(body, sheet.inner_height - first.height - _FOOT)
            for number, page in enumerate(pages, start=1):
                _draw_blocks((first if number == 1 else further, *page), sheet.top)
                _draw_slip_foot(sheet, words, place, number, len(pages))
                sheet.end_page()
    return sheet.drawn


def render_run_header(
    items: Sequence[PrintItem],
    *,
    positions: str,
    zone: ZoneInfo,
    language: str = "en",
    fonts: PaperFonts | None = None,
) -> bytes:
    """Return a 4x6 page that goes before the labels of `items`, which are packed alike: what to take, how often, until when.

    `positions` is drawn as given. It has no barcode, so that nobody takes it for a label.
    """
    words = _WORDS[language]
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=PAPER_SIZES_PT["4x6"], pageCompression=1, invariant=True)
    sheet = _Sheet(canvas, PAPER_SIZES_PT["4x6"], 20, fonts or PaperFonts())
    lines = {line.sku: line for item in items for line in item.lines}
    blocks = [_text_block(sheet, sheet.margin, [positions], 24, bold=True, space=8)]
    blocks += [_text_block(sheet, sheet.margin, [f"{words.packages}: {len(items)}"], 20, space=10)]
    single = {tuple((line.sku, line.quantity) for line in item.lines) for item in items}
    for sku in sorted(lines)[:_HEADER_SKUS]:
        line = lines[sku]
        times = f" x {line.quantity}" if len(single) == 1 else ""
        shelf = f"{line.shelf}   " if line.shelf else ""
        blocks += [
            _text_block(sheet, sheet.margin, [text], 18, bold=True)
            for text in sheet.wrap(f"{shelf}{sku}{times}", 18, sheet.inner_width, bold=True)
        ]
        names = sheet.wrap(f"{line.name} {line.variant}".strip(), 11, sheet.inner_width, lines=_NAME_LINES)
        blocks += [_text_block(sheet, sheet.margin, names, 11, space=6)]
    if len(lines) > _HEADER_SKUS:
        blocks += [_text_block(sheet, sheet.margin, ["…"], 18)]
    due = [item.ship_by for item in items if item.ship_by is not None]
    if due:
        text = f"{words.ship_by} {min(due).astimezone(zone):%Y-%m-%d %H:%M}"
        blocks += [_text_block(sheet, sheet.margin, [text], 12)]
    _draw_blocks(blocks, sheet.top)
    sheet.end_page()
    canvas.save()
    return buffer.getvalue()


def render_gap_page(text: str, *, place: str) -> bytes:
    """Return a 4x6 page that stands where a label was: `place` and why there is none. It has no barcode."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=PAPER_SIZES_PT["4x6"], pageCompression=1, invariant=True)
    sheet = _Sheet(canvas, PAPER_SIZES_PT["4x6"], 20, PaperFonts())
    blocks = [_text_block(sheet, sheet.margin, [place], 24, bold=True, space=8)]
    blocks += [_text_block(sheet, sheet.margin, sheet.wrap(text, 12, sheet.inner_width), 12)]
    _draw_blocks(blocks, sheet.top)
    sheet.end_page()
    canvas.save()
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of a page that is not broken. `draw` takes the y of its upper edge."""

    height: float
    draw: Callable[[float], None]


class _Sheet:
    """A canvas that draws any text with fonts that have it, at coordinates in points from the lower left corner."""

    def __init__(self, canvas: Canvas, size: tuple[float, float], margin: float, fonts: PaperFonts) -> None:
        self.width, self.height = size
        self.margin = margin
        self._canvas = canvas
        self._fonts = fonts
        self._pages = 0

    @property
    def top(self) -> float:
        return self.height - self.margin

    @property
    def right_edge(self) -> float:
        return self.width - self.margin

    @property
    def inner_width(self) -> float:
        return self.width - 2 * self.margin

    @property
    def inner_height(self) -> float:
        return self.height - 2 * self.margin

    @property
    def drawn(self) -> DrawnPaper:
        return DrawnPaper(self._pages, frozenset(self._fonts.missing), self._fonts.has_unembedded_font)

    def text(self, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
        for run in self._fonts.runs(text, bold=bold):
            self._canvas.setFont(run.font, size)
            self._canvas.drawString(x, y, run.text)
            x += self._canvas.stringWidth(run.text, run.font, size)

    def right(self, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
        """Draw `text` so that it ends at `x`."""
        self.text(x - self._fonts.width(text, size, bold=bold), y, text, size, bold=bold)

    def text_width(self, text: str, size: float, *, bold: bool = False) -> float:
        return self._fonts.width(text, size, bold=bold)

    def rule(self, y: float, thickness: float = 0.5) -> None:
        self._canvas.setLineWidth(thickness)
        self._canvas.line(self.margin, y, self.right_edge, y)

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        self._canvas.setLineWidth(0.8)
        self._canvas.rect(x, y, width, height)

    def wrap(self, text: str, size: float, width: float, *, bold: bool = False, lines: int | None = None) -> list[str]:
        """Return `text` in lines no wider than `width`; with `lines`, the last of them ends in an ellipsis if cut."""
        if self._fonts.width(text, size, bold=bold) <= width:
            return [text] if text.strip() else []
        wrapped = list(self._wrapped(text, size, width, bold))
        if lines is None or len(wrapped) <= lines:
            return wrapped
        last = wrapped[lines - 1]
        while last and self._fonts.width(last + "…", size, bold=bold) > width:
            last = last[:-1]
        return [*wrapped[: lines - 1], last.rstrip() + "…"]

    def _wrapped(self, text: str, size: float, width: float, bold: bool) -> Iterator[str]:
        line = ""
        for piece in self._pieces(text, size, width, bold):
            if line.strip() and self._fonts.width((line + piece).rstrip(), size, bold=bold) > width:
                yield line.strip()
                line = ""
            line += piece
        if line.strip():
            yield line.strip()

    def _pieces(self, text: str, size: float, width: float, bold: bool) -> Iterator[str]:
        """Yield the pieces between which a line may break; a word wider than a line comes letter by letter."""
        for piece in _BREAKABLE.findall(text):
            if len(piece) > 1 and self._fonts.width(piece, size, bold=bold) > width:
                yield from piece
            else:
                yield piece

    def end_page(self) -> None:
        self._canvas.showPage()
        self._pages += 1


@contextlib.contextmanager
def _new_sheet(
    target: Path, size: tuple[float, float], margin: float, fonts: PaperFonts | None, title: str
) -> Iterator[_Sheet]:
    """Give a sheet whose pages replace `target` when the block ends well."""
    rl_config.useA85 = 0  # printable text instead of bytes is a quarter larger
    with whole_file(target) as (_, file):
        canvas = Canvas(file, pagesize=size, pageCompression=1, invariant=True)
        canvas.setTitle(title)
        yield _Sheet(canvas, size, margin, fonts or PaperFonts())
        canvas.save()


def _paginate(blocks: Iterable[_Block], height: float) -> list[list[_Block]]:
    """Return `blocks` page by page, none higher than `height`; at least one page."""
    pages: list[list[_Block]] = [[]]
    left = height
    for block in blocks:
        if block.height > left and pages[-1]:
            pages.append([])
            left = height
        pages[-1].append(block)
        left -= block.height
    return pages


def _draw_blocks(blocks: Iterable[_Block], y: float) -> None:
    for block in blocks:
        block.draw(y)
        y -= block.height


def _text_block(
    sheet: _Sheet, x: float, lines: Sequence[str], size: float, *, bold: bool = False, space: float = 0
) -> _Block:
    """Return lines of text below each other, with `space` under them."""

    def draw(y: float) -> None:
        for number, line in enumerate(lines):
            sheet.text(x, y - size - number * size * _LEADING, line, size, bold=bold)

    return _Block(len(lines) * size * _LEADING + space, draw)


@dataclass(slots=True)
class _Total:
    """One SKU over all packages of the batch."""

    sku: str
    name: str = ""
    variant: str = ""
    shelf: str = ""
    quantity: int = 0
    gifts: int = 0
    packages: int = 0


def _totals(positions: Iterable[PrintedPosition]) -> list[_Total]:
    """Return the totals by SKU, by shelf and then SKU; those without a shelf last."""
    totals: dict[str, _Total] = {}
    for place in positions:
        for line in place.item.lines:
            total = totals.setdefault(line.sku, _Total(line.sku))
            total.name = total.name or line.name
            total.variant = total.variant or line.variant
            total.shelf = total.shelf or line.shelf or ""
            total.quantity += line.quantity
            total.gifts += line.quantity if line.is_gift else 0
        for sku in {line.sku for line in place.item.lines}:
            totals[sku].packages += 1
    return sorted(totals.values(), key=lambda total: (not total.shelf, _natural(total.shelf), _natural(total.sku)))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sorting key under which A2 comes before A10."""
    pieces = re.findall(r"\d+|\D+", text)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces]


def _counts(words: _Words, positions: Sequence[PrintedPosition], totals: Sequence[_Total]) -> str:
    pieces = sum(total.quantity for total in totals)
    return f"{words.packages}: {len(positions)}    {words.pieces}: {pieces}    {words.skus}: {len(totals)}"


_SHELF_X, _QUANTITY_X, _ITEM_X = 22.0, 112.0, 124.0  # from the margin; quantities end at theirs
_PACKAGES_WIDTH = 56.0


def _pick_head(sheet: _Sheet, words: _Words, title: str, date_text: str, counts: str) -> _Block:
    left = sheet.margin

    def draw(y: float) -> None:
        sheet.text(left, y - 18, title, 18, bold=True)
        sheet.right(sheet.right_edge, y - 18, date_text, 10)
        sheet.text(left, y - 36, counts, 10)
        sheet.text(left + _SHELF_X, y - 58, words.shelf, 8, bold=True)
        sheet.right(left + _QUANTITY_X, y - 58, words.quantity, 8, bold=True)
        sheet.text(left + _ITEM_X, y - 58, words.item, 8, bold=True)
        sheet.right(sheet.right_edge, y - 58, words.packages, 8, bold=True)
        sheet.rule(y - 63, 1)

    return _Block(64, draw)


def _pick_rows(sheet: _Sheet, words: _Words, totals: Iterable[_Total]) -> Iterator[_Block]:
    for total in totals:
        yield _pick_row(sheet, words, total)


def _pick_row(sheet: _Sheet, words: _Words, total: _Total) -> _Block:
    left = sheet.margin
    item_width = sheet.inner_width - _ITEM_X - _PACKAGES_WIDTH
    skus = sheet.wrap(total.sku, 10, item_width, bold=True)
    names = sheet.wrap(total.name, 9, item_width, lines=_NAME_LINES)
    variants = sheet.wrap(total.variant, 9, item_width, lines=_NAME_LINES)
    shelves = sheet.wrap(total.shelf, 11, _QUANTITY_X - _SHELF_X - 30, bold=True)
    gifts = [f"{words.gift}: {total.gifts}"] if total.gifts else []
    texts = [*((sku, 10.0, True) for sku in skus), *((text, 9.0, False) for text in (*names, *variants, *gifts))]
    height = max(sum(size * _LEADING for text, size, bold in texts), len(shelves) * 11 * _LEADING, 20) + 6

    def draw(y: float) -> None:
        sheet.frame(left + 2, y - 15, 11, 11)
        for number, shelf in enumerate(shelves):
            sheet.text(left + _SHELF_X, y - 14 - number * 11 * _LEADING, shelf, 11, bold=True)
        sheet.right(left + _QUANTITY_X, y - 15, str(total.quantity), 13, bold=True)
        sheet.right(sheet.right_edge, y - 14, str(total.packages), 10)
        below = y - 3
        for text, size, bold in texts:
            sheet.text(left + _ITEM_X, below - size, text, size, bold=bold)
            below -= size * _LEADING
        sheet.rule(y - height, 0.3)

    return _Block(height, draw)


def _pull_rows(sheet: _Sheet, words: _Words, pulls: Sequence[PulledPackage]) -> Iterator[_Block]:
    if not pulls:
        return
    yield _text_block(sheet, sheet.margin, [words.pull_out], 12, bold=True, space=4)
    causes = {
        "order_cancelled": words.order_cancelled,
        "cancel_requested": words.cancel_requested,
        "address_changed": words.address_changed,
        "other_address": words.address_changed,
    }
    for pull in pulls:
        text = f"{pull.position or pull.package_id}   {causes.get(pull.cause, pull.cause)}   {pull.items}"
        for line in sheet.wrap(text, 10, sheet.inner_width):
            yield _text_block(sheet, sheet.margin, [line], 10)
    yield _Block(10, lambda y: sheet.rule(y - 6, 1))


def _note_rows(sheet: _Sheet, words: _Words, positions: Iterable[PrintedPosition]) -> Iterator[_Block]:
    """Yield the packages that need a packer's attention, in packing order, under a heading."""
    noted = [place for place in positions if _needs_attention(place.item)]
    if not noted:
        return
    yield _Block(14, lambda y: None)
    yield _text_block(sheet, sheet.margin, [words.notes], 13, bold=True, space=4)
    for place in noted:
        yield from _note_row(sheet, words, place)


def _needs_attention(item: PrintItem) -> bool:
    return bool(item.print_note or item.buyer_note or item.seller_note or item.is_gift)


def _note_row(sheet: _Sheet, words: _Words, place: PrintedPosition) -> Iterator[_Block]:
    left = sheet.margin
    indent = left + 62
    item = place.item
    gift = f"{words.gift}   " if item.is_gift else ""
    first, *others = sheet.wrap(
        f"{gift}{words.order} {', '.join(item.channel_order_ids)}", 9, sheet.right_edge - indent
    )

    def draw(y: float) -> None:
        sheet.text(left, y - 11, place.position, 11, bold=True)
        sheet.text(indent, y - 11, first, 9)

    yield _Block(14, draw)
    notes = [
        (words.print_note, item.print_note),
        (words.buyer_note, item.buyer_note),
        (words.seller_note, item.seller_note),
    ]
    paragraphs = [*others, *(f"{label}: {note}" for label, note in notes if note)]
    for paragraph in paragraphs:
        for line in sheet.wrap(paragraph, 9, sheet.right_edge - indent):
            yield _text_block(sheet, indent, [line], 9)
    yield _Block(5, lambda y: None)


def _slip_heads(sheet: _Sheet, words: _Words, place: PrintedPosition, shop_name: str) -> tuple[_Block, _Block]:
    """Return the head of a slip's first page and that of its further pages, equally high."""

    def draw(y: float, note: str) -> None:
        sheet.text(sheet.margin, y - 12, words.packing_slip, 12, bold=True)
        sheet.right(sheet.right_edge, y - 18, place.position, 20, bold=True)
        room = sheet.inner_width - sheet.text_width(place.position, 20, bold=True) - 8
        for line in sheet.wrap(note, 8, room, lines=1):
            sheet.text(sheet.margin, y - 23, line, 8)
        sheet.rule(y - 29, 1)

    return (
        _Block(34, lambda y: draw(y, shop_name)),
        _Block(34, lambda y: draw(y, f"{words.continued}: {', '.join(place.item.channel_order_ids)}")),
    )


def _slip_address(sheet: _Sheet, words: _Words, place: PrintedPosition) -> Iterator[_Block]:
    item = place.item
    room = sheet.inner_width
    if item.is_gift:
        mark_width = sheet.text_width(words.gift, 11, bold=True) + 12
        room -= mark_width + 6
        yield _gift_mark(sheet, words, mark_width)
    label = words.order if len(item.channel_order_ids) == 1 else words.orders
    for line in sheet.wrap(f"{label}: {', '.join(item.channel_order_ids)}", 8.5, room):
        yield _text_block(sheet, sheet.margin, [line], 8.5)
    if item.recipient_name:
        names = sheet.wrap(f"{words.recipient}: {item.recipient_name}", 10.5, room, bold=True)
        yield _text_block(sheet, sheet.margin, names, 10.5, bold=True)
    if item.recipient_city_state:
        cities = sheet.wrap(item.recipient_city_state, 8.5, sheet.inner_width)
        yield _text_block(sheet, sheet.margin, cities, 8.5)
    yield _Block(8, lambda y: sheet.rule(y - 5))


def _gift_mark(sheet: _Sheet, words: _Words, width: float) -> _Block:
    """Return the framed word at the right edge. It takes no height: the address stands to its left."""

    def draw(y: float) -> None:
        sheet.frame(sheet.right_edge - width, y - 16, width, 16)
        sheet.right(sheet.right_edge - 6, y - 12, words.gift, 11, bold=True)

    return _Block(0, draw)


def _slip_lines(sheet: _Sheet, words: _Words, place: PrintedPosition) -> Iterator[_Block]:
    for line in place.item.lines:
        yield _slip_line(sheet, words, line)
    total = f"{words.total}: {place.item.unit_count}"
    yield _text_block(sheet, sheet.margin, [total], 9, bold=True, space=4)


def _slip_line(sheet: _Sheet, words: _Words, line: PrintLine) -> _Block:
    left = sheet.margin
    indent = left + 34
    width = sheet.right_edge - indent
    sku = f"{line.sku}  ({words.gift})" if line.is_gift else line.sku
    skus = sheet.wrap(sku, 9, width, bold=True)
    names = sheet.wrap(line.name, 8.5, width, lines=_NAME_LINES)
    variants = sheet.wrap(line.variant, 8.5, width, lines=_NAME_LINES)
    texts = [*((text, 9.0, True) for text in skus), *((text, 8.5, False) for text in (*names, *variants))]
    height = sum(size * _LEADING for text, size, bold in texts) + 5

    def draw(y: float) -> None:
        sheet.text(left, y - 11, f"{line.quantity} x", 11, bold=True)
        below = y - 1
        for text, size, bold in texts:
            sheet.text(indent, below - size, text, size, bold=bold)
            below -= size * _LEADING

    return _Block(height, draw)


def _slip_notes(sheet: _Sheet, words: _Words, place: PrintedPosition, with_seller_notes: bool) -> Iterator[_Block]:
    item = place.item
    if item.print_note:
        for line in sheet.wrap(f"{words.print_note}: {item.print_note}", 9.5, sheet.inner_width, bold=True):
            yield _text_block(sheet, sheet.margin, [line], 9.5, bold=True)
        yield _Block(4, lambda y: None)
    notes = [(words.buyer_note, item.buyer_note)]
    if with_seller_notes:
        notes.append((words.seller_note, item.seller_note))
    for label, note in notes:
        if note:
            for line in sheet.wrap(f"{label}: {note}", 8.5, sheet.inner_width):
                yield _text_block(sheet, sheet.margin, [line], 8.5)
            yield _Block(4, lambda y: None)


def _draw_slip_foot(sheet: _Sheet, words: _Words, place: PrintedPosition, number: int, pages: int) -> None:
    item = place.item
    y = sheet.margin
    service_level = item.service_level.replace("_", " ")
    carrier = item.carrier.upper()
    if service_level.upper().startswith(f"{carrier} "):  # TikTok's own words: "USPS Ground Advantage"
        carrier = ""
    way = f"{carrier} {service_level} {item.tracking_number or ''}".strip()
    sheet.rule(y + 9)
    sheet.text(sheet.margin, y, f"{item.package_id}   {way}", 7)
    if pages > 1:
        sheet.right(sheet.right_edge, y, f"{words.page} {number} / {pages}", 7)
