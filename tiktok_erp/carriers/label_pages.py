"""Find whose label each page is, in PDFs that were bought in Seller Center.

Edge: reads PDF files. The layout of these pages is documented nowhere (TikTok reference, section 8.4), so a page is
recognised by the order ids and tracking numbers in its text, and by its barcodes where the text does not tell. What
is not certain is reported and not used. Nothing but ids and numbers of a page is ever reported.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tiktok_erp.carriers.sheet_plan import plan_cuts
from tiktok_erp.errors import InputFileError
from tiktok_erp.messages import tr
from tiktok_erp.model import tracking_number
from tiktok_erp.model.label_area import FOUR_BY_SIX_PT, Box
from tiktok_erp.pdf import (
    LOCK,
    POINTS_PER_INCH,
    PageBarcode,
    PdfPages,
    digital_text,
    ink_of,
    read_barcodes,
    refuse_bomb,
    show_only,
    text_direction,
)

How = Literal["order_id", "tracking_number", "barcode"]

PRINTER_DPI = 203
_SHARED_RESOURCES = 3  # a page this many times its share of the file probably carries other pages' pictures
_ROOM_FOR_TWO = 1.5  # times a 4x6 label
_SMALL = 100_000  # bytes that are not worth the effort
_LOOKS = ((PRINTER_DPI, False), (PRINTER_DPI, True), (300, True))  # (dpi, QR and the like too), quickest first

_ORDER_ID = re.compile(r"(?<!\d)\d{17,19}(?!\d)", re.ASCII)
_DIGITS_APART = re.compile(r"\d(?:[\s\u00a0\u2007\u2009\u202f-]*\d)*", re.ASCII)
_DIGITS_IN_LINE = re.compile(r"\d(?:[ \u00a0\u2007\u2009\u202f]{0,2}\d)*", re.ASCII)
_USPS = re.compile(r"(420(\d{5}|\d{9}))?9[1-5](\d{20}|\d{24})", re.ASCII)
_UPS = re.compile(r"(?=(1Z[0-9A-Z]{15}\d))", re.ASCII)
_DISTINCTIVE = re.compile(
    r"(420(\d{5}|\d{9}))?9[1-6](\d{20}|\d{24})|1Z[0-9A-Z]{16}|[A-Z]{2}\d{9}[A-Z]{2}|\d{34}", re.ASCII
)
_ROUTING = re.compile(r"420(\d{5}|\d{9})", re.ASCII)
_NUMBER_FORM = re.compile(r"(?=.*\d)[A-Z0-9]{10,34}", re.ASCII)
_SHORTEST_ID = 8  # anything shorter is found by chance on any page
_FURTHER_PAGE = re.compile(
    r"pack(ing|age)\s+(slip|list)|pick(ing)?\s+list|continued|page\s*(0*[2-9]|[1-9]\d+)\s*(of|/)|装箱单|拣货单|发货单|续页",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class WantedPackage:
    """A package whose label is looked for. `tracking_number` is what the store already holds, None when nothing."""

    package_id: str
    channel_order_ids: tuple[str, ...]
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class MatchedPage:
    """The label of one package: 0-based `pages` of `path`.

    `tracking_number` is what the page says, None when it says none or several. `carrier` is our code, None when the
    number may belong to several carriers or to one without a published rule. `how` is what the page was known by. `box` is
    the part of the page that is this label where a sheet holds several; None: all of it.
    """

    package_id: str
    path: Path
    pages: tuple[int, ...]
    tracking_number: str | None
    carrier: str | None
    how: How
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class UnmatchedPage:
    """A page that was not used. `cause` is `other_order`, `other_number`, `nothing_known`, `repeated` or `no_label`;
    `seen` says it in a sentence, with ids and tracking numbers only; `ids` are those of them that no wanted package has.
    """

    path: Path
    page: int
    cause: str
    seen: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AmbiguousPages:
    """Pages that could be printed for the wrong package and are therefore not used.

    `cause` is `several_packages` (a page names more than one), `several_labels` (it holds labels that cannot be cut apart),
    `label_of_others` (beside labels of ours it holds one of nobody here), `split_order` (its order leaves in several
    packages), `two_numbers` (two labels for one package) or `number_differs` (the store holds another number).
    """

    package_ids: tuple[str, ...]
    pages: tuple[tuple[Path, int], ...]
    cause: str
    why: str


@dataclass(frozen=True, slots=True)
class LabelPageMatch:
    """Every page of the files is in exactly one of the first three; `missing` are wanted packages in none of them."""

    matches: tuple[MatchedPage, ...]
    unmatched_pages: tuple[UnmatchedPage, ...]
    ambiguous: tuple[AmbiguousPages, ...]
    missing: tuple[str, ...]


def match_label_pages(
    paths: Sequence[Path], wanted: Sequence[WantedPackage], *, progress: Callable[[int, int], None] | None = None
) -> LabelPageMatch:
    """Return which pages of the PDFs at `paths` are the labels of which of the `wanted` packages.

    A page after a label that repeats its order id without a number of its own, or that calls itself a packing slip,
    belongs to the same package. The same file given twice is read once. `progress` is called with pages done and pages
    in all. Raises InputFileError, naming the file, for one that is no whole, open PDF; then nothing was matched.
    """
    index = _Index(wanted)
    files = {path.resolve(): path for path in reversed(paths)}
    in_order = [files[real] for real in dict.fromkeys(path.resolve() for path in paths)]
    total = sum(_page_count(path) for path in in_order)
    readings: list[_Reading] = []
    before = 0
    # PDFium works under one lock, but barcodes are decoded outside of it: threads halve the time of picture-only files.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for path in in_order:
            with PdfPages(path, subject=path.name, error=InputFileError) as document:
                pages = range(len(document))
                for done, found in enumerate(pool.map(partial(_read_sheet, document, path, index), pages), start=1):
                    readings += found
                    if progress is not None:
                        progress(before + done, total)
                before += len(pages)
    return _Sorting(index).sort(readings)


def extract_page(path: Path, pages: Sequence[int], box: Box | None = None) -> bytes:
    """Return a PDF of the 0-based `pages` of `path`, each at its own size; with `box`, of that part of one page, upright.

    Raises InputFileError, naming the file, when it cannot be read or lacks a page.
    """
    with PdfPages(path, subject=path.name, error=InputFileError) as document:
        if not pages or not all(0 <= page < len(document) for page in pages):
            raise _no_such_page(path, pages)
        with LOCK:
            data = _imported(document, path, list(pages), keeps_unused=True, box=box)
            fair_share = path.stat().st_size * len(pages) // len(document)
            if len(data) < _SHARED_RESOURCES * fair_share + _SMALL:
                return data
            lean = _imported(document, path, list(pages), keeps_unused=False, box=box)
    return lean if len(lean) < len(data) and _look_alike(data, lean) else data


def _imported(document: PdfPages, path: Path, pages: list[int], *, keeps_unused: bool, box: Box | None) -> bytes:
    """Return these pages as a PDF. The caller holds the lock.

    Some generators list the pictures of all pages in each: those would make every label as large as the whole file.
    PDFium drops what a page does not use when it writes the content anew, and unreferenced objects when it imports.
    """
    import pypdfium2

    with contextlib.ExitStack() as opened:
        extract = opened.enter_context(contextlib.closing(pypdfium2.PdfDocument.new()))
        try:
            extract.import_pages(document.document, pages)
            if not keeps_unused:
                for page in range(len(extract)):
                    _rewrite_content(extract, page)
                extract = opened.enter_context(contextlib.closing(_copy(extract)))
            if box is not None:
                _cut_out(extract, box)
            buffer = io.BytesIO()
            extract.save(buffer)
        except pypdfium2.PdfiumError as cause:
            raise _no_such_page(path, pages) from cause
    return buffer.getvalue()


def _rewrite_content(document: Any, page: int) -> None:
    """Add an object to the page and take it away: PDFium looks at a page's resources only after a change."""
    import pypdfium2.raw as pdfium

    with contextlib.closing(document[page]) as opened:
        square = pdfium.FPDFPageObj_CreateNewRect(0, 0, 1, 1)
        pdfium.FPDFPage_InsertObject(opened.raw, square)
        opened.gen_content()
        pdfium.FPDFPage_RemoveObject(opened.raw, square)
        pdfium.FPDFPageObj_Destroy(square)
        opened.gen_content()


