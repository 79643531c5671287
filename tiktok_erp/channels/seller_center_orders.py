"""Read Seller Center's order export (CSV or XLSX) as `OrderFacts`. Edge; layout: TikTok reference, sections 8.1, 8.2.

The file is checked whole before the first order is handed out, and read again to hand them out, so that of each order
only its id stays in memory: an export may hold 200,000 orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiktok_erp.channels import seller_center_words as wording
from tiktok_erp.channels.seller_center_words import Words
from tiktok_erp.errors import InputFileError, SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.amount_text import (
    COMMA,
    DOT,
    amount_minor,
    clear_minor,
    market_decimal_mark,
    read_amount_text,
)
from tiktok_erp.model.facts import OrderFacts, RecipientFacts, UnitFacts
from tiktok_erp.model.money import minor_digits
from tiktok_erp.model.us_states import STATES_WITH_ZERO_ZIPS, is_united_states, state_code
from tiktok_erp.table_file import (
    TableFile,
    TableRow,
    find_columns,
    has_columns,
    is_exponent,
    is_rounded,
    plain_header,
    refuse_other_kind,
)

_COLUMNS: Mapping[str, Sequence[str]] = {
    "order_id": ("Order ID", "注文ID"),
    "status": ("Order Status", "注文状況"),
    "substatus": ("Order Substatus", "注文のサブ状況"),
    "cancel_type": ("Cancelation/Return Type", "Cancellation/Return Type"),
    "order_type": ("Normal or Pre-order",),
    "sku_id": ("SKU ID",),
    "seller_sku": ("Seller SKU",),
    "product_id": ("Product ID",),
    "product_name": ("Product Name",),
    "variation": ("Variation",),
    "bundle_sku": ("Virtual Bundle Seller SKU",),
    "quantity": ("Quantity",),
    "return_quantity": ("Sku Quantity of return",),
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
    "original_shipping_fee": ("Original Shipping Fee",),
    "shipping_fee_cofunded_discount": ("Co-Funded Shipping Fee Discount",),
    "payment_platform_discount": ("Payment platform discount",),
    "retail_delivery_fee": ("Retail Delivery Fee",),
    "small_order_fee": ("Small Order Fee",),
    "buyer_service_fee": ("Buyer Service Fee",),
    "handling_fee": ("Handling Fee",),
    "shipping_insurance_fee": ("Shipping Insurance",),
    "item_insurance_fee": ("Item Insurance",),
    "distance_shipping_fee": ("Distance Shipping Fee",),
    "distance_fee": ("Distance Fee",),
    "refund_amount": ("Order Refund Amount",),
    "created": ("Created Time",),
    "paid": ("Paid Time",),
    "rts": ("RTS Time",),
    "shipped": ("Shipped Time",),
    "delivered": ("Delivered Time",),
    "cancelled": ("Cancelled Time", "Canceled Time"),
    "cancelled_by": ("Cancel By",),
    "cancel_reason": ("Cancel Reason",),
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
    "region": ("Region",),
    "city": ("City", "Regency and City", "Municipality"),
    "district": ("District",),
    "districts": ("Districts",),
    "villages": ("Villages",),
    "commune": ("Commune",),
    "barangay": ("Barangay",),
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
# Columns that exports are known to have and that tell nothing we keep.
_UNUSED_HEADERS = (
    "Warehouse Name",
    "Buyer Nickname",
    "Delivery Instruction",
    "Payment Method",
    "Product Category",
    "Combined Listing",
    "Purchase Channel",
    "Checked Status",
    "Checked Marked by",
    "Tokopedia Invoice Number",
    "Request Tax Invoice",
)
_TAX_INVOICE_START = "tax info - "  # Thailand: `Tax Info - ...`
_REQUIRED = ("order_id", "status", "sku_id", "quantity")
_ID_COLUMNS = ("order_id", "sku_id", "product_id", "package_id", "tracking")
_TIME_COLUMNS = ("created", "paid", "rts", "shipped", "delivered", "cancelled")
# Amounts without a field of their own, true of the whole order; their names are those of the API's `payment`.
_OTHER_AMOUNTS = (
    "original_shipping_fee",
    "shipping_fee_cofunded_discount",
    "payment_platform_discount",
    "retail_delivery_fee",
    "small_order_fee",
    "buyer_service_fee",
    "handling_fee",
    "shipping_insurance_fee",
    "item_insurance_fee",
    "distance_shipping_fee",
    "distance_fee",
    "refund_amount",
)
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
    *_OTHER_AMOUNTS,
)
_SMALL_PLACES = ("district", "districts", "villages", "commune", "barangay")  # largest first
_RECIPIENT_COLUMNS = (
    *("name", "phone", "street1", "street2", "house", "city", "state", "region", "zip", "country"),
    *_SMALL_PLACES,
)

_DESCRIPTION_START = "platform unique order id"
_MOST_UNITS_IN_A_ROW = 10_000  # beyond this a typing mistake is likelier than an order
_FEWEST_ID_DIGITS = 6
_EXACT_BELOW = 2**53  # a spreadsheet's numbers have 53 binary digits
_MOST_HEADERS_TOLD = 30
_LOOKS_LIKE_DATA = re.compile(r"\d{5}|\d[.:/]\d", re.ASCII)

_TWELVE_HOUR_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2}) ?([AaPp])[Mm]", re.ASCII)
_DAY_FIRST_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_CELL_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})", re.ASCII)  # a date cell of an XLSX file
_NAME_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})-(\d{2})_(\d{2})", re.ASCII)
# The channel's markets: ISO 3166 code and currency by the names that `Country` may have.
_MARKETS: Mapping[str, tuple[str, str]] = {
    name: (code, currency)
    for code, currency, *names in (
        ("ID", "IDR", "indonesia", "印度尼西亚"),
        ("VN", "VND", "vietnam", "viet nam", "việt nam", "越南"),
        ("TH", "THB", "thailand", "ไทย", "ประเทศไทย", "泰国"),
        ("PH", "PHP", "philippines", "the philippines", "菲律宾"),
        ("MY", "MYR", "malaysia", "马来西亚"),
        ("SG", "SGD", "singapore", "新加坡"),
        ("JP", "JPY", "japan", "日本"),
        ("GB", "GBP", "united kingdom", "great britain", "uk", "英国"),
        ("IE", "EUR", "ireland"),
        ("ES", "EUR", "spain", "españa"),
        ("DE", "EUR", "germany", "deutschland"),
        ("FR", "EUR", "france"),
        ("IT", "EUR", "italy", "italia"),
        ("MX", "MXN", "mexico", "méxico"),
        ("BR", "BRL", "brazil", "brasil"),
    )
    for name in (*names, code.casefold())
}
_PLAIN_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NO_MORE_WORDS: Mapping[str, str] = MappingProxyType({})
_NO_MARKET: tuple[str | None, str | None] = (None, None)


def read_order_export(
    path: Path,
    *,
    time_zone: str = "America/Los_Angeles",
    status_words: Mapping[str, str] = NO_MORE_WORDS,
    header_aliases: Mapping[str, str] = NO_MORE_WORDS,
    exported_at: datetime | None = None,
    currency: str = "USD",
    decimal_mark: str | None = None,
) -> Iterator[OrderFacts]:
    """Return the orders of an export in the file's order. The whole file has been checked when this returns.

    The file carries no zone: its times are read in `time_zone`. An amount is in the currency that the order's cells
    name, else that of the order's country, else that which the rest of the file has, else `currency`. Its decimals begin
    with `decimal_mark`, else as the file's other amounts show, else as the currency and country write them.
    `as_of` is the time in the file's name (`All order-2026-11-21-19_40.csv`, also in `time_zone`), else
    `exported_at` (the file's own time), but never later than `exported_at`: a name in another zone must not make the
    rows look newer than they are. `status_words` adds words of another language: status -> the API's word, or
    `CANCEL` / `RETURN` for the column Cancelation/Return Type. `header_aliases` does the same for headers: the file's
    text -> the English header of section 8.1.

    A row's quantity becomes that many units. Raises InputFileError with file, line, column and order for anything that
    cannot be taken as it stands (nothing is handed out then), SettingsError for an unknown zone, word or header.
    """
    export = OrderExport(
        path,
        time_zone=time_zone,
        status_words=status_words,
        header_aliases=header_aliases,
        exported_at=exported_at,
        currency=currency,
        decimal_mark=decimal_mark,
    )
    return (exported.facts for exported in export.orders())


@dataclass(frozen=True, slots=True)
class ExportedOrder:
    """An order of the export, and every status of the API that the file's words for it may stand for."""

    facts: OrderFacts
    statuses: frozenset[str]


class OrderExport:
    """An export that was checked whole. Arguments and errors are those of `read_order_export`.

    `tells_tracking`: the file has the column of tracking numbers.
    """

    def __init__(
        self,
        path: Path,
        *,
        time_zone: str = "America/Los_Angeles",
        status_words: Mapping[str, str] = NO_MORE_WORDS,
        header_aliases: Mapping[str, str] = NO_MORE_WORDS,
        exported_at: datetime | None = None,
        currency: str = "USD",
        decimal_mark: str | None = None,
    ) -> None:
        self._file = _Export(
            path,
            _zone(time_zone),
            Words(status_words),
            currency,
            names=_header_names(header_aliases),
            is_day_first=_is_day_first(time_zone),
            decimal_mark=decimal_mark,
        )
        self._rows_of_order = self._file.count_rows()
        checked = self._file.orders(self._rows_of_order, _LONG_AGO)
        newest = max((_newest_time(order.facts) for order in checked), default=_LONG_AGO)
        self.as_of = self._file.as_of(exported_at, newest)
        self.tells_tracking = self._file.has_column("tracking")

    def __len__(self) -> int:
        return len(self._rows_of_order)

    def __contains__(self, channel_order_id: object) -> bool:
        return channel_order_id in self._rows_of_order

    def orders(self) -> Iterator[ExportedOrder]:
        """Yield the orders in the file's order."""
        return self._file.orders(self._rows_of_order, self.as_of)


def _header_names(aliases: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Return the spellings of each column's header, those of the seller's settings behind ours."""
    names = {field: list(spellings) for field, spellings in _COLUMNS.items()}
    field_of = {plain_header(spelling): field for field, spellings in _COLUMNS.items() for spelling in spellings}
    unused = {plain_header(header) for header in _UNUSED_HEADERS}
    for alias, header in aliases.items():
        if plain_header(header) in field_of:
            names[field_of[plain_header(header)]].append(alias)
        elif plain_header(header) not in unused:
            raise SettingsError(
                tr("seller_center.headers: no export has the column {header}", header=header),
                subject="rules.yaml",
                next_step=tr(
                    "write the file's header and then the English one, such as seller_center: {{headers: {{{alias}: {example}}}}}",
                    alias=alias,
                    example=_COLUMNS["quantity"][0],
                ),
            )
    return names


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
    """One row of the export: its cells, stripped, by field, and its place in the file.

    A field whose column the file lacks is empty. A dict itself, since cells are asked for 80 times an order.
    """

    __slots__ = ("number",)

    number: int


class _Export:
    """One export file. Every method reads it from the start."""

    def __init__(
        self,
        path: Path,
        zone: ZoneInfo,
        words: Words,
        currency: str,
        *,
        names: Mapping[str, Sequence[str]],
        is_day_first: bool,
        decimal_mark: str | None,
    ) -> None:
        self._table = TableFile(
            path, sheet="OrderSKUList", is_header=lambda row: has_columns(row, names, ("order_id", "status"))
        )
        self._decimals = _Decimals(decimal_mark)
        self._zone = zone
        self._words = words
        self._currency = currency
        self._names = names
        self._id_headers = {plain_header(name) for name in names["order_id"]}
        self._is_day_first = is_day_first

    def has_column(self, field: str) -> bool:
        """Tell whether the file has the column."""
        return field in self._columns(self._table.read()[0])

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
        seen_rows: set[int] = set()
        unknown: dict[str, _UnknownWord] = {}
        rounded = _RoundedIds()
        currency: str | None = None
        fields = (*_ID_COLUMNS, "status", "substatus", "bundle_sku", "country", "total")
        columns = self._columns(self._table.read()[0])
        amounts = [columns[field] for field in _MONEY_COLUMNS if field in columns]
        for line, row, is_text in self._lines(fields):
            order_id = self._checked_ids(line)
            rounded.add(order_id, line.number, is_text=is_text, is_number=self._table.is_xlsx and not is_text)
            if not self._decimals.is_decided:
                cells = [row.cells[index].strip() for index in amounts if index < len(row.cells)]
                self._decimals.add(cells, *_market(line["country"]), line=line.number)
            fingerprint = hash(tuple(row.cells))
            if fingerprint in seen_rows:
                raise self._repeated(line, fingerprint)
            seen_rows.add(fingerprint)
            for field in ("status", "substatus"):
                if line[field] and self._words.status(line[field]) is None:
                    unknown.setdefault(line[field], _UnknownWord(line, field))
            counts[order_id] = counts.get(order_id, 0) + 1
            currency = currency or _named_currency(line["total"]) or _market(line["country"])[1]
        if unknown:
            raise self._unknown_words(unknown)
        suspect = rounded.suspect()
        if suspect is not None:
            order_id, number = suspect
            line = _Line(order_id=order_id)
            line.number = number
            raise self._mangled(line, "order_id")
        self._currency = currency or self._currency
        return counts

    def orders(self, rows_of_order: Mapping[str, int], as_of: datetime) -> Iterator[ExportedOrder]:
        """Yield each order once all its rows were read."""
        waiting: dict[str, list[_Line]] = {}
        for line, _row, _is_text in self._lines(tuple(_COLUMNS)):
            lines = waiting.setdefault(line["order_id"], [])
            lines.append(line)
            if len(lines) == rows_of_order[line["order_id"]]:
                del waiting[line["order_id"]]
                yield self._order(lines, as_of)

    def _lines(self, fields: Sequence[str]) -> Iterator[tuple[_Line, TableRow, bool]]:
        """Yield the rows that are about an order: the cells of `fields`, the bare row, and whether its id is text."""
        header, rows = self._table.read()
        columns = self._columns(header)
        id_index = columns["order_id"]
        width = len(header.cells)
        pick = itemgetter(*(columns.get(field, width) for field in fields))  # behind the last cell stands an empty one
        is_first = True
        used = {field: index for field, index in columns.items() if field in fields}
        for row in rows:
            if row.broken:
                self._table.refuse_broken(row, used, _COLUMNS)
            cells = [*self._whole(row, width), ""]
            line = _Line(zip(fields, map(str.strip, pick(cells)), strict=True))
            line.number = row.line
            if not self._is_description(line["order_id"], is_first=is_first):
                # An id that still has the export's tab was never a number of a spreadsheet program.
                yield line, row, id_index not in row.numbers if self._table.is_xlsx else cells[id_index].endswith("\t")
            is_first = False

    def _columns(self, header: TableRow) -> dict[str, int]:
        columns = find_columns(self._table, header, self._names, required=())
        missing = [self._names[field][0] for field in _REQUIRED if field not in columns]
        if not missing:
            return columns
        refuse_other_kind(self._table, header, ("order_export",))
        unknown = self._unknown_headers(header)
        raise self._table.fault(
            tr("the header has no column {columns}", columns=", ".join(missing))
            + (tr("; unknown in it: {headers}", headers=", ".join(unknown)) if unknown else ""),
            line=header.line,
            next_step=tr(
                "take the export of orders with one row for each SKU, its header in the first row; if its headers are in another "
                "language, say in rules.yaml what they mean, such as seller_center: {{headers: {{{alias}: {example}}}}}",
                alias=unknown[0] if unknown else "数量",
                example=missing[0],
            ),
        )

    def _unknown_headers(self, header: TableRow) -> list[str]:
        """Return the headers that are in no table; none when the row looks like data, which may be personal."""
        if any(_LOOKS_LIKE_DATA.search(cell) for cell in header.cells):
            return []
        known = {plain_header(name) for names in (*self._names.values(), _UNUSED_HEADERS) for name in names}
        unknown = [
            " ".join(cell.split())
            for cell in header.cells
            if cell.strip()
            and plain_header(cell) not in known
            and not plain_header(cell).startswith(_TAX_INVOICE_START)
        ]
        return unknown[:_MOST_HEADERS_TOLD]

    def _repeated(self, line: _Line, fingerprint: int) -> InputFileError:
        first = next(
            row.line for _line, row, _is_text in self._lines(_ID_COLUMNS) if hash(tuple(row.cells)) == fingerprint
        )
        return self._fault(
            tr("this row repeats line {line} word for word", line=first),
            line,
            None,
            tr("the export has one row for each order and SKU: download it again, and join no files by hand"),
        )

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
        if plain_header(order_id) in self._id_headers:
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

    def _order(self, lines: Sequence[_Line], as_of: datetime) -> ExportedOrder:
        first = lines[0]
        row_statuses = [self._row_status(line) for line in lines]
        for line in lines[1:]:
            self._must_agree(first, line)
        status = wording.status_of_order(row_statuses)
        if status is None:
            raise self._contradiction(lines[-1], "substatus", first)
        currency = self._order_currency(lines)
        money = [self._amounts(line, currency) for line in lines]
        quantities = [self._quantity(line) for line in lines]
        before = _sum([amounts["before_discount"] for amounts in money])
        is_sample = before == 0
        times = self._times(lines)
        order_type = wording.order_type(first["order_type"])
        is_requested = self._is_cancel_requested(lines, row_statuses)
        ends = is_requested or status == "CANCELLED"
        units = tuple(
            unit
            for line, row_status, amounts, quantity in zip(lines, row_statuses, money, quantities, strict=True)
            for unit in _units(
                line,
                row_status,
                amounts,
                quantity,
                returned=self._returned(line, quantity),
                is_gift=_is_free(amounts) and not is_sample,
            )
        )
        facts = OrderFacts(
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
            cancel_requested=is_requested,
            cancelled_by=wording.initiator(_first_text(lines, "cancelled_by") or "") if ends else None,
            cancel_reason=_first_text(lines, "cancel_reason") if ends else None,
            is_sample=is_sample,
            is_presale=order_type == "PRE_ORDER",
            buyer_id=first["buyer"] or None,
            currency=currency,
            total_minor=_agreed(money, "total"),
            subtotal_minor=_sum([amounts["after_discount"] for amounts in money]),
            tax_minor=_agreed(money, "tax"),
            shipping_minor=_agreed(money, "shipping"),
            platform_discount_minor=_sum([amounts["platform_discount"] for amounts in money]),
            seller_discount_minor=_sum([amounts["seller_discount"] for amounts in money]),
            shipping_platform_discount_minor=_agreed(money, "shipping_platform_discount"),
            shipping_seller_discount_minor=_agreed(money, "shipping_seller_discount"),
            other_amounts=_other_amounts(money, before),
            buyer_note=_first_text(lines, "buyer_note"),
            seller_note=_first_text(lines, "seller_note"),
            recipient=_recipient(first),
            units=units,
            weight_g=_weight_g(lines, quantities, self._decimals.mark),
        )
        is_exact = all(line["substatus"] for line in lines)
        return ExportedOrder(facts, wording.possible_statuses(status, row_statuses, len(units), is_exact=is_exact))

    def _order_currency(self, lines: Sequence[_Line]) -> str:
        """Return the currency of the order's amounts, those that name none included. Raises when its cells name two."""
        named: str | None = None
        for line in lines:
            for field in _MONEY_COLUMNS:
                own = _named_currency(line[field]) if line[field] else None
                if own is None or own == named:
                    continue
                if named is not None:
                    raise self._fault(
                        tr("{currency} beside {other} in one order", currency=own, other=named), line, field
                    )
                named = own
        return named or _market(lines[0]["country"])[1] or self._currency

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

    def _returned(self, line: _Line, quantity: int) -> int | None:
        """Return how many of the row's pieces came back, None where the file does not tell."""
        text = line["return_quantity"]
        if not text:
            return None
        if not _is_short_number(text):
            raise self._fault(
                tr("the returned quantity {found} is not a whole number", found=text), line, "return_quantity"
            )
        return min(int(text), quantity)

    def _amounts(self, line: _Line, currency: str) -> Mapping[str, int | None]:
        minors: dict[str, int | None] = {}
        for field in _MONEY_COLUMNS:
            text = line[field]
            minor = self._minor(line, field, text, currency) if text else None
            minors[field] = minor
        return minors

    def _minor(self, line: _Line, field: str, text: str, currency: str) -> int:
        mark = self._decimals.mark or market_decimal_mark(currency, _market(line["country"])[0])
        minor = clear_minor(text, currency, mark)
        if minor is not None:
            return minor
        amount = read_amount_text(text)
        if amount is None:
            raise self._fault(tr("{found} is not an amount", found=text), line, field)
        if amount.is_ambiguous and mark in (None, *amount.number) and not self._decimals.is_said:
            raise self._fault(
                tr("{found} may be thousands, or an amount with three decimals", found=text),
                line,
                field,
                _say_decimals(),
            )
        minor = amount_minor(text, currency, mark or amount.decimal_mark or DOT)
        if minor is None:
            raise self._unreadable_amount(line, field, text, mark)
        return minor

    def _unreadable_amount(self, line: _Line, field: str, text: str, mark: str | None) -> InputFileError:
        amount = read_amount_text(text)
        if amount is None or mark is None or amount.decimal_mark in (None, mark):
            return self._fault(tr("{found} is not an amount", found=text), line, field)
        where = self._decimals.decided_in
        what = (
            tr(
                "{found} has its decimals behind a {mark}, line {line} behind a {other}",
                found=text,
                line=where,
                **_words(mark),
            )
            if where is not None
            else tr(
                "{found} is not an amount as this market writes it: decimals behind a {other}",
                found=text,
                **_words(mark),
            )
        )
        return self._fault(what, line, field, _say_decimals())

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


class _Decimals:
    """Whether dots or commas begin the decimals of the file's amounts: as the settings say, or as amounts show.

    Amounts that name a currency, or an order's country, show it for their file: a file in bare dollars of the United States
    keeps the dot, whatever one cell looks like.
    """

    def __init__(self, mark: str | None) -> None:
        self.mark = mark
        self.is_said = mark is not None
        self.decided_in: int | None = None

    @property
    def is_decided(self) -> bool:
        return self.mark is not None

    def add(self, amounts: Sequence[str], country: str | None, currency: str | None, *, line: int) -> None:
        """Look at a row's amounts; `country` and `currency` are those of its order, None where they are not told."""
        for text in amounts:
            amount = read_amount_text(text) if text else None
            if amount is None or amount.decimal_mark is None:
                continue
            if not minor_digits(amount.currency or currency or "USD"):
                continue  # without decimals, its dots and commas say nothing
            usual = market_decimal_mark(amount.currency or currency or "USD", country)
            if usual == DOT and amount.decimal_mark == COMMA and amount.currency is None:
                continue
            self.mark, self.decided_in = amount.decimal_mark, line
            return


def _words(mark: str) -> dict[str, str]:
    dot, comma = tr("dot"), tr("comma")
    return {"mark": comma, "other": dot} if mark == DOT else {"mark": dot, "other": comma}


def _say_decimals() -> str:
    return tr(
        "say in rules.yaml what begins the decimals: seller_center: {decimals: comma} for 1.234,50, or dot for 1,234.50"
    )


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

    def add(self, order_id: str, line: int, *, is_text: bool, is_number: bool = False) -> None:
        # Of a workbook's numbers so large, few are kept exactly: one that is not among them was never rounded.
        if not is_rounded(order_id) and not (is_number and int(float(order_id)) == int(order_id) > _EXACT_BELOW):
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
            month, day, year, hour, minute, second = map(int, found.groups()[:6])
            if not 1 <= hour <= 12:
                return None
            return datetime(year, month, day, hour % 12 + (12 if found[7] in "Pp" else 0), minute, second)
        if is_day_first and (found := _DAY_FIRST_TIME.fullmatch(text)):
            day, month, year, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second)
        if found := _CELL_TIME.fullmatch(text):
            year, month, day, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    spaced = " ".join(text.split())  # some programs put a narrow no-break space before PM
    return None if spaced == text else _parse_time(spaced, is_day_first=is_day_first)


@lru_cache(maxsize=4096)
def _named_currency(text: str) -> str | None:
    """Return the currency that an amount's cell names itself, by code or sign."""
    amount = read_amount_text(text)
    return None if amount is None else amount.currency


@lru_cache(maxsize=1024)
def _market(country: str) -> tuple[str | None, str | None]:
    """Return the ISO code and the currency of a country, (None, None) for one that is not told or not known."""
    if is_united_states(country):
        return "US", "USD"
    return _MARKETS.get(country.casefold(), _NO_MARKET)


def _sum(amounts: Sequence[int | None]) -> int | None:
    """Return the sum, None as soon as one part is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _agreed(money: Sequence[Mapping[str, int | None]], field: str) -> int | None:
    """Return an amount that is true of the whole order and repeated in each row; None when the rows do not agree."""
    if len(money) == 1:
        return money[0][field]
    values = {amounts[field] for amounts in money}
    return values.pop() if len(values) == 1 else None


def _is_free(amounts: Mapping[str, int | None]) -> bool:
    return amounts["before_discount"] == 0 or (amounts["before_discount"] is None and amounts["unit_price"] == 0)


def _first_text(lines: Sequence[_Line], field: str) -> str | None:
    return next((line[field] for line in lines if line[field]), None)


def _other_amounts(money: Sequence[Mapping[str, int | None]], before: int | None) -> dict[str, int]:
    """Return the amounts without a field of their own that are not 0. Those of the order stand in each of its rows."""
    found = {name: _agreed(money, name) for name in _OTHER_AMOUNTS}
    found["original_total_product_price"] = before
    return {name: minor for name, minor in found.items() if minor}


def _units(
    line: _Line,
    status: str,
    amounts: Mapping[str, int | None],
    quantity: int,
    *,
    returned: int | None,
    is_gift: bool,
) -> Iterator[UnitFacts]:
    """Yield the row's units. What the row sold for is spread over them so that not a cent is lost or made.

    A row does not say which of its equal pieces came back: it is the first ones.
    """
    sold_for = amounts["after_discount"]
    unit_prices: Sequence[int | None] = [amounts["unit_price"]] * quantity
    prices = unit_prices if sold_for is None else _spread(sold_for, quantity)
    originals = _spread(amounts["before_discount"], quantity) if amounts["unit_price"] is None else unit_prices
    platform_discounts = _spread(amounts["platform_discount"], quantity)
    seller_discounts = _spread(amounts["seller_discount"], quantity)
    for number in range(quantity):
        yield UnitFacts(
            channel_sku_id=line["sku_id"] or line["bundle_sku"],
            product_id=line["product_id"] or None,
            seller_sku=line["seller_sku"] or line["sku_id"] or line["bundle_sku"],
            product_name=line["product_name"] or None,
            variant_name=line["variation"] or None,
            price_minor=prices[number],
            original_price_minor=originals[number],
            platform_discount_minor=platform_discounts[number],
            seller_discount_minor=seller_discounts[number],
            status=status,
            channel_package_id=line["package_id"] or None,
            tracking_number=line["tracking"] or None,
            provider_name=line["provider"] or None,
            is_gift=is_gift,
            creator=line["creator"].removeprefix("@") or None,
            content_type=wording.content_type(line["content"]),
            cancelled_by=wording.initiator(line["cancelled_by"]),
            cancel_reason=line["cancel_reason"] or None,
            is_returned=None if returned is None else number < returned,
        )


def _spread(amount: int | None, count: int) -> Sequence[int | None]:
    """Return `count` parts that add up to `amount` and differ by one at most, the larger ones first."""
    if amount is None:
        return [None] * count
    each, rest = divmod(amount, count)
    return [each + 1] * rest + [each] * (count - rest)


def _recipient(line: _Line) -> RecipientFacts | None:
    if not any(line[field] for field in _RECIPIENT_COLUMNS):
        return None
    is_american = is_united_states(line["country"])
    state = line["state"] or line["region"] or None
    if state is not None and (is_american or not line["country"]):
        state = state_code(state) or state
    small_places = [line[field] for field in _SMALL_PLACES if line[field]]
    # Where no column is called a city, the largest place below the province is one (Vietnam, Thailand).
    city = line["city"] or (small_places.pop(0) if small_places else None)
    second = " ".join(part for part in (line["street2"], line["house"]) if part)
    return RecipientFacts(
        name=line["name"] or None,
        phone=line["phone"] or None,
        street1=line["street1"] or None,
        street2=", ".join(part for part in (second, *reversed(small_places)) if part) or None,
        city=city,
        state=state,
        zip=_zip(line["zip"], state) if is_american else line["zip"] or None,
        country=_market(line["country"])[0] or line["country"] or None,
        is_masked=any("*" in line[field] for field in _RECIPIENT_COLUMNS),
    )


def _zip(text: str, state: str | None) -> str | None:
    """Return the ZIP code with the zero that a spreadsheet program takes from 02139, where the state has such ones."""
    head, dash, tail = text.partition("-")
    if head.isdecimal() and 3 <= len(head) <= 4 and state in STATES_WITH_ZERO_ZIPS:
        return head.zfill(5) + dash + tail
    return text or None


def _weight_g(lines: Sequence[_Line], quantities: Sequence[int], decimal_mark: str | None) -> int | None:
    """Return the weight in grams, rounded up, of an order of one piece; else None.

    Nobody says whether `Weight(kg)` is that of a piece, a row or the order: only for a single piece are they the same.
    """
    text = lines[0]["weight"]
    if decimal_mark == COMMA:
        text = text.replace(COMMA, DOT)
    if list(quantities) != [1] or _PLAIN_NUMBER.fullmatch(text) is None or Decimal(text) == 0:
        return None
    return int((Decimal(text) * 1000).to_integral_value(ROUND_CEILING))
