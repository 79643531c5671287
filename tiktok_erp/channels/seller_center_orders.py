"""Read Seller Center's order export (CSV or XLSX) as `OrderFacts`. Edge; layout: TikTok reference, sections 8.1, 8.2.

The file is checked whole before the first order is handed out, and read again to hand them out, so that memory does not
grow with it: an export may hold 200,000 orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiktok_erp.channels import seller_center_words as wording
from tiktok_erp.channels.seller_center_words import Words
from tiktok_erp.errors import InputFileError, SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.facts import OrderFacts, RecipientFacts, UnitFacts
from tiktok_erp.model.money import minor_digits, to_minor
from tiktok_erp.model.us_states import STATES_WITH_ZERO_ZIPS, is_united_states, state_code
from tiktok_erp.table_file import TableFile, TableRow, find_columns, is_exponent, is_rounded, plain_header

_COLUMNS: Mapping[str, Sequence[str]] = {
    "order_id": ("Order ID",),
    "status": ("Order Status",),
    "substatus": ("Order Substatus",),
    "cancel_type": ("Cancelation/Return Type", "Cancellation/Return Type"),
    "order_type": ("Normal or Pre-order",),
    "sku_id": ("SKU ID",),
    "seller_sku": ("Seller SKU",),
    "product_id": ("Product ID",),
    "product_name": ("Product Name",),
    "variation": ("Variation",),
    "bundle_sku": ("Virtual Bundle Seller SKU",),
    "quantity": ("Quantity",),
    "unit_price": ("SKU Unit Original Price",),
    "before_discount": ("SKU Subtotal Before Discount",),
    "platform_discount": ("SKU Platform Discount",),
    "seller_discount": ("SKU Seller Discount",),
    "after_discount": ("SKU Subtotal After Discount",),
    "shipping": ("Shipping Fee After Discount",),
    "shipping_seller_discount": ("Shipping Fee Seller Discount",),
    "shipping_platform_discount": ("Shipping Fee Platform Discount",),
    "tax": ("Taxes",),
    "total": ("Order Amount",),
    "created": ("Created Time",),
    "paid": ("Paid Time",),
    "rts": ("RTS Time",),
    "shipped": ("Shipped Time",),
    "delivered": ("Delivered Time",),
    "cancelled": ("Cancelled Time", "Canceled Time"),
    "fulfillment": ("Fulfillment Type",),
    "tracking": ("Tracking ID",),
    "option_type": ("Delivery Option Type",),
    "option": ("Delivery Option",),
    "provider": ("Shipping Provider Name",),
    "buyer_note": ("Buyer Message",),
    "buyer": ("Buyer Username", "Buyer Nickname"),
    "name": ("Recipient",),
    "phone": ("Phone #",),
    "country": ("Country",),
    "state": ("State", "Province"),
    "city": ("City",),
    "zip": ("Zipcode", "Zip Code"),
    "street1": ("Address Line 1", "Address Line", "Detail Address"),
    "street2": ("Address Line 2", "Additional address information"),
    "house": ("House Name or Number",),
    "weight": ("Weight(kg)",),
    "package_id": ("Package ID",),
    "seller_note": ("Seller Note",),
    "shipping_information": ("Shipping Information",),
    "content": ("Order Channel",),
    "creator": ("Creator Handle",),
}
_REQUIRED = ("order_id", "status", "sku_id", "quantity")
_ID_COLUMNS = ("order_id", "sku_id", "product_id", "package_id", "tracking")
_TIME_COLUMNS = ("created", "paid", "rts", "shipped", "delivered", "cancelled")
_MONEY_COLUMNS = (
    "unit_price",
    "before_discount",
    "platform_discount",
    "seller_discount",
    "after_discount",
    "shipping",
    "shipping_seller_discount",
    "shipping_platform_discount",
    "tax",
    "total",
)
_RECIPIENT_COLUMNS = ("name", "phone", "street1", "street2", "house", "city", "state", "zip", "country")

_DESCRIPTION_START = "platform unique order id"
_MOST_UNITS_IN_A_ROW = 10_000  # beyond this a typing mistake is likelier than an order
_FEWEST_ID_DIGITS = 6

_TWELVE_HOUR_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2}) ?([AaPp])[Mm]", re.ASCII)
_DAY_FIRST_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_CELL_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})", re.ASCII)  # a date cell of an XLSX file
_NAME_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})-(\d{2})_(\d{2})", re.ASCII)
_MONEY = re.compile(
    r"(?P<minus>-)?(?:US)?\$?\s*(?P<before>[A-Z]{3})?\s*(?P<inner>-)?\$?(?P<number>[\d.,]{1,15})\s*(?P<after>[A-Z]{3})?",
    re.ASCII,
)
_PLAIN_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_COMMA_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_ANY_THOUSANDS = re.compile(r"\d{1,3}([.,]\d{3})+", re.ASCII)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NO_MORE_WORDS: Mapping[str, str] = MappingProxyType({})


def read_order_export(
    path: Path,
    *,
    time_zone: str = "America/Los_Angeles",
    status_words: Mapping[str, str] = NO_MORE_WORDS,
    exported_at: datetime | None = None,
    currency: str = "USD",
) -> Iterator[OrderFacts]:
    """Return the orders of an export in the file's order. The whole file has been checked when this returns.

    The file carries neither zone nor currency: its times are read in `time_zone`, amounts without a currency code as
    `currency`. `as_of` is the time in the file's name (`All order-2026-11-21-19_40.csv`, also in `time_zone`), else
    `exported_at` (the file's own time), but never later than `exported_at`: a name in another zone must not make the
    rows look newer than they are. `status_words` adds words of another language: status -> the API's word, or
    `CANCEL` / `RETURN` for the column Cancelation/Return Type.

    A row's quantity becomes that many units. Raises InputFileError with file, line, column and order for anything that
    cannot be taken as it stands (nothing is handed out then), SettingsError for an unknown zone or word.
    """
    export = _Export(path, _zone(time_zone), Words(status_words), currency, is_day_first=_is_day_first(time_zone))
    rows_of_order = export.count_rows()
    newest = max((_newest_time(order) for order in export.orders(rows_of_order, _LONG_AGO)), default=_LONG_AGO)
    return export.orders(rows_of_order, export.as_of(exported_at, newest))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as cause:
        raise SettingsError(
            tr("there is no time zone {name}", name=name),
            subject="rules.yaml",
            next_step=tr("write shop.time_zone like America/Los_Angeles"),
        ) from cause


def _is_day_first(time_zone: str) -> bool:
    """Exports without AM/PM put the day first; they come from markets outside America (TikTok reference, 8.2)."""
    return not time_zone.startswith(("America/", "US/"))


def _newest_time(order: OrderFacts) -> datetime:
    times = (order.placed_at, order.paid_at, order.rts_at, order.collected_at, order.delivered_at, order.cancelled_at)
    return max((moment for moment in times if moment is not None), default=_LONG_AGO)


class _Line(dict[str, str]):
    """One row of the export: its cells, stripped, by field, its place in the file, and what the raw row proves.

    A field whose column the file lacks is empty. A dict itself, since cells are asked for 80 times an order.
    """

    __slots__ = ("fingerprint", "has_text_id", "number")

    def __init__(
        self, cells: Mapping[str, str], *, number: int, fingerprint: int = 0, has_text_id: bool = False
    ) -> None:
        super().__init__(cells)
        self.number = number
        self.fingerprint = fingerprint
        self.has_text_id = has_text_id  # the order id was text, never a number of a spreadsheet program


class _Export:
    """One export file. Every method reads it from the start."""

    def __init__(self, path: Path, zone: ZoneInfo, words: Words, currency: str, *, is_day_first: bool) -> None:
        self._table = TableFile(path, sheet="OrderSKUList")
        self._zone = zone
        self._words = words
        self._currency = currency
        self._is_day_first = is_day_first

    def as_of(self, exported_at: datetime | None, newest: datetime) -> datetime:
        """Return when the rows were true; not before the `newest` time that they themselves tell."""
        written_at = exported_at or datetime.fromtimestamp(self._table.path.stat().st_mtime, UTC)
        found = _NAME_TIME.search(self._table.path.name)
        named_at = None
        if found is not None:
            year, month, day, hour, minute = (int(part) for part in found.groups())
            try:
                named_at = datetime(year, month, day, hour, minute, tzinfo=self._zone).astimezone(UTC)
            except ValueError:
                named_at = None  # digits that are no date: the file was renamed
        as_of = written_at if named_at is None else min(named_at, written_at)
        return max(as_of, min(newest, written_at)).replace(microsecond=0)

    def count_rows(self) -> dict[str, int]:
        """Return how many rows each order has, in the file's order, having checked rows, ids and words.

        An order's rows are expected side by side; counting them first allows for files where they are not.
        """
        counts: dict[str, int] = {}
        seen_rows: dict[int, int] = {}
        unknown: dict[str, _UnknownWord] = {}
        rounded = _RoundedIds()
        for line in self._lines((*_ID_COLUMNS, "status", "substatus", "bundle_sku")):
            order_id = self._checked_ids(line)
            rounded.add(order_id, line.number, is_text=line.has_text_id)
            first_line = seen_rows.setdefault(line.fingerprint, line.number)
            if first_line != line.number:
                raise self._fault(
                    tr("this row repeats line {line} word for word", line=first_line),
                    line,
                    None,
                    tr("the export has one row for each order and SKU: download it again, and join no files by hand"),
                )
            for field in ("status", "substatus"):
                if line[field] and self._words.status(line[field]) is None:
                    unknown.setdefault(line[field], _UnknownWord(line, field))
            counts[order_id] = counts.get(order_id, 0) + 1
        if unknown:
            raise self._unknown_words(unknown)
        suspect = rounded.suspect()
        if suspect is not None:
            order_id, number = suspect
            raise self._mangled(_Line({"order_id": order_id}, number=number), "order_id")
        return counts

    def orders(self, rows_of_order: Mapping[str, int], as_of: datetime) -> Iterator[OrderFacts]:
        """Yield each order once all its rows were read."""
        waiting: dict[str, list[_Line]] = {}
        for line in self._lines(tuple(_COLUMNS)):
            lines = waiting.setdefault(line["order_id"], [])
            lines.append(line)
            if len(lines) == rows_of_order[line["order_id"]]:
                del waiting[line["order_id"]]
                yield self._order(lines, as_of)

    def _lines(self, fields: Sequence[str]) -> Iterator[_Line]:
        """Yield the rows that are about an order, with the cells of `fields` alone."""
        header, rows = self._table.read()
        columns = find_columns(self._table, header, _COLUMNS, required=_REQUIRED)
        id_index = columns["order_id"]
        width = len(header.cells)
        wanted = [(field, columns[field]) for field in fields if field in columns]
        missing = dict.fromkeys((field for field in fields if field not in columns), "")
        is_first = True
        for row in rows:
            cells = self._whole(row, width)
            line = _Line(
                missing | {field: cells[index].strip() for field, index in wanted},
                number=row.line,
                fingerprint=hash(tuple(cells)),
                has_text_id=id_index not in row.numbers if self._table.is_xlsx else cells[id_index].endswith("\t"),
            )
            if not self._is_description(line["order_id"], is_first=is_first):
                yield line
            is_first = False

    def _whole(self, row: TableRow, width: int) -> Sequence[str]:
        """Return the row's cells, as many as the header has. Raises InputFileError when it was cut or has more."""
        cells = row.cells
        if len(cells) == width:
            return cells
        if len(cells) > width:
            if any(cell.strip() for cell in cells[width:]):
                raise self._table.fault(
                    tr("this row has {count} cells, the header has {width}", count=len(cells), width=width),
                    line=row.line,
                    next_step=_download_again(),
                )
            return cells[:width]
        if not self._table.is_xlsx:
            raise self._table.fault(
                tr("this row ends after {count} of {width} cells: the file is cut off", count=len(cells), width=width),
                line=row.line,
                next_step=_download_again(),
            )
        return [*cells, *[""] * (width - len(cells))]

    def _is_description(self, order_id: str, *, is_first: bool) -> bool:
        """The row under the header that explains the columns, in some files and in the language of the screen."""
        if order_id.casefold().startswith(_DESCRIPTION_START):
            return True
        return is_first and bool(order_id) and not any(letter.isdigit() for letter in order_id)

    def _checked_ids(self, line: _Line) -> str:
        for field in _ID_COLUMNS:
            if is_exponent(line[field]) or (field == "tracking" and len(line[field]) > 19 and is_rounded(line[field])):
                raise self._mangled(line, field)
        order_id = line["order_id"]
        if plain_header(order_id) == plain_header(_COLUMNS["order_id"][0]):
            raise self._fault(
                tr("a second header row"), line, "order_id", tr("give each export on its own; do not join files")
            )
        if not order_id.isascii() or not order_id.isdecimal() or len(order_id) < _FEWEST_ID_DIGITS:
            raise self._fault(tr("{found} is not an order id", found=order_id or '""'), line, "order_id")
        if not line["sku_id"] and not line["bundle_sku"]:
            raise self._fault(tr("the SKU ID is missing"), line, "sku_id")
        if not line["status"]:
            raise self._fault(tr("the order status is missing"), line, "status")
        return order_id

    def _order(self, lines: Sequence[_Line], as_of: datetime) -> OrderFacts:
        first = lines[0]
        row_statuses = [self._row_status(line) for line in lines]
        for line in lines[1:]:
            self._must_agree(first, line)
        status = wording.status_of_order(row_statuses)
        if status is None:
            raise self._contradiction(lines[-1], "substatus", first)
        money = [self._amounts(line) for line in lines]
        order_currency = next((amounts.currency for amounts in money if amounts.currency), self._currency)
        quantities = [self._quantity(line) for line in lines]
        before = _sum([amounts["before_discount"] for amounts in money])
        is_sample = before == 0
        times = self._times(lines)
        order_type = wording.order_type(first["order_type"])
        units = [
            unit
            for line, row_status, amounts, quantity in zip(lines, row_statuses, money, quantities, strict=True)
            for unit in _units(line, row_status, amounts, quantity, is_gift=_is_free(amounts) and not is_sample)
        ]
        return OrderFacts(
            channel="tiktok",
            channel_order_id=first["order_id"],
            status=status,
            source="file",
            as_of=as_of,
            order_type=order_type,
            placed_at=times["created"],
            paid_at=times["paid"],
            rts_at=times["rts"],
            collected_at=times["shipped"],
            delivered_at=times["delivered"],
            cancelled_at=times["cancelled"],
            shipping_type=wording.shipping_type(first["option_type"], first["option"], first["shipping_information"]),
            fulfillment_type=wording.fulfillment_type(first["fulfillment"]),
            delivery_option=first["option"] or None,
            is_on_hold_order=True if status == "ON_HOLD" else None,
            cancel_requested=self._is_cancel_requested(lines, row_statuses),
            is_sample=is_sample,
            is_presale=order_type == "PRE_ORDER",
            buyer_id=first["buyer"] or None,
            currency=order_currency,
            total_minor=_agreed(money, "total"),
            subtotal_minor=_sum([amounts["after_discount"] for amounts in money]),
            tax_minor=_agreed(money, "tax"),
            shipping_minor=_agreed(money, "shipping"),
            platform_discount_minor=_sum([amounts["platform_discount"] for amounts in money]),
            seller_discount_minor=_sum([amounts["seller_discount"] for amounts in money]),
            shipping_platform_discount_minor=_agreed(money, "shipping_platform_discount"),
            shipping_seller_discount_minor=_agreed(money, "shipping_seller_discount"),
            buyer_note=_first_text(lines, "buyer_note"),
            seller_note=_first_text(lines, "seller_note"),
            recipient=_recipient(first),
            units=tuple(units),
            weight_g=_weight_g(lines, quantities),
        )

    def _row_status(self, line: _Line) -> str:
        status = self._words.status(line["status"])
        substatus = self._words.status(line["substatus"]) if line["substatus"] else None
        exact = None if status is None else wording.exact_status(status, substatus)
        if exact is None:
            raise self._fault(
                tr(
                    "the status {status} and the substatus {substatus} contradict each other",
                    status=line["status"],
                    substatus=line["substatus"],
                ),
                line,
                "substatus",
            )
        return exact

    def _must_agree(self, first: _Line, line: _Line) -> None:
        """Rows of one order repeat what is true of the order; where they do not, ids of two orders became one."""
        if self._words.status(first["status"]) != self._words.status(line["status"]):
            raise self._contradiction(line, "status", first)
        for field in ("created", "total"):
            if first[field] != line[field]:
                raise self._contradiction(line, field, first)

    def _is_cancel_requested(self, lines: Sequence[_Line], row_statuses: Sequence[str]) -> bool:
        is_requested = False
        for line, row_status in zip(lines, row_statuses, strict=True):
            if not line["cancel_type"] or not wording.allows_cancel_request(row_status):
                continue
            meaning = self._words.cancellation(line["cancel_type"])
            if meaning is None:
                raise self._unknown_words({line["cancel_type"]: _UnknownWord(line, "cancel_type")})
            is_requested = is_requested or meaning == wording.CANCEL
        return is_requested

    def _quantity(self, line: _Line) -> int:
        text = line["quantity"]
        if not _is_short_number(text) or not 0 < int(text) <= _MOST_UNITS_IN_A_ROW:
            raise self._fault(
                tr("the quantity {found} is not a whole number from 1 to 10000", found=text or '""'), line, "quantity"
            )
        return int(text)

    def _amounts(self, line: _Line) -> _Amounts:
        minors: dict[str, int | None] = {}
        code = None
        for field in _MONEY_COLUMNS:
            text = line[field]
            if not text:
                minors[field] = None
                continue
            amount = _parse_amount(text, self._currency)
            if amount is None:
                raise self._fault(tr("{found} is not an amount", found=text), line, field)
            minors[field], own_code = amount
            code = code or own_code
        return _Amounts(minors, code)

    def _times(self, lines: Sequence[_Line]) -> dict[str, datetime | None]:
        """Return each time of the order, the first row that has it telling.

        In the hour that comes twice when summer time ends, the earlier one is meant unless an earlier event of the same
        order shows otherwise.
        """
        times: dict[str, datetime | None] = {}
        previous: datetime | None = None
        for field in _TIME_COLUMNS:
            line = next((line for line in lines if line[field]), None)
            if line is None:
                times[field] = None
                continue
            local = _parse_time(line[field], is_day_first=self._is_day_first)
            if local is None:
                raise self._fault(tr("{found} is not a time of this export", found=line[field]), line, field)
            moment = local.replace(tzinfo=self._zone).astimezone(UTC)
            if previous is not None and moment < previous:
                later = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
                moment = later if later >= previous else moment
            times[field] = moment
            previous = moment
        return times

    def _fault(self, what: str, line: _Line, field: str | None, next_step: str | None = None) -> InputFileError:
        column = None if field is None else _COLUMNS[field][0]
        return self._table.fault(
            what,
            line=line.number,
            column=column,
            order=line["order_id"] or None,
            next_step=next_step or _download_again(),
        )

    def _mangled(self, line: _Line, field: str) -> InputFileError:
        return self._fault(
            tr("a spreadsheet program has rounded the number {found}; its last digits are lost", found=line[field]),
            line,
            field,
        )

    def _contradiction(self, line: _Line, field: str, first: _Line) -> InputFileError:
        return self._fault(
            tr(
                "{found} contradicts {other} in line {line} of the same order",
                found=line[field] or '""',
                other=first[field] or '""',
                line=first.number,
            ),
            line,
            field,
        )

    def _unknown_words(self, unknown: Mapping[str, _UnknownWord]) -> InputFileError:
        word, place = next(iter(unknown.items()))
        example = wording.CANCEL if place.field == "cancel_type" else "AWAITING_SHIPMENT"
        return self._fault(
            tr("unknown words in this export: {words}", words=", ".join(unknown)),
            place.line,
            place.field,
            tr(
                "say in rules.yaml what each means, such as seller_center: {{status_words: {{{word}: {example}}}}}, "
                "with one of {meanings}",
                word=word,
                example=example,
                meanings=", ".join((*wording.API_STATUSES, wording.CANCEL, wording.RETURN)),
            ),
        )


@dataclass(frozen=True, slots=True)
class _UnknownWord:
    line: _Line
    field: str


@dataclass(frozen=True, slots=True)
class _Amounts:
    """The amounts of one row in minor units, and the currency that the cells themselves named."""

    minors: Mapping[str, int | None]
    currency: str | None

    def __getitem__(self, field: str) -> int | None:
        return self.minors[field]


class _RoundedIds:
    """Whether order ids lost digits in a spreadsheet program.

    One id in a thousand ends in 000 by chance, so a single one proves nothing. The export's trailing tab does: a cell
    that still has it was never a number. Suspect are ids without the tab when every one of them is rounded, and
    any two ids or more when the whole file's are.
    """

    def __init__(self) -> None:
        self._first: tuple[str, int] | None = None
        self._first_number: tuple[str, int] | None = None
        self._has_whole = False
        self._has_whole_number = False
        self._rounded: set[str] = set()

    def add(self, order_id: str, line: int, *, is_text: bool) -> None:
        if not is_rounded(order_id):
            self._has_whole = True
            self._has_whole_number = self._has_whole_number or not is_text
            return
        self._first = self._first or (order_id, line)
        if not is_text:
            self._first_number = self._first_number or (order_id, line)
        if len(self._rounded) < 2:
            self._rounded.add(order_id)

    def suspect(self) -> tuple[str, int] | None:
        """Return the first suspect id and its line, None when all is well."""
        if self._first_number is not None and not self._has_whole_number:
            return self._first_number
        return self._first if not self._has_whole and len(self._rounded) > 1 else None


def _is_short_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST_UNITS_IN_A_ROW))