def _cut_out(document: Any, box: Box) -> None:
    """Show only `box` of a one-page document, turned so that its text is upright."""
    with contextlib.closing(document[0]) as opened:
        direction = text_direction(opened)
        show_only(opened, box)
        opened.set_rotation((opened.get_rotation() + (direction or 0)) % 360)


def _copy(document: Any) -> Any:
    import pypdfium2

    copy = pypdfium2.PdfDocument.new()
    buffer = io.BytesIO()
    document.save(buffer)
    with contextlib.closing(pypdfium2.PdfDocument(buffer.getvalue())) as saved:
        copy.import_pages(saved)
    return copy


def _look_alike(one: bytes, other: bytes) -> bool:
    with PdfPages(one, subject="") as first, PdfPages(other, subject="") as second:
        return len(first) == len(second) and all(
            first.draw(page, PRINTER_DPI).tobytes() == second.draw(page, PRINTER_DPI).tobytes()
            for page in range(len(first))
        )


def _page_count(path: Path) -> int:
    with PdfPages(path, subject=path.name, error=InputFileError) as document:
        refuse_bomb(path, subject=path.name, error=InputFileError)
        return len(document)


def _no_such_page(path: Path, pages: Sequence[int]) -> InputFileError:
    numbers = ", ".join(str(page + 1) for page in pages) or "-"
    return InputFileError(
        tr("page {numbers} of this PDF cannot be taken out", numbers=numbers),
        subject=path.name,
        next_step=tr("download the file again and repeat the command"),
    )


