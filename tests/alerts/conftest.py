"""Receivers of alerts on this machine, and a shop whose sync fails or goes silent when a test says so."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tiktok_erp.config.settings import Settings
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Alerts, Rules, Shop
from tiktok_erp.store.database import Store, open_store

NOW = datetime(2026, 11, 21, 22, 10, tzinfo=UTC)  # 14:10 in Los Angeles
TOKEN = "hush-hush-4711"


@dataclass(slots=True)
class Request:
    """One request that a receiver got."""

    host: str
    path: str
    body: dict[str, Any]
    password: str = ""


@dataclass(slots=True)
class Receiver:
    """What arrived. `status` is answered from now on, with `answer` as the body; while `is_held` is set nobody is answered."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    status: int = 200
    answer: dict[str, Any] = field(default_factory=dict)
    is_held: threading.Event = field(default_factory=threading.Event)
    is_released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"json://seller:{TOKEN}@127.0.0.1:{self.port}/shop"

    @property
    def titles(self) -> list[str]:
        return [request.body["title"] for request in self.requests]


def _handler(receiver: Receiver, context: ssl.SSLContext | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        host = ""

        def do_CONNECT(self) -> None:
            if context is None:
                self.send_error(405)
                return
            self.host = self.path
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb")
            with self.connection:
                self.handle_one_request()
            self.close_connection = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            is_form = "form" in self.headers["Content-Type"]
            body = dict(parse_qsl(raw)) if is_form else json.loads(raw)
            login = b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
            host = self.host or self.headers["Host"]
            receiver.requests.append(Request(host, self.path, body, login.partition(":")[2]))
            if receiver.is_held.is_set():
                receiver.is_released.wait(60)
            answer = json.dumps(receiver.answer).encode()
            self.send_response(receiver.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            return None

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return None  # a client that was killed


def _serve(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()
    server = _Server(("127.0.0.1", 0), _handler(receiver, context))
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.is_released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server that takes apprise's JSON messages."""
    yield from _serve()


@pytest.fixture
def second_receiver() -> Iterator[Receiver]:
    """Another one."""
    yield from _serve()


@dataclass(slots=True)
class Network:
    """A proxy that answers for WeCom and Twilio, and the environment in which a process believes it."""

    receiver: Receiver
    environment: dict[str, str]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The services' web servers as a process sees them whose way to the network leads to us."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("qyapi.weixin.qq.com", "api.twilio.com").configure_cert(context)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    for receiver in _serve(context):
        receiver.answer = {"errcode": 0, "errmsg": "ok"}
        proxy = f"http://127.0.0.1:{receiver.port}"
        yield Network(receiver, {"https_proxy": proxy, "HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(bundle)})


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Notes:
    """A report that keeps what it hears."""

    wants_fields: bool = False
    warnings: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def item(self, outcome: Outcome) -> None:
        self.said.append(outcome.text or "")

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None


@dataclass(slots=True)
class AlertedShop:
    """A store, what happens in it minute by minute, and whom its alerts go to."""

    store: Store
    rules: Rules
    settings: Settings = field(default_factory=lambda: Settings({}))
    report: Notes = field(default_factory=Notes)
    now: datetime = NOW

    def send_to(self, *addresses: str) -> None:
        self.rules = Rules(shop=self.rules.shop, alerts=Alerts(to=addresses))

    def minutes(self, count: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(minutes=count)
        return self.now

    def sync(self, exit_code: int | None, error: str | None = None, *, from_file: bool = False) -> None:
        """A run of `sync`: with exit code 0 or 3 it fetched, or took over a file; None never ended."""
        at = to_text(self.now)
        self.store.execute(
            "INSERT INTO runs (command, process_id, started_at, ended_at, exit_code, error) VALUES ('sync', 1, ?, ?, ?, ?)",
            (at, None if exit_code is None else at, exit_code, error),
        )
        if exit_code in (0, 3):
            self.fetched("orders_file" if from_file else "orders")

    def fetched(self, resource: str = "orders") -> None:
        self.store.execute(
            "INSERT INTO cursors VALUES ('tiktok', ?, NULL, ?) ON CONFLICT DO UPDATE SET as_of = excluded.as_of",
            (resource, to_text(self.now)),
        )

    def order(self, number: int, *, placed: datetime, ship_by: datetime | None = None) -> None:
        self.store.execute(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, placed_at, ship_by, source,"
            " as_of, first_seen_at, synced_at) VALUES (?, 'tiktok', ?, 'AWAITING_SHIPMENT', 'open', 1, ?, ?, 'api', ?, ?, ?)",
            (
                f"tiktok:{number}",
                str(number),
                to_text(placed),
                to_text(ship_by) if ship_by else None,
                *[to_text(placed)] * 3,
            ),
        )

    def look(self, **options: Any) -> None:
        """Do what happens after each sync."""
        from tiktok_erp.alerts.run import raise_and_clear

        raise_and_clear(self.store, self.rules, self.settings, self.report, now=self.now, **options)

    def fail(self, times: int = 1, exit_code: int = 6, error: str = "the channel did not answer") -> None:
        """Fail so often in a row, a minute apart, looking after alerts each time."""
        for _number in range(times):
            self.minutes(1)
            self.sync(exit_code, error)
            self.look()

    def succeed(self) -> None:
        self.minutes(1)
        self.sync(0)
        self.look()

    def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.store.query("SELECT * FROM alerts ORDER BY alert_id")]


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the way to this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def alerted(tmp_path: Path) -> Iterator[AlertedShop]:
    """A shop that fetched its orders just now and alarms nobody yet."""
    with open_store(tmp_path / "shop.db", create=True) as store:
        store.execute("PRAGMA synchronous = OFF")
        shop = AlertedShop(store, Rules(shop=Shop(name="beauty-us")))
        shop.sync(0)
        yield shop


@pytest.fixture
def reached(alerted: AlertedShop, receiver: Receiver) -> AlertedShop:
    """That shop, alarming the receiver."""
    alerted.send_to(receiver.url)
    return alerted
