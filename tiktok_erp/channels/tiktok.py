"""The TikTok Shop API: signed requests out, our nouns in. Source: TikTok reference, sections 1 to 5.

Reads are repeated when the channel stumbles. Writes are sent once: a write that was not refused and not answered raises
OutcomeUnknown, and its caller reads the order back before it decides.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from tiktok_erp.channels import tiktok_errors as errors
from tiktok_erp.channels.base import (
    ApiCall,
    Cancellation,
    ChannelStock,
    CommissionPage,
    Document,
    Listing,
    OrderPage,
    OrderSearch,
    PackageState,
    ProductMeasures,
    Purchase,
    QuantityRefusal,
    RawOrder,
    ServiceOffer,
    ShippingProvider,
    ShopFacts,
    TokenSource,
    Told,
    TrackingEvent,
)
from tiktok_erp.channels.tiktok_orders import amount, decode, flag, moment, read_order, text
from tiktok_erp.channels.tiktok_resources import read_cancellation, read_commission, read_measures
from tiktok_erp.channels.tiktok_signing import sign
from tiktok_erp.errors import (
    ChannelDown,
    ChannelRefused,
    ChannelThrottled,
    ErpError,
    LabelFileError,
    NotSent,
    OutcomeUnknown,
    SignInError,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.credentials import TikTokCredentials, TokenPair
from tiktok_erp.model.money import Money
from tiktok_erp.model.secret import Secret
from tiktok_erp.transport.client import HttpAnswer, HttpClient, require_safe_url, require_told_url
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import TOO_LARGE, RetryPolicy, parse_retry_after, with_retries

# One table for all versions (TikTok reference, section 1.6): a retired one is replaced here and nowhere else.
SHOPS = "/authorization/202309/shops"
ORDER_SEARCH = "/order/202309/orders/search"
ORDER_DETAIL = "/order/202507/orders"
ORDER_DETAIL_BEFORE = "/order/202309/orders"
CREATE_PACKAGE = "/fulfillment/202512/packages"
PACKAGE_DETAIL = "/fulfillment/202309/packages/{package_id}"
SHIPPING_DOCUMENT = "/fulfillment/202309/packages/{package_id}/shipping_documents"
SHIPPING_SERVICES = "/fulfillment/202309/orders/{order_id}/shipping_services/query"
MARK_SHIPPED = "/fulfillment/202610/orders/{order_id}/packages"
MARK_SHIPPED_BEFORE = "/fulfillment/202309/orders/{order_id}/packages"
SHIP_PACKAGE = "/fulfillment/202309/packages/{package_id}/ship"
BATCH_SHIP = "/fulfillment/202309/packages/ship"
UPDATE_SHIPPING = "/fulfillment/202309/orders/{order_id}/shipping_info/update"
UPDATE_PACKAGE_SHIPPING = "/fulfillment/202610/packages/{package_id}/shipping_info/update"
UPDATE_PACKAGE_SHIPPING_BEFORE = "/fulfillment/202309/packages/{package_id}/shipping_info/update"
PACKAGE_SEARCH = "/fulfillment/202309/packages/search"
ORDER_TRACKING = "/fulfillment/202309/orders/{order_id}/tracking"
SHIPPING_PROVIDERS = "/logistics/202309/delivery_options/{delivery_option_id}/shipping_providers"
AFFILIATE_ORDERS = "/affiliate_seller/202410/orders/search"
CANCELLATION_SEARCH = "/return_refund/202602/cancellations/search"
CANCELLATION_APPROVE = "/return_refund/202309/cancellations/{cancel_id}/approve"
CANCELLATION_REJECT = "/return_refund/202309/cancellations/{cancel_id}/reject"
PRODUCT_SEARCH = "/product/202502/products/search"
PRODUCT_DETAIL = "/product/202309/products/{product_id}"
INVENTORY_SEARCH = "/product/202309/inventory/search"
INVENTORY_UPDATE = "/product/202309/products/{product_id}/inventory/update"

TOKEN_GET = "/api/v2/token/get"
TOKEN_REFRESH = "/api/v2/token/refresh"

ORDERS_A_PAGE = 100
ORDERS_A_DETAIL = 50
PRODUCTS_A_PAGE = 100
SKUS_AN_INVENTORY_SEARCH = 600
COMMISSIONS_A_PAGE = 100
CANCELLATIONS_A_PAGE = 50
PACKAGES_A_PAGE = 50
_PAGES_AT_MOST = 100_000
_CLOCK_OF_THE_TOKEN = timedelta(minutes=10)
# A token may die again right after its renewal; one that no call was ever answered with is not worth a further refresh token.
_RENEWALS_IN_VAIN = 3
# Other threads renew as well: what one of them got may be dead when this one comes to use it.
_TOKENS_A_CALL = 12
_CALLS_KEPT = 100_000
# For what an order does not wait for: it is asked for again soon enough.
_NOT_URGENT_ATTEMPTS = 3


class _Envelope(msgspec.Struct):
    code: int
    message: Any = ""
    request_id: Any = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _OrderPageData(msgspec.Struct):
    orders: list[msgspec.Raw] | None = None
    next_page_token: Any = None
    total_count: Any = None


class _OrderHead(msgspec.Struct):
    id: str | int
    create_time: Any = None
    update_time: Any = None


# An escaped backslash, a pair of surrogates, or half a pair: the last is no character and no JSON reader takes it.
_ESCAPES = re.compile(
    rb"(?P<good>\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_any_decoder = msgspec.json.Decoder(Any)
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_page_decoder = msgspec.json.Decoder(_OrderPageData)
_head_decoder = msgspec.json.Decoder(_OrderHead)


@dataclass(frozen=True, slots=True)
class _Reply:
    data: bytes
    request_id: str
    server_time: datetime | None = None

    def json(self) -> dict[str, Any]:
        try:
            decoded = decode(_any_decoder, self.data)
        except msgspec.DecodeError as error:
            raise OutcomeUnknown(
                tr("the answer has another shape than documented: {reason}", reason=error),
                subject=self.request_id,
                next_step=tr("run this again; what was sent is read back before anything is repeated"),
            ) from error
        return decoded if isinstance(decoded, dict) else {}


class TikTokShop:
    """One shop's API. Threads may share it. Every method raises SignInError, ChannelThrottled, ChannelDown or ChannelRefused.

    A method that writes also raises OutcomeUnknown: sent, and no answer that tells what became of it.
    """

    name = "tiktok"

    def __init__(
        self,
        credentials: TikTokCredentials,
        tokens: TokenSource,
        http: HttpClient,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.time,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._credentials = credentials
        self._retries = retries or RetryPolicy()
        self._api_url = require_safe_url(credentials.api_url, "TIKTOK_SHOP_API_URL")
        self._auth_url = require_safe_url(credentials.auth_url, "TIKTOK_SHOP_AUTH_URL")
        self._tokens = tokens
        self._http = http
        self._pace = pace
        self._clock = clock
        self._clock_offset_s = 0.0
        self._skew_s: float | None = None
        self._calls: deque[ApiCall] = deque(maxlen=_CALLS_KEPT)
        self._cipher = credentials.cipher
        self._token_lock = threading.Lock()
        self._renewals_in_vain = 0
        self._life = (Secret(""), timedelta(0))  # of the token in use, from when it was first seen here

    def use_cipher(self, cipher: Secret) -> None:
        """Send every later call to the shop of this cipher."""
        self._cipher = cipher

    def clock_skew_s(self) -> float | None:
        """Return how far the channel's clock is ahead of ours, in seconds, by its `Date`; None before it told one."""
        return self._skew_s

    def now(self) -> datetime:
        """Return the channel's time as far as it is known, else ours."""
        return datetime.fromtimestamp(self._clock() + (self._skew_s or 0.0), UTC).replace(microsecond=0)

    def latency_s(self) -> float:
        """Return how long the last answers took, the median; 0 before the first."""
        latest = sorted(call.latency_ms for call in list(self._calls)[-9:])
        return latest[len(latest) // 2] / 1000 if latest else 0.0

    def take_calls(self) -> list[ApiCall]:
        """Return how the requests since the last time were answered, oldest first."""
        taken = []
        while self._calls:
            taken.append(self._calls.popleft())
        return taken

    def let_renewal_finish(self) -> None:
        """Wait for a token that is just being renewed, and let no other renewal begin: a process that ends would lose it."""
        self._tokens.end_renewals()

    # Sign-in

    def fetch_shops(self) -> list[ShopFacts]:
        """Return the shops that the token opens."""
        data = self._read("GET", SHOPS, cipher=False).json()
        return [
            ShopFacts(
                shop_id=text(shop.get("id")) or "",
                name=text(shop.get("name")) or "",
                region=text(shop.get("region")) or "",
                kind=(text(shop.get("seller_type")) or "").casefold(),
                code=text(shop.get("code")) or "",
                cipher=Secret(text(shop.get("cipher")) or ""),
            )
            for shop in _objects(data.get("shops"))
        ]

    def renew_token(self) -> None:
        """Exchange the refresh token for a new pair now."""
        self._renew(self._tokens.current())

    def exchange_code(self, auth_code: str) -> TokenPair:
        """Return the token pair for a one-time authorisation code. Raises SignInError when it is wrong or used."""
        return self._exchange(TOKEN_GET, {"auth_code": auth_code, "grant_type": "authorized_code"})

    # Orders

    def find_orders(self, search: OrderSearch, page_token: str = "") -> OrderPage:
        """Return one page of the orders that `search` names."""
        body: dict[str, Any] = {}
        if search.status is not None:
            body["order_status"] = search.status
        body |= _window(search.by, search.start, search.end)
        order = "DESC" if search.newest_first else "ASC"
        query = {"page_size": str(ORDERS_A_PAGE), "sort_field": search.by, "sort_order": order}
        query |= {"page_token": page_token} if page_token else {}
        reply = self._read("POST", ORDER_SEARCH, query=query, content=json.dumps(body, separators=(",", ":")).encode())
        page = _decode(_page_decoder, reply, ORDER_SEARCH)
        orders = self._raw_orders(page.orders or ())
        return OrderPage(
            orders,
            _count_or_none(page.total_count),
            unreadable=len(page.orders or ()) - len(orders),
            next_page_token=text(page.next_page_token) or "",
            server_time=reply.server_time,
        )

    def fetch_orders(self, channel_order_ids: Sequence[str]) -> list[RawOrder]:
        """Return these orders as they are now, 50 a call; an id that the channel does not know is left out."""
        found: list[RawOrder] = []
        for start in range(0, len(channel_order_ids), ORDERS_A_DETAIL):
            found.extend(self._fetch_batch(list(channel_order_ids[start : start + ORDERS_A_DETAIL])))
        return found

    def _fetch_batch(self, ids: list[str]) -> list[RawOrder]:
        try:
            reply = self._read_versions("GET", (ORDER_DETAIL, ORDER_DETAIL_BEFORE), query={"ids": ",".join(ids)})
        except ChannelRefused:
            # Whether one unknown id spoils the whole call is not documented (TikTok reference, section 4.2).
            if len(ids) == 1:
                return []
            middle = len(ids) // 2
            return self._fetch_batch(ids[:middle]) + self._fetch_batch(ids[middle:])
        page = _decode(_page_decoder, reply, ORDER_DETAIL)
        return list(self._raw_orders(page.orders or ()))

    def _raw_orders(self, elements: Sequence[msgspec.Raw]) -> tuple[RawOrder, ...]:
        as_of = datetime.fromtimestamp(self._clock(), UTC).replace(microsecond=0)
        orders = []
        for element in elements:
            body = bytes(element)
            try:
                head = decode(_head_decoder, body)
            except msgspec.DecodeError:
                continue
            order_id = str(head.id)
            if not order_id.strip():
                continue
            digest = hashlib.blake2b(body, digest_size=8).digest()
            orders.append(
                RawOrder(
                    order_id,
                    body,
                    digest,
                    partial(read_order, body, as_of=as_of),
                    placed_at=moment(head.create_time),
                    updated_at=moment(head.update_time),
                )
            )
        return tuple(orders)

    # Creators and cancellations

    def find_commissions(self, start: datetime, end: datetime, page_token: str = "") -> CommissionPage:
        """Return one page of what creators earn of orders placed in `[start, end)`, at most three months."""
        body = _window("create_time", start, end)
        query = {"page_size": str(COMMISSIONS_A_PAGE)} | ({"page_token": page_token} if page_token else {})
        content = json.dumps(body, separators=(",", ":")).encode()
        data = self._read("POST", AFFILIATE_ORDERS, query=query, content=content, is_urgent=False).json()
        rows = [
            read_commission(order, sku) for order in _objects(data.get("orders")) for sku in _objects(order.get("skus"))
        ]
        return CommissionPage(
            tuple(row for row in rows if row is not None),
            _count_or_none(data.get("total_count")),
            text(data.get("next_page_token")) or "",
            unreadable=rows.count(None),
        )

    def search_cancellations(
        self,
        *,
        updated_from: datetime | None = None,
        channel_order_ids: Sequence[str] = (),
        is_urgent: bool = True,
    ) -> Iterator[list[Cancellation]]:
        """Yield pages of cancellations that changed since `updated_from`, or of the orders named."""
        body: dict[str, Any] = _window("update_time", updated_from, None)
        if channel_order_ids:
            body["order_ids"] = list(channel_order_ids)
        content = json.dumps(body, separators=(",", ":")).encode()
        query = {"page_size": str(CANCELLATIONS_A_PAGE), "sort_field": "update_time", "sort_order": "ASC"}
        page_token = ""
        asked: set[str] = set()
        for _page in range(_PAGES_AT_MOST):
            page_query = query | ({"page_token": page_token} if page_token else {})
            data = self._read(
                "POST", CANCELLATION_SEARCH, query=page_query, content=content, is_urgent=is_urgent
            ).json()
            yield [row for item in _objects(data.get("cancellations")) if (row := read_cancellation(item)) is not None]
            page_token = text(data.get("next_page_token")) or ""
            if not page_token:
                return
            if page_token in asked:
                raise _going_round(CANCELLATION_SEARCH)
            asked.add(page_token)

    def answer_cancellation(self, cancel_id: str, *, approve: bool, reason: str, idempotency_key: str) -> str:
        """Grant or reject a buyer's wish to cancel; return the request id. `reason` goes with a rejection only."""
        template = CANCELLATION_APPROVE if approve else CANCELLATION_REJECT
        path = template.format(cancel_id=quote(cancel_id, safe=""))
        body = {} if approve else {"reject_reason": reason}
        query = {"idempotency_key": idempotency_key}
        return self._write("POST", path, body, endpoint=template, query=query, subject=cancel_id).request_id

    # Labels bought from TikTok

    def quote_label(self, channel_order_id: str) -> tuple[int | None, str | None]:
        """Return the estimated price (minor units, currency) of the default service for one whole order."""
        path = SHIPPING_SERVICES.format(order_id=quote(channel_order_id, safe=""))
        data = self._read("POST", path, endpoint=SHIPPING_SERVICES, content=b"{}", subject=channel_order_id).json()
        services = _objects(data.get("shipping_services"))
        chosen = next((item for item in services if flag(item.get("is_default"))), services[0] if services else {})
        currency = text(chosen.get("currency"))
        return amount(chosen.get("price"), currency), currency

    def fetch_services(self, channel_order_id: str, *, weight_g: int | None = None) -> list[ServiceOffer]:
        """Return the shipping services on offer for one whole order, in the channel's order; unpriced ones are left out.

        With label allocation the channel offers one and ignores any wish (TikTok reference, section 4.4).
        """
        path = SHIPPING_SERVICES.format(order_id=quote(channel_order_id, safe=""))
        body = {"weight": {"value": str(weight_g), "unit": "GRAM"}} if weight_g else {}
        content = json.dumps(body).encode()
        data = self._read("POST", path, endpoint=SHIPPING_SERVICES, content=content, subject=channel_order_id).json()
        offers = []
        for item in _objects(data.get("shipping_services")):
            currency = text(item.get("currency"))
            price = amount(item.get("price"), currency)
            if price is None or currency is None:
                continue
            days = item.get("latest_delivery_days")
            offers.append(
                ServiceOffer(
                    text(item.get("id")) or "",
                    text(item.get("shipping_provider_name")) or "",
                    text(item.get("name")) or "",
                    Money(price, currency),
                    days if isinstance(days, int) and days > 0 else None,
                )
            )
        return offers

    def buy_label(
        self,
        channel_order_id: str,
        *,
        weight_g: int | None = None,
        line_item_ids: Sequence[str] = (),
        combined_order_ids: Sequence[str] = (),
    ) -> Purchase:
        """Create the package of one order, of the named line items of it, or of all of `combined_order_ids`.

        This buys its label. Never repeated by itself.
        """
        body: dict[str, Any] = {"ship_type": "2" if line_item_ids else "1", "order_id": channel_order_id}
        if combined_order_ids:
            body = {"ship_type": "3", "order_list_ids": list(combined_order_ids)}
        elif line_item_ids:
            body["order_line_item"] = [{"order_line_id": line_item_id} for line_item_id in line_item_ids]
        if weight_g:
            body["weight"] = {"value": str(weight_g), "unit": "GRAM"}
        reply = self._write("POST", CREATE_PACKAGE, body, subject=channel_order_id)
        data = reply.json()
        service = data.get("shipping_service_info")
        service = service if isinstance(service, dict) else {}
        currency = text(service.get("currency"))
        package_id = text(data.get("package_id"))
        if package_id is None:
            raise OutcomeUnknown(
                tr("the purchase was answered without a package id"),
                subject=channel_order_id,
                next_step=tr("run `tiktok-erp labels reconcile`; the order is read back before anything is repeated"),
            )
        return Purchase(
            channel_package_id=package_id,
            cost_minor=amount(service.get("price"), currency),
            currency=currency,
            carrier=text(service.get("shipping_provider_name")),
            service_level=text(service.get("name")),
            request_id=reply.request_id,
        )

    def ship_platform_package(self, channel_package_id: str, *, subject: str) -> Purchase:
        """Arrange the shipment of a package that exists on the channel: this buys its label. Never repeated by itself."""
        path = SHIP_PACKAGE.format(package_id=quote(channel_package_id, safe=""))
        reply = self._write("POST", path, {}, endpoint=SHIP_PACKAGE, subject=subject)
        return Purchase(channel_package_id, None, None, None, None, reply.request_id)

    def fetch_document(self, channel_package_id: str, *, size: str = "A6") -> Document | None:
        """Return where the label of a package can be downloaded, or None while it is still being made."""
        path = SHIPPING_DOCUMENT.format(package_id=quote(channel_package_id, safe=""))
        query = {"document_type": "SHIPPING_LABEL", "document_size": size}
        try:
            data = self._read("GET", path, endpoint=SHIPPING_DOCUMENT, query=query, subject=channel_package_id).json()
        except ChannelRefused as refusal:
            if refusal.code in errors.DOCUMENT_NOT_READY | errors.PURCHASE_RUNNING | errors.SHIP_FIRST:
                return None
            raise
        url = text(data.get("doc_url"))
        return Document(url, text(data.get("tracking_number")) or "") if url else None

    def download(self, document: Document, *, subject: str) -> bytes:
        """Return the bytes of a label. No token and no signature go to that host.

        Raises LabelFileError when the address has expired, ChannelDown when the host does not deliver.
        """
        url = require_told_url(document.url, api_url=self._api_url, subject=subject)

        def attempt() -> HttpAnswer:
            answer = self._http.send("GET", url, subject=subject)
            if answer.status >= 500 or answer.status == 429:
                raise ChannelDown(
                    tr("the label host answers {status}", status=answer.status),
                    subject=subject,
                    next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
                )
            return answer

        try:
            answer = with_retries(attempt, lambda error: isinstance(error, ChannelDown))
        except ChannelDown as error:
            if error.cause != TOO_LARGE:
                raise
            raise LabelFileError(error.what, subject=subject, next_step=error.next_step, cause=TOO_LARGE) from error
        if answer.status != 200:
            raise LabelFileError(
                tr("the label host answers {status}: the address has expired", status=answer.status),
                subject=subject,
                next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
                cause="document_expired",
            )
        return answer.body

    # Tracking numbers of own labels

    def fetch_shipping_providers(self, delivery_option_id: str) -> list[ShippingProvider]:
        """Return the carriers that the channel knows for a delivery option."""
        path = SHIPPING_PROVIDERS.format(delivery_option_id=quote(delivery_option_id, safe=""))
        data = self._read("GET", path, endpoint=SHIPPING_PROVIDERS, subject=delivery_option_id).json()
        return [
            ShippingProvider(text(item.get("id")) or "", text(item.get("name")) or "")
            for item in _objects(data.get("shipping_providers"))
        ]

    def mark_shipped(
        self, channel_order_id: str, *, tracking_number: str, provider_id: str, line_item_ids: Sequence[str] = ()
    ) -> Told:
        """Tell the tracking number of an order that has no package yet; no line items means all of them."""
        body: dict[str, Any] = {
            "shipping_info_list": [{"tracking_number": tracking_number, "shipping_provider_id": provider_id}]
        }
        before: dict[str, Any] = {"tracking_number": tracking_number, "shipping_provider_id": provider_id}
        if line_item_ids:
            body["order_line_list"] = [{"order_line_id": line_item_id} for line_item_id in line_item_ids]
            before["order_line_item_ids"] = list(line_item_ids)
        order_id = quote(channel_order_id, safe="")
        try:
            reply = self._write(
                "POST", MARK_SHIPPED.format(order_id=order_id), body, endpoint=MARK_SHIPPED, subject=channel_order_id
            )
        except ChannelRefused as refusal:
            if refusal.code not in (errors.VERSION_RETIRED, errors.NO_SUCH_PATH):
                raise
            reply = self._write(
                "POST",
                MARK_SHIPPED_BEFORE.format(order_id=order_id),
                before,
                endpoint=MARK_SHIPPED_BEFORE,
                subject=channel_order_id,
            )
        data = reply.json()
        warning = data.get("warning")
        return Told(
            channel_package_id=text(data.get("package_id")),
            warning=text(warning.get("message")) if isinstance(warning, dict) else text(warning),
            request_id=reply.request_id,
        )

    def ship_package(self, channel_package_id: str, *, tracking_number: str, provider_id: str, subject: str) -> Told:
        """Tell the tracking number of a package that exists on the channel and waits to be shipped."""
        body = {"self_shipment": {"tracking_number": tracking_number, "shipping_provider_id": provider_id}}
        path = SHIP_PACKAGE.format(package_id=quote(channel_package_id, safe=""))
        reply = self._write("POST", path, body, endpoint=SHIP_PACKAGE, subject=subject)
        return Told(channel_package_id=channel_package_id, warning=None, request_id=reply.request_id)

    def ship_packages(self, numbers: Sequence[tuple[str, str, str]]) -> tuple[dict[str, ChannelRefused], str]:
        """Tell the numbers of packages that wait on the channel, each as (its id there, tracking number, provider id).

        Return what was refused beside an otherwise accepted call, by the package's id, and the request id.
        """
        body = {
            "packages": [
                {"id": package_id, "self_shipment": {"tracking_number": number, "shipping_provider_id": provider_id}}
                for package_id, number, provider_id in numbers
            ]
        }
        reply = self._write("POST", BATCH_SHIP, body, endpoint=BATCH_SHIP, subject=numbers[0][0])
        refused: dict[str, ChannelRefused] = {}
        for item in _objects(reply.json().get("errors")):
            package_id = text(_object(item.get("detail")).get("package_id")) or ""
            error = errors.error_for(
                _whole(item.get("code")),
                text(item.get("message")) or "",
                http_status=200,
                request_id=reply.request_id,
                is_write=True,
                subject=package_id,
                retry_after_s=None,
            )
            refused[package_id] = (
                error
                if isinstance(error, ChannelRefused)
                else ChannelRefused(
                    error.what,
                    subject=package_id,
                    next_step=error.next_step,
                    code=_whole(item.get("code")),
                    request_id=reply.request_id,
                )
            )
        return refused, reply.request_id

    def correct_number(
        self, channel_order_id: str, *, tracking_number: str, provider_id: str, channel_package_id: str | None = None
    ) -> str:
        """Replace the number of a shipped order, or with `channel_package_id` of that one of its packages.

        Return the request id. The channel takes one correction an order, within 72 hours (reference, section 4.5).
        """
        flat = {"tracking_number": tracking_number, "shipping_provider_id": provider_id}
        if channel_package_id is None:
            path = UPDATE_SHIPPING.format(order_id=quote(channel_order_id, safe=""))
            return self._write("POST", path, flat, endpoint=UPDATE_SHIPPING, subject=channel_order_id).request_id
        package_id = quote(channel_package_id, safe="")
        try:
            return self._write(
                "POST",
                UPDATE_PACKAGE_SHIPPING.format(package_id=package_id),
                {"shipping_info_list": [flat]},
                endpoint=UPDATE_PACKAGE_SHIPPING,
                subject=channel_order_id,
            ).request_id
        except ChannelRefused as refusal:
            if refusal.code not in (errors.VERSION_RETIRED, 36009009):
                raise
        return self._write(
            "POST",
            UPDATE_PACKAGE_SHIPPING_BEFORE.format(package_id=package_id),
            flat,
            endpoint=UPDATE_PACKAGE_SHIPPING_BEFORE,
            subject=channel_order_id,
        ).request_id

    def search_packages(self, start: datetime | None, end: datetime) -> Iterator[list[PackageState]]:
        """Yield pages of the packages that changed in `[start, end)`, oldest change first."""
        body: dict[str, Any] = _window("update_time", start, end)
        content = json.dumps(body, separators=(",", ":")).encode()
        token, seen = "", set()
        for _page in range(_PAGES_AT_MOST):
            query = {"page_size": str(PACKAGES_A_PAGE), "sort_field": "update_time", "sort_order": "ASC"}
            if token:
                query["page_token"] = token
            data = self._read("POST", PACKAGE_SEARCH, query=query, content=content, is_urgent=False).json()
            yield [
                PackageState(
                    package_id=text(item.get("id")) or "",
                    status=text(item.get("status")) or "",
                    tracking_number=text(item.get("tracking_number")),
                    channel_order_ids=tuple(text(order.get("id")) or "" for order in _objects(item.get("orders"))),
                    updated_at=moment(item.get("update_time")),
                )
                for item in _objects(data.get("packages"))
            ]
            token = text(data.get("next_page_token")) or ""
            if not token:
                return
            if token in seen:
                raise _going_round(PACKAGE_SEARCH)
            seen.add(token)

    def fetch_tracking(self, channel_order_id: str) -> list[TrackingEvent]:
        """Return what the carrier told of an order's parcels, oldest first."""
        path = ORDER_TRACKING.format(order_id=quote(channel_order_id, safe=""))
        data = self._read("GET", path, endpoint=ORDER_TRACKING, subject=channel_order_id).json()
        events = [
            TrackingEvent(
                datetime.fromtimestamp(_whole(item.get("update_time_millis")) / 1000, UTC),
                text(item.get("description")) or "",
            )
            for item in _objects(data.get("tracking"))
            if _whole(item.get("update_time_millis")) > 0
        ]
        return sorted(events, key=lambda event: event.at)

    # Stock

    def search_listings(self, *, is_urgent: bool = True) -> Iterator[list[Listing]]:
        """Yield every page of SKUs on offer, with every warehouse that each of them has."""
        page_token = ""
        asked: set[str] = set()
        for _page in range(_PAGES_AT_MOST):
            query = {"page_size": str(PRODUCTS_A_PAGE)} | ({"page_token": page_token} if page_token else {})
            data = self._read(
                "POST", PRODUCT_SEARCH, query=query, content=b'{"status":"ALL"}', is_urgent=is_urgent
            ).json()
            yield [
                Listing(
                    listing_id=text(sku.get("id")) or "",
                    product_id=text(product.get("id")) or "",
                    seller_sku=text(sku.get("seller_sku")) or "",
                    title=text(product.get("title")) or "",
                    status=text(product.get("status")) or "",
                    quantities=tuple(
                        (text(stock.get("warehouse_id")) or "", _whole(stock.get("quantity")))
                        for stock in _objects(sku.get("inventory"))
                    ),
                    price_minor=_price(sku.get("price")),
                    currency=text(_object(sku.get("price")).get("currency")),
                    changed_at=moment(product.get("update_time")),
                )
                for product in _objects(data.get("products"))
                for sku in _objects(product.get("skus"))
            ]
            following = text(data.get("next_page_token")) or ""
            if not following:
                return
            if following in asked:
                raise _going_round(PRODUCT_SEARCH)
            asked.add(following)
            page_token = following

    def fetch_measures(self, product_id: str) -> ProductMeasures:
        """Return weight and size of one product's parcel: the search does not tell them."""
        path = PRODUCT_DETAIL.format(product_id=quote(product_id, safe=""))
        data = self._read("GET", path, endpoint=PRODUCT_DETAIL, subject=product_id, is_urgent=False).json()
        return read_measures(product_id, data)

    def fetch_stock(self, listing_ids: Sequence[str]) -> list[ChannelStock]:
        """Return what the channel holds of these SKUs, a row per warehouse, 600 SKUs a call."""
        found: list[ChannelStock] = []
        for start in range(0, len(listing_ids), SKUS_AN_INVENTORY_SEARCH):
            wanted = list(listing_ids[start : start + SKUS_AN_INVENTORY_SEARCH])
            content = json.dumps({"sku_ids": wanted}, separators=(",", ":")).encode()
            data = self._read("POST", INVENTORY_SEARCH, content=content).json()
            found.extend(
                ChannelStock(
                    listing_id=text(sku.get("id")) or "",
                    product_id=text(product.get("product_id")) or "",
                    seller_sku=text(sku.get("seller_sku")) or "",
                    warehouse_id=text(stock.get("warehouse_id")) or "",
                    available=_count_or_none(stock.get("available_quantity")),
                    committed=_count_or_none(stock.get("committed_quantity")),
                )
                for product in _objects(data.get("inventory"))
                for sku in _objects(product.get("skus"))
                for stock in _objects(sku.get("warehouse_inventory"))
            )
        return found

    def set_quantities(
        self, product_id: str, quantities: Mapping[str, Sequence[tuple[str, int]]]
    ) -> tuple[list[QuantityRefusal], str]:
        """Set the available quantity of SKUs of one product: `{sku id: ((warehouse id, quantity), ...)}`, all warehouses.

        Return the SKUs that were refused beside an otherwise accepted call, and the request id.
        """
        body = {
            "skus": [
                {
                    "id": listing_id,
                    "inventory": [
                        ({"warehouse_id": warehouse_id} if warehouse_id else {}) | {"quantity": quantity}
                        for warehouse_id, quantity in warehouses
                    ],
                }
                for listing_id, warehouses in quantities.items()
            ]
        }
        path = INVENTORY_UPDATE.format(product_id=quote(product_id, safe=""))
        reply = self._write("POST", path, body, endpoint=INVENTORY_UPDATE, subject=product_id)
        refusals = []
        for item in _objects(reply.json().get("errors")):
            detail = item.get("detail")
            detail = detail if isinstance(detail, dict) else {}
            extra = "; ".join(text(part.get("message")) or "" for part in _objects(detail.get("extra_errors")))
            message = "; ".join(part for part in (text(item.get("message")), extra) if part)
            refusals.append(QuantityRefusal(text(detail.get("sku_id")) or "", _whole(item.get("code")), message))
        return refusals, reply.request_id

    # One request

    def _read_versions(self, method: str, paths: Sequence[str], *, query: Mapping[str, str]) -> _Reply:
        for path in paths[:-1]:
            try:
                return self._read(method, path, query=query)
            except ChannelRefused as refusal:
                if refusal.code not in (errors.VERSION_RETIRED, errors.NO_SUCH_PATH):
                    raise
        return self._read(method, paths[-1], query=query)

    def _read(
        self,
        method: str,
        path: str,
        *,
        endpoint: str = "",
        query: Mapping[str, str] | None = None,
        content: bytes = b"",
        cipher: bool = True,
        subject: str = "",
        is_urgent: bool = True,
    ) -> _Reply:
        def attempt() -> _Reply:
            return self._send(
                method,
                path,
                endpoint=endpoint or path,
                query=query,
                content=content,
                cipher=cipher,
                is_write=False,
                subject=subject,
            )

        policy = self._retries
        if not is_urgent:
            policy = replace(policy, attempts=min(policy.attempts, _NOT_URGENT_ATTEMPTS))
        return with_retries(attempt, lambda error: isinstance(error, ChannelDown), policy)

    def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        endpoint: str = "",
        query: Mapping[str, str] | None = None,
        subject: str,
    ) -> _Reply:
        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

        def attempt() -> _Reply:
            return self._send(
                method,
                path,
                endpoint=endpoint or path,
                query=query,
                content=content,
                cipher=True,
                is_write=True,
                subject=subject,
            )

        # Throttled and never-sent requests did not happen; anything else that went wrong may have.
        return with_retries(attempt, lambda error: isinstance(error, ChannelThrottled | NotSent), self._retries)

    def _send(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        query: Mapping[str, str] | None,
        content: bytes,
        cipher: bool,
        is_write: bool,
        subject: str,
    ) -> _Reply:
        """Send one request, renewing the token or correcting the clock once when the channel says so."""
        refused_tokens, is_clock_corrected = 0, False
        while True:
            token = self._fresh_token()
            self._pace.wait(endpoint)
            with self._noted(endpoint) as noted:
                answer = self._exchange_once(method, path, query, content, cipher, token, subject)
                reply, envelope = self._judge(answer, is_write=is_write, subject=subject or endpoint)
                noted.envelope, noted.status = envelope, answer.status
            if envelope is None or envelope.code != errors.TOKEN_EXPIRED:
                self._renewals_in_vain = 0
            if envelope is None:
                return reply
            if envelope.code == errors.TOKEN_EXPIRED and refused_tokens < _TOKENS_A_CALL and self._renew_again(token):
                refused_tokens += 1
                continue
            if (
                envelope.code == errors.PARAMETER_OVERLOADED
                and "timestamp" in envelope.message.casefold()
                and not is_clock_corrected
                and self._learn_clock(answer)
            ):
                is_clock_corrected = True
                continue
            error = self._error(envelope, answer, is_write=is_write, subject=subject or endpoint)
            if isinstance(error, ChannelThrottled):
                self._pace.slow_down(endpoint, error.retry_after_s or 1.0)
            raise error

    @contextmanager
    def _noted(self, endpoint: str) -> Iterator[_Noted]:
        """Keep how one request went: what `status` and `doctor` say of the connection."""
        noted, started = _Noted(), self._clock()
        outcome = "failed"
        try:
            yield noted
            outcome = noted.outcome()
        finally:
            at = datetime.fromtimestamp(started, UTC).replace(microsecond=0)
            latency_ms = max(0, round((self._clock() - started) * 1000))
            self._calls.append(ApiCall(at, endpoint, outcome, latency_ms))

    def _exchange_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes,
        cipher: bool,
        token: Secret,
        subject: str,
    ) -> HttpAnswer:
        params = dict(query or {})
        if cipher:
            params["shop_cipher"] = self._cipher.reveal()
        params["app_key"] = self._credentials.app_key
        params["timestamp"] = str(int(self._clock() + self._clock_offset_s))
        params["sign"] = sign(self._credentials.app_secret.reveal(), path, params, content)
        headers = {"x-tts-access-token": token.reveal(), "content-type": "application/json", "accept-encoding": "gzip"}
        sent_at = self._clock()
        answer = self._http.send(
            method,
            self._api_url + path,
            params=params,
            headers=headers,
            content=content if method != "GET" else None,
            subject=subject,
        )
        self._compare_clocks(answer, sent_at)
        return answer

    def _compare_clocks(self, answer: HttpAnswer, sent_at: float) -> None:
        server = _server_time(answer)
        if server is None:
            return
        # The date was written between sending and receiving, and is cut to whole seconds.
        least, most = server.timestamp() - self._clock(), server.timestamp() + 1 - sent_at
        skew = self._skew_s if self._skew_s is not None else 0.0
        self._skew_s = min(max(skew, least), most) if least <= most else least

    def _judge(self, answer: HttpAnswer, *, is_write: bool, subject: str) -> tuple[_Reply, _Envelope | None]:
        """Return the reply, and the envelope too when it carries an error. Raises when it is no answer of the API."""
        try:
            envelope = _decode_envelope(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if answer.status == 429:
                envelope = _Envelope(code=next(iter(errors.THROTTLED)), message="HTTP 429")
                return _Reply(b"null", ""), envelope
            kind = OutcomeUnknown if is_write else ChannelDown
            raise kind(
                tr(
                    "the answer is not one of the API (HTTP {status}, {size} bytes)",
                    status=answer.status,
                    size=len(answer.body),
                ),
                subject=subject,
                next_step=tr("run this again later: the channel is out of order")
                if answer.status >= 500
                else tr("check TIKTOK_SHOP_API_URL; if it is right, run this again later: the channel is out of order"),
            ) from error
        reply = _Reply(bytes(envelope.data), envelope.request_id, _server_time(answer))
        if envelope.code == 0 and answer.status < 400:
            return reply, None
        return reply, envelope

    def _error(self, envelope: _Envelope, answer: HttpAnswer, *, is_write: bool, subject: str) -> ErpError:
        retry_after_s = parse_retry_after(
            answer.headers.get("retry-after"), datetime.now(UTC), date=answer.headers.get("date")
        )
        return errors.error_for(
            envelope.code,
            envelope.message,
            http_status=answer.status,
            request_id=envelope.request_id,
            is_write=is_write,
            subject=subject,
            retry_after_s=retry_after_s,
        )

    def _learn_clock(self, answer: HttpAnswer) -> bool:
        server = _server_time(answer)
        if server is None:
            return False
        self._clock_offset_s = server.timestamp() - self._clock()
        return True

    # Tokens

    def _fresh_token(self) -> Secret:
        token, ends = self._tokens.current(), self._tokens.ends_at()
        if not token or (ends is not None and ends <= self.now() + self._ahead(token, ends)):
            return self._renew(token)
        return token

    def _ahead(self, token: Secret, ends: datetime) -> timedelta:
        """Return how long before its end `token` is renewed: less for one that lives shortly, else each call would renew."""
        known, life = self._life
        if known != token:
            life = ends - self.now()
            self._life = (token, life)
        return min(_CLOCK_OF_THE_TOKEN, max(life, timedelta(0)) / 10)

    def _renew_again(self, refused: Secret) -> bool:
        """Replace a token that the channel calls dead; False when so many fresh ones in a row were dead at once."""
        with self._token_lock:
            if self._renewals_in_vain >= _RENEWALS_IN_VAIN and self._tokens.current() == refused:
                return False
            return bool(self._renewed(refused))

    def _renew(self, stale: Secret) -> Secret:
        with self._token_lock:
            return self._renewed(stale)

    def _renewed(self, stale: Secret) -> Secret:
        current = self._tokens.current()
        if current and current != stale:
            return current  # another thread was faster
        fresh = self._tokens.renew(
            stale,
            lambda refresh_token: self._exchange(
                TOKEN_REFRESH, {"refresh_token": refresh_token.reveal(), "grant_type": "refresh_token"}
            ),
        )
        self._renewals_in_vain += 1
        return fresh

    def _exchange(self, path: str, secrets: Mapping[str, str]) -> TokenPair:
        params = {"app_key": self._credentials.app_key, "app_secret": self._credentials.app_secret.reveal(), **secrets}
        # After a lost answer the same refresh token is all there is; whoever called us asks again with it.
        answer = with_retries(
            lambda: self._http.send("GET", self._auth_url + path, params=params, subject="token"),
            lambda error: isinstance(error, NotSent),
        )
        reply, envelope = self._judge(answer, is_write=False, subject="token")
        if envelope is not None:
            error = self._error(envelope, answer, is_write=False, subject="token")
            # Which code a dead refresh token gets is not documented; those of the gateway (36009...) mean something else.
            is_of_the_consent = path == TOKEN_REFRESH and envelope.code // 1000 != 36009
            if isinstance(error, ChannelDown) or (isinstance(error, SignInError) and not is_of_the_consent):
                raise error
            said = tr("TikTok says {code}: {message}", code=envelope.code, message=envelope.message)
            raise SignInError(
                tr("the consent has ended, or its refresh token was used elsewhere; {said}", said=said)
                if is_of_the_consent
                else str(error),
                subject="token",
                next_step=tr("run `tiktok-erp auth login`: the seller has to give consent again"),
            )
        data = reply.json()
        access, refresh = text(data.get("access_token")), text(data.get("refresh_token"))
        if not access or not refresh:
            raise ChannelDown(
                tr("the token answer carries no token"),
                subject="token",
                next_step=tr("run this again in a few minutes"),
            )
        return TokenPair(
            Secret(access),
            Secret(refresh),
            moment(data.get("access_token_expire_in")),
            moment(data.get("refresh_token_expire_in")),
            granted_scopes=_scopes(data.get("granted_scopes")),
            seller_name=text(data.get("seller_name")) or "",
            region=text(data.get("seller_base_region")) or "",
            open_id=text(data.get("open_id")) or "",
        )


@dataclass(slots=True)
class _Noted:
    """How one request was answered, filled in when it was."""

    envelope: _Envelope | None = None
    status: int = 0

    def outcome(self) -> str:
        if self.envelope is None:
            return "ok"
        if self.envelope.code in errors.THROTTLED or self.status == 429:
            return "throttled"
        return "failed" if self.envelope.code in errors.TRANSIENT or self.status >= 500 else "refused"


def _server_time(answer: HttpAnswer) -> datetime | None:
    try:
        server = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    return server if server.tzinfo else server.replace(tzinfo=UTC)


def _decode_envelope(body: bytes) -> _Envelope:
    """Return the envelope. Text that a buyer's telephone cut in the middle of a character must not hide all orders."""
    try:
        body.decode()  # the decoder does not look into `data`
        envelope = decode(_envelope_decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        whole = body.decode("utf-8", "replace").encode()
        envelope = decode(_envelope_decoder, _ESCAPES.sub(lambda found: found["good"] or rb"\ufffd", whole))
    # Absent, empty and null are the same (TikTok reference, section 3.1): neither may hide what the code says.
    envelope.message, envelope.request_id = text(envelope.message) or "", text(envelope.request_id) or ""
    return envelope


def _scopes(value: Any) -> tuple[str, ...] | None:
    return tuple(name for item in value if (name := text(item))) if isinstance(value, list) else None


def _going_round(endpoint: str) -> ChannelDown:
    return ChannelDown(
        tr("the channel answers with the same page over and over"),
        subject=endpoint,
        next_step=tr("run this again later; the orders of the pages before are kept"),
    )


def _decode(decoder: Any, reply: _Reply, subject: str) -> Any:
    if reply.data == b"null":
        return _OrderPageData()
    try:
        return decode(decoder, reply.data)
    except msgspec.DecodeError as error:
        raise ChannelDown(
            tr("the answer has another shape than documented: {reason}", reason=error),
            subject=subject,
            next_step=tr("run this again; if it stays so, install a newer tiktok-erp"),
        ) from error


def _window(name: str, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    window = {}
    if start is not None:
        window[f"{name}_ge"] = int(start.timestamp())
    if end is not None:
        window[f"{name}_lt"] = int(end.timestamp())
    return window


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _price(value: Any) -> int | None:
    price = _object(value)
    told = price.get("sale_price") or price.get("tax_exclusive_price")
    return amount(told, text(price.get("currency")))


def _count_or_none(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