class _Index:
    """The wanted packages by everything that a page may call them."""

    def __init__(self, wanted: Sequence[WantedPackage]) -> None:
        self.packages = {package.package_id: package for package in wanted}
        self._by_order: dict[str, set[str]] = defaultdict(set)
        self._by_number: dict[str, set[str]] = defaultdict(set)
        for package in wanted:
            for order in package.channel_order_ids:
                self._by_order[order].add(package.package_id)
            if package.tracking_number:
                self._by_number[_plain(package.tracking_number)].add(package.package_id)
        self._order_lengths = sorted({len(order) for order in self._by_order if _ORDER_ID.fullmatch(order)})
        self._number_lengths = sorted({len(number) for number in self._by_number if len(number) >= _SHORTEST_ID})

    @property
    def has_numbers(self) -> bool:
        return bool(self._by_number)

    def packages_of_order(self, order: str) -> frozenset[str]:
        return frozenset(self._by_order.get(order, ()))

    def packages_of_number(self, number: str) -> frozenset[str]:
        return frozenset(self._by_number.get(number, ()))

    def holds_number_of(self, orders: Iterable[str]) -> bool:
        """Say whether the store holds a tracking number for a package of one of `orders`."""
        owners = {package_id for order in orders for package_id in self.packages_of_order(order)}
        return any(self.packages[package_id].tracking_number for package_id in owners)

    def orders_in(self, text: str) -> frozenset[str]:
        """Return the wanted order ids in `text`; spaces and line breaks between their digits do not matter."""
        words = {word for word in text.split() if len(word) >= _SHORTEST_ID}
        found = {word for word in words if word in self._by_order}
        for run in _DIGITS_APART.findall(text):
            found.update(_known_windows("".join(filter(str.isdecimal, run)), self._order_lengths, self._by_order))
        return frozenset(found)

    def numbers_in(self, text: str) -> frozenset[str]:
        """Return the tracking numbers of wanted packages in `text`."""
        return frozenset(_known_windows(_plain(text), self._number_lengths, self._by_number))