def _download_again() -> str:
    return tr("download the export again and do not open it in a spreadsheet program")


def _parse_time(text: str, *, is_day_first: bool) -> datetime | None:
    """Return the local time of a cell, without a zone; None for any other text."""
    try:
        if found := _TWELVE_HOUR_TIME.fullmatch(text):
            month, day, year, hour, minute, second = (int(part) for part in found.groups()[:6])
            if not 1 <= hour <= 12:
                return None
            return datetime(year, month, day, hour % 12 + (12 if found[7] in "Pp" else 0), minute, second)
        if is_day_first and (found := _DAY_FIRST_TIME.fullmatch(text)):
            day, month, year, hour, minute, second = (int(part) for part in found.groups())
            return datetime(year, month, day, hour, minute, second)
        if found := _CELL_TIME.fullmatch(text):
            year, month, day, hour, minute, second = (int(part) for part in found.groups())
            return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    return None


@lru_cache(maxsize=4096)
def _parse_amount(text: str, default_currency: str) -> tuple[int, str | None] | None:
    """Return (minor units, currency named in the cell) of `41`, `$1,234.50`, `THB 1`, `IDR 12.000`; None if unreadable.

    A dot or comma before three digits is a thousands mark only where no decimals can be meant: `8,99` is refused.
    """
    found = _MONEY.fullmatch(text)
    if found is None:
        return None
    code = found["before"] or found["after"]
    currency = code or default_currency
    number = found["number"]
    if minor_digits(currency) == 0 and _ANY_THOUSANDS.fullmatch(number):
        number = re.sub(r"[.,]", "", number)
    elif _COMMA_THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    elif _PLAIN_NUMBER.fullmatch(number) is None:
        return None
    minor = to_minor(Decimal(number), currency).minor
    return (-minor if found["minus"] or found["inner"] else minor), code


