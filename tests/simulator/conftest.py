"""A client of a few lines that speaks the wire protocol, and a shop whose clock a test can turn."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tiktok_erp.simulator.server import Simulator, SimulatorOptions
from tiktok_erp.simulator.signing import signature

WEDNESDAY_NOON = 1795032000  # 2026-11-18 20:00 UTC


class Clock:
    """Time that moves when told to."""

    def __init__(self, now: float = WEDNESDAY_NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def code(self) -> int:
        return self.envelope["code"]

    @property
    def message(self) -> str:
        return self.envelope["message"]

    @property
    def data(self) -> Any:
        return self.envelope["data"]


class Wire:
    """Calls one simulator and looks behind it."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.clock = clock
        self.token = simulator.access_token
        self._connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def send(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send anything at all; raise http.client.RemoteDisconnected when no answer comes."""
        try:
            self._connection.request(method, target, body or None, headers or {})
            answer = self._connection.getresponse()
            raw = answer.read()
        except Exception:
            self._connection.close()
            raise
        found = {name.lower(): value for name, value in answer.getheaders()}
        if found.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        return Reply(answer.status, found, raw)

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | list[tuple[str, str]] | None = None,
        body: Any = None,
        *,
        cipher: str | None = "",
        change: dict[str, str | None] | None = None,
        headers: dict[str, str | None] | None = None,
        raw_body: bytes | None = None,
    ) -> Reply:
        """Call the API, signed. `change` alters the query before signing; a value None leaves the key out."""
        pairs = list(query.items() if isinstance(query, dict) else query or [])
        if cipher is not None:
            pairs.append(("shop_cipher", cipher or self.simulator.cipher))
        pairs += [("app_key", self.simulator.app_key), ("timestamp", str(int(self.clock())))]
        for name, value in (change or {}).items():
            pairs = [pair for pair in pairs if pair[0] != name]
            if value is not None:
                pairs.append((name, value))
        content = raw_body if raw_body is not None else (b"" if body is None else json.dumps(body).encode())
        if not any(name == "sign" for name, value in pairs):
            pairs.append(("sign", signature(self.simulator.app_secret, path, pairs, content)))
        pairs = [pair for pair in pairs if pair != ("sign", "")]
        sent: dict[str, str | None] = {"content-type": "application/json", "x-tts-access-token": self.token}
        sent.update(headers or {})
        kept = {name: value for name, value in sent.items() if value is not None}
        return self.send(method, f"{path}?{urlencode(pairs)}", content, kept)

    def get(self, path: str, **query: str) -> Reply:
        return self.call("GET", path, query)

    def post(self, path: str, body: Any = None, **query: str) -> Reply:
        return self.call("POST", path, query, {} if body is None else body)

    def search(self, body: dict[str, Any] | None = None, **query: str) -> Reply:
        return self.post("/order/202309/orders/search", body, **{"page_size": "100", **query})

    def walk(self, path: str, body: dict[str, Any], rows: str, **query: str) -> list[dict[str, Any]]:
        """Follow page tokens to the end; return the rows of all pages."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            data = self.post(path, body, **query, **({"page_token": token} if token else {})).data
            found += data[rows]
            token = data["next_page_token"]
            if not token:
                return found

    def all_orders(self, body: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return self.walk("/order/202309/orders/search", body or {}, "orders", page_size="100")

    def order(self, order_id: str) -> dict[str, Any]:
        return self.get("/order/202507/orders", ids=order_id).data["orders"][0]

    def shippable(self, shipping_type: str = "TIKTOK", units: int = 1) -> list[dict[str, Any]]:
        """Return orders that may be shipped at once, with at least so many open units."""
        return [
            order
            for order in self.all_orders({"order_status": "AWAITING_SHIPMENT", "shipping_type": shipping_type})
            if order["fulfillment_type"] == "FULFILLMENT_BY_SELLER"
            and not order["is_buyer_request_cancel"]
            and sum(line["display_status"] == "AWAITING_SHIPMENT" for line in order["line_items"]) >= units
        ]

    def with_status(self, status: str) -> dict[str, Any]:
        return self.all_orders({"order_status": status})[0]

    def buy(self, order_id: str) -> Reply:
        return self.post("/fulfillment/202512/packages", {"ship_type": "1", "order_id": order_id})

    def document(self, package_id: str, **query: str) -> Reply:
        asked = {"document_type": "SHIPPING_LABEL", **query}
        return self.get(f"/fulfillment/202309/packages/{package_id}/shipping_documents", **asked)

    def download(self, url: str, headers: dict[str, str] | None = None) -> Reply:
        return self.send("GET", url.removeprefix(self.simulator.api_url), headers=headers)

    def provider(self, name: str = "USPS") -> str:
        return self.simulator.shop.catalogue.providers[name]

    def mark(self, order_id: str, number: str, provider: str = "USPS", lines: list[str] | None = None) -> Reply:
        info = {"tracking_number": number, "shipping_provider_id": self.provider(provider)}
        body: dict[str, Any] = {"shipping_info_list": [info]}
        if lines:
            body["order_line_list"] = [{"order_line_id": line} for line in lines]
        return self.post(f"/fulfillment/202610/orders/{order_id}/packages", body)

    @property
    def ledger(self) -> dict[str, Any]:
        return self.simulator.ledger()

    @property
    def violations(self) -> list[str]:
        return [violation["kind"] for violation in self.ledger["violations"]]


StartShop = Callable[..., Wire]


@pytest.fixture
def start_shop() -> Iterator[StartShop]:
    """Start shops for one test: 60 orders, documents at once, no rate limit, unless told otherwise."""
    with ExitStack() as stack:

        def start(clock: Clock | None = None, **options: Any) -> Wire:
            chosen = {"orders": 60, "document_seconds": 0, "rate_limit": 0, "own_usps": True, **options}
            own_clock = clock or Clock()
            wire = Wire(stack.enter_context(Simulator(SimulatorOptions(**chosen), own_clock)), own_clock)
            stack.callback(wire.close)
            return wire

        yield start


@pytest.fixture
def wire(start_shop: StartShop) -> Wire:
    """A plain shop."""
    return start_shop()
