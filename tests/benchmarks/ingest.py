"""Ingest of order pages: ours, the same pages again, and the bare rows that ours comes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiktok_erp.channels.base import OrderPage, OrderSearch
from tiktok_erp.channels.tiktok import TikTokShop, _Reply
from tiktok_erp.config.rules_file import default_rules_text, load_rules_text
from tiktok_erp.model.credentials import TikTokCredentials
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.secret import Secret
from tiktok_erp.simulator.server import Simulator, SimulatorOptions
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.sync.run import OrderWriter
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace

_EVERYTHING = OrderSearch("update_time", None, datetime(2100, 1, 1, tzinfo=UTC))


class _Mute:
    wants_fields = False

    def item(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


class _Tokens:
    def __init__(self, token: str) -> None:
        self._token = Secret(token)

    def current(self) -> Secret:
        return self._token

    def ends_at(self) -> datetime | None:
        return None

    def renew(self, stale: Secret, exchange: object) -> Secret:
        return self._token

    def end_renewals(self) -> None: ...


class Ingest:
    """Holds the page bodies of a simulated shop and writes them in three ways, each time into a fresh file."""

    def __init__(self, folder: Path, orders: int) -> None:
        self._folder = folder
        self._number = 0
        self._rules = load_rules_text(default_rules_text())
        self._bodies = _fetch_pages(orders)
        self._filled: Path | None = None
        # Making a client loads the certificates: a cost of starting, not of a page.
        self._http = HttpClient()
        self._statements = self._record()

    def first_pass(self) -> None:
        """Page bytes to committed rows, a commit a page."""
        path = self._fresh()
        with open_store(path, create=True) as store:
            self._write(store)
        self._filled = path

    def second_pass(self) -> None:
        """The same pages into a file that has them all."""
        if self._filled is None:
            self.first_pass()
        with open_store(self._filled or Path()) as store:
            self._write(store)

    def bare_rows(self) -> None:
        """executemany of the rows that the first pass came to, raw answers uncompressed, a commit a page."""
        with open_store(self._fresh(), create=True) as store:
            connection = store._connection
            for page in self._statements:
                connection.execute("BEGIN IMMEDIATE")
                for sql, rows in page:
                    connection.executemany(sql, rows)
                connection.execute("COMMIT")

    def size(self) -> int:
        """Return the bytes of the database after a first pass, its log folded in."""
        if self._filled is None:
            self.first_pass()
        path = self._filled or Path()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.stat().st_size

    def _fresh(self) -> Path:
        self._number += 1
        return self._folder / f"ingest-{self._number}.db"

    def _write(self, store: Store) -> None:
        writer = OrderWriter(store, self._rules, _Mute(), run_id=None)
        for page in self._pages(self._http):
            writer.write_raw(page.orders)

    def _pages(self, http: HttpClient) -> list[OrderPage]:
        bodies = iter(self._bodies)
        shop = _shop(http, "http://127.0.0.1:1", "http://127.0.0.1:1", "", "", "", "")
        shop._read = lambda *arguments, **options: _Reply(next(bodies), "")  # type: ignore[method-assign]
        return [shop.find_orders(_EVERYTHING) for _body in self._bodies]

    def _record(self) -> list[list[tuple[str, Sequence[Any]]]]:
        pages: list[list[tuple[str, Sequence[Any]]]] = []
        with open_store(self._fresh(), create=True) as store:
            writer = OrderWriter(store, self._rules, _Mute(), run_id=None)
            original = store.execute_many
            raw: dict[str, bytes] = {}

            def record(sql: str, rows: Sequence[Sequence[Any]]) -> None:
                kept: Sequence[Any] = list(rows)
                if "raw_answers" in sql:
                    kept = [(row[0], row[1], raw[row[0]], row[3]) for row in kept]
                    dictionary = "INSERT INTO raw_dictionaries VALUES (?, ?) ON CONFLICT DO NOTHING"
                    pages[-1].append((dictionary, [(1, b"")]))
                pages[-1].append((sql, kept))
                original(sql, rows)

            store.execute_many = record  # type: ignore[method-assign]
            for page in self._pages(self._http):
                pages.append([])
                raw = {f"tiktok:{order.order_id}": order.raw for order in page.orders}
                writer.write_raw(page.orders)
        return pages


def _fetch_pages(orders: int) -> list[bytes]:
    bodies: list[bytes] = []
    with Simulator(SimulatorOptions(orders=orders, rate_limit=0)) as simulated, HttpClient() as http:
        shop = _shop(
            http,
            simulated.api_url,
            simulated.auth_url,
            simulated.app_key,
            simulated.app_secret,
            simulated.cipher,
            simulated.access_token,
        )
        read = shop._read

        def keep(*arguments: Any, **options: Any) -> _Reply:
            reply = read(*arguments, **options)
            bodies.append(reply.data)
            return reply

        shop._read = keep  # type: ignore[method-assign]
        token = ""
        while not bodies or token:
            token = shop.find_orders(_EVERYTHING, token).next_page_token
    return bodies


def _shop(
    http: HttpClient, api_url: str, auth_url: str, app_key: str, app_secret: str, cipher: str, token: str
) -> TikTokShop:
    credentials = TikTokCredentials(app_key, Secret(app_secret), Secret(cipher), api_url, auth_url)
    return TikTokShop(credentials, _Tokens(token), http, Pace(start_rate=1000, max_rate=1000))
