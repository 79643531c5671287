"""Serve a simulated shop over HTTP on 127.0.0.1: the public entry of this package.

HTTP/1.1 with keep-alive, one thread a connection, answers written whole (no 40 ms stalls), gzip when asked for.
"""

from __future__ import annotations

import gzip
import json
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tiktok_erp.simulator.authorization import Accounts
from tiktok_erp.simulator.calls import ConnectionLost
from tiktok_erp.simulator.faults import FAULTS, Dice
from tiktok_erp.simulator.gateway import MAX_BODY, Answer, Gateway, Request, envelope
from tiktok_erp.simulator.ledger import write_atomically
from tiktok_erp.simulator.options import SimulatorOptions
from tiktok_erp.simulator.seed import Seeder
from tiktok_erp.simulator.shop import Shop, empty_shop

__all__ = ["FAULTS", "Simulator", "SimulatorOptions", "serve"]

GZIP_FROM = 600
# How long a stop may go unnoticed at worst.
POLL_S = 0.1
# How often reads, which do not wait for the ledger, and the shop's own events reach the ledger file.
LEDGER_BEAT_S = 0.5


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "SimulatedShop/1"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 120

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        gateway = self.server.gateway
        try:
            answer = gateway.handle(request)
        except ConnectionLost:
            self.close_connection = True
            return
        except Exception:
            traceback.print_exc(file=sys.stderr)
            answer = envelope(36009003, "The simulator failed; see its stderr", gateway.request_id(), "null", 500)
        if self.server.latency_s:
            time.sleep(self.server.latency_s)
        self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815 - names of the base class

    def _body(self) -> bytes | None:
        """Read the body; None when the request cannot be understood."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > 4 * MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def _chunks(self) -> bytes | None:
        parts: list[bytes] = []
        while True:
            line = self.rfile.readline(100).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                return None
            if size == 0:
                while self.rfile.readline(1000).strip():
                    pass
                return b"".join(parts)
            parts.append(self.rfile.read(size))
            self.rfile.readline(10)

    def _send(self, answer: Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers:
            self.send_header(name, value)
        packable = answer.content_type.startswith(("application/json", "text/"))
        if packable and len(body) >= GZIP_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.gateway.clock() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: calls are counted in the ledger, and URLs of token calls hold secrets."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, port: int, gateway: Gateway, latency_s: float) -> None:
        self.gateway = gateway
        self.latency_s = latency_s
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that went away; show everything else."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc(file=sys.stderr)

    def end(self) -> None:
        """Stop accepting; a connection of our own wakes the loop, which otherwise looks up only now and then."""
        ending = threading.Thread(target=self.shutdown)
        ending.start()
        with socket.create_connection(("127.0.0.1", self.server_port), timeout=5):
            ending.join()

    def close_connections(self) -> None:
        """End kept-alive connections, so that their threads end too."""
        with self._open_lock:
            sockets = list(self._open)
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Simulator:
    """A simulated shop in this process; a context manager that starts and stops it.

    `shop`, `accounts` and `gateway` are there for tests that look behind the wire.
    """

    def __init__(self, options: SimulatorOptions, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.dice = Dice(options.faults, options.seed)
        skew_s = self.dice.clock_skew_s()

        def shop_clock() -> float:
            """Return the time by which the gateway and the whole shop live, right or wrong."""
            return clock() + skew_s

        self.shop = Shop(options, self.dice, shop_clock)
        further = [empty_shop(self.shop, number) for number in range(2, options.shops + 1)]
        self.accounts = Accounts(options, shop_clock())
        self.gateway = Gateway([self.shop, *further], self.accounts)
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        with self.shop.lock:
            Seeder(self.shop).populate()

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the simulator is not started")
        return int(self._server.server_address[1])

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth_url(self) -> str:
        return self.api_url

    @property
    def consent_url(self) -> str:
        return f"{self.api_url}/open/authorize?service_id={self.service_id}"

    @property
    def app_key(self) -> str:
        return self.accounts.app_key

    @property
    def app_secret(self) -> str:
        return self.accounts.app_secret

    @property
    def access_token(self) -> str:
        return self.accounts.newest().access_token

    @property
    def refresh_token(self) -> str:
        return self.accounts.newest().refresh_token

    @property
    def cipher(self) -> str:
        return self.accounts.cipher

    @property
    def service_id(self) -> str:
        return self.accounts.service_id

    @property
    def shop_id(self) -> str:
        return self.shop.shop_id

    def credentials(self) -> dict[str, str | list[str]]:
        """Return what the ready file says."""
        return {
            "api_url": self.api_url,
            "auth_url": self.auth_url,
            "consent_url": self.consent_url,
            "app_key": self.app_key,
            "app_secret": self.app_secret,
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "cipher": self.cipher,
            "ciphers": list(self.accounts.ciphers),
            "service_id": self.service_id,
            "shop_id": self.shop_id,
        }

    def ledger(self) -> dict[str, Any]:
        """Return the ledger as it stands, as it would be written."""
        with self.shop.lock:
            self.shop.advance()
            text = self.shop.ledger.text()
        book: dict[str, Any] = json.loads(text)
        return book

    def start(self) -> None:
        """Bind, serve in background threads, write the ready file; OSError when the port is taken."""
        if self._server is not None:
            raise RuntimeError("the simulator is started already")
        self._server = _Server(self.options.port, self.gateway, self.options.latency_ms / 1000)
        self.gateway.base_url = self.api_url
        if self.options.ready_file is not None:
            # One that an earlier run left behind would send clients to a port where nobody listens.
            self.options.ready_file.unlink(missing_ok=True)
        self._stopping.clear()
        self.shop.ledger.commit()
        serving = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="simulator", daemon=True)
        beating = threading.Thread(target=self._beat, name="simulator-ledger", daemon=True)
        self._threads = [serving, beating]
        for thread in self._threads:
            thread.start()
        if self.options.ready_file is not None:
            write_atomically(self.options.ready_file, json.dumps(self.credentials(), indent=1) + "\n")

    def _beat(self) -> None:
        while not self._stopping.wait(LEDGER_BEAT_S):
            with self.shop.lock:
                self.shop.advance()
            self.shop.ledger.commit()

    def stop(self) -> None:
        """Stop serving, end open connections, write the ledger once more. A second stop does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping.set()
        server.end()
        server.server_close()
        server.close_connections()
        for thread in self._threads:
            thread.join(5)
        with self.shop.lock:
            self.shop.advance()
        self.shop.ledger.commit()

    def __enter__(self) -> Simulator:
        try:
            self.start()
        except BaseException:
            with suppress(OSError):  # a ledger that cannot be written is what ended it
                if self._threads:
                    self.stop()
                elif self._server is not None:  # nobody serves yet: to ask for the end of that would wait for ever
                    self._server.server_close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def serve(options: SimulatorOptions) -> None:
    """Serve until SIGTERM or SIGINT; then stop cleanly and write the ledger a last time. Needs the main thread."""
    ended = threading.Event()
    kept = {
        number: signal.signal(number, lambda given, frame: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        with Simulator(options) as simulator:
            print(f"simulated shop on {simulator.api_url}", file=sys.stderr, flush=True)
            # A wait without end would keep Python from running the signal handler on some platforms.
            while not ended.wait(1.0):
                continue
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