def _known_windows(text: str, lengths: Iterable[int], known: Mapping[str, object]) -> Iterator[str]:
    for length in lengths:
        for start in range(len(text) - length + 1):
            window = text[start : start + length]
            if window in known:
                yield window


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one page says. `numbers` are the tracking numbers on it, one on a plain label."""

    path: Path
    page: int
    orders: frozenset[str]
    other_orders: frozenset[str]
    numbers: frozenset[str]
    is_further: bool
    by_barcode: bool  # nothing in the text told whose page this is
    fingerprint: int  # equal for pages with equal text
    labels: frozenset[str] = frozenset()  # numbers that each stand for a label of its own
    box: Box | None = None  # the part of the page, where the page was cut

    @property
    def number(self) -> str | None:
        return next(iter(self.numbers)) if len(self.numbers) == 1 else None

    @property
    def place(self) -> tuple[Path, int]:
        return self.path, self.page


def _read_sheet(document: PdfPages, path: Path, index: _Index, page: int) -> list[_Reading]:
    """Return what the page says: once, or for each label where it holds several that can be cut apart."""
    whole = _read_page(document, path, index, page)
    if len(whole.labels) < 2:
        return [whole]
    picture = ink_of(document.draw(page, POINTS_PER_INCH))
    width, height = document.size_pt(page)
    across, up = width / picture.width, height / picture.height
    rows = [picture.crop((0, at, picture.width, at + 1)).getbbox() is not None for at in range(picture.height)]
    columns = [picture.crop((at, 0, at + 1, picture.height)).getbbox() is not None for at in range(picture.width)]
    for cells in plan_cuts(rows, columns):
        inked = [cell for cell in cells if picture.crop(cell).getbbox() is not None]
        boxes = [(cell[0] * across, cell[1] * up, cell[2] * across, cell[3] * up) for cell in inked]
        readings = [_read_page(document, path, index, page, box) for box in boxes]
        if _are_apart(readings, whole):
            return readings
    return [whole]


def _are_apart(readings: Sequence[_Reading], whole: _Reading) -> bool:
    """Say whether each part of a sheet is one label, none is in two of them and none was lost."""
    numbers = [number for reading in readings for number in reading.labels]
    orders = [order for reading in readings for order in reading.orders]
    return (
        all(len(reading.labels) == 1 for reading in readings)
        and len(numbers) == len(set(numbers)) >= len(whole.labels)
        and len(orders) == len(set(orders))
        and set(orders) == set(whole.orders)
    )


def _read_page(document: PdfPages, path: Path, index: _Index, page: int, box: Box | None = None) -> _Reading:
    """Return what the page, or a part of it, says. Its barcodes, the slow part, are read only where the text does not
    tell all, and on pages that have room for a second label.
    """
    text = document.text(page, box)
    orders = index.orders_in(text)
    known_numbers = index.numbers_in(text)
    distinctive = _distinctive_numbers(text)
    other_orders = frozenset(_ORDER_ID.findall(text)) - orders
    numbers = known_numbers or distinctive
    is_named = bool(orders or known_numbers)
    is_foreign = bool(other_orders) and not index.has_numbers
    is_clear = len(numbers) == 1 and (bool(known_numbers) or not index.holds_number_of(orders))
    seen = known_numbers | distinctive
    has_room = _has_room_for_two(document, page)
    if not (is_clear if is_named else is_foreign) or has_room:
        codes = _barcodes(document, page, box)
        by_bars = _numbers_on(codes, index, text)
        seen |= frozenset(number for number in map(_number_in, codes) if number is not None)
        if not (is_clear if is_named else is_foreign):
            numbers = by_bars or numbers
            if not is_named:
                orders = frozenset().union(*(index.orders_in(digital_text(code.payload)) for code in codes))
    return _Reading(
        path=path,
        page=page,
        orders=orders,
        other_orders=other_orders,
        numbers=numbers,
        is_further=_FURTHER_PAGE.search(text) is not None,
        by_barcode=not is_named,
        fingerprint=hash(text),
        labels=_labels_of(seen | numbers, has_room=has_room or len(orders) > 1),
        box=box,
    )


def _has_room_for_two(document: PdfPages, page: int) -> bool:
    width, height = document.size_pt(page)
    return width * height > _ROOM_FOR_TWO * FOUR_BY_SIX_PT[0] * FOUR_BY_SIX_PT[1]


def _number_in(code: PageBarcode) -> str | None:
    plain = _without_routing(code.payload)
    return _checked(plain) if _DISTINCTIVE.fullmatch(plain) else None


def _labels_of(numbers: frozenset[str], *, has_room: bool) -> frozenset[str]:
    """Return the numbers that each stand for a label.

    On a SurePost, Mail Innovations or Ground Economy label the post's number, which begins with 92, stands beside the
    number of UPS or FedEx and is no second label. Numbers of two carriers make two labels only where there is room.
    """
    of_others = {number for number in numbers if _carrier_of(number) in ("ups", "fedex")}
    of_the_post = numbers - of_others
    if of_others and (not has_room or all(number.startswith("92") for number in of_the_post)):
        return frozenset(of_others if len(of_others) >= len(of_the_post) else of_the_post)
    return numbers


def _barcodes(document: PdfPages, page: int, box: Box | None = None) -> tuple[PageBarcode, ...]:
    """Return the barcodes of the page, or of a part of it; the slower looks follow while nothing was found."""
    for dpi, matrix_codes in _LOOKS:
        picture = document.draw(page, dpi)
        if box is not None:
            left, top, right, bottom = (round(edge * dpi / POINTS_PER_INCH) for edge in box)
            picture = picture.crop((left, top, right, bottom))
        codes = read_barcodes(picture, matrix_codes=matrix_codes)
        if codes:
            return codes
    return ()


def _distinctive_numbers(text: str) -> frozenset[str]:
    """Return the numbers in `text` that can only be tracking numbers by form and check digit: USPS and UPS."""
    in_lines = ("".join(filter(str.isdecimal, run)) for run in _DIGITS_IN_LINE.findall(text))
    usps = {_checked(run) for run in in_lines if _USPS.fullmatch(run)}
    ups = {_checked(number) for number in _UPS.findall(_plain(text))}
    return frozenset(number for number in usps | ups if number is not None)


def _checked(text: str) -> str | None:
    """Return the tracking number in `text`, None unless its check digit holds."""
    result = tracking_number.check(text, None)
    return result.normalised if result.verdict == tracking_number.VALID else None


def _numbers_on(codes: Iterable[PageBarcode], index: _Index, text: str) -> frozenset[str]:
    """Return the tracking numbers among the barcodes of a page whose text layer is `text`.

    Codes that can only be tracking numbers count first. Of the others, which may be references, one counts when it is
    alone, on the page or in print below its bars.
    """
    texts = {_without_routing(code.payload): code.symbology for code in codes}
    known = frozenset().union(*(index.numbers_in(plain) for plain in texts))
    if known:
        return known
    sure = {_checked(plain) for plain in texts if _DISTINCTIVE.fullmatch(plain)} - {None}
    if sure:
        return frozenset(number for number in sure if number is not None)
    likely = {plain for plain, symbology in texts.items() if _may_be_number(plain, symbology)}
    if len(likely) > 1:
        printed = _plain(text)
        likely = {plain for plain in likely if plain in printed}
    return frozenset(likely) if len(likely) == 1 else frozenset()


def _without_routing(payload: bytes) -> str:
    """Return a barcode's text without the `420 + ZIP` element that USPS puts before the number."""
    head, separator, rest = payload.strip(b"\x1d").partition(b"\x1d")
    if separator and _ROUTING.fullmatch(head.decode("ascii", errors="replace")):
        return _plain(digital_text(rest))
    return _plain(digital_text(payload))