def _sum(amounts: Sequence[int | None]) -> int | None:
    """Return the sum, None as soon as one part is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _agreed(money: Sequence[_Amounts], field: str) -> int | None:
    """Return an amount that is true of the whole order and repeated in each row; None when the rows do not agree."""
    values = {amounts[field] for amounts in money}
    return values.pop() if len(values) == 1 else None


def _is_free(amounts: _Amounts) -> bool:
    return amounts["before_discount"] == 0 or (amounts["before_discount"] is None and amounts["unit_price"] == 0)


def _first_text(lines: Sequence[_Line], field: str) -> str | None:
    return next((line[field] for line in lines if line[field]), None)


def _units(line: _Line, status: str, amounts: _Amounts, quantity: int, *, is_gift: bool) -> Iterator[UnitFacts]:
    """Yield the row's units. What the row sold for is spread over them so that not a cent is lost or made."""
    sold_for = amounts["after_discount"]
    each, rest = divmod(sold_for, quantity) if sold_for is not None else (amounts["unit_price"], 0)
    for number in range(quantity):
        yield UnitFacts(
            channel_sku_id=line["sku_id"] or line["bundle_sku"],
            product_id=line["product_id"] or None,
            seller_sku=line["seller_sku"] or line["sku_id"] or line["bundle_sku"],
            product_name=line["product_name"] or None,
            variant_name=line["variation"] or None,
            price_minor=each if each is None or number >= rest else each + 1,
            status=status,
            channel_package_id=line["package_id"] or None,
            tracking_number=line["tracking"] or None,
            provider_name=line["provider"] or None,
            is_gift=is_gift,
            creator=line["creator"].removeprefix("@") or None,
            content_type=wording.content_type(line["content"]),
        )


