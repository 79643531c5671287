"""The HTTP edge: every error of the library becomes one of ours, and ours says whether anything was sent."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tiktok_erp.errors import ChannelDown, ErpError, OutcomeUnknown, SettingsError
from tiktok_erp.transport.client import HttpClient, NotSent, require_safe_url

URL = "https://shop.test/order/202309/orders?sign=SECRET-SIGNATURE"
# Raised only by `client.cookies.get`, which nothing here calls.
NEVER_RAISED_BY_SENDING = {httpx.CookieConflict}


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    found = {kind}
    for child in kind.__subclasses__():
        found |= subclasses(child)
    return found


def library_errors() -> list[type[Exception]]:
    """Every exception class that httpx exports, and all below them."""
    exported = {value for value in vars(httpx).values() if isinstance(value, type) and issubclass(value, Exception)}
    found: set[type[Exception]] = set()
    for kind in exported:
        if kind.__module__.startswith("httpx"):
            found |= {child for child in subclasses(kind) if child.__module__.startswith("httpx")}
    return sorted(found - NEVER_RAISED_BY_SENDING, key=lambda kind: kind.__name__)


def make(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", URL)
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("SECRET-SIGNATURE", request=request, response=httpx.Response(500))
    if kind in (httpx.StreamConsumed, httpx.ResponseNotRead, httpx.RequestNotRead, httpx.StreamClosed):
        return kind()
    return kind("SECRET-SIGNATURE")


class Raising(httpx.BaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise self.error


@pytest.fixture(scope="module")
def client() -> Iterator[HttpClient]:
    """One client for all: reading the system's certificates takes longer than any test here."""
    with HttpClient() as shared:
        yield shared


def send_raising(monkeypatch: pytest.MonkeyPatch, client: HttpClient, error: Exception) -> None:
    with httpx.Client(transport=Raising(error), verify=False) as broken:
        monkeypatch.setattr(client, "_client", broken)
        client.send("POST", URL, subject="order 5764")


def test_the_walk_finds_the_library_errors() -> None:
    assert len(library_errors()) > 25
    assert {httpx.ReadTimeout, httpx.ConnectError, httpx.InvalidURL} <= set(library_errors())


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_library_becomes_ours(
    monkeypatch: pytest.MonkeyPatch, client: HttpClient, kind: type[Exception]
) -> None:
    with pytest.raises(ErpError) as caught:
        send_raising(monkeypatch, client, make(kind))
    assert isinstance(caught.value, ChannelDown | SettingsError)
    assert caught.value.__cause__ is not None
    assert "SECRET-SIGNATURE" not in f"{caught.value} {caught.value.subject} {caught.value.next_step}"


@pytest.mark.parametrize(
    "kind",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError],
    ids=lambda kind: kind.__name__,
)
def test_before_the_connection_stands_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch, client: HttpClient, kind: type[Exception]
) -> None:
    with pytest.raises(NotSent):
        send_raising(monkeypatch, client, make(kind))


@pytest.mark.parametrize(
    "kind",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.CloseError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
    ],
    ids=lambda kind: kind.__name__,
)
def test_once_the_connection_stands_the_outcome_is_unknown(
    monkeypatch: pytest.MonkeyPatch, client: HttpClient, kind: type[Exception]
) -> None:
    with pytest.raises(OutcomeUnknown):
        send_raising(monkeypatch, client, make(kind))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Once(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/other")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/silent":
            self.server.wait_for_end.wait(10)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
            return
        if self.path == "/closed":
            self.close_connection = True
            return
        body = b'{"code":0}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Odd-Header", "A")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Once)
    httpd.paths = []  # type: ignore[attr-defined]
    httpd.wait_for_end = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.wait_for_end.set()  # type: ignore[attr-defined]
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def address(server: http.server.ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_an_answer_comes_with_lower_case_headers(client: HttpClient, server: http.server.ThreadingHTTPServer) -> None:
    answer = client.send("GET", address(server, "/"))
    assert (answer.status, answer.body, answer.headers["x-odd-header"]) == (200, b'{"code":0}', "A")


def test_a_refused_connection_was_not_sent(client: HttpClient, closed_port: int) -> None:
    with pytest.raises(NotSent):
        client.send("POST", f"http://127.0.0.1:{closed_port}/")


@pytest.mark.parametrize("path", ["/cut", "/closed"])
def test_a_connection_that_breaks_off_leaves_the_outcome_unknown(
    client: HttpClient, server: http.server.ThreadingHTTPServer, path: str
) -> None:
    with pytest.raises(OutcomeUnknown):
        client.send("GET", address(server, path))


def test_a_silent_server_leaves_the_outcome_unknown(server: http.server.ThreadingHTTPServer) -> None:
    with HttpClient(answer_timeout_s=0.05) as client, pytest.raises(OutcomeUnknown):
        client.send("GET", address(server, "/silent"))


def test_a_redirect_is_never_followed(client: HttpClient, server: http.server.ThreadingHTTPServer) -> None:
    assert client.send("GET", address(server, "/redirect")).status == 302
    assert server.paths == ["/redirect"]  # type: ignore[attr-defined]


def test_an_address_without_a_host_is_a_setting_to_correct(client: HttpClient) -> None:
    with pytest.raises(SettingsError):
        client.send("GET", "ftp://127.0.0.1/")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://open-api.shop.test", "https://open-api.shop.test"),
        ("https://open-api.shop.test/", "https://open-api.shop.test"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTP://LOCALHOST:8080", "HTTP://LOCALHOST:8080"),
    ],
)
def test_https_and_this_machine_are_safe(url: str, kept: str) -> None:
    assert require_safe_url(url, "TIKTOK_SHOP_API_URL") == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://open-api.shop.test",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://127.0.0.1@evil.test/",
        "http://0.0.0.0:8080",
        "http://192.168.1.5",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://",
        "open-api.shop.test",
        "",
        "http://[::1",
    ],
)
def test_every_other_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        require_safe_url(url, "TIKTOK_SHOP_API_URL")
    assert "TIKTOK_SHOP_API_URL" in str(caught.value)