def _may_be_number(plain: str, symbology: str) -> bool:
    is_bars = symbology[1:2] in ("A", "C", "I")  # Code 39, Code 128, Interleaved 2 of 5
    is_other = _ORDER_ID.fullmatch(plain) is not None or _ROUTING.fullmatch(plain) is not None
    return is_bars and not is_other and _NUMBER_FORM.fullmatch(plain) is not None


def _plain(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()


def _carrier_of(number: str | None) -> str | None:
    """Return the one carrier whose check digit holds for `number`, None when none or several do."""
    if number is None:
        return None
    detected = tracking_number.check(number, None).detected_carriers
    return detected[0] if len(detected) == 1 else None


@dataclass(slots=True)
class _Label:
    """The pages gathered for one package, all of one file."""

    readings: list[_Reading]
    number: str | None


class _Sorting:
    """Gives each page, in file order, to a package, or says why to none."""

    def __init__(self, index: _Index) -> None:
        self._index = index
        self._labels: dict[str, _Label] = {}
        self._early: dict[str, list[_Reading]] = defaultdict(list)  # slips that came before their label
        self._unmatched: list[UnmatchedPage] = []
        self._doubtful: dict[tuple[str, tuple[str, ...]], list[_Reading]] = defaultdict(list)
        self._refused: set[tuple[Path, int]] = set()  # sheets with a label of nobody here
        self._spoilt: set[str] = set()  # packages whose own label is in doubt
        self._last: tuple[Path, int, str] | None = None  # the page before, and whose it is

    def sort(self, readings: Iterable[_Reading]) -> LabelPageMatch:
        readings = list(readings)
        self._refuse_sheets_of_others(readings)
        for reading in readings:
            if reading.box is not None and reading.place in self._refused:
                continue
            owner = self._place(reading)
            self._last = None if owner is None else (reading.path, reading.page, owner)
        for early in self._early.values():
            for reading in early:
                self._leave(reading, "no_label")
        for package_id in sorted(self._spoilt & self._labels.keys()):
            self._doubt("two_numbers", (package_id,), *self._labels.pop(package_id).readings)
        return self._result()

    def _refuse_sheets_of_others(self, readings: Sequence[_Reading]) -> None:
        """Use nothing of a sheet that has a label of nobody here: it may be another shop's, or from before a `sync`."""
        sheets: dict[tuple[Path, int], list[_Reading]] = defaultdict(list)
        for reading in readings:
            if reading.box is not None:
                sheets[reading.place].append(reading)
        for place, cells in sheets.items():
            owners = [self._packages_named(cell) for cell in cells]
            if not all(owners):
                self._refused.add(place)
                self._doubt("label_of_others", tuple(sorted(frozenset().union(*owners))), cells[0])

    def _place(self, reading: _Reading) -> str | None:
        """Put the page where it belongs; return the package it now belongs to."""
        packages = self._packages_named(reading)
        if len(reading.labels) > 1 and packages:
            self._doubt("several_labels", tuple(sorted(packages)), reading)
            return None
        if not packages:
            return self._place_nameless(reading)
        if len(packages) > 1:
            self._place_shared(reading, packages)
            return None
        package_id = next(iter(packages))
        stored = self._index.packages[package_id].tracking_number
        if stored and reading.number is not None and reading.number not in self._spellings(stored):
            self._doubt("number_differs", (package_id,), reading)
            return None
        return self._place_named(reading, package_id)

    def _packages_named(self, reading: _Reading) -> frozenset[str]:
        """Return the packages that the page can belong to: one, when ids and numbers leave no other."""
        by_number = frozenset().union(*(self._index.packages_of_number(number) for number in reading.numbers))
        by_order = [self._index.packages_of_order(order) for order in sorted(reading.orders)]
        named = [*by_order, *([by_number] if by_number else [])]
        if not named:
            return frozenset()
        common = frozenset.intersection(*named)
        return common if len(common) == 1 else frozenset().union(*named)

    def _spellings(self, stored: str) -> set[str]:
        return {_plain(stored), tracking_number.check(stored, None).normalised}

    def _place_nameless(self, reading: _Reading) -> str | None:
        if self._last is not None and reading.is_further and self._last[:2] == (reading.path, reading.page - 1):
            owner = self._last[2]
            if not (reading.other_orders or reading.numbers) and owner in self._labels:
                self._labels[owner].readings.append(reading)
                return owner
        if reading.other_orders:
            self._leave(reading, "other_order")
        elif reading.numbers:
            self._leave(reading, "other_number")
        else:
            self._leave(reading, "nothing_known")
        return None

    def _place_shared(self, reading: _Reading, packages: frozenset[str]) -> None:
        """Handle a page that names several packages: a list of orders is no label; a label with one number is one."""
        if reading.number is None and len(reading.orders) > 1:
            self._leave(reading, "no_label")
            return
        cause = (
            "split_order" if len(reading.orders) == 1 and self._are_of_order(reading, packages) else "several_packages"
        )
        self._doubt(cause, tuple(sorted(packages)), reading)
        if cause == "several_packages":
            self._spoilt |= packages

    def _are_of_order(self, reading: _Reading, packages: frozenset[str]) -> bool:
        return all(packages <= self._index.packages_of_order(order) for order in reading.orders)

    def _place_named(self, reading: _Reading, package_id: str) -> str | None:
        label = self._labels.get(package_id)
        if label is None:
            return self._place_first(reading, package_id)
        last = label.readings[-1]
        is_whole = reading.box is None and last.box is None
        is_next = is_whole and reading.path == last.path and reading.page == last.page + 1
        if reading.number is not None and label.number is not None and reading.number != label.number:
            self._spoilt.add(package_id)
            label.readings.append(reading)
            return None
        if label.number is None and reading.number is not None and not is_next:
            for page in label.readings:
                self._leave(page, "no_label")
            self._labels[package_id] = _Label([reading], reading.number)
            return package_id
        is_same_page = reading.fingerprint == last.fingerprint
        if is_whole and reading.path == last.path and (reading.is_further or (is_next and not is_same_page)):
            label.readings.append(reading)
            label.number = label.number or reading.number
            return package_id
        self._leave(reading, "repeated" if reading.number is not None or is_same_page else "no_label")
        return None

    def _place_first(self, reading: _Reading, package_id: str) -> str | None:
        if reading.is_further and reading.number is None:
            self._early[package_id].append(reading)
            return None
        early = [page for page in self._early[package_id] if page.path == reading.path]
        self._early[package_id] = [page for page in self._early[package_id] if page.path != reading.path]
        self._labels[package_id] = _Label([*early, reading], reading.number)
        return package_id

    def _leave(self, reading: _Reading, cause: str) -> None:
        ids = tuple(sorted(reading.other_orders | reading.numbers))
        self._unmatched.append(UnmatchedPage(reading.path, reading.page, cause, _seen(reading, cause), ids))

    def _doubt(self, cause: str, package_ids: tuple[str, ...], *readings: _Reading) -> None:
        self._doubtful[cause, package_ids].extend(readings)

    def _result(self) -> LabelPageMatch:
        matches = tuple(
            MatchedPage(
                package_id=package_id,
                path=label.readings[0].path,
                pages=tuple(sorted(reading.page for reading in label.readings)),
                tracking_number=label.number,
                carrier=_carrier_of(label.number),
                how=self._how(label),
                box=label.readings[0].box,
            )
            for package_id, label in self._labels.items()
        )
        ambiguous = tuple(
            AmbiguousPages(package_ids, tuple(reading.place for reading in readings), cause, _why(cause))
            for (cause, package_ids), readings in self._doubtful.items()
        )
        accounted = {match.package_id for match in matches}
        accounted |= {package_id for pages in ambiguous for package_id in pages.package_ids}
        missing = tuple(package_id for package_id in self._index.packages if package_id not in accounted)
        return LabelPageMatch(matches, tuple(self._unmatched), ambiguous, missing)

    def _how(self, label: _Label) -> How:
        if all(reading.by_barcode for reading in label.readings):
            return "barcode"
        return "order_id" if any(reading.orders for reading in label.readings) else "tracking_number"


def _seen(reading: _Reading, cause: str) -> str:
    """Return what is on a page that was not used, in ids and numbers alone: the rest of a label is personal data."""
    orders = ", ".join(sorted(reading.orders | reading.other_orders))
    numbers = ", ".join(sorted(reading.numbers))
    if cause == "other_order":
        return tr("order {orders}, which waits for no label here", orders=orders)
    if cause == "other_number":
        return tr("tracking number {numbers}, which belongs to no package here", numbers=numbers)
    if cause == "repeated":
        return tr("the label of order {orders} a second time", orders=orders or numbers)
    if cause == "no_label":
        return tr("order {orders}, but no label", orders=orders)
    return tr("no order id and no tracking number, neither in text nor in barcodes")


def _why(cause: str) -> str:
    return {
        "label_of_others": tr(
            "this page holds several labels, and one of them is of no package here: run `tiktok-erp sync` and try again, or"
            " save each of your labels as a page of its own"
        ),
        "several_labels": tr(
            "this page holds several labels that cannot be told apart: save each as a page of its own, or cut the sheet by hand"
        ),
        "several_packages": tr("this page names orders of several packages"),
        "split_order": tr("the order leaves in several packages, and the page does not say in which"),
        "two_numbers": tr("the files hold labels with different tracking numbers for this package"),
        "number_differs": tr("the page has another tracking number than the one held for this package"),
    }[cause]