def _recipient(line: _Line) -> RecipientFacts | None:
    if not any(line[field] for field in _RECIPIENT_COLUMNS):
        return None
    is_american = is_united_states(line["country"])
    state = line["state"] or None
    if state is not None and (is_american or not line["country"]):
        state = state_code(state) or state
    second = " ".join(part for part in (line["street2"], line["house"]) if part)
    return RecipientFacts(
        name=line["name"] or None,
        phone=line["phone"] or None,
        street1=line["street1"] or None,
        street2=second or None,
        city=line["city"] or None,
        state=state,
        zip=_zip(line["zip"], state) if is_american else line["zip"] or None,
        country="US" if is_american else line["country"] or None,
        is_masked=any("*" in line[field] for field in _RECIPIENT_COLUMNS),
    )


def _zip(text: str, state: str | None) -> str | None:
    """Return the ZIP code with the zero that a spreadsheet program takes from 02139, where the state has such ones."""
    head, dash, tail = text.partition("-")
    if head.isdecimal() and 3 <= len(head) <= 4 and state in STATES_WITH_ZERO_ZIPS:
        return head.zfill(5) + dash + tail
    return text or None


def _weight_g(lines: Sequence[_Line], quantities: Sequence[int]) -> int | None:
    """Return the weight in grams, rounded up, of an order of one piece; else None.

    Nobody says whether `Weight(kg)` is that of a piece, a row or the order: only for a single piece are they the same.
    """
    text = lines[0]["weight"]
    if list(quantities) != [1] or _PLAIN_NUMBER.fullmatch(text) is None or Decimal(text) == 0:
        return None
    return int((Decimal(text) * 1000).to_integral_value(ROUND_CEILING))
